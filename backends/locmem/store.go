package locmem

import (
	"fmt"
	"hash/maphash"
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

// An entry is what is held under a key. It is never changed, only replaced.
type entry struct {
	key   string // the store's own, which outlives the call that wrote it
	item  engine.Item
	until time.Duration // when it expires

	weightless bool // it is one of store.newest

	seen atomic.Pointer[sight] // nil: nobody keeps it in sight
}

func (e *entry) cost() int { return cost(e.key, e.item) }

func (e *entry) hasExpired() bool { return now() >= e.until }

// A store is a cache that the engines of one name share. Nothing comes in between an operation's
// look at a key and its write, see marks.go; an entry that has expired is absent for all of them.
type store struct {
	name       string
	references int // guarded by stores
	bounds     atomic.Pointer[bounds]
	newest     newest
	written    atomic.Uint64 // at least the weight that the store holds
	measured   atomic.Uint64 // written when that was last found to be true
	writes     atomic.Uint64 // the number of writes so far, each of which takes one as its CAS

	seed   maphash.Seed
	shards [shards]shard

	started atomic.Pointer[cache] // nil until the store is used
	mu      sync.Mutex            // held by whoever changes what follows, started, or the bounds; locked last
	over    bool                  // the store was torn down
}

type cache = otter.Cache[string, *entry]

func newStore(name string) *store {
	s := &store{name: name, seed: maphash.MakeSeed()}
	s.forgetMarks()
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
			return left(e.Value.until, time.Duration(e.SnapshotAtNano))
		}),
		Clock:            otterClock{},
		OnAtomicDeletion: func(e otter.DeletionEvent[string, *entry]) { e.Value.leave() },
	})
	if s.over {
		c.StopAllGoroutines()
	}
	s.started.Store(c)
	return c
}

// get returns the entry under key, or nil. It allocates nothing and keeps nothing of key.
func (s *store) get(key string) *entry {
	if e, there := s.cache().GetIfPresent(key); there {
		return e
	}
	sh := s.lock(key)
	defer sh.Unlock()
	return s.find(sh, key)
}

// find is get for whoever has locked the key's shard. To find an entry is not to use it.
func (s *store) find(sh *shard, key string) *entry {
	if m := sh.mark(key); m != nil {
		return m
	}
	e, _ := s.cache().GetEntryQuietly(key)
	return e.Value
}

// entry returns the entry of a new write.
func (s *store) entry(key string, item engine.Item, until time.Duration) *entry {
	item.CAS = s.writes.Add(1)
	return s.same(key, item, until)
}

// same is entry for an item that stays the same write.
func (s *store) same(key string, item engine.Item, until time.Duration) *entry {
	e := &entry{key: key, item: item, until: until}
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

// write puts e where old is, which find has found. The shard of their key is locked.
func (s *store) write(sh *shard, old, e *entry) {
	if !e.item.Brief {
		s.cache().Set(e.key, e)
		delete(sh.marks, e.key)
		s.keep(e)
		return
	}
	if old != nil && !old.item.Brief {
		s.cache().Invalidate(e.key)
	}
	sh.put(e)
}

// remove removes what is under key, whose shard is locked, and tells whether there was anything.
func (s *store) remove(sh *shard, key string) bool {
	if sh.mark(key) != nil {
		delete(sh.marks, key)
		return true
	}
	_, there := s.cache().Invalidate(key)
	return there
}

func (s *store) set(key string, item engine.Item, timeout time.Duration) error {
	if err := s.tooLarge(key, item); err != nil {
		s.delete(key)
		return err
	}
	s.prepare(key, item)
	sh := s.lock(key)
	defer sh.Unlock()
	var old *entry
	if item.Brief {
		old = s.find(sh, key)
	}
	s.write(sh, old, s.entry(key, item, deadline(timeout)))
	return nil
}

func (s *store) add(key string, item engine.Item, timeout time.Duration) (bool, error) {
	s.prepare(key, item)
	sh := s.lock(key)
	defer sh.Unlock()
	if s.find(sh, key) != nil {
		return false, nil
	}
	if err := s.tooLarge(key, item); err != nil {
		return false, err
	}
	s.write(sh, nil, s.entry(key, item, deadline(timeout)))
	return true, nil
}

func (s *store) compareAndSwap(key string, item engine.Item, timeout time.Duration) (bool, error) {
	s.prepare(key, item)
	sh := s.lock(key)
	defer sh.Unlock()
	old := s.find(sh, key)
	if old == nil || old.item.CAS != item.CAS {
		return false, nil
	}
	if err := s.tooLarge(key, item); err != nil {
		s.remove(sh, key)
		return false, err
	}
	s.write(sh, old, s.entry(key, item, deadline(timeout)))
	return true, nil
}

func (s *store) delete(key string) bool {
	sh := s.lock(key)
	defer sh.Unlock()
	return s.remove(sh, key)
}

// touch writes the entry under its own key, because the caller's may be gone when it returns.
// The item keeps its CAS: it is still the same write.
func (s *store) touch(key string, timeout time.Duration) bool {
	sh := s.lock(key)
	defer sh.Unlock()
	old := s.find(sh, key)
	if old == nil {
		return false
	}
	s.write(sh, old, s.same(old.key, old.item, deadline(timeout)))
	return true
}

func (s *store) incr(key string, delta int64) (int64, error) {
	sh := s.lock(key)
	defer sh.Unlock()
	old := s.find(sh, key)
	if old == nil {
		return 0, cacheutils.ErrCacheMiss
	}
	sum, err := plus(old.item, delta)
	if err != nil {
		return 0, fmt.Errorf("locmem: incr %q: %w", strings.Clone(key), err)
	}
	item := old.item
	item.Cost -= len(item.Value)
	item.Value = strconv.AppendInt(nil, sum, 10)
	item.Cost += len(item.Value)
	s.write(sh, old, s.entry(old.key, item, old.until))
	return sum, nil
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
	c := s.cache()
	s.locked(func() {
		s.forgetMarks()
		c.InvalidateAll()
		s.forget()
	})
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
			return &entry{key: e.key, item: e.item, until: e.until}, otter.WriteOp
		})
	}
	c.SetMaximum(b.rest())
}

func (s *store) tearDown() {
	s.mu.Lock()
	s.over = true
	c := s.started.Load()
	s.mu.Unlock()
	if c != nil {
		c.StopAllGoroutines()
		s.clear()
	}
}
