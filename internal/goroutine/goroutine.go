// Package goroutine identifies goroutines.
//
// That a computation waits for its own result can't be detected from contexts alone, since
// functions need not take one. What such a caller and the computation have in common is
// the goroutine that they run on. With the gc compiler on amd64 and arm64 the identity is the
// address of the runtime's record, which takes a few instructions of assembly; elsewhere, and with
// the build tag purego, it is the number in the stack trace, which takes about a microsecond.
package goroutine

// Current returns a number that no other running goroutine has. Another goroutine may have it once
// this one has ended, so it must not be kept longer than this goroutine runs.
func Current() uintptr { return current() }
