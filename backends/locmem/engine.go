// Package locmem is a cache in the memory of this process.
//
// A location names a store; engines opened with equal names share one. Those without a
// location share one with the others of their set of backends (see backends.Caches). A store lives as
// long as an engine of its name is open.
//
// A store is bounded in two ways at once, by the options
//
//	max_entries  how many entries it holds at most; 100000 unless given
//	max_cost     how many bytes they may take, keys and bookkeeping included; 256 MiB unless given
//
// A value kept as it is counts with all that it refers to, as large as the allocator makes it, and its strings
// are copied, so that they keep nothing that they were cut from. What can't be counted is said with
// decorators.Shared.
//
// max_entries has to be above 0, and max_cost at least 4096, since with less there would be no place for any entry.
// Django's spelling MAX_ENTRIES works as well. An engine that
// is opened with bounds changes those of a store that is already there, one that is opened
// without them leaves them.
//
// When a store is full, entries that are used seldom and were not used lately leave it (W-TinyLFU). The few
// that were written last are kept in any case, unless they take more than a hundredth of max_cost; such a large
// one may have to be set several times before it stays in a full store. To have a place for them, a store may
// be full a few entries below its bounds. Markers of computations under way don't count.
package locmem

import (
	"context"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

const (
	defaultMaxEntries = 100_000
	defaultMaxCost    = 256 << 20
	leastMaxCost      = 4 << 10
)

func init() {
	engine.Register(engine.Driver{
		Names:  []string{"locmem", "django.core.cache.backends.locmem.LocMemCache"},
		Open:   Open,
		Django: fromDjango,
	})
}

// fromDjango leaves out CULL_FREQUENCY: entries are dropped one by one here. MAX_ENTRIES is max_entries.
func fromDjango(options map[string]any) (mapped map[string]any, leftOut []string) {
	mapped = maps.Clone(options)
	for name := range options {
		if strings.EqualFold(name, "CULL_FREQUENCY") {
			delete(mapped, name)
			leftOut = append(leftOut, name)
		}
	}
	return mapped, leftOut
}

// Open returns an engine on the store that s.Location names. It implements
// engine.Referrer. Wrong options, more than one location and one that begins with a slash are errors that match
// cacheutils.ErrConfig.
//
// Timeouts are exact: an entry is gone the nanosecond they end, by the monotonic clock, so that a clock that is put back
// doesn't prolong it. A machine that sleeps doesn't either: what was to end meanwhile by the clock on the wall has ended
// ten milliseconds after it goes on. So does what was to end in the time by which that clock is put forward.
//
// An engine has no goroutine. While there is something in its store, a timer drops what has expired, once a second; so
// it works in bubbles of testing/synctest. What was stored in one counts by its clock, and so does not end in time
// outside, or in another one: give each a set of backends of its own, or Clear.
func Open(s engine.Settings) (engine.Engine, error) {
	if len(s.Location) > 1 {
		return nil, fmt.Errorf("%w: locmem has one location, the name of its store, but %q are given: leave the others out",
			cacheutils.ErrConfig, errtext.WithoutPassword(strings.Join(s.Location, ",")))
	}
	name := ""
	if len(s.Location) == 1 {
		name = s.Location[0]
	}
	if strings.HasPrefix(name, "/") {
		return nil, fmt.Errorf("%w: locmem location %q is a path, but it is the name of a store in memory: write it without the slash, or, "+
			"if the prefix of keys is meant, as KeyPrefix (in a URL prefix=...)", cacheutils.ErrConfig, errtext.WithoutPassword(name))
	}
	scope := s.Scope
	if name != "" {
		scope = 0 // a name says to share
	}
	r := engine.ReadOptions("locmem", s.Options)
	w := wanted{
		entries: r.PositiveInt("max_entries", 0),
		cost:    r.IntBetween("max_cost", 0, leastMaxCost, math.MaxInt),
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	m := &memory{}
	m.opened.Store(acquire(storeName{name, scope}, w))
	return m, nil
}

// memory is an engine: a reference to a store, which Close gives back.
type memory struct {
	opened atomic.Pointer[store] // nil after Close
}

// begin returns the engine's store to an operation, unless the engine is closed or ctx has ended.
func (m *memory) begin(ctx context.Context) (*store, error) {
	s := m.opened.Load()
	if s == nil {
		return nil, cacheutils.ErrClosed
	}
	return s, ctx.Err()
}

// Traits says that values are held as they are.
func (m *memory) Traits() engine.Traits { return engine.Traits{HoldsLive: true} }

// Get copies nothing and allocates nothing.
func (m *memory) Get(ctx context.Context, key string) (engine.Item, error) {
	s, err := m.begin(ctx)
	if err != nil {
		return engine.Item{}, err
	}
	if e, there := s.cache().GetIfPresent(key); there {
		return e.item, nil
	}
	r, err := s.lookup(key)
	return r.item, err
}

// Ref returns a reference to the item under key, or nil if that isn't there, is ephemeral, or is only
// there because it was written lately. It does not retain key.
func (m *memory) Ref(key string) engine.Ref {
	s := m.opened.Load()
	if s == nil {
		return nil
	}
	if r := s.ref(key); r != nil {
		return r
	}
	return nil
}

func (m *memory) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	s, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	found := make(map[string]engine.Item, len(keys))
	for _, key := range keys {
		if e, there := s.cache().GetIfPresent(key); there {
			found[e.key] = e.item
			continue
		}
		switch r, err := s.lookup(key); err {
		case nil:
			found[r.key] = r.item
		case cacheutils.ErrClosed:
			return nil, err
		}
	}
	return found, nil
}

func (m *memory) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	s, err := m.begin(ctx)
	if err != nil {
		return err
	}
	return s.set(key, item, timeout)
}

func (m *memory) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	s, err := m.begin(ctx)
	if err != nil {
		return false, err
	}
	return s.add(key, item, timeout)
}

func (m *memory) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	s, err := m.begin(ctx)
	if err != nil {
		return false, err
	}
	return s.swap(key, nil, item, timeout)
}

// SwapLive is CompareAndSwap for the item whose live value is old, a pointer.
func (m *memory) SwapLive(ctx context.Context, key string, old any, item engine.Item, timeout time.Duration) (bool, error) {
	s, err := m.begin(ctx)
	if err != nil {
		return false, err
	}
	return s.swap(key, old, item, timeout)
}

func (m *memory) Delete(ctx context.Context, key string) (bool, error) {
	s, err := m.begin(ctx)
	if err != nil {
		return false, err
	}
	return s.delete(key)
}

// Incr returns an error that matches cacheutils.ErrNotNumber for a live value, and when the
// sum doesn't fit an int64; the item is then left as it was.
func (m *memory) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	s, err := m.begin(ctx)
	if err != nil {
		return 0, err
	}
	return s.incr(key, delta)
}

// Clear removes what begins with prefix, for every engine that shares the store. It looks at every key, and keeps
// writers waiting meanwhile, unless prefix is empty.
func (m *memory) Clear(ctx context.Context, prefix string) error {
	s, err := m.begin(ctx)
	if err != nil {
		return err
	}
	return s.clear(prefix)
}

// Close gives the store up. The last engine of its name to do so takes its entries and its
// memory with it.
func (m *memory) Close() error {
	if s := m.opened.Swap(nil); s != nil {
		release(s)
	}
	return nil
}
