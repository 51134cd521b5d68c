package store

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/cacheutils/cacheutils/internal/flight"
	"github.com/cacheutils/cacheutils/internal/steer"
)

// Several keys are computed together, by one caller and in phases:
//
//	join     each key's flight is joined or started; what follows is for those that were started
//	lease    their leases are taken, maxAtOnce at a time; a key whose lease another process has is looked up again, all
//	         such keys in one lookup, until its value is there or its lease can be taken
//	compute  the function runs once for all that have got to it
//	finish   results are handed out, and then stored, maxAtOnce at a time
//
// While the function runs, another goroutine of the batch goes on looking up the keys that others compute. Keys
// whose leases come free later are computed by a run of their own.

// FetchMisses is Miss.Fetch for those of misses that aren't nil, which LookupMany has returned. It
// fills in their results, by index; compute runs once for all that nobody else computes, and in the background
// once for all that are past their timeout.
func (c *Store) FetchMisses(ctx context.Context, misses []*Miss, results []Result, compute ComputeMany) {
	var missing, old []*member
	for i, m := range misses {
		switch {
		case m == nil:
		case c.closed.Load():
			results[i] = Result{Closed: true}
		case m.isStale():
			var refresh bool
			if results[i], refresh = m.stale(ctx); refresh {
				old = append(old, &member{attempt: m.attempt(m.found), index: i})
			}
		default:
			missing = append(missing, &member{attempt: m.begin(ctx), index: i})
		}
	}
	if len(old) > 0 {
		go c.refreshAll(unending(ctx), misses, old, compute)
	}
	notes := newNotes(ctx, missing)
	c.computeAll(ctx, missing, results, compute, notes)
	notes.write()
}

// computeAll is Store.compute for several keys.
func (c *Store) computeAll(ctx context.Context, members []*member, results []Result, compute ComputeMany, notes *notes) {
	late, left := new(atomic.Bool), make(chan struct{})
	defer close(left)
	for len(members) > 0 {
		b := &batch{store: c, caller: ctx, left: left, compute: compute, patience: c.patience(ctx, members[0].task)}
		waits, asked := b.wait(ctx, members, results, late)
		members = nil
		for i := range waits {
			e, w := asked[i], &waits[i]
			var r Result
			var ok bool
			if e.m != nil {
				r, ok = c.ledTo(ctx, w)
			} else {
				r, ok = c.joinedTo(ctx, w, &e.attempt)
			}
			if ok {
				results[e.index] = r
				notes.note(e, w)
			} else {
				members = append(members, e.next(w))
			}
		}
	}
}

// wait waits for the flights of members, and returns how that has ended for each that has one. For keys that there is no
// time to ask the store for, the caller goes on without, while it waits for the others.
func (b *batch) wait(ctx context.Context, members []*member, results []Result, late *atomic.Bool) (waits []flight.Wait, asked []*member) {
	for {
		if err := ctx.Err(); err != nil {
			for _, e := range members {
				results[e.index] = Result{Err: err}
			}
			members = nil
		}
		var led []*member
		waits, asked, led = b.join(ctx, members, waits, asked, results, late)
		if len(waits) == 0 {
			return nil, nil
		}
		b.store.flights.WaitAll(ctx, waits, func(steps context.Context) { b.resolve(steps, led, 0) })
		members = nil
		stay := 0
		for i := range waits {
			if w := &waits[i]; w.Arrival == flight.Impatient {
				members = append(members, asked[i].next(w))
				continue
			}
			waits[stay], asked[stay] = waits[i], asked[i]
			stay++
		}
		if len(members) == 0 {
			return waits, asked
		}
		late.Store(true)
		waits, asked = waits[:stay], asked[:stay]
	}
}

// next returns the member for the next attempt, after one whose outcome was not for the caller.
func (e *member) next(w *flight.Wait) *member {
	n := &member{attempt: e.attempt, index: e.index}
	n.again(w.Flight, w.Arrival, e.m != nil)
	return n
}

// join joins or starts the flights of members. It adds a wait for each to waits, and its member to asked, and returns
// those that the batch leads.
func (b *batch) join(ctx context.Context, members []*member, waits []flight.Wait, asked []*member, results []Result, late *atomic.Bool) (_ []flight.Wait, _, led []*member) {
	waits, asked = slices.Grow(waits, len(members)), slices.Grow(asked, len(members))
	for _, e := range members {
		f, leads := b.store.join(ctx, &e.attempt, late)
		switch {
		case f == nil:
			results[e.index] = Result{Closed: true}
			continue
		case leads:
			e.m = of(f)
			led = append(led, e)
			waits = append(waits, flight.NewLead(f))
		default:
			e.joins()
			waits = append(waits, e.wait(f))
		}
		asked = append(asked, e)
	}
	return waits, asked, led
}

