package backends

import (
	"context"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils/logging"
)

// compute waits for the flight of key or leads one. started is when the caller did, and f what
// it found, or nil when it could not look.
func (c *Cache) compute(ctx context.Context, key *Key, task *Task, compute func(context.Context) Result, started uint64, f *finding) Result {
	looked := f != nil
	for {
		if err := ctx.Err(); err != nil {
			return Result{Err: err}
		}
		fl, leads := c.flights.join(key, task, false)
		if leads {
			found := f // which doesn't change any more, and so stays where it is
			return c.lead(ctx, fl, func(ctx context.Context) { c.work(ctx, fl, compute, found) })
		}
		task.Stats.Joins.Add(1)
		decided(ctx)
		if r, ok := c.wait(ctx, fl, key, task, started, looked); ok {
			return r
		}
		f = &finding{state: leased} // look again before computing
	}
}

// work gets the lease and computes, or finds a value that another process has stored. f is
// what was found before, or nil.
func (c *Cache) work(ctx context.Context, fl *flight, compute func(context.Context) Result, f *finding) {
	if f == nil || c.discards {
		c.runWithoutLease(ctx, fl, compute)
		return
	}
	for n := 0; ; n++ {
		if f.state != leased {
			done := atOnce(ctx)
			l, ok, err := c.take(ctx, fl.key, *f, false)
			done()
			if err != nil {
				c.unreachable(ctx, fl, "take the lease for ", err, compute)
				return
			}
			if ok {
				c.runWithLease(ctx, fl, compute, l)
				return
			}
		} else if n > 0 {
			fl.task.Stats.Waits.Add(1)
			decided(ctx)
			if err := sleep(ctx, pollDelay(n-1)); err != nil {
				fl.giveUp(err)
				return
			}
		}
		tick := c.flights.tick()
		done := atOnce(ctx)
		next, err := c.read(ctx, *fl.key)
		done()
		if err != nil {
			c.unreachable(ctx, fl, "look for a result of ", err, compute)
			return
		}
		if next.state == fresh || next.state == stale {
			value, err := next.entry.value(fl.key, fl.task.typ)
			if err == nil {
				fl.result, fl.valid = Result{Value: value}, tick
				return
			}
			next.state = dead
		}
		if next.nothing && fl.task.Many {
			fl.result, fl.valid = Result{Absent: true}, tick
			return
		}
		f = &next
	}
}

// unreachable goes on without the lease after an error of the server, which may be no more than that
// everybody who waited has left.
func (c *Cache) unreachable(ctx context.Context, fl *flight, doing string, err error, compute func(context.Context) Result) {
	if gone := ctx.Err(); gone != nil {
		fl.giveUp(gone)
		return
	}
	c.taskFault(fl.task, doing, err)
	c.runWithoutLease(ctx, fl, compute)
}

// runWithoutLease is for when the server can't be reached. Who can't reach it either and joins gets
// the result, though another process may have invalidated it: nobody could tell.
func (c *Cache) runWithoutLease(ctx context.Context, fl *flight, compute func(context.Context) Result) {
	began := c.flights.tick()
	fl.valid = always
	fl.task.Stats.Computations.Add(1)
	fl.result = compute(ctx)
	if fl.result.Err == nil && !c.discards {
		fl.unseen = began
	}
}

// runWithLease computes and stores. The result is for those who had started before the
// computation, and if it was still valid when it was stored, for all who have joined.
func (c *Cache) runWithLease(ctx context.Context, fl *flight, compute func(context.Context) Result, l *lease) {
	fl.valid = c.computeWithLease(ctx, fl, compute, l)
	s := c.conclude(fl, l)
	if s.stores && fl.computed != nil && c.flights.putOff() {
		c.settleLater(unending(ctx), fl, l, s)
		return
	}
	c.settle(unending(ctx), fl, l, &s)
}

// settleLater hands out the result, settles in the background, and lands the flight.
func (c *Cache) settleLater(ctx context.Context, fl *flight, l *lease, s settlement) {
	fl.began = fl.valid
	c.background.run(func(context.Context) {
		defer c.flights.caughtUp()
		c.settle(ctx, fl, l, &s)
		c.land(fl)
	})
	close(fl.computed)
}

