// Package locmem is a cache in the memory of this process.
//
// A location names a store; engines opened with equal names share one, and without a
// location the name is "". A store lives as long as an engine of its name is open.
//
// A store is bounded in two ways at once, by the options
//
//	max_entries  how many entries it holds at most; 100000 unless given
//	max_cost     how many bytes they may take, keys and bookkeeping included; 256 MiB unless given
//
// Both have to be above 0, and Django's spelling MAX_ENTRIES works as well. An engine that
// is opened with bounds changes those of a store that is already there, one that is opened
// without them leaves them.
//
// When a store is full, entries that are used seldom and were not used lately leave it
// (W-TinyLFU). The few that were written last stay in any case, unless they take more than a
// hundredth of max_cost; such a large one may have to be set several times before it stays
// in a full store. To have a place for them, a store may be full a few entries below its
// bounds. Marks of computations under way don't count.
package locmem

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/engine"
	"github.com/cacheutils/cacheutils/internal/options"
)

const (
	defaultMaxEntries = 100_000
	defaultMaxCost    = 256 << 20
)

// Open returns an engine on the store that s.Location names. It implements
// engine.LiveHolder. Wrong options and more than one location are errors that match
// cacheutils.ErrConfig.
//
// Timeouts are exact: an entry is gone the nanosecond they end, by the monotonic clock, so
// that nobody who sets the clock ends or prolongs an entry.
func Open(s engine.Settings) (engine.Engine, error) {
	if len(s.Location) > 1 {
		return nil, fmt.Errorf("%w: locmem has one location, the name of its store, but %q are given",
			cacheutils.ErrConfig, s.Location)
	}
	e := &memory{}
	if len(s.Location) == 1 {
		e.name = s.Location[0]
	}
	r := options.Read("locmem", s.Options)
	e.wanted = wanted{
		entries: r.Positive("max_entries", 0),
		cost:    r.Positive("max_cost", 0),
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	e.store()
	return e, nil
}

// memory is an engine: a reference to a store, which Close gives back.
type memory struct {
	name   string
	wanted wanted

	opened atomic.Pointer[store] // nil after Close
	mu     sync.Mutex            // held by whoever changes opened
}

// store returns the engine's store and opens it anew after Close.
func (m *memory) store() *store {
	if s := m.opened.Load(); s != nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.opened.Load()
	if s == nil {
		s = acquire(m.name, m.wanted)
		m.opened.Store(s)
	}
	return s
}

// HoldsLive is true: values are held as they are.
func (m *memory) HoldsLive() bool { return true }

// Get copies nothing and allocates nothing.
func (m *memory) Get(ctx context.Context, key string) (engine.Item, error) {
	if err := ctx.Err(); err != nil {
		return engine.Item{}, err
	}
	s := m.store()
	if e, there := s.cache().GetIfPresent(key); there {
		return e.item, nil
	}
	if r, there := s.look(key); there {
		return r.item, nil
	}
	return engine.Item{}, cacheutils.ErrCacheMiss
}

// GetLive returns the live value of the item under key, if it has one, and tells whether there is
// one. It finds no brief item, and none that is only there because it was written lately. It keeps
// nothing of key.
func (m *memory) GetLive(key string) (live any, there bool) {
	if e, there := m.store().cache().GetIfPresent(key); there {
		return e.item.Live, true
	}
	return nil, false
}

// Sight returns a sight of the item under key, or nil if it has no live value, is brief, or is only
// there because it was written lately. It keeps nothing of key.
func (m *memory) Sight(key string) engine.Sight {
	if sight := m.store().sight(key); sight != nil {
		return sight
	}
	return nil
}

func (m *memory) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := m.store()
	found := make(map[string]engine.Item, len(keys))
	for _, key := range keys {
		if e, there := s.cache().GetIfPresent(key); there {
			found[e.key] = e.item
		} else if r, there := s.look(key); there {
			found[r.key] = r.item
		}
	}
	return found, nil
}

func (m *memory) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.store().set(key, item, timeout)
}

func (m *memory) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return m.store().add(key, item, timeout)
}

func (m *memory) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return m.store().swap(key, nil, item, timeout)
}

// SwapLive is CompareAndSwap for the item whose live value is old, a pointer.
func (m *memory) SwapLive(ctx context.Context, key string, old any, item engine.Item, timeout time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return m.store().swap(key, old, item, timeout)
}

func (m *memory) Delete(ctx context.Context, key string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return m.store().delete(key), nil
}

func (m *memory) Touch(ctx context.Context, key string, timeout time.Duration) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return m.store().touch(key, timeout), nil
}

// Incr returns an error that matches cacheutils.ErrNotNumber for a live value, and when the
// sum doesn't fit an int64; the item is then left as it was.
func (m *memory) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return m.store().incr(key, delta)
}

// Clear empties the store, for every engine that shares it.
func (m *memory) Clear(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.store().clear()
	return nil
}

// Close gives the store up. The last engine of its name to do so takes its entries and its
// goroutine with it.
func (m *memory) Close() error {
	m.mu.Lock()
	s := m.opened.Swap(nil)
	m.mu.Unlock()
	if s != nil {
		release(s)
	}
	return nil
}
