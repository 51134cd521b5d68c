package store

import (
	"sync"
	"sync/atomic"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// maxAtOnce bounds how many keys of one call use the engine at the same time, so that a long
// list doesn't have to wait for connections beyond its timeout.
const maxAtOnce = 32

// parallel runs f for 0 to n-1, maxAtOnce at a time. It panics, or ends its goroutine, as one of them did.
func parallel(n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	var ends flight.Endings
	for range min(n, maxAtOnce) {
		workers.Go(func() {
			ends.Catch(func() {
				for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
					f(int(i))
				}
			})
		})
	}
	workers.Wait()
	ends.First().Rethrow()
}
