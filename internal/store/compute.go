package store

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/logging"
)

// compute waits for the flight of key or leads one. started is when the caller did, and f what
// it found, or nil when it could not look.
func (c *Store) compute(ctx context.Context, key *Key, task *Task, compute func(context.Context) Result, started uint64, f *found) Result {
	bare := false
	var last *flight
	for {
		if err := ctx.Err(); err != nil {
			return Result{Err: err}
		}
		fl, leads := c.flights.join(ctx, key, task, bare, started, last)
		if fl == nil {
			return Result{Closed: true}
		}
		if leads {
			found := f // which doesn't change any more, and so stays where it is
			r, ok := c.lead(ctx, fl, func(ctx context.Context) { c.work(ctx, fl, compute, found) })
			if ok {
				return r
			}
			seatOf(ctx).wasLate()
			bare, f, last = true, nil, fl
			continue
		}
		task.Stats.Joins.Add(1)
		decided(ctx)
		r, ok, why := c.wait(ctx, fl, key, task, started)
		if ok {
			return r
		}
		if last = fl; why == impatient {
			seatOf(ctx).wasLate()
			bare = true
		}
		f = &found{state: entry.Leased} // look again before computing
		if bare || why == landed && c.flights.wasUnasked(fl) {
			f = nil
		}
	}
}

// step returns a context for one step of what a flight does with the store, under ctx. done ends it, and is
// told how it has ended. After a step of one of several keys that took too long, those of the others take no time.
func (c *Store) step(ctx context.Context, fl *flight) (step context.Context, done func(error)) {
	return c.bounded(ctx, fl, c.OperationTimeout)
}

// glance is step for no more than a look, which a timed engine bounds itself.
func (c *Store) glance(ctx context.Context, fl *flight) (step context.Context, done func(error)) {
	if c.timed {
		return c.bounded(ctx, fl, 0)
	}
	return c.bounded(ctx, fl, c.OperationTimeout)
}

// bounded returns a context for a step of at most that long, or of any time for 0.
func (c *Store) bounded(ctx context.Context, fl *flight, most time.Duration) (step context.Context, done func(error)) {
	ctx = withoutFlight(ctx)
	if !c.flights.remote {
		return ctx, func(error) {}
	}
	next := fl.atOnce()
	answered := fl.asks()
	step, cancel := ctx, context.CancelFunc(func() {})
	switch {
	case fl.seat.isLate():
		step, cancel = context.WithTimeout(ctx, 0)
	case most > 0:
		step, cancel = context.WithTimeout(ctx, most)
	}
	return step, func(err error) {
		c.answers(err)
		if isTimeout(err) && ctx.Err() == nil {
			fl.seat.wasLate()
		}
		cancel()
		answered()
		next()
	}
}

// isTimeout reports whether err says that the store has not answered in time.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// work gets the lease and computes, or finds a value that another process has stored. f is
// what was found before, or nil.
func (c *Store) work(ctx context.Context, fl *flight, compute func(context.Context) Result, f *found) {
	if f == nil || c.discards {
		c.runWithoutLease(ctx, fl, compute)
		return
	}
	for n := 0; ; n++ {
		if f.state != entry.Leased && (f.state != entry.Stale || !f.entry.IsRefreshed(time.Now())) {
			step, done := c.step(ctx, fl)
			l, ok, err := c.take(step, fl, *f, false)
			done(err)
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
			fl.seat.decide()
			if sleep(withoutFlight(ctx), pollDelay(n-1)) != nil {
				fl.leaveEmpty(ctx)
				return
			}
		}
		tick := c.flights.tick()
		step, done := c.glance(ctx, fl)
		var next found
		err := c.lookup(step, &next, fl.key)
		done(err)
		if err != nil {
			c.unreachable(ctx, fl, "look for a result of ", err, compute)
			return
		}
		if next.state == entry.Fresh || next.state == entry.Stale && !fl.task.plain {
			value, err := next.entry.Value(fl.task.typ)
			if err == nil {
				fl.result, fl.valid = Result{Value: value}, tick
				return
			}
			next.state = entry.Dead
		}
		if next.negative && fl.task.Many {
			fl.result, fl.valid = Result{Absent: true}, tick
			return
		}
		f = &next
	}
}

// unreachable goes on without the lease after an error of the server, which may be no more than that
// everybody who waited has left.
func (c *Store) unreachable(ctx context.Context, fl *flight, doing string, err error, compute func(context.Context) Result) {
	if ctx.Err() != nil {
		fl.leaveEmpty(ctx)
		return
	}
	c.taskFault(fl.task, doing, err)
	c.runWithoutLease(ctx, fl, compute)
}

