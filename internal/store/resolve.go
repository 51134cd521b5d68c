package store

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils/internal/clock"
	"github.com/cacheutils/cacheutils/internal/flight"
)

// The phases of a batch, for the flights that it leads: resolve brings them to their end, once they have started.

// ComputeMany computes the values for the keys with these indices, and returns one result for
// each, in their order.
type ComputeMany func(ctx context.Context, missing []int) []Result

// A member is one key of a batch.
type member struct {
	attempt
	index  int // among the caller's keys
	m      *computation
	ending ending
	ready  bool // it has its lease, or does without
	over   bool // its flight has finished, or is finished by others
}

// A batch is a computation for several keys.
type batch struct {
	store    *Store
	caller   context.Context
	left     <-chan struct{} // closed when the caller waits no more; nil: nobody does
	compute  ComputeMany
	patience time.Duration // of its caller, for the leases of forced computations
	runs     atomic.Int32  // of the function, under way while other keys are looked up
}

// maxRuns is how many runs of the function of one batch may be under way while it looks up other keys.
const maxRuns = 8

// resolve brings the flights of members to their end. n counts the lookups before.
func (b *batch) resolve(ctx context.Context, members []*member, n int) {
	owned, ended := members, false
	defer func() { // when an engine panics, or the function has ended this goroutine
		if v := recover(); !ended {
			b.abort(ctx, owned, v)
		}
	}()
	for ; len(members) > 0; n++ {
		members = b.dropLeft(ctx, members)
		owned = members
		ready, waiting, again := b.takeLeases(ctx, members)
		switch {
		case len(ready) == 0:
		case len(waiting) == 0:
			b.run(ctx, ready)
			ready = nil
		case b.startsRun():
			go b.resolve(ctx, waiting, n)
			owned = ready
			b.runMeanwhile(ctx, ready)
			ready, waiting = nil, nil
		}
		if len(waiting) > 0 && n > 0 && !again && !b.sleep(ctx, waiting, n) {
			b.abort(ctx, owned, nil)
			break
		}
		members = append(ready, b.lookAgain(ctx, waiting)...)
		owned = members
	}
	ended = true
}

// runMeanwhile is run after startsRun has returned true.
func (b *batch) runMeanwhile(ctx context.Context, members []*member) {
	defer b.runs.Add(-1)
	b.run(ctx, members)
}

// startsRun reports whether one more run of the function may begin while the batch looks up other keys. Those that
// could compute otherwise wait until then: the lookups for the others go on.
func (b *batch) startsRun() bool {
	if b.runs.Add(1) <= maxRuns {
		return true
	}
	b.runs.Add(-1)
	return false
}

// abort ends flights that can't be brought to their end otherwise.
func (b *batch) abort(ctx context.Context, members []*member, v any) {
	var open []*member
	for _, e := range members {
		if e.over {
			continue
		}
		if v != nil {
			e.m.Catch(v)
		} else {
			e.m.leaveEmpty(ctx)
		}
		e.over = true
		open = append(open, e)
	}
	b.giveBack(ctx, open)
}

// giveBack ends flights that have no result to be stored, and their leases. It doesn't panic: an engine that has done so
// may do it again.
func (b *batch) giveBack(ctx context.Context, members []*member) {
	eachMember(b.store, len(members), func(i int) {
		e := members[i]
		defer e.m.Finish()
		if e.m.lease != nil {
			var ends flight.Endings
			ends.Catch(func() { e.m.settle(unending(ctx), &ending{}) })
		}
	})
}

// finish ends the member's flight.
func (e *member) finish() {
	e.over = true
	e.m.Finish()
}

// dropLeft ends the flights that nobody waits for, and returns the others.
func (b *batch) dropLeft(ctx context.Context, members []*member) (stay []*member) {
	var left []*member
	for _, e := range members {
		if e.m.IsLeft() {
			left = append(left, e)
		} else {
			stay = append(stay, e)
		}
	}
	b.abort(ctx, left, nil)
	return stay
}

// takeLeases takes the leases of those members that need theirs. It returns those that can compute, and those to
// look up again: at once, if again is true.
func (b *batch) takeLeases(ctx context.Context, members []*member) (ready, waiting []*member, again bool) {
	tried := make([]bool, len(members))
	eachMember(b.store, len(members), func(i int) { tried[i] = b.takeLease(ctx, members[i]) })
	for i, e := range members {
		switch {
		case e.over:
		case e.ready:
			ready = append(ready, e)
		default:
			waiting = append(waiting, e)
			again = again || tried[i]
		}
	}
	return ready, waiting, again
}

// takeLease takes the member's lease if it needs one, and reports whether it has tried.
func (b *batch) takeLease(ctx context.Context, e *member) (tried bool) {
	c, m := b.store, e.m
	switch {
	case e.ready:
		return false
	case m.IsLeft():
		m.leaveEmpty(ctx)
		e.finish()
		return false
	case e.found == nil || c.discards:
		e.ready = true
		return false
	case m.IsForced():
		if !m.steal(ctx, b.patience) && ctx.Err() != nil {
			m.leaveEmpty(ctx)
			e.finish()
			return false
		}
		e.ready = true
		return true
	case m.waitsForItself(e.found):
		e.finish()
		return false
	case !e.found.needsLease(c.now(), m.task):
		return false
	}
	ok, err := m.takeLease(ctx, *e.found)
	switch {
	case ok:
		e.ready = true
	case m.IsRefresh(): // the outcome is for nobody
		if err != nil {
			c.taskFault(m.task, "take the lease for ", err)
		}
		e.finish()
	case err != nil:
		b.unreachable(ctx, e, "take the lease for ", err)
		e.ready = !e.over
	}
	return true
}

