package store

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
// If the function has not asked for Done, nobody waits for its end, and it is the caller's from then on. Otherwise
// it is told of the caller's end. That costs memory there for as long as the caller's context lives, which
// may be as long as the program does: so it is told for a minute, and then for as long as anybody has it.
type working struct {
	context.Context // what the flight ends
	cancel          context.CancelCauseFunc
	timer           context.CancelFunc // ends what waits for the deadline; nil: there is none
	deadline        time.Time
	origin          context.Context        // of the first caller: not of a computation, see originOf
	flight          atomic.Pointer[flight] // nil once that has landed

	mu     sync.Mutex
	heard  bool            // somebody has asked for Done
	caller context.Context // that it ends with; nil: the flight ends it
}

// newWorking returns a context with the values of ctx, and with that deadline unless it is zero.
func newWorking(ctx context.Context, fl *flight, deadline time.Time) *working {
	w := &working{deadline: deadline, origin: originOf(ctx)}
	w.flight.Store(fl)
	w.Context, w.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if !deadline.IsZero() {
		w.Context, w.timer = context.WithDeadline(w.Context, deadline)
	}
	return w
}

type workingKey struct{}

// originOf returns ctx or, where that comes from the context of a computation, the context of that one's first caller,
// and so on: no working follows another one, so that there is no circle of them.
func originOf(ctx context.Context) context.Context {
	if w, ok := ctx.Value(workingKey{}).(*working); ok {
		return w.origin
	}
	return ctx
}

// Deadline returns the first caller's deadline and the time to linger.
func (w *working) Deadline() (time.Time, bool) { return w.deadline, !w.deadline.IsZero() }

// Value hides that a caller of the computation is one of several: what the function calls is not. Once the
// computation has ended and nobody has asked for Done, those who derive contexts from it, which look for
// a Value, derive them from the caller's.
func (w *working) Value(key any) any {
	switch key {
	case flightKey{}:
		return w.flight.Load()
	case seatKey{}:
		return nil
	case workingKey{}:
		return w
	}
	if caller := w.callers(); caller != nil {
		return caller.Value(key)
	}
	return w.Context.Value(key)
}

// callers returns the caller's context if that is what w is by now, else nil.
func (w *working) callers() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.heard {
		return nil
	}
	return w.caller
}

func (w *working) Done() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.caller != nil && !w.heard {
		return w.caller.Done()
	}
	w.heard = true
	return w.Context.Done()
}

func (w *working) Err() error {
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

// landed is for when the computation has ended. caller is the context of one who waits for its
// result, or nil.
func (w *working) landed(caller context.Context) {
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
func (w *working) follow() {
	caller, cancel := w.caller, w.cancel
	const surely = time.Minute
	var holds atomic.Pointer[working] // a timer keeps what it refers to also when it has gone off
	holds.Store(w)
	held := time.AfterFunc(surely, func() { holds.Store(nil) })
	stop := context.AfterFunc(caller, func() {
		held.Stop()
		holds.Store(nil)
		cancel(context.Cause(caller))
	})
	runtime.AddCleanup(w, func(stop func() bool) {
		stop()
		cancel(context.Canceled)
	}, stop)
}

// withoutFlight returns what the flight ends of the context of a computation, for its own use: to ask that for Done
// is nothing that the function has done.
func withoutFlight(ctx context.Context) context.Context {
	if w, ok := ctx.(*working); ok {
		return w.Context
	}
	return ctx
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