// runWithoutLease is for when the server can't be reached. The result is only for those who had started
// before the function did: others may know of an invalidation that this process could not see. They
// start again, together.
func (c *Store) runWithoutLease(ctx context.Context, fl *flight, compute func(context.Context) Result) {
	c.run(ctx, fl, compute, nil)
}

// runWithLease computes and stores. The result is for those who had started before the
// computation, and if it was still valid when it was stored, for all who have joined.
func (c *Store) runWithLease(ctx context.Context, fl *flight, compute func(context.Context) Result, l *lease) {
	if !c.run(ctx, fl, compute, l) {
		c.giveBack(unending(ctx), fl, l, &settlement{})
	}
}

// run runs the function, under l or without a lease, and ends the lease. It returns false, and does neither, when
// nobody waits for that any more.
func (c *Store) run(ctx context.Context, fl *flight, compute func(context.Context) Result, l *lease) (ran bool) {
	if !c.flights.begins(ctx, fl, l, l == nil && !c.discards) {
		fl.leaveEmpty(ctx)
		return false
	}
	ran = true // also if it panics
	var began time.Time
	learns := c.flights.remote && fl.seat == nil // else the time is that of all, see seat.lead
	if learns {
		began = time.Now()
	}
	done := false
	defer func() { // also when the function panics, or ends the goroutine
		if !done {
			fl.catch(recover())
		}
		fl.cut = fl.cut || ctx.Err() != nil
		if learns && (fl.cut || !fl.failed()) {
			fl.task.learns(time.Since(began), fl.cut)
		}
		if led := c.flights.returns(fl); !led && fl.result.Rekey != nil {
			fl.astray = !c.makes(fl.result.Rekey, fl.key)
		}
		switch fl.valid = fl.began; {
		case c.discards:
			fl.valid = always
		case fl.failed():
			fl.valid = c.flights.tick()
		}
		if l != nil {
			c.endLease(unending(ctx), fl, l)
		} else {
			fl.unasked = !c.discards
			c.hand(fl)
		}
	}()
	fl.task.Stats.Computations.Add(1)
	fl.result = compute(ctx)
	done = true
	return ran
}

// endLease hands out the result, and stores it.
func (c *Store) endLease(ctx context.Context, fl *flight, l *lease) {
	s := c.conclude(fl, l)
	fl.later = s.stores && c.flights.later != nil && !fl.refresh && !fl.forced && !fl.task.plain && c.flights.putOff()
	c.hand(fl)
	if fl.later {
		go c.settleLater(ctx, fl, l, s)
		return
	}
	c.settle(ctx, fl, l, &s)
}

// makes reports whether rekey, which is the user's code, makes that key. It doesn't panic.
func (c *Store) makes(rekey func([]byte) ([]byte, error), key *Key) (same bool) {
	var ends endings
	ends.catch(func() {
		text, err := rekey(c.AppendHead(nil))
		same = err == nil && c.KeyOf(string(text), nil).stored == key.stored
	})
	return same
}

// failed tells whether the function has returned no result.
func (o *outcome) failed() bool { return o.result.Err != nil || o.ending != (ending{}) }

// why returns an error that says why there is no result to be stored.
func (o *outcome) why() error {
	switch {
	case o.result.Err != nil:
		return o.result.Err
	case o.panic != nil:
		return o.panic
	case o.exited:
		return errors.New("the function ended its goroutine")
	case o.astray:
		return errors.New("its arguments were changed while the function ran, by it or by a caller who had left")
	default:
		return errors.New("its context had ended before it returned, and it has no error to say whether the result is one")
	}
}

// hand lets those have the result who don't wait for it to be stored. What the first of them gets that
// one may change, so what the others need is made before.
func (c *Store) hand(fl *flight) {
	if fl.computed == nil {
		return
	}
	if fl.payload == nil && fl.needsCopies(&fl.outcome) && c.flights.isJoined(fl) {
		c.encode(fl)
	}
	early := fl.outcome
	fl.early = &early
	close(fl.computed)
}

// settleLater settles, and lands the flight.
func (c *Store) settleLater(ctx context.Context, fl *flight, l *lease, s settlement) {
	defer c.flights.caughtUp()
	c.settle(ctx, fl, l, &s)
	c.land(fl)
}

