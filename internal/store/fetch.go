package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/flight"
	"github.com/cacheutils/cacheutils/internal/steer"
	"github.com/cacheutils/cacheutils/logging"
)

// Fetch returns the value of the task's type under key: from the cache or, when there is
// none, from compute, which runs once for all callers who ask meanwhile, in this process and,
// while its server can be reached, in all others. Value is a pointer to a value that others
// may have too unless the task's type can't be shared; copy it, don't change it. No fault of
// the cache changes what comes out.
//
// A value past its timeout is returned for the time that the task's Stale says, while one
// process among all recomputes it in the background.
//
// compute runs under a context with the values of ctx which ends when every caller who
// waits for it has left, and the task's Linger is over. Its deadline is that of ctx plus the Linger. Where ctx
// can't end, compute runs on the calling goroutine, under ctx. When ctx ends before compute has
// returned, Err is the context's error and Value is nil; after that the result is returned at once, though it
// is not stored yet. A panic in
// compute panics here and in all who wait, with a *cacheutils.PanicError, and a call of
// runtime.Goexit ends them all. Err is ErrRecursion when the caller is itself part of the
// computation that it asks for.
func (c *Store) Fetch(ctx context.Context, key Key, task *Task, compute func(context.Context) Result) Result {
	value, miss := c.lookupKey(ctx, &key, task, c.flights.Now(), nil)
	if miss == nil {
		return Result{Value: value} // GetOrSet has no Errors
	}
	return miss.Fetch(ctx, compute)
}

// Lookup is the first step of Fetch: it returns the fresh value under the key that KeyOf makes of text and
// groups, as a *Result if an error is stored with it that the task's Errors know, or a Miss, with which to go on. It does not retain text, and a hit on a live value
// allocates nothing.
func (c *Store) Lookup(ctx context.Context, text []byte, groups *Groups, task *Task) (value any, miss *Miss) {
	started := c.flights.Now()
	if groups != nil || !c.isStorable(borrowed(text)) {
		key := c.borrowedKey(text, groups)
		return c.lookupKey(ctx, &key, task, started, nil)
	}
	if c.live && ctx.Err() == nil {
		item, err := c.Engine.Get(ctx, borrowed(text))
		check := hashedCheck(borrowed(text[len(c.prefix):]))
		if value := entry.Unwrap(item.Live, task.typ, check); value != nil && c.sealer.HoldsLive(task.typ, task.shared) {
			task.Stats.Hits.Add(1)
			if logging.Enabled(logging.LevelDebug) {
				c.logHit(text)
			}
			if record := recordOf(ctx, task); record != nil {
				c.noteLive(record, text, item, task)
			}
			return value, nil
		}
		key := c.borrowedKey(text, nil)
		if err == cacheutils.ErrCacheMiss {
			return nil, &Miss{store: c, key: key.clone(), task: task, started: started, found: &nothingFound}
		}
		f := task.lookingFor()
		err = c.evaluateItem(ctx, &f, &key, item, err)
		return c.hitOrMiss(ctx, &f, err, &key, task, started, nil)
	}
	key := c.borrowedKey(text, nil)
	return c.lookupKey(ctx, &key, task, started, nil)
}

// LookupAgain is Lookup for a call whose miss, on a Store that was closed then, was. It is counted once.
func (c *Store) LookupAgain(ctx context.Context, text []byte, groups *Groups, was *Miss) (value any, miss *Miss) {
	key := c.borrowedKey(text, groups)
	return c.lookupKey(ctx, &key, was.task, c.flights.Now(), was)
}

func (c *Store) logHit(text []byte) {
	key := c.borrowedKey(text, nil)
	c.debug(logging.ActionHit, &key, 0)
}

// Renew is Lookup for a caller under Refresh, who takes nothing that is stored: with the Miss it computes, or joins another such
// caller whose function has not begun. It does not retain key, which may share memory. was is the call's miss before,
// on a Store that was closed then, or nil.
func (c *Store) Renew(key Key, task *Task, was *Miss) *Miss {
	m := &Miss{store: c, key: key.clone(), task: task, started: c.flights.Now(), found: &nothingFound, fresh: true}
	return m.after(was)
}

