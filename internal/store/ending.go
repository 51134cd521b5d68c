package store

import (
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/cacheutils/cacheutils"
)

// An ending is how a function ended that didn't return: by a panic, or by runtime.Goexit.
type ending struct {
	panic  *cacheutils.PanicError
	exited bool
}

// catch notes how a function ended that didn't return: v is what recover has returned.
func (e *ending) catch(v any) {
	if v != nil {
		e.panic = asPanicError(v)
	} else {
		e.exited = true
	}
}

// rethrow ends the calling goroutine the same way.
func (e ending) rethrow() {
	if e.panic != nil {
		panic(e.panic)
	}
	if e.exited {
		runtime.Goexit()
	}
}

// endings keep the first ending of several functions.
type endings struct {
	mu    sync.Mutex
	first ending
}

// catch runs f. It doesn't return when f has ended the goroutine.
func (e *endings) catch(f func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		var how ending
		how.catch(recover())
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.first == (ending{}) {
			e.first = how
		}
	}()
	f()
	returned = true
}

func (e *endings) rethrow() { e.first.rethrow() }

// asPanicError keeps a PanicError as it is: it comes from a cached function that this one
// called, with the stack of where it really happened.
func asPanicError(v any) *cacheutils.PanicError {
	if p, ok := v.(*cacheutils.PanicError); ok {
		return p
	}
	return &cacheutils.PanicError{Value: v, Stack: debug.Stack()}
}
