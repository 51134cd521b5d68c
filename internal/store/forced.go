package store

import (
	"context"
	"time"
)

// A forced computation runs its function whatever is stored: it takes the lease from its holder, and where its result can't be
// stored it deletes what is there, so that nobody gets an older one.

// forceTries is how often a lease is fought for before a forced computation runs without.
const forceTries = 10

func (c *Store) runForced(ctx context.Context, m *computation, compute func(context.Context) Result, patience time.Duration) {
	if m.steal(ctx, patience) {
		c.runWithLease(ctx, m, compute)
	} else if ctx.Err() != nil {
		m.leaveEmpty(ctx)
	} else {
		c.run(ctx, m, compute)
	}
	m.dropOlder(unending(ctx))
}

// steal takes the lease on the computation's key, over whatever is there, and reports whether it did.
func (m *computation) steal(ctx context.Context, patience time.Duration) (ok bool) {
	c := m.store
	if c.discards {
		return false
	}
	step, done := m.leaseStep(ctx)
	var err error
	defer func() { done(err) }()
	if c.flights.Remote {
		var cancel context.CancelFunc
		step, cancel = context.WithTimeout(step, patience)
		defer cancel()
	}
	for range forceTries {
		f := m.task.lookingFor()
		err = c.lookup(step, &f, m.key)
		if err == nil {
			if m.lease, ok, err = c.take(step, m.key, m.task.typ, f, true); ok {
				return true
			}
		}
		if err != nil {
			if ctx.Err() == nil && !m.IsLeft() {
				c.taskFault(m.task, "take the lease for ", err)
			}
			return false
		}
	}
	return false
}

// dropOlder deletes what is under the key of a computation whose result could not be stored, whatever took too long before:
// the caller is told that nothing older is left.
func (m *computation) dropOlder(ctx context.Context) {
	if m.failed() || m.stored || m.replaced != nil {
		return
	}
	c := m.store
	step, done := m.owedStep(ctx)
	_, err := c.Engine.Delete(step, m.key.stored)
	done(err)
	if err != nil {
		c.taskFault(m.task, "delete an old result of ", c.replayDelete(m.key.stored, withoutKeys(err, m.key.stored)))
	}
}
