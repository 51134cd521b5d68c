package locmem

import (
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
)

// A sight is how readers keep an entry in sight. otter reports each entry that leaves, however it
// does, under the lock of its bucket and before anything else can be seen in its place; the
// entry's sight is closed then. An entry that expires leaves when otter finds it, or before that
// by the clock.
type sight struct {
	entry atomic.Pointer[entry] // nil once the entry has left
	until time.Duration         // when it expires, on the clock of sights
}

// epoch is when the clock of sights began. A difference of two times with a monotonic part
// is the cheapest clock there is.
var epoch = time.Now()

// gone is the sight of entries that have left.
var gone sight

// Live returns the live value of the entry while that is in the store.
func (s *sight) Live() any {
	e := s.entry.Load()
	if e == nil || time.Since(epoch) >= s.until {
		return nil
	}
	return e.item.Live
}

// sight returns the sight of the entry under key, or nil if that isn't there or has no live value.
func (s *store) sight(key string) *sight {
	now := time.Since(epoch)
	got, there := s.cache().GetEntryQuietly(key)
	if !there || got.Value.item.Live == nil {
		return nil
	}
	e := got.Value
	if seen := e.seen.Load(); seen != nil {
		return seen
	}
	// In a bubble of testing/synctest it may be long before the epoch.
	seen := &sight{until: now + min(got.ExpiresAfter(), cacheutils.Forever-max(now, 0))}
	seen.entry.Store(e)
	if !e.seen.CompareAndSwap(nil, seen) {
		return e.seen.Load() // another reader's, or gone
	}
	return seen
}

// leave closes the sight of an entry that leaves the store.
func (e *entry) leave() {
	if seen := e.seen.Swap(&gone); seen != nil {
		seen.entry.Store(nil)
	}
}
