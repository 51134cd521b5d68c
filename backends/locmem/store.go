package locmem

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/engine"
)

// An entry is what the cache holds under a key. It is never changed, only replaced.
type entry struct {
	key  string // the cache's own, which outlives the call that wrote it
	item engine.Item

	// timeout is how long the entry lives from the moment it is written. keepExpiry leaves
	// the moment when the entry it replaces would have expired.
	timeout time.Duration

	weightless bool // it is one of store.newest, or brief

	seen atomic.Pointer[sight] // nil: nobody keeps it in sight
}

const keepExpiry time.Duration = 0

func (e *entry) cost() int { return cost(e.key, e.item) }

// A store is a cache that the engines of one name share. Each of its operations on a key
// that reads and writes happens under the lock of the key's bucket, so nothing comes in
// between; an entry that has expired is absent for all of them.
type store struct {
	name       string
	references int // guarded by stores
	bounds     atomic.Pointer[bounds]
	newest     newest
	written    atomic.Uint64 // at least the weight that the store holds
	measured   atomic.Uint64 // written when that was last found to be true
	writes     atomic.Uint64 // the number of writes so far, each of which takes one as its CAS

	started atomic.Pointer[cache] // nil until the store is used
	mu      sync.Mutex            // held by whoever changes what follows, started, or the bounds
	over    bool                  // the store was torn down
}

type cache = otter.Cache[string, *entry]

func newStore(name string) *store {
	s := &store{name: name}
	s.bounds.Store(&bounds{entries: defaultMaxEntries, cost: defaultMaxCost})
	return s
}

// cache returns the store's cache, which the first call starts.
func (s *store) cache() *cache {
	if c := s.started.Load(); c != nil {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.started.Load(); c != nil {
		return c
	}
	c := otter.Must(&otter.Options[string, *entry]{
		MaximumWeight: s.bounds.Load().rest(),
		Weigher: func(key string, e *entry) uint32 {
			if e.weightless {
				return 0
			}
			return s.bounds.Load().weight(e.cost())
		},
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, *entry]) time.Duration {
			return e.Value.timeout
		}),
		OnAtomicDeletion: func(e otter.DeletionEvent[string, *entry]) { e.Value.leave() },
	})
	if s.over {
		c.StopAllGoroutines()
	}
	s.started.Store(c)
	return c
}

// get allocates nothing and keeps nothing of key.
func (s *store) get(key string) (*entry, bool) {
	return s.cache().GetIfPresent(key)
}

// entry returns the entry of a new write, which has to be handed to keep once it is written.
func (s *store) entry(key string, item engine.Item, timeout time.Duration) *entry {
	item.CAS = s.writes.Add(1)
	return s.same(key, item, timeout)
}

// same is entry for an item that stays the same write.
func (s *store) same(key string, item engine.Item, timeout time.Duration) *entry {
	e := &entry{key: key, item: item, timeout: timeout, weightless: item.Brief}
	if item.Brief {
		return e
	}
	b := s.bounds.Load()
	weight := uint64(b.weight(cost(key, item)))
	if !s.hasRoom(b, weight) {
		e.weightless = weight <= b.newestWeight()
	}
	return e
}

func (s *store) set(key string, item engine.Item, timeout time.Duration) error {
	if err := s.tooLarge(key, item); err != nil {
		s.delete(key)
		return err
	}
	s.prepare(key, item)
	e := s.entry(key, item, timeout)
	s.cache().Set(key, e)
	s.keep(e)
	return nil
}

func (s *store) add(key string, item engine.Item, timeout time.Duration) (bool, error) {
	if err := s.tooLarge(key, item); err != nil {
		if _, there := s.cache().GetEntryQuietly(key); there {
			return false, nil
		}
		return false, err
	}
	s.prepare(key, item)
	e := s.entry(key, item, timeout)
	_, added := s.cache().SetIfAbsent(key, e)
	if added {
		s.keep(e)
	}
	return added, nil
}

