package backends

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A working is the context of a computation. It has the values of the first caller's context, and ends
// when the flight says so, or at its deadline. That the function returns doesn't end it while there is
// a caller: what was made with it may be used later, as if the function had been called with the
// caller's own context. From then on it ends with that one.
//
// To follow another context costs memory there for as long as that lives, which may be as long as the
// program does. So a working follows only if somebody has asked for Done, and no longer than
// anybody has it.
type working struct {
	context.Context
	cancel context.CancelCauseFunc
	timer  context.CancelFunc     // ends what waits for the deadline; nil: there is none
	flight atomic.Pointer[flight] // nil once that has landed

	heard  atomic.Bool                     // somebody has asked for Done
	caller atomic.Pointer[context.Context] // that it ends with; nil: the function runs
	follow sync.Once
}

// newWorking returns a context with the values of ctx, and with that deadline unless it is zero.
func newWorking(ctx context.Context, fl *flight, deadline time.Time) *working {
	w := &working{}
	w.flight.Store(fl)
	w.Context, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if !deadline.IsZero() {
		w.Context, w.timer = context.WithDeadline(w.Context, deadline)
	}
	return w
}

// Value hides that a caller of the computation is one of several: what the function calls is not.
func (w *working) Value(key any) any {
	switch key {
	case flightKey{}:
		return w.flight.Load()
	case seatKey{}:
		return nil
	}
	return w.Context.Value(key)
}

// An endless is the context of a computation whose caller's context has no end: it is that one.
type endless struct {
	context.Context
	flight *flight
}

// Value is working's.
func (e *endless) Value(key any) any {
	switch key {
	case flightKey{}:
		return e.flight
	case seatKey{}:
		return nil
	}
	return e.Context.Value(key)
}

func (w *working) Done() <-chan struct{} {
	if !w.heard.Load() {
		w.heard.Store(true)
		if w.caller.Load() != nil {
			w.followCaller()
		}
	}
	return w.Context.Done()
}

func (w *working) Err() error {
	if caller := w.caller.Load(); caller != nil && w.Context.Err() == nil && (*caller).Err() != nil {
		w.cancel(context.Cause(*caller))
	}
	return w.Context.Err()
}

// landed is for when the computation has ended. caller is the context of one who waits for its
// result, or nil.
func (w *working) landed(caller context.Context) {
	w.flight.Store(nil)
	switch {
	case caller == nil:
		if w.cancel(nil); w.timer != nil {
			w.timer()
		}
	case caller.Done() != nil:
		w.caller.Store(&caller)
		if w.heard.Load() {
			w.followCaller()
		}
	}
}

// followCaller has w end with its caller's context, for as long as anybody has w.
func (w *working) followCaller() {
	w.follow.Do(func() {
		caller, cancel := *w.caller.Load(), w.cancel
		stop := context.AfterFunc(caller, func() { cancel(context.Cause(caller)) })
		runtime.AddCleanup(w, func(stop func() bool) { stop() }, stop)
	})
}