// unending returns ctx without its end.
func unending(ctx context.Context) context.Context {
	if ctx.Done() == nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// computeWithLease computes, and returns the tick at which that began.
func (c *Cache) computeWithLease(ctx context.Context, fl *flight, compute func(context.Context) Result, l *lease) (began uint64) {
	returned := false
	defer func() {
		if !returned { // a panic, or runtime.Goexit
			done := atOnce(ctx)
			c.release(fl, l)
			done()
			fl.valid = always
		}
	}()
	began = c.flights.tick()
	fl.task.Stats.Computations.Add(1)
	fl.result = compute(ctx)
	returned = true
	return began
}

// A settlement is what a lease is to end with.
type settlement struct {
	stores bool          // the entry, else the lease is given back
	entry  entry         // has all that it needs of the result
	keep   time.Duration // how long the engine is to keep it
	tick   uint64        // after the computation: if the lease is held now, the result is for those who started before
}

// settle ends the lease. If that was held and the groups have not changed, the outcome is for all who
// started before the settlement's tick.
func (c *Cache) settle(ctx context.Context, fl *flight, l *lease, s *settlement) {
	defer atOnce(ctx)()
	held := false
	if s.stores {
		held = c.storeWith(ctx, fl, l, s)
	} else {
		held = c.release(fl, l)
	}
	if held {
		fl.valid = s.tick
	}
	if fl.result.Err != nil {
		fl.valid = always
	}
}

// storeWith stores the settlement's entry, and tells whether it did.
func (c *Cache) storeWith(ctx context.Context, fl *flight, l *lease, s *settlement) (held bool) {
	held, err := l.settle(ctx, &s.entry, s.keep)
	switch {
	case err != nil:
		c.taskFault(fl.task, "store a result of ", err)
	case held:
		fl.stored = true
		fl.task.Stats.Stores.Add(1)
		c.debug(logging.Set, fl.key, s.entry.cost)
	default:
		fl.task.Stats.Refusals.Add(1)
		if fl.task.plain {
			c.useStored(ctx, fl)
		}
	}
	return held
}

// release gives the lease back.
func (c *Cache) release(fl *flight, l *lease) (held bool) {
	held, err := l.settle(context.Background(), nil, 0)
	if err != nil {
		c.taskFault(fl.task, "give back the lease for ", err)
	}
	return held
}

// useStored makes a value that somebody has stored meanwhile the flight's result.
func (c *Cache) useStored(ctx context.Context, fl *flight) {
	f, err := c.read(ctx, *fl.key)
	if err != nil || f.state != fresh {
		return
	}
	if value, err := f.entry.value(fl.key, fl.task.typ); err == nil {
		fl.result.Value, fl.payload = value, nil
	}
}

// conclude says what the lease is to end with after the flight's result.
func (c *Cache) conclude(fl *flight, l *lease) (s settlement) {
	r := &fl.result
	timeout := r.Timeout
	if timeout == DefaultTimeout {
		timeout = c.timeout
	}
	stale := c.staleOf(fl.task)
	switch {
	case r.Err != nil || c.flights.isAbandoned(fl):
	case r.Discard || timeout <= 0:
		l.drops = true
	case r.Absent:
		s.entry, s.stores, stale = c.absence(*fl.key), true, 0
	default:
		s.entry, s.stores = c.sealResult(fl)
		l.drops = !s.stores
	}
	if s.stores {
		s.entry.groups = l.groups
		s.keep = s.entry.stamp(timeout, stale)
	}
	s.tick = c.flights.tick()
	return s
}

// sealResult makes the entry for the value of the flight's result. A value that can't be encoded is
// not stored, which is logged and goes no further.
func (c *Cache) sealResult(fl *flight) (e entry, ok bool) {
	t, p := fl.task.typ, fl.result.Value
	var err error
	switch {
	case fl.task.plain && t.Type().Kind() == reflect.Interface: // stored as Set would
		t, p = boxed(reflect.ValueOf(p).Elem().Interface())
		e, err = c.sealPlain(*fl.key, t, p)
	case fl.task.plain:
		e, err = c.sealPlain(*fl.key, t, p)
	case !c.holdsLive(t, fl.task.shared) && !c.encode(fl):
		return e, false
	default:
		e, err = c.seal(*fl.key, t, p, fl.task.shared, fl.payload)
	}
	if err != nil {
		c.taskFault(fl.task, "encode a result of ", err)
	}
	return e, err == nil
}

// encode fills in the flight's payload. The callers that don't get a copy compute for
// themselves, so that a failure is logged and goes no further.
func (c *Cache) encode(fl *flight) bool {
	payload, err := fl.task.typ.Append([]byte{}, pointer(fl.result.Value))
	if err != nil {
		c.taskFault(fl.task, "encode a result of ", err)
		return false
	}
	fl.payload = payload
	return true
}
