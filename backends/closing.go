package backends

import (
	"context"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
)

// A Cache is open until it is closed, or replaced by Configure. From then on it begins nothing, and
// cacheutils.ErrClosed comes out of whatever it is asked. Computations that are under way end as
// they would otherwise, and are stored; the last one that ends closes the engine, once.

// Close lets the Cache begin nothing any more, and waits until no result is being stored, as long as an
// operation may take at most. Computations that are under way are not waited for: the last one that ends
// releases connections, goroutines and memory; if there are none, Close does. It may be called again.
func (c *Cache) Close() error {
	if c.close() {
		return c.shut()
	}
	timer := time.NewTimer(c.operationTimeout)
	defer timer.Stop()
	select {
	case <-c.flights.settled():
	case <-timer.C:
	}
	return nil
}

// close lets the Cache begin nothing any more, and tells whether nothing is under way.
func (c *Cache) close() (ended bool) {
	c.closed.Store(true)
	return c.flights.close()
}

// shut closes the engine.
func (c *Cache) shut() error {
	c.shutting.Do(func() {
		c.background.close()
		if err := c.engine.Close(); err != nil {
			c.shutErr = fmt.Errorf("backends: close %q: %w", c.name, err)
		}
		c.flights.gone()
	})
	return c.shutErr
}

// open returns an error if the Cache is closed.
func (c *Cache) open() error {
	if c.closed.Load() {
		return fmt.Errorf("backends: %q: %w", c.name, cacheutils.ErrClosed)
	}
	return nil
}

// enter begins an operation of a caller's, which ends when done is called: it returns the context for
// it, or an error if the Cache is closed.
func (c *Cache) enter(ctx context.Context) (bounded context.Context, done context.CancelFunc, err error) {
	if err := c.open(); err != nil {
		return nil, nil, err
	}
	bounded, done = c.bound(ctx)
	return bounded, done, nil
}

// bound returns a context for one operation.
func (c *Cache) bound(ctx context.Context) (bounded context.Context, done context.CancelFunc) {
	if !c.flights.remote || c.timed {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.operationTimeout)
}

// outlast is enter for an invalidation, which is carried out though ctx has ended: its caller has changed
// what the cache has. Only a deadline that is ahead bounds it.
func (c *Cache) outlast(ctx context.Context) (lasting context.Context, done context.CancelFunc, err error) {
	deadline, ends := ctx.Deadline()
	lasting, done, err = c.enter(context.WithoutCancel(ctx))
	if err == nil && ends && time.Until(deadline) > 0 {
		bounded := done
		var unbound context.CancelFunc
		lasting, unbound = context.WithDeadline(lasting, deadline)
		done = func() { unbound(); bounded() }
	}
	return lasting, done, err
}
