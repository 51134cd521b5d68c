// Package goroutine tells goroutines apart.
//
// A computation that waits for its own result can't be seen from contexts alone, since
// functions need not take one. What such a caller and the computation have in common is
// the goroutine they run on.
package goroutine

// Current returns a number that no other living goroutine has. It may come up again once
// this one has ended, so it is to be kept no longer than the goroutine runs.
func Current() uintptr { return current() }
