package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils/internal/entry"
)

// Several keys are fetched together: one look for all of them, then each that is missing takes the
// way of a single one, on a goroutine of its own, with its own flight, lease and groups. Only
// where they would compute they wait for each other, and compute together:
//
//	open     each key is on its way; it is decided when it gets to its computation, finds that
//	         another flight or process computes it, or has its result
//	decided  all keys are: those that got to their computation run it once, for all of them, on
//	         the goroutine of one of them
//
// A key that gets to its computation later, since whoever computed it gave up, computes alone.
// At most maxAtOnce keys at a time ask the engine for something.

// maxAtOnce bounds how many keys of one FetchMany use the engine at the same time, so that a long
// list doesn't have to wait for connections beyond its timeout.
const maxAtOnce = 32

// ComputeMany computes the values for the keys with these indices, and returns one result for
// each, in their order.
type ComputeMany func(ctx context.Context, missing []int) []Result

// Absent is the value of a key of which a computation has found that there is nothing.
var Absent any = new(struct{ absent byte })

// LookMany is Look for several keys, which differ: it looks for all of them in one round trip to
// each server. Each key's fresh value, or Absent, is handed to hit, in the order of keys; the misses are
// returned by index, or nil if there are none. A value that has to be decoded is decoded into
// box(i), which points at a zero of the task's type that nobody else has. Nothing of keys is kept.
func (c *Store) LookMany(ctx context.Context, keys []Key, task *Task, box func(i int) any, hit func(i int, value any)) (misses []*Miss) {
	started := c.flights.now()
	missed := func(i int, miss *Miss) {
		if misses == nil {
			misses = make([]*Miss, len(keys))
		}
		misses[i] = miss
	}
	if c.live {
		for i := range keys {
			if value, miss := c.look(ctx, &keys[i], task, started); miss == nil {
				hit(i, value)
			} else {
				missed(i, miss)
			}
		}
		return misses
	}
	looking, done := c.hurry(ctx, task)
	q := newQuery()
	defer q.free()
	for i := range keys {
		q.add(c, &keys[i])
	}
	err := q.run(looking, c)
	done(err)
	hits := uint64(0)
	for i := range keys {
		var f found
		failed := q.evaluate(ctx, c, &f, &keys[i], i, err)
		var into any
		if failed == nil && f.state == entry.Fresh {
			into = box(i)
		}
		if value := c.hit(&f, failed, &keys[i], task, into); value != nil {
			hits++
			hit(i, value)
		} else {
			missed(i, c.missed(f, failed, &keys[i], task, started))
		}
	}
	task.Stats.Hits.Add(hits)
	return misses
}

// Cached is the end of FetchCached for what Look has found instead: it returns the value past its
// timeout, or the one, or Absent, that was about to be stored, or nil, and why the cache could not
// be asked or its entry not be read, or nil.
func (m *Miss) Cached(ctx context.Context) (value any, err error) {
	if m.err == nil && m.finding.state == entry.Leased && m.cache.flights.later != nil {
		f, err := m.cache.readStored(ctx, m.key)
		value, again := m.cache.found(&f, err, &m.key, m.task, m.started)
		if again == nil {
			return value, nil
		}
		m = again
	}
	if m.old != nil {
		m.task.Stats.Hits.Add(1)
		return m.old, nil
	}
	m.task.Stats.Misses.Add(1)
	if m.err != nil {
		return nil, m.err
	}
	return nil, m.finding.err
}

// FetchMisses is Miss.Fetch for those of misses that aren't nil, which LookMany has returned. It
// fills in their results, by index; compute runs once for all that nobody else computes, and in the background
// once for all that are past their timeout.
func (c *Store) FetchMisses(ctx context.Context, misses []*Miss, results []Result, compute ComputeMany) {
	var missing, old []int
	for i, m := range misses {
		switch {
		case m == nil:
		case m.isStale() && !c.closed.Load():
			var refresh bool
			if results[i], refresh = m.stale(); refresh {
				old = append(old, i)
			}
		default:
			missing = append(missing, i)
		}
	}
	if len(old) > 0 {
		go c.together(unending(ctx), old, compute, func(ctx context.Context, i int, compute func(context.Context) Result) {
			m := misses[i]
			if fl := c.flights.first(ctx, &m.key, m.task); fl != nil {
				m.refresh(ctx, fl, compute)
			}
		})
	}
	c.together(ctx, missing, compute, func(ctx context.Context, i int, compute func(context.Context) Result) {
		results[i] = misses[i].Fetch(ctx, compute)
	})
}

