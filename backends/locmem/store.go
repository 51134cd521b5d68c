package locmem

import (
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// A record is what is under a key.
type record struct {
	key   string // the store's own, which outlives the call that wrote it
	item  engine.Item
	until time.Duration // when it expires
}

func (r *record) cost() int { return cost(r.key, r.item) }

func (r *record) hasExpired() bool { return now() >= r.until }

// An entry is what otter holds under a key. It is never changed, only replaced.
type entry struct {
	record
	weight uint32              // under the bounds that it was written with
	ref    atomic.Pointer[ref] // nil: nothing refers to it
}

// A store is a cache that the engines of one name share. Nothing comes in between an operation's lookup of a
// key and its write, see markers.go; all of them take an entry that has expired for a miss.
type store struct {
	name       storeName
	references int // guarded by stores

	started atomic.Pointer[cache] // nil until the store is used
	alarm   atomic.Int64          // when what has expired is dropped next; 0: there is nothing
	bounds  atomic.Pointer[bounds]
	seed    maphash.Seed
	shards  [shards]shard

	recent  recentWrites
	writes  atomic.Uint64 // the number of writes so far, each of which takes one as its CAS
	written atomic.Uint64 // the weight that was written since the last maintenance
	usage   usage

	// closed says that the store was torn down. It changes while all shards and mu are locked. An operation
	// that has locked one of them can rely on it: what is written later could be read by no engine.
	closed bool
	mu     sync.Mutex // held to change closed, started, or the bounds; locked last
}

type cache = otter.Cache[string, *entry]

func newStore(name storeName) *store {
	s := &store{name: name, seed: maphash.MakeSeed()}
	b := newBounds(defaultMaxEntries, defaultMaxCost)
	s.bounds.Store(&b)
	s.forgetMarkers()
	return s
}

// cache returns the store's cache, which the first call makes. A store that was torn down before has one to which nothing
// is written.
func (s *store) cache() *cache {
	if c := s.started.Load(); c != nil {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.started.Load(); c != nil {
		return c
	}
	if s.closed {
		return otter.Must(&otter.Options[string, *entry]{})
	}
	c := otter.Must(&otter.Options[string, *entry]{
		MaximumWeight: s.bounds.Load().mainBudget,
		Weigher:       func(key string, e *entry) uint32 { return e.weight },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, *entry]) time.Duration {
			return left(e.Value.until, time.Duration(e.SnapshotAtNano))
		}),
		Clock: otterClock{},
		OnAtomicDeletion: func(e otter.DeletionEvent[string, *entry]) {
			e.Value.leave()
			s.usage.left(e.Value, e.Cause)
		},
	})
	s.started.Store(c)
	return c
}

// lookup returns what is under key where GetIfPresent has found nothing, see markers.go, or ErrCacheMiss.
// It allocates nothing and does not retain key.
func (s *store) lookup(key string) (record, error) {
	sh, err := s.lock(key)
	if err != nil {
		return record{}, err
	}
	defer sh.Unlock()
	r, there := s.find(sh, key)
	if !there {
		return record{}, cacheutils.ErrCacheMiss
	}
	return r, nil
}

// find returns what is under key, whose shard is locked. To find an entry is not to use it.
func (s *store) find(sh *shard, key string) (r record, there bool) {
	if m, there := sh.marker(key); there {
		return m, true
	}
	if e, there := s.cache().GetEntryQuietly(key); there {
		return e.Value.record, true
	}
	return s.recent.find(key)
}

// put writes item under key, whose shard is locked, until then. An item that is too large leaves nothing there.
// free says that there is nothing, or a marker; for an item that isn't ephemeral it may be false all the same.
func (s *store) put(sh *shard, free bool, key string, item engine.Item, until time.Duration) error {
	b, c := s.bounds.Load(), cost(key, item)
	weight := b.weight(c)
	switch {
	case !b.fits(c, weight):
		s.remove(sh, key)
		return errtext.Wrap(cacheutils.ErrTooLarge, "set %d bytes in locmem, whose max_cost is %d", c, b.cost)
	case !item.Ephemeral:
		e := &entry{record: record{key, item, until}, weight: weight}
		s.recent.drop(key)
		s.usage.bytes.Add(int64(c))
		s.cache().Set(key, e)
		s.recent.note(e, b)
		delete(sh.markers, key)
		s.maintain(b, e)
	default:
		if !free {
			s.remove(sh, key)
		}
		sh.put(record{key, item, until})
	}
	return nil
}

// maintain is for after a write. otter drops in the background what is too much, up to some hundred
// writes late. For a small store or large entries that is too late, so the writer that has filled another
// eighth of the store does it.
func (s *store) maintain(b *bounds, e *entry) {
	if s.written.Add(uint64(e.weight)) > b.mainBudget/8 {
		s.written.Store(0)
		s.cache().CleanUp()
	}
}

