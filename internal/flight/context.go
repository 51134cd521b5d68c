package flight

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A runContext is the context of a computation. It has the values of the first caller's context, and ends
// when the flight says so, or at its deadline. That the function returns doesn't end it while there is
// a caller: what was made with it may be used later, as if the function had been called with the
// caller's own context. From then on it ends with that one.
//
// If the function has not asked for Done, nobody waits for its end, and it is the caller's from then on. Otherwise
// it is told of the caller's end. That costs memory there for as long as the caller's context lives, which
// may be as long as the program does: so it is told for a minute, and then for as long as anybody has it.
type runContext struct {
	context.Context // what the flight ends
	cancel          context.CancelCauseFunc
	timer           context.CancelFunc // ends what waits for the deadline; nil: there is none
	values          context.Context    // whose values it has: not of a computation, see valuesOf
	deadline        time.Time
	origin          context.Context        // of the first caller: not of a computation, see originOf
	flight          atomic.Pointer[Flight] // nil once that has ended

	mu     sync.Mutex
	heard  bool            // somebody has asked for Done
	caller context.Context // that it ends with; nil: the flight ends it
}

// newContext returns a context with the values of ctx, and with that deadline unless it is zero.
func newContext(ctx context.Context, fl *Flight, deadline time.Time) *runContext {
	w := &runContext{values: valuesOf(ctx), deadline: deadline, origin: originOf(ctx)}
	w.flight.Store(fl)
	w.Context, w.cancel = context.WithCancelCause(context.WithoutCancel(w.values))
	if !deadline.IsZero() {
		w.Context, w.timer = context.WithDeadline(w.Context, deadline)
	}
	return w
}

type contextKey struct{}

// originOf returns ctx or, where that comes from the context of a computation, the context of that one's first caller,
// and so on: no runContext follows another one, so that there is no circle of them.
func originOf(ctx context.Context) context.Context {
	if w, ok := ctx.Value(contextKey{}).(*runContext); ok {
		return w.origin
	}
	return ctx
}

// valuesOf returns ctx or, if that is the context of a computation itself, the one whose values that has. So a value
// is not looked for in the contexts of all computations of which each has called the next.
func valuesOf(ctx context.Context) context.Context {
	switch c := ctx.(type) {
	case *runContext:
		return c.values
	case *endless:
		return c.Context
	default:
		return ctx
	}
}

// watchingOf returns who is told of the values that a function finds whose caller's context is ctx, but for its own Watch:
// where that is the context of a computation, its values are found by valuesOf without it.
func watchingOf(ctx context.Context) *Watch {
	switch c := ctx.(type) {
	case *runContext:
		return c.flight.Load().watching()
	case *endless:
		return c.flight.watching()
	default:
		return nil
	}
}

// Deadline returns the first caller's deadline and the time to linger.
func (w *runContext) Deadline() (time.Time, bool) { return w.deadline, !w.deadline.IsZero() }

// Value returns the caller's. Once the computation has ended and nobody has asked for Done, those who derive contexts
// from it, which look for a Value, derive them from the caller's.
func (w *runContext) Value(key any) any {
	switch key {
	case flightKey{}:
		return w.flight.Load()
	case contextKey{}:
		return w
	}
	if caller := w.callers(); caller != nil {
		return caller.Value(key)
	}
	value := w.Context.Value(key)
	if fl := w.flight.Load(); value != nil && fl != nil && key != cancelKey {
		fl.found(w, key, value)
	}
	return value
}

// callers returns the caller's context if that is what w is by now, else nil.
func (w *runContext) callers() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.heard {
		return nil
	}
	return w.caller
}

func (w *runContext) Done() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.caller != nil && !w.heard {
		return w.caller.Done()
	}
	w.heard = true
	return w.Context.Done()
}

func (w *runContext) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.caller != nil {
		err := w.caller.Err()
		if err != nil && w.heard { // before it is told
			w.cancel(context.Cause(w.caller))
		}
		if err != nil || !w.heard {
			return err
		}
	}
	return w.Context.Err()
}

// end is for when the computation has ended. caller is the context of one who waits for its
// result, or nil.
func (w *runContext) end(caller context.Context) {
	w.flight.Store(nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Context.Err() == nil && caller != nil {
		w.caller = originOf(caller)
	}
	if w.caller != nil && w.heard {
		w.follow()
		return
	}
	if w.cancel(context.Canceled); w.timer != nil {
		w.timer()
	}
}

// follow has w end with its caller's context.
func (w *runContext) follow() {
	caller, cancel := w.caller, w.cancel
	const surely = time.Minute
	var holds atomic.Pointer[runContext] // a timer keeps what it refers to also when it has gone off
	holds.Store(w)
	held := time.AfterFunc(surely, func() { holds.Store(nil) })
	stop := context.AfterFunc(caller, func() {
		held.Stop()
		holds.Store(nil)
		cancel(context.Cause(caller))
	})
	if inBubble() {
		return
	}
	runtime.AddCleanup(w, func(stop func() bool) {
		stop()
		cancel(context.Canceled)
	}, stop)
}

// inBubble reports whether the caller runs in a bubble of testing/synctest, whose clock began before this process did.
// A cleanup runs outside, where closing a channel of the bubble ends the process.
func inBubble() bool { return time.Since(epoch) < 0 }

// Steps returns what the flight ends of the context of a computation, for what its owner does with the store: to ask
// that for Done is nothing that the function has done.
func Steps(ctx context.Context) context.Context {
	if w, ok := ctx.(*runContext); ok {
		return w.Context
	}
	return ctx
}

// An endless is the context of a computation whose caller's context has no end: it is that one.
type endless struct {
	context.Context // see valuesOf
	flight          *Flight
}

func (e *endless) Deadline() (time.Time, bool) { return time.Time{}, false }
func (e *endless) Done() <-chan struct{}       { return nil }
func (e *endless) Err() error                  { return nil }

// Value is the runContext's.
func (e *endless) Value(key any) any {
	switch key {
	case flightKey{}:
		return e.flight
	}
	value := e.Context.Value(key)
	if value != nil && key != cancelKey {
		e.flight.found(e, key, value)
	}
	return value
}
