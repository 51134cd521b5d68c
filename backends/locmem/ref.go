package locmem

import (
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils/engine"
)

// A ref is an engine.Ref to an entry. otter reports each entry that leaves, however it
// does, under the lock of its bucket and before anything else can be seen in its place; the
// entry's ref ends then. An entry that expires leaves when otter finds it, or before that
// by the clock.
type ref struct {
	current atomic.Pointer[referred] // nil once the entry has left
	until   time.Duration            // when it expires
}

// A referred is what a ref is to.
type referred struct {
	item  *engine.Item // the entry's
	key   string
	store *store
}

// ended is the ref of entries that have left.
var ended ref

// lookupEvery is how many uses of refs there are for one that otter is told of. The lowest bits of the clock,
// mixed, say which: no order in which entries are used keeps step with those.
const lookupEvery = 24

// Item returns the item while that is in the store.
func (r *ref) Item() *engine.Item {
	is, now := r.current.Load(), now()
	if is == nil || now >= r.until {
		return nil
	}
	if uint64(now)*0x9e3779b97f4a7c15>>32%lookupEvery == 0 {
		is.store.cache().GetIfPresent(is.key)
	}
	return is.item
}

// ref returns the ref to the entry under key, or nil if that isn't there.
func (s *store) ref(key string) *ref {
	got, there := s.cache().GetEntryQuietly(key)
	if !there {
		return nil
	}
	e := got.Value
	if r := e.ref.Load(); r != nil {
		return r
	}
	r := &ref{until: e.until}
	r.current.Store(&referred{&e.item, e.key, s})
	if !e.ref.CompareAndSwap(nil, r) {
		return e.ref.Load() // another reader's, or ended
	}
	return r
}

// leave ends the ref to an entry that leaves the store.
func (e *entry) leave() {
	if r := e.ref.Swap(&ended); r != nil {
		r.current.Store(nil)
	}
}
