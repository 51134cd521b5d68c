package memcached

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bradfitz/gomemcache/memcache"
)

// All that is stored may have to be swapped, so a server without compare-and-swap (memcached -C, a proxy) is of no use:
// it is down, with an error that says so, from the first value on that it sends without a number for that. What
// was stored until then, over connections that had not brought a value with a number yet, is removed: nothing must
// stay that can't be swapped, such as the lease of a computation. A connection that is dialled may be to another server
// at the same address, and begins that again from the start.

// errNoCAS is for a value without a number.
var errNoCAS = errors.New("the server has no CAS: is it run with -C, or a proxy without compare-and-swap?")

// swaps is what is known of a server's compare-and-swap.
type swaps struct {
	known atomic.Bool // it has it: a value came with a number

	mu       sync.Mutex
	unproven map[string]struct{} // the keys of what was stored before that is known
}

// maxUnproven bounds the keys of a server that are noted.
const maxUnproven = 1000

// note notes what is stored while it isn't known whether it can be swapped.
func (s *swaps) note(key string) {
	if s.known.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unproven == nil {
		s.unproven = make(map[string]struct{})
	}
	if len(s.unproven) < maxUnproven {
		s.unproven[key] = struct{}{}
	}
}

// check takes the number of a value that the server has sent.
func (s *swaps) check(cas uint64) error {
	switch {
	case cas == 0:
		s.known.Store(false)
		return errNoCAS
	case !s.known.Load():
		s.known.Store(true)
		s.take()
	}
	return nil
}

func (s *swaps) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := slices.Sorted(maps.Keys(s.unproven))
	s.unproven = nil
	return keys
}

// removeUnproven removes what can't be swapped, in the time of one operation: it is called by the first who finds out.
// What is left then is removed with the next probes.
func (s *server) removeUnproven(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.operation)
	defer cancel()
	keys := s.swaps.take()
	for i, key := range keys {
		if err := s.try(ctx, deletion, func(c *client) error { return c.Delete(key) }); err != nil && !answer(err) {
			for _, left := range keys[i:] {
				s.swaps.note(left)
			}
			return
		}
	}
}

// probed is what a server is asked to store that isn't known to have compare-and-swap. It may be there already, from
// another process.
const (
	probed        = "cacheutils:ping"
	probedSeconds = 10
)

// checkAnswering finds out whether a server that has answered a probe can swap. That it doesn't want to store
// anything says nothing.
func (s *server) checkAnswering(ctx context.Context, op operation) error {
	if s.swaps.known.Load() {
		return nil
	}
	err := s.try(ctx, operation{name: op.name}, func(c *client) error {
		return c.Add(&memcache.Item{Key: probed, Expiration: probedSeconds})
	})
	if err != nil && !answer(err) {
		return nil
	}
	err = s.try(ctx, operation{name: op.name, idempotent: true, values: 1}, func(c *client) error {
		got, err := c.Get(probed)
		if err != nil {
			return err
		}
		return s.swaps.check(got.CasID)
	})
	if !errors.Is(err, errNoCAS) {
		return nil
	}
	s.removeUnproven(ctx)
	return err
}
