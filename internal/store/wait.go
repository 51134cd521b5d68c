package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/entry"
)

// How waiting for a flight has ended.
type arrival int

const (
	gone      arrival = iota // the caller's context has
	landed                   // the flight has landed
	early                    // its result is known, and for this caller, though it is not stored
	impatient                // the caller has no time to wait for the store, or for an outcome that isn't for it
)

// lead runs the flight and returns its result. ok is false where the caller is to go on without the store.
func (c *Store) lead(ctx context.Context, fl *flight, work func(context.Context)) (r Result, ok bool) {
	if parent := callersFlight(ctx); parent != nil && waits.enter(parent, fl) {
		defer waits.leave(parent, fl)
	}
	fl.seat = seatOf(ctx)
	if ctx.Done() == nil {
		fl.run(&endless{ctx, fl}, c, work)
		fl.rethrow()
		return fl.result, true
	}
	w := c.under(ctx, fl)
	go func() {
		defer func() { w.landed(c.flights.waiting(fl)) }()
		fl.run(w, c, work)
	}()
	started := uint64(0)
	if fl.forced {
		started = always // it returns when nothing older is stored, or says that its time was up before that
	}
	switch c.await(ctx, fl, started, true) {
	case early:
		fl.early.rethrow()
		return fl.early.result, true
	case landed:
		if c.flights.wasGivenUp(fl) { // though the caller is there: its context's deadline has passed, but not ended it
			return Result{Err: context.DeadlineExceeded}, true
		}
		fl.rethrow()
		return fl.result, true
	case impatient:
		return Result{}, false
	default:
		return Result{Err: ctx.Err()}, true
	}
}

// under makes the context of a flight's computation, with the values of ctx.
func (c *Store) under(ctx context.Context, fl *flight) *working {
	var deadline time.Time
	if d, ok := ctx.Deadline(); ok && !fl.refresh {
		deadline = d.Add(c.lingerOf(fl.task, context.DeadlineExceeded))
	}
	w := newWorking(ctx, fl, deadline)
	c.flights.under(fl, w, deadline)
	return w
}

// lingerOf returns how long a computation of the task goes on when the last caller's context has ended
// with err.
func (c *Store) lingerOf(task *Task, err error) time.Duration {
	switch {
	case task.Linger != DefaultLinger:
		return max(task.Linger, 0)
	case errors.Is(err, context.DeadlineExceeded):
		return c.Lease
	default:
		return 0
	}
}

// wait is for callers who have joined a flight. ok is false when its outcome is not for them, or of no
// use to them: then they start again, as why says.
func (c *Store) wait(ctx context.Context, fl *flight, key *Key, task *Task, started uint64) (r Result, ok bool, why arrival) {
	if parent := callersFlight(ctx); parent != nil {
		if !waits.enter(parent, fl) {
			c.flights.leave(fl, false, c.lingerOf(fl.task, context.DeadlineExceeded), cacheutils.ErrRecursion)
			return Result{Err: fmt.Errorf("%w: %s, key %s", cacheutils.ErrRecursion, fl.task.name, fl.key)}, true, gone
		}
		defer waits.leave(parent, fl)
	}
	why = c.await(ctx, fl, started, false)
	if why == early {
		if r, ok = c.outcomeFor(fl, fl.early, key, task, started); ok {
			return r, true, early
		}
		why = c.await(ctx, fl, always, false)
	}
	switch why {
	case gone:
		return Result{Err: ctx.Err()}, true, gone
	case landed:
		r, ok = c.outcomeFor(fl, &fl.outcome, key, task, started)
	}
	return r, ok, why
}

// outcomeFor returns o, the outcome of fl, to a caller who waited for it, see isFor.
func (c *Store) outcomeFor(fl *flight, o *outcome, key *Key, task *Task, started uint64) (r Result, ok bool) {
	if !c.flights.isFor(fl, o, key, started) {
		return Result{}, false
	}
	o.rethrow()
	if fl.task.typ != task.typ || o.result.Absent && !task.Many {
		return Result{}, false // another function's result under the same name
	}
	return c.share(fl, o)
}

// await waits until the flight has landed, or has a result for a caller who started at that tick
// and has no time to wait for more. leads says that it is the first caller.
func (c *Store) await(ctx context.Context, fl *flight, started uint64, leads bool) arrival {
	landing, computed := c.flights.lands(fl), fl.computed
	var hasty <-chan time.Time
	var patience *time.Timer
	deadline, ends := ctx.Deadline()
	if ends && computed != nil && !(leads && fl.forced) {
		patience = time.NewTimer(fl.task.spare(time.Until(deadline)))
		defer patience.Stop()
		hasty = patience.C
	}
	for {
		select {
		case <-computed:
			if fl.later && started < fl.early.valid {
				return early
			}
			computed = nil
		case <-landing:
			return landed
		case <-hasty:
			known := fl.isComputed() && started < fl.early.valid
			if !known && c.flights.holdsUp(fl, started) && c.tires(deadline, fl.task) {
				c.flights.leave(fl, leads, 0, nil)
				return impatient
			}
			patience.Reset(c.impatience(deadline, fl.task))
		case <-ctx.Done():
			if fl.isComputed() && started < fl.early.valid {
				return early
			}
			c.flights.leave(fl, leads, c.lingerOf(fl.task, ctx.Err()), context.Cause(ctx))
			return gone
		}
	}
}

// impatience returns when a caller who goes on waiting looks again whether it still should: soon while there is time
// for the function, which gets less.
func (c *Store) impatience(deadline time.Time, task *Task) time.Duration {
	left := time.Until(deadline)
	if !task.fits(left) {
		return c.OperationTimeout
	}
	return max(task.spare(left), (left-task.takes())/2)
}

// giveUp is for a flight whose function hangs: its lease is given up, so that others may compute, and it counts
// as ended.
func (c *Store) giveUp(fl *flight) {
	l, last := c.flights.giveUp(fl)
	if l != nil {
		l.giveUp()
	}
	if last {
		c.shut()
	}
}

// readStored is read for those who expect to find what a call has returned: if that is being stored, they
// wait for it.
func (c *Store) readStored(ctx context.Context, key Key) (f found, err error) {
	if fl := c.flights.stores(key); fl != nil {
		select {
		case <-c.flights.lands(fl):
		case <-ctx.Done():
			return found{}, ctx.Err()
		}
	}
	ctx, done := c.bound(ctx)
	defer done()
	err = c.lookup(ctx, &f, &key)
	return f, err
}

// share returns the result of o, an outcome of fl, that a caller who joined may have. ok is false when
// there is no way to copy it.
func (c *Store) share(fl *flight, o *outcome) (r Result, ok bool) {
	r = o.result
	if !fl.needsCopies(o) {
		return r, true
	}
	if o.payload == nil {
		return Result{}, false
	}
	p, err := entry.Decode(o.payload, fl.task.typ)
	if err != nil {
		c.fault("copy a result of "+fl.task.name, err)
		return Result{}, false
	}
	r.Value = p
	return r, true
}

// needsCopies tells whether each of those who have the result of o has to have a copy of its own.
func (fl *flight) needsCopies(o *outcome) bool {
	return o.result.Value != nil && !fl.task.shared && !fl.task.typ.Shareable()
}

// land ends the flight, prepares what those who wait for it need, and lets them have it.
func (c *Store) land(fl *flight) {
	// What was handed out may be changed by its caller by now: it was prepared before that.
	if fl.payload == nil && !fl.isComputed() && fl.needsCopies(&fl.outcome) && c.flights.isJoined(fl) {
		c.encode(fl)
	}
	if c.flights.finish(fl) {
		c.shut()
	}
}
