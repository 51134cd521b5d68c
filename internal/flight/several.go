package flight

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
)

// A caller may ask for several keys at once. It starts and joins their flights, and waits for all of them as one caller,
// with one patience. The work for those that it has started is done on one goroutine. Where they compute together, in one
// run of the function, that has one context, which ends when each of them has been left.

// WaitAll waits for flights, which are one caller's. It returns when each Wait has arrived, or earlier, when some are
// Impatient: then the caller may add others, and goes on waiting by another call.
//
// Those flights that the caller has started since the last call, if there are any, are done by work, which
// finishes them, however it ends; it runs on a goroutine of its own where ctx can end, otherwise on the calling one, and
// has a context for what it does with the store.
func (g *Group) WaitAll(ctx context.Context, all []Wait, work func(steps context.Context)) {
	returned := false
	defer func() {
		for i := range all {
			if w := &all[i]; w.Arrival != Waiting || !returned {
				w.exit()
			}
		}
	}()
	if parent := callersFlight(ctx); parent != nil {
		for i := range all {
			all[i].enter(parent)
		}
	}
	led := newlyLed(all)
	switch {
	case len(led) == 0:
	case ctx.Done() == nil:
		work(ctx)
	default:
		go work(g.stepsOf(ctx, led))
	}
	g.await(ctx, all)
	returned = true
}

// enter notes that the caller, who runs in the computation of parent, waits for the flight, or leaves it where that would
// wait for itself.
func (w *Wait) enter(parent *Flight) {
	f := w.Flight
	switch {
	case w.parent != nil || w.Arrival != Waiting:
	case waits.enter(parent, f):
		w.parent = parent
	case !w.leads:
		w.Arrival = Recursion
		f.group.leave(f, false, f.Computation.Linger(context.DeadlineExceeded), cacheutils.ErrRecursion)
	}
}

// exit ends what enter has noted.
func (w *Wait) exit() {
	if w.parent != nil {
		waits.leave(w.parent, w.Flight)
		w.parent = nil
	}
}

// GoAll does the work for flights that nobody waits for, on the calling goroutine.
func (g *Group) GoAll(ctx context.Context, all []*Flight, work func(steps context.Context)) {
	work(g.stepsOf(ctx, all))
}

// newlyLed returns the flights that the caller has started and for which no work has begun.
func newlyLed(all []Wait) (led []*Flight) {
	for i := range all {
		if w := &all[i]; w.leads && !w.works {
			w.works = true
			led = append(led, w.Flight)
		}
	}
	return led
}

// stepsOf returns the context of what the flights do with the store before they compute. It has the values of ctx, and
// ends when all of them have been left, or at their deadline.
func (g *Group) stepsOf(ctx context.Context, all []*Flight) context.Context {
	steps, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &shared{cancel: cancel}
	deadline := deadlineOf(all, ctx)
	if !deadline.IsZero() {
		var stop context.CancelFunc
		steps, stop = context.WithDeadline(steps, deadline)
		s.cancel = func(cause error) {
			cancel(cause)
			stop()
		}
	}
	s.users.Add(int64(len(all)))
	for _, f := range all {
		g.under(f, s.leave, deadline)
	}
	return steps
}

// deadlineOf returns the latest deadline of flights whose first caller's context is ctx; zero: one of them has none.
func deadlineOf(all []*Flight, ctx context.Context) (latest time.Time) {
	for _, f := range all {
		deadline := f.deadline(ctx)
		if deadline.IsZero() {
			return deadline
		}
		if deadline.After(latest) {
			latest = deadline
		}
	}
	return latest
}

// A shared context is one of several flights: it ends when each of them has left it.
type shared struct {
	cancel context.CancelCauseFunc
	users  atomic.Int64
}

func (s *shared) leave(cause error) {
	if s.users.Add(-1) == 0 {
		s.cancel(cause)
	}
}

// A Run is one run of a function for several flights.
type Run struct {
	caller context.Context
	w      *runContext // nil: the caller's context has no end
	shared shared
	begun  []*Flight
}

// NewRun returns a run for flights, under a context with the values of ctx. Its deadline is the latest of theirs; it has
// none if one of them has none.
func NewRun(ctx context.Context, all []*Flight) *Run {
	r := &Run{caller: ctx}
	if ctx.Done() == nil && !all[0].refresh {
		return r
	}
	r.w = newContext(ctx, nil, deadlineOf(all, ctx))
	r.shared.cancel = r.w.cancel
	r.shared.users.Add(1) // until all have begun
	return r
}

// Begin is Flight.Begin for one of the run's flights.
func (r *Run) Begin(f *Flight, leaseless bool) bool {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	if f.callers == 0 || f.removed || f.ended {
		return false
	}
	f.begin(leaseless)
	if r.w != nil {
		r.shared.users.Add(1)
		defer f.cancel(nil)
		f.cancel, f.ends = r.shared.leave, r.w.deadline
	}
	r.begun = append(r.begun, f)
	return true
}

// Do runs the function, once, for the flights that have begun; if none has, it doesn't. The computations of the others
// wait for that of the first of them, which is noted: one that asks for any of them waits for itself.
func (r *Run) Do(function func(context.Context)) {
	if len(r.begun) == 0 {
		if r.w != nil {
			var nobody context.Context
			r.w.end(nobody)
		}
		return
	}
	leader := r.begun[0]
	for _, f := range r.begun[1:] {
		if waits.enter(f, leader) {
			defer waits.leave(f, leader)
		}
	}
	defer running.leave(running.enter(runner{flight: leader}))
	if r.w == nil {
		function(&endless{valuesOf(r.caller), leader})
		return
	}
	r.w.flight.Store(leader)
	r.shared.leave(nil)
	defer func() { r.w.end(r.waiting()) }()
	function(r.w)
}

// waiting returns the context of a caller who waits for one of the flights that have begun, otherwise nil.
func (r *Run) waiting() context.Context {
	for _, f := range r.begun {
		if caller := f.group.waiting(f); caller != nil {
			return caller
		}
	}
	return nil
}