// lookupKey is Lookup for a key, or LookupAgain unless was is nil.
func (c *Store) lookupKey(ctx context.Context, key *Key, task *Task, started uint64, was *Miss) (value any, miss *Miss) {
	f := task.lookingFor()
	looking, done := c.boundLookup(ctx, task, false)
	err := c.lookup(looking, &f, key)
	done(err)
	return c.hitOrMiss(ctx, &f, err, key, task, started, was)
}

// hitOrMiss returns what lookupKey does for what was found, or for the error of a lookup.
func (c *Store) hitOrMiss(ctx context.Context, f *found, err error, key *Key, task *Task, started uint64, was *Miss) (value any, miss *Miss) {
	if value := c.hit(f, err, key, task, nil); value != nil {
		if !was.isCounted() {
			task.Stats.Hits.Add(1)
		}
		c.noteFound(recordOf(ctx, task), key, f, steer.Hit)
		return value, nil
	}
	return nil, c.newMiss(*f, err, key, task, started).after(was)
}

// hit returns the value of what was found if it is fresh, decoded into box unless that is nil; otherwise nil. The caller
// updates the counters.
func (c *Store) hit(f *found, err error, key *Key, task *Task, box any) any {
	if err == nil && f.state == entry.Fresh {
		if value := c.value(f, box, task.typ, task.shared); value != nil {
			c.debug(logging.ActionHit, key, 0)
			return f.result(value)
		}
	}
	if f.negative && task.Many {
		c.debug(logging.ActionHit, key, 0)
		return Negative
	}
	return nil
}

// newMiss returns the miss for what was found, or for the error of a lookup.
func (c *Store) newMiss(f found, err error, key *Key, task *Task, started uint64) *Miss {
	m := &Miss{store: c, key: key.clone(), task: task, started: started, found: &f, err: err}
	if err == nil && (f.state == entry.Fresh || f.state == entry.Stale) {
		m.old = c.value(&f, nil, task.typ, task.shared)
	}
	return m
}

// nothingFound is what is found where there is nothing. It is never changed.
var nothingFound found

// A Miss is a lookup that found no fresh value.
type Miss struct {
	store   *Store
	key     Key
	task    *Task
	started uint64 // the tick of the lookup
	found   *found
	err     error // of the lookup
	old     any   // the stale value that was found
	fresh   bool  // nothing was looked for: what is stored is not for the caller, who is under Refresh

	asked, refreshes bool // see Refreshes, which decides once
	counted, joined  bool // its call counts as a miss, or as stale, and as a join
}

// isCounted reports whether the call of the miss, which may be nil, counts already.
func (m *Miss) isCounted() bool { return m != nil && m.counted }

// after returns the miss with what counts of its call already, of which was is the miss before, or nil.
func (m *Miss) after(was *Miss) *Miss {
	if was != nil {
		m.counted, m.joined = was.counted, was.joined
	}
	return m
}

// count counts the call of the miss, once.
func (m *Miss) count(as *atomic.Uint64) {
	if !m.counted {
		m.counted = true
		as.Add(1)
	}
}

// Fetch is the rest of Store.Fetch.
func (m *Miss) Fetch(ctx context.Context, compute func(context.Context) Result) Result {
	c := m.store
	if c.closed.Load() {
		return Result{Closed: true}
	}
	if m.isStale() {
		old, refresh := m.stale(ctx)
		if refresh {
			if fl := c.flights.Refresh(ctx, m.key.stored, flight.Check(m.key.check), m.newRefresh(nil)); fl != nil {
				go m.refresh(ctx, fl, compute)
			}
		}
		return old
	}
	recordOf(ctx, m.task).Note(m.key.Text(), steer.Miss, 0, nil)
	return c.compute(ctx, m.begin(ctx), compute)
}

// begin counts the miss, and returns the first attempt of its caller to get a value.
func (m *Miss) begin(ctx context.Context) attempt {
	c, f := m.store, m.found
	if m.fresh {
		return m.attempt(f)
	}
	m.count(&m.task.Stats.Misses)
	if m.err != nil {
		if ctx.Err() == nil {
			c.taskFault(m.task, "look up a result of ", m.err)
		}
		return m.attempt(m.unanswered(ctx))
	}
	c.debug(logging.ActionMiss, &m.key, 0)
	if f.err != nil && !errors.Is(f.err, codec.ErrUnknownType) {
		c.valueFault(m.task, "look up a result of ", f.err)
	}
	return m.attempt(f)
}