// remove removes what is under key, whose shard is locked, and reports whether there was anything.
func (s *store) remove(sh *shard, key string) bool {
	if _, there := sh.marker(key); there {
		delete(sh.markers, key)
		return true
	}
	isNew := s.recent.drop(key)
	_, there := s.cache().Invalidate(key)
	return there || isNew
}

func (s *store) set(key string, item engine.Item, timeout time.Duration) error {
	sh, err := s.lock(key)
	if err != nil {
		return err
	}
	defer sh.Unlock()
	item.CAS = s.writes.Add(1)
	return s.put(sh, false, key, item, s.deadline(timeout))
}

func (s *store) add(key string, item engine.Item, timeout time.Duration) (bool, error) {
	sh, err := s.lock(key)
	if err != nil {
		return false, err
	}
	defer sh.Unlock()
	if _, there := s.find(sh, key); there {
		return false, nil
	}
	item.CAS = s.writes.Add(1)
	err = s.put(sh, true, key, item, s.deadline(timeout))
	return err == nil, err
}

// swap writes item if what is under key has the live value old or, where that is nil, is of the item's CAS.
func (s *store) swap(key string, old any, item engine.Item, timeout time.Duration) (bool, error) {
	sh, err := s.lock(key)
	if err != nil {
		return false, err
	}
	defer sh.Unlock()
	is, there := s.find(sh, key)
	same := is.item.CAS == item.CAS
	if old != nil {
		same = is.item.Live == old
	}
	if !there || !same {
		return false, nil
	}
	if timeout <= 0 {
		return s.remove(sh, key), nil
	}
	item.CAS = s.writes.Add(1)
	err = s.put(sh, is.item.Ephemeral, key, item, s.deadline(timeout))
	return err == nil, err
}

func (s *store) delete(key string) (bool, error) {
	sh, err := s.lock(key)
	if err != nil {
		return false, err
	}
	defer sh.Unlock()
	return s.remove(sh, key), nil
}

// incr writes the entry under its own key, because the caller's may be gone when it returns.
func (s *store) incr(key string, delta int64) (int64, error) {
	sh, err := s.lock(key)
	if err != nil {
		return 0, err
	}
	defer sh.Unlock()
	old, there := s.find(sh, key)
	if !there {
		return 0, cacheutils.ErrCacheMiss
	}
	sum, err := plus(old.item, delta)
	if err != nil {
		return 0, errtext.Wrap(err, "incr in locmem")
	}
	item := old.item
	item.Cost -= len(item.Value)
	item.Value = strconv.AppendInt(nil, sum, 10)
	item.Cost += len(item.Value)
	item.CAS = s.writes.Add(1)
	if err := s.put(sh, item.Ephemeral, old.key, item, old.until); err != nil {
		return 0, err
	}
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

// clear keeps writers off, of which one could otherwise have found an entry before it was removed,
// and put another in its place afterwards.
func (s *store) clear(prefix string) error {
	s.lockAll()
	defer s.unlockAll()
	if s.closed {
		return cacheutils.ErrClosed
	}
	if prefix == "" {
		s.empty()
	} else {
		s.removeAll(prefix)
	}
	return nil
}

// removeAll removes what begins with prefix. All shards are locked, so that nothing is written meanwhile.
func (s *store) removeAll(prefix string) {
	for i := range s.shards {
		maps.DeleteFunc(s.shards[i].markers, func(key string, _ record) bool { return strings.HasPrefix(key, prefix) })
	}
	s.recent.dropAll(prefix)
	c := s.started.Load()
	if c == nil {
		return
	}
	for key := range c.Keys() {
		if strings.HasPrefix(key, prefix) {
			c.Invalidate(key)
		}
	}
}

// empty removes all that is in the store, whose shards are locked.
func (s *store) empty() {
	s.forgetMarkers()
	s.recent.forget()
	if c := s.started.Load(); c != nil {
		c.InvalidateAll()
	}
}

// resize gives the store the bounds that are wanted. The least weight depends on them, so
// every entry is weighed again; a lower maximum is set after that and a higher one before,
// so that no entry leaves that fits the new bounds. Writers meanwhile use the new ones.
func (s *store) resize(w wanted) {
	s.lockAll()
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.bounds.Load()
	b := w.applyTo(old)
	s.bounds.Store(&b)
	s.recent.fit(&b)
	s.unlockAll()
	c := s.started.Load()
	if c == nil || b == *old {
		return
	}
	if b.mainBudget > old.mainBudget {
		c.SetMaximum(b.mainBudget)
	}
	for key := range c.Keys() {
		c.ComputeIfPresent(key, func(e *entry) (*entry, otter.ComputeOp) {
			cost := e.cost()
			weight := b.weight(cost)
			if !b.fits(cost, weight) {
				return e, otter.InvalidateOp
			}
			s.usage.bytes.Add(int64(cost))
			return &entry{record: e.record, weight: weight}, otter.WriteOp
		})
	}
	c.SetMaximum(b.mainBudget)
}

// tearDown empties the store for good. Operations that are under way find nothing from then on, and
// fail where they would write.
func (s *store) tearDown() {
	s.lockAll()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.empty()
	s.unlockAll()
}
