package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/flight"
	"github.com/cacheutils/cacheutils/internal/steer"
)

// An attempt is where a caller stands that has found no value: it joins the flight of its key or starts one, and where
// the outcome of that is not for it, it tries again.
type attempt struct {
	key     *Key
	task    *Task
	started uint64 // the tick at which the caller started
	found   *found // what it found; nil: it could not look it up, or goes on without the store
	bare    bool   // it has no time for the store
	fresh   bool   // its caller is under Refresh: nothing that began before is for it
	hasty   bool   // of a fresh one: it has no time to wait for an outcome that is not for it
	joined  *bool  // the call counts as a join
	last    *flight.Flight
	err     error // of the first lookup, for a report
}

// join returns the flight of the attempt, or nil if the Store is closed.
func (c *Store) join(ctx context.Context, a *attempt, late *atomic.Bool) (f *flight.Flight, leads bool) {
	return c.flights.Join(ctx, flight.Start{
		Key: a.key.stored, Check: flight.Check(a.key.check), Bare: a.bare, Fresh: a.fresh, Hasty: a.hasty, Tick: a.started, After: a.last,
	}, func() *flight.Flight { return &c.computationFor(a.key, a.task, late).Flight })
}

// joins counts that the attempt's call joins a flight, once. One under Refresh is no miss, and so no join.
func (a *attempt) joins() {
	if !a.fresh && !*a.joined {
		*a.joined = true
		a.task.Stats.Joins.Add(1)
	}
}

// again prepares the next attempt of a caller that got nothing from f, which it led or had joined.
func (a *attempt) again(f *flight.Flight, arrival flight.Arrival, led bool) {
	a.last = f
	switch {
	case a.fresh:
		a.hasty = arrival == flight.Impatient
	case arrival == flight.Impatient:
		a.bare, a.found = true, nil
	case a.bare, led, !f.IsAbandoned() && of(f).unasked:
		a.found = nil
	default:
		a.found = &found{state: entry.Leased} // look it up again before computing
	}
}

// compute waits for the flight of the attempt's key or leads one.
func (c *Store) compute(ctx context.Context, a attempt, compute func(context.Context) Result) Result {
	for {
		if err := ctx.Err(); err != nil {
			return Result{Err: err}
		}
		f, leads := c.join(ctx, &a, nil)
		if f == nil {
			return Result{Closed: true}
		}
		var r Result
		var ok bool
		var w flight.Wait
		if leads {
			m, was, fresh := of(f), a.found, a.fresh
			w = flight.NewLead(f)
			w.Arrival = f.Lead(ctx, func(steps context.Context) {
				if fresh {
					c.runForced(steps, m, compute, c.patience(ctx, m.task))
				} else {
					c.work(steps, m, compute, was)
				}
			})
			r, ok = c.ledTo(ctx, &w)
		} else {
			a.joins()
			w = a.wait(f)
			_ = w.Wait(ctx) // Arrival says it, too
			r, ok = c.joinedTo(ctx, &w, &a)
		}
		if ok {
			if record := recordOf(ctx, a.task); record != nil {
				outcome, err := a.outcome(&w, leads)
				record.Note(a.key.Text(), outcome, 0, err)
			}
			return r
		}
		a.again(f, w.Arrival, leads)
	}
}

// wait returns the wait of the attempt's caller for a flight that it has joined.
func (a *attempt) wait(f *flight.Flight) flight.Wait {
	w := flight.NewWait(f, a.started, a.key.groups)
	w.Fresh = a.fresh
	return w
}

// errNoTime is why a caller went on without the store that has no other error.
var errNoTime = errors.New("cacheutils: the store did not answer in the time of the call")

// outcome returns what came of the attempt, whose wait has ended. led says that the caller has led the flight.
func (a *attempt) outcome(w *flight.Wait, led bool) (o steer.Outcome, err error) {
	m := of(w.Flight)
	isKnown := w.Arrival == flight.Early || w.Arrival == flight.Done
	switch {
	case !led:
		return steer.Joined, nil
	case a.fresh:
		return steer.Forced, nil
	case isKnown && m.unasked:
		return steer.Fault, cmp.Or(m.fault, a.err, errNoTime)
	case isKnown && m.elsewhere:
		return steer.Joined, nil
	default:
		return steer.Miss, nil
	}
}

// ledTo returns the result of a flight to the caller who has led it. ok is false where that is to go on without the store.
func (c *Store) ledTo(ctx context.Context, w *flight.Wait) (r Result, ok bool) {
	m := of(w.Flight)
	switch w.Arrival {
	case flight.Early:
		w.Rethrow()
		return m.outcome(true), true
	case flight.Done:
		if m.IsAbandoned() { // though the caller is there: its context's deadline has passed, but not ended it
			return Result{Err: context.DeadlineExceeded}, true
		}
		w.Rethrow()
		return m.outcome(false), true
	case flight.Impatient:
		return Result{}, false
	default:
		return Result{Err: ctx.Err()}, true
	}
}

// joinedTo returns the result of a flight to a caller who has joined it and whose wait has ended. ok is false
// when it is not for that, or of no use to it: then it starts again.
func (c *Store) joinedTo(ctx context.Context, w *flight.Wait, a *attempt) (r Result, ok bool) {
	m := of(w.Flight)
	if w.Arrival == flight.Early {
		w.Rethrow()
		if r, ok = m.share(a.task, true); ok {
			return r, true
		}
		_ = w.UntilStored(ctx)
	}
	switch w.Arrival {
	case flight.Recursion:
		return Result{Err: fmt.Errorf("%w: %s, key %s", cacheutils.ErrRecursion, m.task.name, m.key.digest())}, true
	case flight.Left:
		return Result{Err: ctx.Err()}, true
	case flight.Done:
		if w.IsForCaller() {
			w.Rethrow()
			return m.share(a.task, false)
		}
	}
	return Result{}, false
}