// unreachable has the member go on without the store after an error, which may be no more than that everybody who waited
// has left.
func (b *batch) unreachable(ctx context.Context, e *member, doing string, err error) {
	if ctx.Err() != nil || e.m.IsLeft() {
		e.m.leaveEmpty(ctx)
		e.finish()
		return
	}
	e.m.fault = err
	b.store.taskFault(e.task, doing, err)
	e.found = nil
}

// sleep waits before the next lookup for members. It returns false if all of the batch have been left.
func (b *batch) sleep(ctx context.Context, members []*member, n int) bool {
	for _, e := range members {
		e.task.Stats.Waits.Add(1)
	}
	return clock.Sleep(ctx, b.store.pollDelay(members[0].key, n-1)) == nil
}

// lookAgain looks up the values of members that others compute, and returns those for which there is none yet.
func (b *batch) lookAgain(ctx context.Context, members []*member) (without []*member) {
	if len(members) == 0 {
		return nil
	}
	c := b.store
	tick := c.flights.Tick()
	step, done := b.lookupStep(ctx, members)
	q := newQuery()
	defer q.free()
	for _, e := range members {
		q.add(c, e.key)
	}
	err := q.run(step, c)
	defer func() { done(err) }()
	for i, e := range members {
		next := e.task.lookingFor()
		failed := q.evaluate(step, c, &next, e.key, i, err)
		switch {
		case failed != nil:
			b.unreachable(ctx, e, "look up a result of ", failed)
		case e.m.takes(&next, tick):
			q.memory.take(&next.entry)
			e.finish()
		default:
			e.found = &next
		}
		if !e.over {
			without = append(without, e)
		}
	}
	return without
}

// lookupStep is computation.lookupStep for a lookup of all members.
func (b *batch) lookupStep(ctx context.Context, members []*member) (step context.Context, done func(error)) {
	step, end := members[0].m.lookupStep(ctx)
	answered := make([]func(), 0, len(members)-1)
	for _, e := range members[1:] {
		answered = append(answered, e.m.Asks())
	}
	return step, func(err error) {
		end(err)
		for _, f := range answered {
			f()
		}
	}
}

// run runs the function for members, and finishes their flights. Those that nobody waits for any more are left out.
func (b *batch) run(ctx context.Context, members []*member) {
	if b.left != nil && b.caller.Err() != nil {
		<-b.left // then it shows for which keys others stay
	}
	c := b.store
	run := flight.NewRun(b.caller, flightsOf(members))
	var wanted, left []*member
	var indices []int
	for _, e := range members {
		if run.Begin(&e.m.Flight, e.m.lease == nil && !c.discards) {
			wanted, indices = append(wanted, e), append(indices, e.index)
		} else {
			left = append(left, e)
		}
	}
	if len(wanted) == 0 {
		run.Do(nil) // nothing but ends its context
		b.abort(ctx, left, nil)
		return
	}
	if len(left) > 0 { // which the others don't wait for
		for _, e := range left {
			e.m.leaveEmpty(ctx)
			e.over = true
		}
		go b.giveBack(ctx, left)
	}
	for _, e := range wanted {
		e.m.task.Stats.Computations.Add(1)
	}
	began, cut, done := time.Now(), false, false
	defer func() { // also when the function panics, or ends the goroutine
		var how flight.Ending
		if !done {
			how.Catch(recover())
		}
		b.returned(ctx, wanted, how, time.Since(began), cut)
	}()
	run.Do(func(ctx context.Context) {
		defer func() { cut = hasEnded(ctx) }()
		for i, result := range b.compute(ctx, indices) {
			wanted[i].m.result = result
		}
	})
	done = true
}

// returned hands out the results of a run of the function, and stores them.
func (b *batch) returned(ctx context.Context, members []*member, how flight.Ending, took time.Duration, cut bool) {
	first := members[0].m
	if b.store.flights.Remote && (cut || first.result.Err == nil && how == flight.Ending{}) {
		first.task.learns(took, cut)
	}
	var now, later []*member
	for _, e := range members {
		e.m.Ending, e.m.cut = how, cut
		e.ending = e.m.returned()
		if e.m.handOut(&e.ending) {
			later = append(later, e)
		} else {
			now = append(now, e)
		}
	}
	if len(later) > 0 {
		for _, e := range later {
			e.over = true
		}
		go eachMember(b.store, len(later), func(i int) {
			later[i].m.settleLater(unending(ctx), later[i].ending)
		})
	}
	b.settle(ctx, now)
}

// settle ends the leases of members, and their flights.
func (b *batch) settle(ctx context.Context, members []*member) {
	ctx = unending(ctx)
	eachMember(b.store, len(members), func(i int) {
		e := members[i]
		if e.m.lease != nil {
			e.m.settle(ctx, &e.ending)
		}
		if e.m.IsForced() {
			e.m.dropOlder(ctx)
		}
		e.finish()
	})
}

// eachMember is parallel for what is done with the store, which takes no time if that is in this process's memory.
func eachMember(c *Store, n int, f func(i int)) {
	if c.flights.Remote {
		parallel(n, f)
		return
	}
	for i := range n {
		f(i)
	}
}

func flightsOf(members []*member) []*flight.Flight {
	flights := make([]*flight.Flight, len(members))
	for i, e := range members {
		flights[i] = &e.m.Flight
	}
	return flights
}
