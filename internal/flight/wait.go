package flight

import (
	"context"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
)

// An Arrival is how waiting for a flight has ended.
type Arrival int

const (
	Waiting   Arrival = iota // it has not
	Left                     // the caller's context has ended
	Done                     // the flight has finished, or is abandoned
	Early                    // its result is known, and for this caller, though it is not stored
	Impatient                // the caller has no time to wait for the store, or for an outcome that isn't for it
	Recursion                // the flight waits for the caller
)

// A Wait is one caller's for one flight.
type Wait struct {
	Flight  *Flight
	Tick    uint64   // that the caller started at
	Fresh   bool     // nothing that began before is for it, see Start
	Groups  []string // of the key that the caller asked for
	Arrival Arrival  // how it has ended

	leads    bool    // it has started the flight
	works    bool    // the work of that has begun
	stored   bool    // it wants the outcome when that is stored
	parent   *Flight // in whose computation the caller runs, which waits for this one; nil: none
	computed <-chan struct{}
	done     <-chan struct{}
}

// NewLead returns the wait of the caller who has started the flight.
func NewLead(f *Flight) Wait { return Wait{Flight: f, leads: true} }

// NewWait returns a caller's wait for a flight that it has joined.
func NewWait(f *Flight, tick uint64, groups []string) Wait {
	return Wait{Flight: f, Tick: tick, Groups: groups}
}

// IsForCaller reports whether the outcome of the flight, which is done, is for the caller.
func (w *Wait) IsForCaller() bool {
	return w.Flight.isFor(&w.Flight.outcome, w.Tick, w.Fresh, w.Groups)
}

// UntilStored waits on, for a caller to whom an Early result is of no use.
func (w *Wait) UntilStored(ctx context.Context) error {
	w.Arrival, w.stored = Waiting, true
	return w.Wait(ctx)
}

// Rethrow ends the calling goroutine as the function has ended its own, if it did not return.
func (w *Wait) Rethrow() {
	if w.Arrival == Early {
		w.Flight.early.Rethrow()
		return
	}
	w.Flight.Rethrow()
}

// Lead runs work for a new flight and waits for it, as one caller. Where ctx can't end, work runs on the calling
// goroutine. work has a context for what it does with the store; the function is run by Run.
func (f *Flight) Lead(ctx context.Context, work func(steps context.Context)) Arrival {
	if parent := callersFlight(ctx); parent != nil && waits.enter(parent, f) {
		defer waits.leave(parent, f)
	}
	if ctx.Done() == nil {
		f.run(&endless{valuesOf(ctx), f}, work)
		return Done
	}
	w := f.under(ctx)
	go func() {
		defer func() { w.end(f.group.waiting(f)) }()
		f.run(w, work)
	}()
	wait := [1]Wait{NewLead(f)}
	f.group.await(ctx, wait[:])
	return wait[0].Arrival
}

// Go runs work for a flight that nobody waits for, on the calling goroutine, under a context with the values of ctx.
func (f *Flight) Go(ctx context.Context, work func(steps context.Context)) {
	w := f.under(ctx)
	defer func() { w.end(f.group.waiting(f)) }()
	f.run(w, work)
}

// under makes the context of a flight's computation, with the values of ctx.
func (f *Flight) under(ctx context.Context) *runContext {
	deadline := f.deadline(ctx)
	w := newContext(ctx, f, deadline)
	f.group.under(f, w.cancel, deadline)
	return w
}

// deadline returns when the context of the flight's computation ends whose first caller's is ctx; zero: it doesn't.
func (f *Flight) deadline(ctx context.Context) (deadline time.Time) {
	if d, ok := ctx.Deadline(); ok && !f.refresh {
		deadline = d.Add(f.Computation.Linger(context.DeadlineExceeded))
	}
	return deadline
}

// run does the work of a flight and finishes it. It never panics, and doesn't
// return when the computation ended its goroutine, but the flight finishes.
func (f *Flight) run(ctx context.Context, work func(context.Context)) {
	done := false
	outer := running.enter(runner{flight: f})
	defer func() {
		running.leave(outer)
		if v := recover(); !done {
			f.Catch(v)
		}
		if !f.later {
			f.Finish()
		}
	}()
	work(ctx)
	done = true
}

