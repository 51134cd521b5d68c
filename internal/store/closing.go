package store

import (
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// A Store is open until it is closed, or replaced by Configure. From then on it begins nothing, and
// cacheutils.ErrClosed comes out of whatever it is asked. Computations that are under way end as
// they would otherwise, and are stored; the last one that ends closes the engine, once.

// Close lets the Store begin nothing any more, and waits until no result is being stored, as long as an
// operation may take at most. Computations that are under way are not waited for: the last one that ends
// releases connections, goroutines and memory; if there are none, Close does. It may be called again.
func (c *Store) Close() error {
	if c.close() {
		return c.shut()
	}
	timer := time.NewTimer(c.OperationTimeout)
	defer timer.Stop()
	select {
	case <-c.flights.Settled():
	case <-timer.C:
		return nil
	}
	if c.close() { // that was the last one
		return c.shut()
	}
	return nil
}

// close lets the Store begin nothing any more, and reports whether nothing is under way.
func (c *Store) close() (ended bool) {
	c.closed.Store(true)
	return c.flights.Close()
}

// Retire is Close that waits for nothing. Nobody can be told that the engine failed to close: what it held is given
// up.
func (c *Store) Retire() {
	if c.close() {
		_ = c.shut()
	}
}

// Closed returns an error that matches cacheutils.ErrClosed if the Store is closed, otherwise nil.
func (c *Store) Closed() error {
	if !c.closed.Load() {
		return nil
	}
	return c.errClosed()
}

//go:noinline
func (c *Store) errClosed() error { return errtext.Wrap(cacheutils.ErrClosed, "%q", c.Name) }
