package store

import (
	"context"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/clock"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/flight"
)

// work gets the lease and computes, or finds a value that another process has stored. f is
// what was found before, or nil.
func (c *Store) work(ctx context.Context, m *computation, compute func(context.Context) Result, f *found) {
	if f == nil || c.discards {
		c.run(ctx, m, compute)
		return
	}
	for n := 0; ; n++ {
		if m.waitsForItself(f) {
			return
		}
		if f.needsLease(c.now(), m.task) {
			ok, err := m.takeLease(ctx, *f)
			if err != nil {
				c.unreachable(ctx, m, "take the lease for ", err, compute)
				return
			}
			if ok {
				c.runWithLease(ctx, m, compute)
				return
			}
		} else if n > 0 {
			m.task.Stats.Waits.Add(1)
			if clock.Sleep(flight.Steps(ctx), c.pollDelay(m.key, n-1)) != nil {
				m.leaveEmpty(ctx)
				return
			}
		}
		tick := c.flights.Tick()
		step, done := m.lookupStep(ctx)
		next := m.task.lookingFor()
		err := c.lookup(step, &next, m.key)
		done(err)
		if err != nil {
			c.unreachable(ctx, m, "look up a result of ", err, compute)
			return
		}
		if m.takes(&next, tick) {
			return
		}
		f = &next
	}
}

// waitsForItself reports whether the lease that was found is one for which the computation would wait forever: its holder
// waits for the computation. Then the outcome is an error, which is for nobody who has joined. Within one Store
// the flights know that; but two may have the same server, or the same store in memory.
func (m *computation) waitsForItself(f *found) bool {
	if f.state != entry.Leased || f.entry.Holder == m.holder {
		return false
	}
	m.holder = f.entry.Holder
	for _, waiting := range m.Waiting() {
		if l := of(waiting).lease; l != nil && l.token == m.holder && l.key.stored == m.key.stored { // others can copy a token to another key
			m.result, m.Valid = Result{Err: fmt.Errorf("%w: %s, key %s", cacheutils.ErrRecursion, m.task.name, m.key.digest())}, 0
			return true
		}
	}
	return false
}

// needsLease reports whether what was found is to be computed by a reader at that time. One who has no use for a value past
// its timeout waits for nobody but its holder.
func (f *found) needsLease(now time.Time, task *Task) bool {
	if f.state == entry.Stale {
		return !f.entry.IsHeld(now) && (task.plain || !f.entry.IsRefreshed(now))
	}
	return f.state != entry.Leased
}

// takeLease is take as a step of the computation's, which has the lease then. It fails where it would go on forever.
func (m *computation) takeLease(ctx context.Context, f found) (ok bool, err error) {
	step, done := m.leaseStep(ctx)
	m.lease, ok, err = m.store.take(step, m.key, m.task.typ, f, false)
	done(err)
	if !ok && err == nil {
		if m.refusals++; m.refusals >= maxRefusals {
			err = errRefused
		}
	}
	return ok, err
}

// takes makes the value that was found, by a lookup that began at that tick, the result, and reports whether there is
// one.
func (m *computation) takes(f *found, tick uint64) bool {
	if f.state == entry.Fresh || f.state == entry.Stale && !m.task.plain {
		if value := m.store.value(f, nil, m.task.typ, m.task.shared); value != nil {
			m.result, m.Valid, m.elsewhere = Result{Value: value, Err: f.failed(), Error: f.entry.Error}, tick, true
			return true
		}
	}
	if f.negative && m.task.Many {
		m.result, m.Valid, m.elsewhere = Result{Negative: true}, tick, true
		return true
	}
	return false
}

// unreachable goes on without the lease after an error of the server, which may be no more than that
// everybody who waited has left.
func (c *Store) unreachable(ctx context.Context, m *computation, doing string, err error, compute func(context.Context) Result) {
	if ctx.Err() != nil {
		m.leaveEmpty(ctx)
		return
	}
	m.fault = err
	c.taskFault(m.task, doing, err)
	c.run(ctx, m, compute)
}

// leaveEmpty makes why ctx has ended the result, which is for nobody else.
func (m *computation) leaveEmpty(ctx context.Context) {
	err := ctx.Err()
	if err == nil {
		err = context.Canceled // it is about to
	}
	m.result, m.Valid = Result{Err: err}, 0
}

