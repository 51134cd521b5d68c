package sim

import (
	"errors"
	"runtime"
)

// A function may end its goroutine by runtime.Goexit, as t.FailNow does. That ends the goroutines of all callers who wait for
// it, and nothing else. In histories in which that may be, each operation has a goroutine of its own.

// errExited stands for the error of what has not returned, since its goroutine was ended.
var errExited = errors.New("sim: the goroutine has been ended")

// exit ends the goroutine of a function.
func exit() { runtime.Goexit() }

// onItsOwn returns the error of f, which runs on a goroutine of its own, or errExited.
func onItsOwn(f func() error) error {
	err, done := errExited, make(chan struct{})
	go func() {
		defer close(done)
		err = f()
	}()
	<-done
	return err
}

// exitedDuring reports whether a computation of what the call asks for has ended its goroutine since the call.
func (h *history) exitedDuring(r *record) bool {
	for _, c := range h.computations {
		if c.function == r.function && c.ended >= r.called && overlap(c.keys, r.keys) && errors.Is(c.err, errExited) {
			return true
		}
	}
	return false
}
