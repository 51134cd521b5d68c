package goroutine

import (
	"sync"
	"testing"
)

func TestCurrent(t *testing.T) {
	const n = 100
	ids := make([]uintptr, n)
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ids[i] = Current()
			ready.Done()
			ready.Wait() // all n live at once
			grow(1000)   // the stack moves, the number stays
			if now := Current(); now != ids[i] {
				t.Errorf("goroutine %d: %#x, later %#x", i, ids[i], now)
			}
		})
	}
	done.Wait()
	seen := map[uintptr]int{}
	for i, id := range ids {
		if j, ok := seen[id]; ok || id == 0 {
			t.Errorf("goroutines %d and %d both have %#x", j, i, id)
		}
		seen[id] = i
	}
}

func grow(n int) int {
	if n == 0 {
		return 0
	}
	var pad [128]byte
	return grow(n-1) + int(pad[n%128])
}

func BenchmarkCurrent(b *testing.B) {
	for b.Loop() {
		Current()
	}
}