// unanswered returns what a caller goes on with whose lookup has failed: nothing, so that it does without
// the store, or what has it look up the key again.
func (m *Miss) unanswered(ctx context.Context) *found {
	deadline, ok := ctx.Deadline()
	if !ok || !errors.Is(m.err, context.DeadlineExceeded) || m.store.tires(deadline, m.task) {
		return nil
	}
	return &found{state: entry.Leased}
}

// isStale reports whether the miss is a value past its timeout, which its caller has.
func (m *Miss) isStale() bool {
	return m.err == nil && m.found.state == entry.Stale && !m.task.plain && !m.task.Attached
}

// Refreshes reports whether Fetch may run its computation in the background, after it has returned.
func (m *Miss) Refreshes() bool {
	if !m.asked {
		m.asked, m.refreshes = true, m.isStale() && !m.found.entry.IsRefreshed(m.store.now())
	}
	return m.refreshes
}

// stale returns the value past its timeout, and whether it is to be recomputed.
func (m *Miss) stale(ctx context.Context) (r Result, refresh bool) {
	m.count(&m.task.Stats.Stale)
	m.store.noteFound(recordOf(ctx, m.task), &m.key, m.found, steer.Stale)
	m.store.debug(logging.ActionStale, &m.key, 0)
	return Result{Value: m.old}, m.Refreshes()
}

// attempt returns the first attempt of the miss's caller to get a value, which has found f.
func (m *Miss) attempt(f *found) attempt {
	return attempt{key: &m.key, task: m.task, started: m.started, found: f, fresh: m.fresh, err: m.err, joined: &m.joined}
}

// newRefresh returns what makes a flight that recomputes the miss's value.
func (m *Miss) newRefresh(late *atomic.Bool) func() *flight.Flight {
	return func() *flight.Flight { return &m.store.computationFor(&m.key, m.task, late).Flight }
}

// refresh recomputes a value past its timeout, unless somebody does that already. Its callers have
// the value; the computation counts as waited for until that is gone, when callers wait for it indeed. An error or a
// panic puts the next try off.
func (m *Miss) refresh(ctx context.Context, f *flight.Flight, compute func(context.Context) Result) {
	defer f.LeaveAfter(m.found.entry.Left(m.store.now()))()
	f.Go(ctx, func(ctx context.Context) {
		ok, err := of(f).takeLease(ctx, *m.found)
		if err != nil {
			m.store.taskFault(m.task, "take the lease for ", err)
		}
		if ok { // otherwise the outcome is for nobody
			m.store.runWithLease(ctx, of(f), compute)
		}
	})
}

// FetchCached returns the value of the task's type under key, as Lookup does, or an error that matches
// cacheutils.ErrNoCachedValue. It computes nothing.
func (c *Store) FetchCached(ctx context.Context, key Key, task *Task) (any, error) {
	c.LogRequired(key)
	f := task.lookingFor()
	value, err := c.get(ctx, key, &f, task.shared, true)
	record := recordOf(ctx, task)
	if err != nil {
		if errors.Is(err, cacheutils.ErrCacheMiss) {
			record.Note(key.Text(), steer.Miss, 0, f.err)
		} else {
			record.Note(key.Text(), steer.Fault, 0, err)
		}
		if !errors.Is(err, cacheutils.ErrClosed) { // then it may be asked for again
			task.Stats.Misses.Add(1)
			c.notFound(&key)
		}
		if errors.Is(err, cacheutils.ErrCacheMiss) && !errors.Is(err, cacheutils.ErrUndecodable) {
			return nil, fmt.Errorf("%w: %s, key %s", cacheutils.ErrNoCachedValue, task.name, key.digest())
		}
		return nil, fmt.Errorf("%w: %s, key %s: %w", cacheutils.ErrNoCachedValue, task.name, key.digest(), err)
	}
	task.Stats.Hits.Add(1)
	outcome := steer.Hit
	if f.state == entry.Stale {
		outcome = steer.Stale
	}
	c.noteFound(record, &key, &f, outcome)
	return value, nil
}