// Wait waits for a flight that the caller has joined. Where Arrival is Circle the caller has left it again, and err
// matches cacheutils.ErrRecursion.
func (w *Wait) Wait(ctx context.Context) error {
	f := w.Flight
	if parent := callersFlight(ctx); parent != nil {
		if !waits.enter(parent, f) {
			w.Arrival = Recursion
			f.group.leave(f, false, f.Computation.Linger(context.DeadlineExceeded), cacheutils.ErrRecursion)
			return fmt.Errorf("%w", cacheutils.ErrRecursion)
		}
		defer waits.leave(parent, f)
	}
	one := [1]Wait{*w}
	f.group.await(ctx, one[:])
	w.Arrival = one[0].Arrival
	return nil
}

// await waits until each flight has finished, or has a result for its caller, who has no time to wait for more; or until
// the caller goes on without the store for some of them, which it can do at once. The flights are one caller's, and so is
// its patience.
func (g *Group) await(ctx context.Context, all []Wait) {
	first := all[0].Flight
	var hasty <-chan time.Time
	var patience *time.Timer
	deadline, ends := ctx.Deadline()
	if ends && first.computed != nil && !all[0].insists() {
		patience = time.NewTimer(first.Computation.Patience(time.Until(deadline), false))
		defer patience.Stop()
		hasty = patience.C
	}
	for i := range all {
		w := &all[i]
		w.done, w.computed = g.doneChan(w.Flight), w.Flight.computed
		left := ctx.Done()
		for w.Arrival == Waiting {
			select {
			case <-w.computed:
				if w.Flight.later && w.knows() {
					w.Arrival = Early
				}
				w.computed = nil
			case <-w.done:
				w.Arrival = Done
			case <-hasty:
				if !time.Now().Before(deadline) {
					continue // its time is up, which ctx says now or soon
				}
				tired := false
				for j := range all[i:] {
					tired = all[i+j].tire(deadline) || tired
				}
				if tired {
					return
				}
				patience.Reset(first.Computation.Patience(time.Until(deadline), true))
			case <-left:
				for j := range all[i:] {
					all[i+j].leave(ctx)
				}
				left = nil // those who are still there stay
			}
		}
	}
}

// insists reports whether the caller has started the flight to have the function run and its result stored: it doesn't
// go on without the store.
func (w *Wait) insists() bool { return w.leads && w.Flight.forced }

// knows reports whether the flight's result is known, and for the caller. The first caller of one that Replace has started
// wants to know that nothing older is stored, or that its time was up before that.
func (w *Wait) knows() bool {
	f := w.Flight
	switch {
	case !f.IsComputed() || w.stored:
		return false
	case w.leads:
		return !f.forced || f.renews
	default:
		return f.isFor(&f.early, w.Tick, w.Fresh, w.Groups)
	}
}

// tire leaves the flight if the caller goes on without the store, and reports whether that is so.
func (w *Wait) tire(deadline time.Time) bool {
	f := w.Flight
	switch {
	case w.Arrival != Waiting:
	case f.finished.Load():
		w.Arrival = Done
	case !w.insists() && !w.knows() && f.holdsUp(w.Tick, w.Fresh) && f.Computation.Tires(deadline):
		f.group.leave(f, w.leads, 0, nil)
		if w.leads {
			f.group.skipStore(f)
		}
		w.Arrival = Impatient
		return true
	}
	return false
}

// leave leaves the flight, since the caller's context has ended, unless it has finished or the result is known.
func (w *Wait) leave(ctx context.Context) {
	f := w.Flight
	switch {
	case w.Arrival != Waiting:
	case f.finished.Load():
		w.Arrival = Done
	case w.knows():
		w.Arrival = Early
	case w.leads && f.Attached:
	default:
		f.group.leave(f, w.leads, f.Computation.Linger(ctx.Err()), context.Cause(ctx))
		w.Arrival = Left
	}
}

// doneChan returns a channel that is closed when the flight finishes or is abandoned.
func (g *Group) doneChan(f *Flight) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.done == nil {
		f.done = make(chan struct{})
		if f.finished.Load() && !f.abandoned || f.gone {
			close(f.done)
		}
	}
	return f.done
}

// Done returns a channel that is closed when the flight finishes or is abandoned.
func (f *Flight) Done() <-chan struct{} { return f.group.doneChan(f) }