// unending returns ctx without its end.
func unending(ctx context.Context) context.Context {
	ctx = withoutFlight(ctx)
	if ctx.Done() == nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// A settlement is what a lease is to end with.
type settlement struct {
	stores bool          // the entry, else the lease is given back
	entry  entry.Entry   // has all that it needs of the result
	keep   time.Duration // how long the engine is to keep it
	tick   uint64        // after the computation: if the lease is held now, the result is for those who started before

	// What is to become of the value that the lease lies on, if no other takes its place.
	drops bool // it is out of date
	fails bool // it could not be computed anew
}

// settle ends the lease. If that was held and the groups have not changed, the outcome is for all who
// started before the settlement's tick.
func (c *Store) settle(ctx context.Context, fl *flight, l *lease, s *settlement) {
	held := false
	if s.stores {
		held = c.storeWith(ctx, fl, l, s)
	} else {
		held = c.giveBack(ctx, fl, l, s)
	}
	if held && !fl.failed() {
		fl.valid = s.tick
	}
}

// storeWith stores the settlement's entry, and tells whether the lease was held.
func (c *Store) storeWith(ctx context.Context, fl *flight, l *lease, s *settlement) (held bool) {
	step, done := c.step(ctx, fl)
	held, err := l.settle(step, s)
	switch {
	case errors.Is(err, cacheutils.ErrTooLarge): // says the store, which was there
		c.taskFault(fl.task, "store a result of ", err)
		err = nil
	case err != nil:
		fl.unasked = true
		c.taskFault(fl.task, "store a result of ", err)
	case held:
		fl.stored = true
		fl.task.Stats.Stores.Add(1)
		c.debug(logging.Set, fl.key, s.entry.Cost)
	default:
		fl.task.Stats.Refusals.Add(1)
		if fl.task.plain {
			c.useStored(step, fl)
		}
	}
	done(err)
	return held
}

// giveBack ends the lease without a result.
func (c *Store) giveBack(ctx context.Context, fl *flight, l *lease, s *settlement) (held bool) {
	step, done := c.step(ctx, fl)
	held, err := l.settle(step, s)
	done(err)
	if err != nil {
		fl.unasked = true
		c.taskFault(fl.task, "give back the lease for ", err)
	}
	return held
}

// useStored makes a value that somebody has stored meanwhile the flight's result.
func (c *Store) useStored(ctx context.Context, fl *flight) {
	var f found
	err := c.lookup(ctx, &f, fl.key)
	if err != nil || f.state != entry.Fresh {
		return
	}
	if value, err := f.entry.Value(fl.task.typ); err == nil {
		fl.result.Value, fl.payload = value, nil
	}
}

// conclude says what the lease is to end with after the flight's result.
func (c *Store) conclude(fl *flight, l *lease) (s settlement) {
	r := &fl.result
	timeout := c.timeoutOf(r.Timeout)
	stale := c.staleOf(fl.task)
	switch {
	case fl.failed(), fl.astray, fl.cut && fl.task.Doubted:
		if s.fails = fl.refresh; s.fails {
			c.taskFault(fl.task, "compute a stale result anew of ", fl.why())
		}
	case r.Discard || timeout <= 0:
		s.drops = true
	case r.Absent:
		s.entry, s.stores, stale = c.sealer.Negative(fl.key.check), true, 0
	default:
		s.entry, s.stores = c.sealResult(fl)
		s.drops = !s.stores
	}
	if s.stores {
		s.entry.Groups = l.groups
		s.keep = s.entry.Stamp(time.Now(), timeout, stale)
	}
	s.tick = c.flights.tick()
	return s
}

// sealResult makes the entry for the value of the flight's result. A value that can't be encoded is
// not stored, which is logged and goes no further.
func (c *Store) sealResult(fl *flight) (e entry.Entry, ok bool) {
	t, p := fl.task.typ, fl.result.Value
	var err error
	switch {
	case fl.task.plain && t.Type().Kind() == reflect.Interface: // stored as Set would
		t, p = entry.Box(reflect.ValueOf(p).Elem().Interface())
		e, err = c.sealer.SealPlain(fl.key.check, len(fl.key.groups) > 0, t, p)
	case fl.task.plain:
		e, err = c.sealer.SealPlain(fl.key.check, len(fl.key.groups) > 0, t, p)
	case !c.sealer.HoldsLive(t, fl.task.shared) && !c.encode(fl):
		return e, false
	default:
		e, err = c.sealer.Seal(fl.key.check, t, p, fl.task.shared, fl.payload)
	}
	if err != nil {
		c.taskFault(fl.task, "encode a result of ", err)
	}
	return e, err == nil
}

// encode fills in the flight's payload. The callers that don't get a copy compute for
// themselves, so that a failure is logged and goes no further.
func (c *Store) encode(fl *flight) bool {
	payload, err := entry.Encode([]byte{}, fl.task.typ, fl.result.Value)
	if err != nil {
		c.taskFault(fl.task, "encode a result of ", err)
		return false
	}
	fl.payload = payload
	return true
}
