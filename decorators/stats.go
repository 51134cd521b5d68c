package decorators

import "github.com/cacheutils/cacheutils/internal/store"

// Stats are the counts of a decorated function. A call counts once, as a hit, as stale or as a miss, also if it has to start
// again; one that can't use the backend, as that isn't there or is closed, counts as an error and a computation. Each
// field may be a little ahead of the others while calls are under way.
type Stats struct {
	Hits          uint64 // calls answered from the cache, with fresh results
	Stale         uint64 // calls that found results past their timeout
	Misses        uint64 // calls that found nothing there
	Joins         uint64 // of those, calls that waited for a computation in this process
	Waits         uint64 // lookups of results that another process computes
	Computations  uint64 // runs of the function, forced ones included
	Stores        uint64 // results stored
	Refusals      uint64 // results not stored because their key or a group was invalidated meanwhile
	Unstorable    uint64 // results not stored because they can't be encoded, or are too large for the backend
	Invalidations uint64 // successful calls of Invalidate and InvalidateAll
	Errors        uint64 // faults of the cache that callers didn't see: a server's, or entries that can't be read
	Bypasses      uint64 // calls that ran the function without the cache because Bypass or BypassIf says so; under Refresh a call counts in none but Computations
}

func statsOf(s *store.Stats) Stats {
	return Stats{
		Hits:          s.Hits.Load(),
		Stale:         s.Stale.Load(),
		Misses:        s.Misses.Load(),
		Joins:         s.Joins.Load(),
		Waits:         s.Waits.Load(),
		Computations:  s.Computations.Load(),
		Stores:        s.Stores.Load(),
		Refusals:      s.Refusals.Load(),
		Unstorable:    s.Unstorable.Load(),
		Invalidations: s.Invalidations.Load(),
		Errors:        s.Errors.Load(),
		Bypasses:      s.Bypasses.Load(),
	}
}
