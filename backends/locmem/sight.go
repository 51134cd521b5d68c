package locmem

import (
	"sync/atomic"
	"time"
)

// A sight is how readers keep an entry in sight. otter reports each entry that leaves, however it
// does, under the lock of its bucket and before anything else can be seen in its place; the
// entry's sight is closed then. An entry that expires leaves when otter finds it, or before that
// by the clock.
type sight struct {
	shows atomic.Pointer[stored] // nil once the entry has left
	until time.Duration          // when it expires
}

// A stored is what a sight shows of an entry.
type stored struct {
	live  any
	key   string
	store *store
}

// gone is the sight of entries that have left.
var gone sight

// lookEvery is how many uses of entries in sight there are for one that otter is told of. The lowest
// bits of the clock, mixed, say which: no order in which entries are used keeps step with those.
const lookEvery = 24

// Live returns the live value of the entry while that is in the store.
func (s *sight) Live() any {
	is, now := s.shows.Load(), now()
	if is == nil || now >= s.until {
		return nil
	}
	if uint64(now)*0x9e3779b97f4a7c15>>32%lookEvery == 0 {
		is.store.cache().GetIfPresent(is.key)
	}
	return is.live
}

// sight returns the sight of the entry under key, or nil if that isn't there or has no live value.
func (s *store) sight(key string) *sight {
	got, there := s.cache().GetEntryQuietly(key)
	if !there || got.Value.item.Live == nil {
		return nil
	}
	e := got.Value
	if seen := e.seen.Load(); seen != nil {
		return seen
	}
	seen := &sight{until: e.until}
	seen.shows.Store(&stored{e.item.Live, e.key, s})
	if !e.seen.CompareAndSwap(nil, seen) {
		return e.seen.Load() // another reader's, or gone
	}
	return seen
}

// leave closes the sight of an entry that leaves the store.
func (e *entry) leave() {
	if seen := e.seen.Swap(&gone); seen != nil {
		seen.shows.Store(nil)
	}
}