// runWithLease computes and stores. The result is for those who had started before the
// computation, and if it was still valid when it was stored, for all who have joined.
func (c *Store) runWithLease(ctx context.Context, m *computation, compute func(context.Context) Result) {
	if !c.run(ctx, m, compute) {
		m.settle(unending(ctx), &ending{})
	}
}

// run runs the function, and ends the lease if there is one. Without one, since the server can't be
// reached, the result is only for those who had started before the function did: others may know of an invalidation that
// this process could not see. They start again, together. It returns false, and does nothing, when nobody waits any
// more.
func (c *Store) run(ctx context.Context, m *computation, compute func(context.Context) Result) (ran bool) {
	if !m.Begin(ctx, m.lease == nil && !c.discards) {
		m.leaveEmpty(ctx)
		return false
	}
	ran = true // also if it panics
	var began time.Time
	if c.flights.Remote {
		began = time.Now()
	}
	done := false
	defer func() { // also when the function panics, or ends the goroutine
		if !done {
			m.Catch(recover())
		}
		m.cut = m.cut || m.result.Cut || hasEnded(ctx)
		if c.flights.Remote && (m.cut || !m.failed()) {
			m.task.learns(time.Since(began), m.cut)
		}
		e := m.returned()
		if m.handOut(&e) {
			go m.settleLater(unending(ctx), e)
		} else if m.lease != nil {
			m.settle(unending(ctx), &e)
		}
	}()
	m.task.Stats.Computations.Add(1)
	m.result = compute(ctx)
	done = true
	return ran
}

// returned notes that the function has ended, for whom its outcome is by now, and returns what the lease is to end with,
// if there is one.
func (m *computation) returned() (e ending) {
	c := m.store
	if led := m.Return(); !led && m.result.Rekey != nil {
		m.changed = !c.makes(m.result.Rekey, m.key)
	}
	switch m.Valid = m.Began(); {
	case m.isPrivate():
		m.Valid = 0
	case c.discards:
		m.Valid = flight.Always
	case m.failed():
		m.Valid = c.flights.Tick()
	}
	if m.lease == nil {
		m.unasked = !c.discards
		return ending{}
	}
	return m.decide()
}

// handOut lets those have the result who don't wait for it to be stored. It reports whether it is stored later, while
// nobody waits for that.
func (m *computation) handOut(e *ending) (later bool) {
	later = e.stores && m.store.later != nil && !m.IsRefresh() && !m.IsForced() && !m.task.plain && m.store.acquireStoreSlot()
	m.HandOut(later)
	return later
}

// settleLater settles, and finishes the flight.
func (m *computation) settleLater(ctx context.Context, e ending) {
	defer m.store.releaseStoreSlot()
	m.settle(ctx, &e)
	m.Finish()
}

// acquireStoreSlot reports whether one more result may be stored later, which releaseStoreSlot ends.
func (c *Store) acquireStoreSlot() bool {
	select {
	case c.later <- struct{}{}:
		return true
	default:
		return false
	}
}

func (c *Store) releaseStoreSlot() { <-c.later }

// hasEnded reports whether ctx has ended, or its deadline has passed: what was derived from it may have ended at that moment before
// it, and the function have returned for that.
func hasEnded(ctx context.Context) bool {
	deadline, ends := ctx.Deadline()
	return ctx.Err() != nil || ends && !time.Now().Before(deadline)
}

// unending returns ctx without its end.
func unending(ctx context.Context) context.Context {
	ctx = flight.Steps(ctx)
	if ctx.Done() == nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// readStored is a lookup for a reader, whom f says, who expects to find what a call has returned: if that is being stored,
// it waits for it.
func (c *Store) readStored(ctx context.Context, key Key, f found) (found, error) {
	if c.later != nil {
		if storing := c.flights.Stores(key.stored, flight.Check(key.check)); storing != nil {
			select {
			case <-storing.Done():
			case <-ctx.Done():
				return found{}, ctx.Err()
			}
		}
	}
	ctx, done := c.bound(ctx)
	defer done()
	err := c.lookup(ctx, &f, &key)
	return f, err
}