// refreshAll recomputes values past their timeouts, unless somebody does that already.
func (c *Store) refreshAll(ctx context.Context, misses []*Miss, members []*member, compute ComputeMany) {
	late := new(atomic.Bool)
	var started []*member
	for _, e := range members {
		miss := misses[e.index]
		if f := c.flights.Refresh(ctx, e.key.stored, flight.Check(e.key.check), miss.newRefresh(late)); f != nil {
			e.m = of(f)
			started = append(started, e)
			defer f.LeaveAfter(miss.found.entry.Left(c.now()))()
		}
	}
	if len(started) > 0 {
		b := &batch{store: c, caller: ctx, compute: compute}
		c.flights.GoAll(ctx, flightsOf(started), func(steps context.Context) { b.resolve(steps, started, 0) })
	}
}

// ForceMany is Force for several keys. Where some are one, they are forced one after the other: at once, each
// would keep the other's result from being stored. It does not retain keys, which may share memory.
func (c *Store) ForceMany(ctx context.Context, keys []Key, task *Task, compute ComputeMany) []Result {
	record := recordOf(ctx, task)
	record.Restart()
	record.NoteKeys(len(keys), steer.Forced, nil)
	left := make([]int, len(keys))
	for i := range left {
		left[i] = i
	}
	results := make([]Result, len(keys))
	for len(left) > 0 {
		var now []int
		now, left = splitDuplicates(keys, left)
		c.forceAll(ctx, keys, now, task, results, compute)
	}
	return results
}

// forceAll is ForceMany for those of keys with these indices, which differ.
func (c *Store) forceAll(ctx context.Context, keys []Key, indices []int, task *Task, results []Result, compute ComputeMany) {
	if err := ctx.Err(); err != nil {
		for _, i := range indices {
			results[i] = Result{Err: err}
		}
		return
	}
	late := new(atomic.Bool)
	left := make(chan struct{})
	defer close(left)
	b := &batch{store: c, caller: ctx, left: left, compute: compute, patience: c.patience(ctx, task)}
	var members []*member
	var waits []flight.Wait
	for _, i := range indices {
		key := keys[i].clone()
		f := c.flights.Replace(ctx, key.stored, flight.Check(key.check), func() *flight.Flight { return &c.computationFor(&key, task, late).Flight })
		if f == nil {
			results[i] = Result{Closed: true}
			continue
		}
		members = append(members, &member{attempt: attempt{key: &key, task: task, found: &found{}}, index: i, m: of(f)})
		waits = append(waits, flight.NewLead(f))
	}
	if len(waits) == 0 {
		return
	}
	c.flights.WaitAll(ctx, waits, func(steps context.Context) { b.resolve(steps, members, 0) })
	for i, e := range members {
		results[e.index], _ = c.ledTo(ctx, &waits[i])
	}
}

// splitDuplicates parts indices into those of keys that differ, and the others.
func splitDuplicates(keys []Key, indices []int) (differ, others []int) {
	seen := make(map[string]bool, len(indices))
	for _, i := range indices {
		if stored := keys[i].stored; seen[stored] {
			others = append(others, i)
		} else {
			seen[stored] = true
			differ = append(differ, i)
		}
	}
	return differ, others
}

// notes are what the keys of a call that is in a report have come to which had to be computed.
type notes struct {
	record   *steer.Record
	outcomes map[int]steer.Outcome // by index
	err      error                 // the first
}

// newNotes returns the notes for the members of a batch, or nil if the call is in no report.
func newNotes(ctx context.Context, members []*member) *notes {
	if len(members) == 0 {
		return nil
	}
	record := recordOf(ctx, members[0].task)
	if record == nil {
		return nil
	}
	n := &notes{record: record, outcomes: make(map[int]steer.Outcome, len(members))}
	for _, e := range members {
		n.outcomes[e.index] = steer.Miss
	}
	return n
}

// note notes what came of the member, whose wait has ended.
func (n *notes) note(e *member, w *flight.Wait) {
	if n == nil {
		return
	}
	outcome, err := e.outcome(w, e.m != nil)
	n.outcomes[e.index] = outcome
	if n.err == nil {
		n.err = err
	}
}

// write puts the notes into the record.
func (n *notes) write() {
	if n == nil {
		return
	}
	for _, outcome := range n.outcomes {
		n.record.NoteKeys(1, outcome, n.err)
	}
}
