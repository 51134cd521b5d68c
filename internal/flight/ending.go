package flight

import (
	"errors"
	"reflect"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/cacheutils/cacheutils"
)

// An Ending is how a function ended that didn't return: by a panic, or by runtime.Goexit. The zero Ending is that of one
// that did.
type Ending struct {
	Panic  *cacheutils.PanicError
	Exited bool
}

// Catch notes how a function ended that didn't return: v is what recover has returned.
func (e *Ending) Catch(v any) {
	if v != nil {
		e.Panic = asPanicError(v)
	} else {
		e.Exited = true
	}
}

// Rethrow ends the calling goroutine the same way.
func (e Ending) Rethrow() {
	switch {
	case e.Panic != nil && isAbort(e.Panic.Value):
		panic(e.Panic.Value)
	case e.Panic != nil:
		panic(e.Panic)
	case e.Exited:
		runtime.Goexit()
	}
}

// isAbort reports whether v is http.ErrAbortHandler. A server compares what it recovers with that, and logs the stack of
// any other panic. It is known by its type and text, since a program without a server is not to link net/http.
func isAbort(v any) bool {
	err, ok := v.(error)
	return ok && reflect.TypeOf(err) == reflect.TypeOf(errors.New("")) && err.Error() == "net/http: abort Handler"
}

// Endings keep the first Ending of several functions. The zero Endings has none.
type Endings struct {
	mu    sync.Mutex
	first Ending
}

// Catch runs f. It doesn't return when f has ended the goroutine.
func (e *Endings) Catch(f func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		var how Ending
		how.Catch(recover())
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.first == (Ending{}) {
			e.first = how
		}
	}()
	f()
	returned = true
}

// First returns the first Ending. No Catch is under way.
func (e *Endings) First() Ending { return e.first }

// asPanicError keeps a PanicError as it is: it comes from a cached function that this one
// called, with the stack of where it really happened.
func asPanicError(v any) *cacheutils.PanicError {
	if p, ok := v.(*cacheutils.PanicError); ok && p != nil {
		return p
	}
	return &cacheutils.PanicError{Value: v, Stack: debug.Stack()}
}