func (s *store) compareAndSwap(key string, item engine.Item, timeout time.Duration) (bool, error) {
	tooLarge := s.tooLarge(key, item)
	s.prepare(key, item)
	swapped := false
	var written *entry
	s.cache().Compute(key, func(old *entry, found bool) (*entry, otter.ComputeOp) {
		swapped = found && old.item.CAS == item.CAS
		switch {
		case !swapped:
			return old, otter.CancelOp
		case tooLarge != nil:
			return old, otter.InvalidateOp
		default:
			written = s.entry(key, item, timeout)
			return written, otter.WriteOp
		}
	})
	s.keep(written)
	if swapped && tooLarge != nil {
		return false, tooLarge
	}
	return swapped, nil
}

func (s *store) delete(key string) bool {
	_, there := s.cache().Invalidate(key)
	return there
}

// touch writes the entry under its own key, because the caller's may be gone when it returns.
// The item keeps its CAS: it is still the same write.
func (s *store) touch(key string, timeout time.Duration) bool {
	e, found := s.cache().GetEntryQuietly(key)
	if !found {
		return false
	}
	var written *entry
	s.cache().ComputeIfPresent(e.Value.key, func(old *entry) (*entry, otter.ComputeOp) {
		written = s.same(old.key, old.item, timeout)
		return written, otter.WriteOp
	})
	s.keep(written)
	return written != nil
}

func (s *store) incr(key string, delta int64) (sum int64, err error) {
	e, found := s.cache().GetEntryQuietly(key)
	if !found {
		return 0, cacheutils.ErrCacheMiss
	}
	err = cacheutils.ErrCacheMiss
	var written *entry
	s.cache().ComputeIfPresent(e.Value.key, func(old *entry) (*entry, otter.ComputeOp) {
		sum, err = plus(old.item, delta)
		if err != nil {
			return old, otter.CancelOp
		}
		item := old.item
		item.Cost -= len(item.Value)
		item.Value = strconv.AppendInt(nil, sum, 10)
		item.Cost += len(item.Value)
		written = s.entry(old.key, item, keepExpiry)
		return written, otter.WriteOp
	})
	s.keep(written)
	if err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) {
		return 0, fmt.Errorf("locmem: incr %q: %w", strings.Clone(key), err)
	}
	return sum, err
}

// plus returns the item's number plus delta.
func plus(item engine.Item, delta int64) (int64, error) {
	if item.Live != nil {
		return 0, fmt.Errorf("%w: it is a %T", cacheutils.ErrNotNumber, item.Live)
	}
	n, err := strconv.ParseInt(string(item.Value), 10, 64)
	if err != nil {
		return 0, cacheutils.ErrNotNumber
	}
	if delta > 0 && n > math.MaxInt64-delta || delta < 0 && n < math.MinInt64-delta {
		return 0, fmt.Errorf("%w: %d and %d add up to more than an int64 holds", cacheutils.ErrNotNumber, n, delta)
	}
	return n + delta, nil
}

func (s *store) tooLarge(key string, item engine.Item) error {
	b, c := s.bounds.Load(), cost(key, item)
	if b.fits(c) {
		return nil
	}
	return fmt.Errorf("locmem: set %q of %d bytes, max_cost is %d: %w", strings.Clone(key), c, b.cost, cacheutils.ErrTooLarge)
}

func (s *store) clear() {
	s.cache().InvalidateAll()
	s.forget()
}

// resize gives the store the bounds that are wanted. The least weight depends on them, so
// every entry is weighed again; a lower maximum is set after that and a higher one before,
// so that no entry leaves that fits the new bounds.
func (s *store) resize(w wanted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.bounds.Load()
	b := w.over(old)
	if b == old {
		return
	}
	s.bounds.Store(&b)
	s.measured.Store(0)
	s.written.Store(math.MaxUint64 / 2) // to be measured
	c := s.started.Load()
	if c == nil {
		return
	}
	if b.rest() > old.rest() {
		c.SetMaximum(b.rest())
	}
	for key := range c.Keys() {
		c.ComputeIfPresent(key, func(e *entry) (*entry, otter.ComputeOp) {
			if !b.fits(e.cost()) {
				return e, otter.InvalidateOp
			}
			return &entry{key: e.key, item: e.item, timeout: keepExpiry}, otter.WriteOp
		})
	}
	c.SetMaximum(b.rest())
}

func (s *store) tearDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if c := s.started.Load(); c != nil {
		c.StopAllGoroutines()
		c.InvalidateAll()
	}
}
