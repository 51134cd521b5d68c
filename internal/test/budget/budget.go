// Package budget bounds what one input of a fuzz target may cost: what is read from a server may have been written by
// anybody.
package budget

import (
	"runtime"
	"testing"
	"time"
)

// Memory, in bytes that are allocated in all, and Time are what an input may cost.
const (
	Memory = 64 << 20
	Time   = 100 * time.Millisecond
)

// Within fails if f costs more, three times in a row: others use the machine, too.
func Within(t testing.TB, f func()) {
	t.Helper()
	var took time.Duration
	var taken uint64
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		f()
		took = time.Since(began)
		runtime.ReadMemStats(&after)
		if taken = after.TotalAlloc - before.TotalAlloc; taken <= Memory && took <= Time {
			return
		}
	}
	t.Errorf("it takes %d KiB and %v, want at most %d KiB and %v", taken>>10, took, Memory>>10, Time)
}