// ForceMany is Force for several keys. Where some are one, they are forced one after the other: at once, each
// would keep the other's result from being stored. Keys that share memory are not kept.
func (c *Store) ForceMany(ctx context.Context, keys []Key, task *Task, compute ComputeMany) []Result {
	left := make([]int, len(keys))
	for i := range left {
		left[i] = i
	}
	results := make([]Result, len(keys))
	for len(left) > 0 {
		var now []int
		now, left = apart(keys, left)
		c.together(ctx, now, compute, func(ctx context.Context, i int, compute func(context.Context) Result) {
			results[i] = c.Force(ctx, keys[i].clone(), task, compute)
		})
	}
	return results
}

// apart parts indices into those of keys that differ, and the others.
func apart(keys []Key, indices []int) (differ, others []int) {
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

// PutMany is Put for several keys, as DeleteMany. Keys that share memory are not kept.
func (c *Store) PutMany(ctx context.Context, keys []Key, task *Task, value func(i int) (value any, timeout time.Duration)) error {
	errs := make([]error, len(keys))
	each(len(keys), func(i int) {
		v, timeout := value(i)
		errs[i] = c.Put(ctx, keys[i].clone(), task, v, timeout)
	})
	return errors.Join(errs...)
}

// each runs f for 0 to n-1, maxAtOnce at a time. It panics, or ends its goroutine, as one of them did.
func each(n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	var ends endings
	for range min(n, maxAtOnce) {
		all.Go(func() {
			ends.catch(func() {
				for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
					f(int(i))
				}
			})
		})
	}
	all.Wait()
	ends.rethrow()
}

// together runs fetch for each of the indices at once, with a computation that they share. It
// panics, or ends its goroutine, as one of them did.
func (c *Store) together(ctx context.Context, indices []int, compute ComputeMany, fetch func(ctx context.Context, i int, compute func(context.Context) Result)) {
	if len(indices) == 0 {
		return
	}
	if fl := callersFlight(ctx); fl != nil { // the goroutines don't tell
		ctx = context.WithValue(ctx, flightKey{}, fl)
	}
	b := &batch{ctx: ctx, compute: compute, undecided: len(indices), engine: make(chan struct{}, maxAtOnce)}
	var ends endings
	for _, i := range indices {
		s := &seat{batch: b, index: i, called: make(chan []*seat, 1), done: make(chan struct{})}
		select {
		case b.engine <- struct{}{}:
			s.uses = true
		case <-ctx.Done(): // which it finds out
		}
		b.callers.Go(func() {
			defer s.decide()
			ends.catch(func() { fetch(context.WithValue(ctx, seatKey{}, s), i, s.run) })
		})
	}
	b.callers.Wait()
	ends.rethrow()
}

// A batch is a computation for several keys.
type batch struct {
	ctx     context.Context // of the caller
	callers sync.WaitGroup  // has the caller's goroutines, one for each key
	compute ComputeMany
	engine  chan struct{} // a token for each key that uses the engine

	late atomic.Bool // the engine didn't answer one of them in time: the others don't ask it

	mu        sync.Mutex
	undecided int
	seated    []*seat // those that got to their computation while others were undecided
}

// A seat is one key in a batch.
type seat struct {
	batch     *batch
	index     int
	decided   sync.Once
	isDecided atomic.Bool // and has given back the token that it was given first
	uses      bool        // it has a token until it is decided
	cut       bool        // the computation's context had ended before it returned; written before done is closed
	taken     atomic.Bool // by the flight that gets to the computation first: its caller may have been on two

	flight *flight         // that computes it
	ctx    context.Context // of the flight

	called chan []*seat  // gets all seats of the computation, at the one that runs it
	done   chan struct{} // closed when the result is there
	result Result
	ending ending
}

type seatKey struct{}

// seatOf returns the seat of a caller who is one of several, or nil.
func seatOf(ctx context.Context) *seat {
	s, _ := ctx.Value(seatKey{}).(*seat)
	return s
}

// decided is for whoever is about to wait for others than the batch.
func decided(ctx context.Context) { seatOf(ctx).decide() }

// wasLate notes that the engine has not answered in time.
func (s *seat) wasLate() {
	if s != nil {
		s.batch.late.Store(true)
	}
}

// isLate reports whether the engine has not answered one of the batch in time.
func (s *seat) isLate() bool { return s != nil && s.batch.late.Load() }

