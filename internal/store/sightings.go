package store

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/cacheutils/cacheutils/internal/entry"
)

// sightings has when this process first found each lease as it is. A holder that lives gives its lease a new end every
// third of its life. So one that is found unchanged for longer than that is nobody's: its holder has died and the server
// keeps it all the same, or another client of the server has written it, who may have given it no end. Nobody waits for
// it then, and it is taken by compare-and-swap: who swaps first has it.
//
// What was found is known from one call to the next, since each may have less time than a lease has. It is counted by this
// process's monotonic clock, whatever times the lease says. Of very many leases the last ones are known: maxSightings
// at least, twice as many at most. Those that are not end by the time that they say, see entry.Meta.Distrust. The zero value is empty.
type sightings struct {
	mu     sync.Mutex
	seed   maphash.Seed // of none: nothing was found yet
	recent map[uint64]time.Duration
	older  map[uint64]time.Duration // those before
}

const maxSightings = 1 << 14

// leaseSlack is for how long past its life a lease has to be unchanged.
const leaseSlack = 2 * time.Second

// A sighting is what tells a lease from the same one after it was renewed. What other versions of the program have beside
// it in the item doesn't count.
type sighting struct {
	key       string // as the engine knows it
	holder    entry.Token
	heldUntil int64
}

// since returns when the process first found what it has found now. Times are since epoch.
func (s *sightings) since(found sighting, now time.Duration) (first time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seed == (maphash.Seed{}) {
		s.seed = maphash.MakeSeed()
	}
	id := maphash.Comparable(s.seed, found)
	first, known := s.recent[id]
	if known {
		return first
	}
	if first, known = s.older[id]; !known {
		first = now
	}
	if len(s.recent) >= maxSightings {
		s.recent, s.older = nil, s.recent
	}
	if s.recent == nil {
		s.recent = make(map[uint64]time.Duration)
	}
	s.recent[id] = first
	return first
}
