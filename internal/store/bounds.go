package store

import (
	"context"
	"time"
)

// Each request to the store is bounded by the operation timeout, also where a caller's context has no end: an
// operation of a caller's by enter or outlast, a lookup of a decorated call by boundLookup, and what a computation does with the
// store by its step or glance, see computation.go. A timed engine bounds its requests itself.

// enter begins an operation of a caller's, which ends when done is called: it returns the context for
// it, or an error if the Store is closed.
func (c *Store) enter(ctx context.Context) (bounded context.Context, done context.CancelFunc, err error) {
	if err := c.Closed(); err != nil {
		return nil, nil, err
	}
	bounded, done = c.bound(ctx)
	return bounded, done, nil
}

// bound returns a context for one operation.
func (c *Store) bound(ctx context.Context) (bounded context.Context, done context.CancelFunc) {
	if !c.flights.Remote || c.timed {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.OperationTimeout)
}

// maxTimeouts is how many operation timeouts an operation of a caller's has that makes several requests, one after the other,
// to an engine that bounds each of them itself.
const maxTimeouts = 4

// boundAll returns a context for all that is left of such an operation.
func (c *Store) boundAll(ctx context.Context) (bounded context.Context, done context.CancelFunc) {
	if !c.flights.Remote || !c.timed {
		return ctx, func() {} // it is bounded already, or takes no time
	}
	return context.WithTimeout(ctx, maxTimeouts*c.OperationTimeout)
}

// outlast is enter for an invalidation, which is carried out though ctx has ended: its caller has changed
// what the cache has. Only a deadline that is ahead bounds it.
func (c *Store) outlast(ctx context.Context) (lasting context.Context, done context.CancelFunc, err error) {
	deadline, ends := ctx.Deadline()
	lasting, done, err = c.enter(context.WithoutCancel(ctx))
	if err == nil && ends && time.Until(deadline) > 0 {
		bounded := done
		var unbound context.CancelFunc
		lasting, unbound = context.WithDeadline(lasting, deadline)
		done = func() { unbound(); bounded() }
	}
	return lasting, done, err
}

// boundLookup returns a context for the lookup of a decorated call, and what ends it, which is told how the lookup ended.
// many says that the lookup is for many keys, whose reply may take longer than the operation timeout.
func (c *Store) boundLookup(ctx context.Context, task *Task, many bool) (looking context.Context, done func(error)) {
	if !c.flights.Remote {
		return ctx, func(error) {}
	}
	bound := c.patience(ctx, task)
	if c.timed && bound == c.OperationTimeout {
		deadline, ends := ctx.Deadline()
		if !many || !ends {
			return ctx, c.answers
		}
		bound = task.spare(time.Until(deadline))
	}
	looking, cancel := context.WithTimeout(ctx, bound)
	return looking, func(err error) {
		cancel()
		c.answers(err)
	}
}

// patience returns how long a caller waits for the store at most, before it goes on without. Where ctx ends soon, that
// is a part of what is left: a server that hangs must not take the time that the computation needs.
func (c *Store) patience(ctx context.Context, task *Task) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(c.OperationTimeout, task.spare(time.Until(deadline)))
	}
	return c.OperationTimeout
}

// answers notes that the store has answered, if err is nil.
func (c *Store) answers(err error) {
	if err == nil {
		c.answered.Store(int64(time.Since(epoch)))
	}
}

// silence is how long a store that has answered nobody for that long seems to hang.
const silence = 50 * time.Millisecond

// tires reports whether a caller whose patience is at its end goes on without the store: if it has time for
// the function. Otherwise what that returned would be of no use to anybody, so it does so only where the store seems
// to hang, and now and then.
func (c *Store) tires(deadline time.Time, task *Task) bool {
	if task.fits(time.Until(deadline)) {
		return true
	}
	now := time.Since(epoch)
	return now-time.Duration(c.answered.Load()) >= silence && task.probes(now)
}