// decide notes, once, that the batch needn't wait for the key any more. When nobody is left to wait
// for, the first of those who are seated is called to compute. Of no seat it does nothing.
func (s *seat) decide() {
	if s == nil {
		return
	}
	s.decided.Do(func() {
		b := s.batch
		if s.uses {
			<-b.engine
		}
		s.isDecided.Store(true)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.undecided--
		if b.undecided == 0 && len(b.seated) > 0 {
			b.seated[0].called <- b.seated
		}
	})
}

// sit takes part in the batch's computation. It returns false if the key was decided before.
func (s *seat) sit() bool {
	sits := false
	s.decided.Do(func() {
		b := s.batch
		if s.uses {
			<-b.engine
		}
		s.isDecided.Store(true)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seated = append(b.seated, s)
		b.undecided--
		if b.undecided == 0 {
			b.seated[0].called <- b.seated
		}
		sits = true
	})
	return sits
}

// run is the computation of one key.
func (s *seat) run(ctx context.Context) Result {
	if !s.taken.CompareAndSwap(false, true) {
		return s.batch.compute(ctx, []int{s.index})[0]
	}
	s.ctx = ctx
	s.flight, _ = ctx.Value(flightKey{}).(*flight)
	if !s.sit() {
		if err := ctx.Err(); err != nil { // all have left, which decided it
			return Result{Err: err}
		}
		return s.batch.compute(ctx, []int{s.index})[0]
	}
	select {
	case seats := <-s.called:
		s.lead(seats)
	case <-s.done:
	}
	s.flight.cut = s.cut
	s.ending.rethrow()
	return s.result
}

// lead runs the computation for all seats, in the order of their keys, on this one's goroutine. Keys that nobody waits
// for any more are left out. The computations of the others wait for this one's, which is noted: one that asks for any
// of them waits for itself.
func (s *seat) lead(seats []*seat) {
	slices.SortFunc(seats, func(a, b *seat) int { return a.index - b.index })
	if s.batch.ctx.Err() != nil {
		s.batch.callers.Wait() // they leave one by one: then it shows for which keys others stay
	}
	var wanted []*seat
	var indices []int
	for _, other := range seats {
		if other.result.Err = other.ctx.Err(); other.result.Err == nil {
			wanted, indices = append(wanted, other), append(indices, other.index)
		}
		if other != s && waits.enter(other.flight, s.flight) {
			defer waits.leave(other.flight, s.flight)
		}
	}
	ctx, done := s.whileAny(wanted)
	defer done()
	var e endings
	defer func() { // also when the function ends the goroutine
		for _, other := range seats {
			if other.ending = e.first; other != s {
				close(other.done)
			}
		}
	}()
	if len(wanted) == 0 {
		return
	}
	began := time.Now()
	e.catch(func() {
		for i, result := range s.batch.compute(ctx, indices) {
			wanted[i].result = result
		}
	})
	cut := ctx.Err() != nil
	for _, other := range wanted {
		other.cut = cut
	}
	if cut || wanted[0].result.Err == nil && e.first == (ending{}) {
		s.flight.task.learns(time.Since(began), cut)
	}
}

// whileAny returns a context with the values of the seat's which ends when the contexts of all
// seats have. done is for when the computation has ended.
func (s *seat) whileAny(seats []*seat) (ctx context.Context, done func()) {
	var deadline time.Time // the latest, or none if one of them has none
	for _, other := range seats {
		d, ok := other.ctx.Deadline()
		if !ok {
			deadline = time.Time{}
			break
		}
		if d.After(deadline) {
			deadline = d
		}
	}
	w := newWorking(s.ctx, s.flight, deadline)
	var left atomic.Int64
	left.Store(int64(len(seats)))
	stops := make([]func() bool, len(seats))
	for i, other := range seats {
		stops[i] = context.AfterFunc(withoutFlight(other.ctx), func() {
			if left.Add(-1) == 0 {
				w.cancel(context.Cause(other.ctx))
			}
		})
	}
	return w, func() {
		for _, stop := range stops {
			stop()
		}
		caller := s.batch.ctx
		if caller.Err() != nil {
			caller = nil
		}
		w.landed(caller)
	}
}

// atOnce waits until the flight's key, if it is one of several and decided, may use the engine. The function that
// it returns lets the next. Before it is decided a key may use it anyway.
func (fl *flight) atOnce() (next func()) {
	s := fl.seat
	if s == nil || !s.isDecided.Load() {
		return func() {}
	}
	s.batch.engine <- struct{}{}
	return func() { <-s.batch.engine }
}
