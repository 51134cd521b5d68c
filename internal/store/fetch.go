package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/logging"
)

// Fetch returns the value of the task's type under key: from the cache or, when there is
// none, from compute, which runs once for all callers who ask meanwhile, in this process and,
// while its server can be reached, in all others. Value is a pointer to a value that others
// may have too unless the task's type can't be shared; copy it, don't change it. No fault of
// the cache changes what comes out.
//
// A value past its timeout is returned for the time that the task's Stale says, while one
// process among all computes it anew in the background.
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
	value, miss := c.look(ctx, &key, task, c.flights.now())
	if miss == nil {
		return Result{Value: value}
	}
	return miss.Fetch(ctx, compute)
}

// Look is the first step of Fetch: it returns the fresh value under the key that KeyOf makes of text and
// groups, or a Miss, with which to go on. It keeps nothing of text, and a hit on a live value
// allocates nothing.
func (c *Store) Look(ctx context.Context, text []byte, groups *Groups, task *Task) (value any, miss *Miss) {
	started := c.flights.now()
	if groups != nil || !c.fits(borrowed(text)) {
		key := c.borrowedKey(text, groups)
		return c.look(ctx, &key, task, started)
	}
	if c.live && ctx.Err() == nil {
		item, err := c.Engine.Get(ctx, borrowed(text))
		if value := entry.Unwrap(item.Live, task.typ); value != nil {
			task.Stats.Hits.Add(1)
			if logging.Enabled(logging.LevelDebug) {
				c.logHit(text)
			}
			return value, nil
		}
		key := c.borrowedKey(text, nil)
		if err == cacheutils.ErrCacheMiss {
			return nil, &Miss{cache: c, key: key.clone(), task: task, started: started, finding: &nothingThere}
		}
		var f found
		err = c.evaluateItem(ctx, &f, &key, item, err)
		return c.found(&f, err, &key, task, started)
	}
	key := c.borrowedKey(text, nil)
	return c.look(ctx, &key, task, started)
}

func (c *Store) logHit(text []byte) {
	key := c.borrowedKey(text, nil)
	c.debug(logging.Hit, &key, 0)
}

// look is Look for a key.
func (c *Store) look(ctx context.Context, key *Key, task *Task, started uint64) (value any, miss *Miss) {
	var f found
	looking, done := c.hurry(ctx, task)
	err := c.lookup(looking, &f, key)
	done(err)
	return c.found(&f, err, key, task, started)
}

// hurry returns a context for a look, and what ends it, which is told how the look ended.
func (c *Store) hurry(ctx context.Context, task *Task) (looking context.Context, done func(error)) {
	if !c.flights.remote {
		return ctx, func(error) {}
	}
	bound := c.patience(ctx, task)
	if c.timed && bound == c.OperationTimeout {
		return ctx, c.answers
	}
	looking, cancel := context.WithTimeout(ctx, bound)
	return looking, func(err error) {
		cancel()
		c.answers(err)
	}
}

// answers notes that the store has answered, if err is nil.
func (c *Store) answers(err error) {
	if err == nil {
		c.answered.Store(int64(time.Since(epoch)))
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

// found returns what Look does for a finding, or for the error of a read.
func (c *Store) found(f *found, err error, key *Key, task *Task, started uint64) (value any, miss *Miss) {
	if value := c.hit(f, err, key, task, nil); value != nil {
		task.Stats.Hits.Add(1)
		return value, nil
	}
	return nil, c.missed(*f, err, key, task, started)
}

// hit returns the value of a finding that is fresh, which is decoded into box unless that is nil, or nil.
// Who calls it counts.
func (c *Store) hit(f *found, err error, key *Key, task *Task, box any) any {
	if err == nil && f.state == entry.Fresh {
		if value, err := f.entry.ValueIn(box, task.typ); err == nil {
			c.debug(logging.Hit, key, 0)
			return value
		}
	}
	if f.negative && task.Many {
		c.debug(logging.Hit, key, 0)
		return Absent
	}
	return nil
}

// missed returns the miss for a finding, or for the error of a read.
func (c *Store) missed(f found, err error, key *Key, task *Task, started uint64) *Miss {
	m := &Miss{cache: c, key: key.clone(), task: task, started: started, finding: &f, err: err}
	if err == nil && (f.state == entry.Fresh || f.state == entry.Stale) {
		if m.old, f.err = f.entry.Value(task.typ); f.err != nil {
			f.state = entry.Dead
		}
	}
	return m
}

// nothingThere is what is found where there is nothing, and nobody changes.
var nothingThere found

// A Miss is a look that found no fresh value.
type Miss struct {
	cache   *Store
	key     Key
	task    *Task
	started uint64 // the tick of the look
	finding *found
	err     error // could not look
	old     any   // of a stale finding

	asked, refreshes bool // see Refreshes, which decides once
}

// Fetch is the rest of Cache.Fetch.
func (m *Miss) Fetch(ctx context.Context, compute func(context.Context) Result) Result {
	c, f := m.cache, m.finding
	if c.closed.Load() {
		return Result{Closed: true}
	}
	if m.err != nil {
		m.task.Stats.Misses.Add(1)
		if ctx.Err() == nil {
			c.taskFault(m.task, "look for a result of ", m.err)
		}
		return c.compute(ctx, &m.key, m.task, compute, m.started, m.unanswered(ctx))
	}
	if m.isStale() {
		old, refresh := m.stale()
		if refresh {
			if fl := c.flights.first(ctx, &m.key, m.task); fl != nil {
				go m.refresh(ctx, fl, compute)
			}
		}
		return old
	}
	m.task.Stats.Misses.Add(1)
	c.debug(logging.Miss, &m.key, 0)
	if f.err != nil {
		c.taskFault(m.task, "look for a result of ", f.err)
	}
	return c.compute(ctx, &m.key, m.task, compute, m.started, f)
}

// taskFault counts and logs a fault that the task's caller doesn't see.
func (c *Store) taskFault(task *Task, doing string, err error) {
	task.Stats.Errors.Add(1)
	c.fault(doing+task.name, err)
}

// unanswered returns what a caller goes on with whose look has failed: nothing, so that it does without
// the store, or what has it look again.
func (m *Miss) unanswered(ctx context.Context) *found {
	deadline, ok := ctx.Deadline()
	if !ok || !errors.Is(m.err, context.DeadlineExceeded) || m.cache.tires(deadline, m.task) {
		return nil
	}
	return &found{state: entry.Leased}
}

// isStale reports whether the miss is a value past its timeout, which its caller has.
func (m *Miss) isStale() bool { return m.err == nil && m.finding.state == entry.Stale && !m.task.plain }

// Refreshes reports whether Fetch may run its computation in the background, after it has returned.
func (m *Miss) Refreshes() bool {
	if !m.asked {
		m.asked, m.refreshes = true, m.isStale() && !m.finding.entry.IsRefreshed(time.Now())
	}
	return m.refreshes
}

// stale returns the value past its timeout, and whether it is to be computed anew.
func (m *Miss) stale() (r Result, refresh bool) {
	m.task.Stats.Stale.Add(1)
	m.cache.debug(logging.Stale, &m.key, 0)
	return Result{Value: m.old}, m.Refreshes()
}

// refresh computes a value past its timeout anew, unless somebody does that already. Its callers have
// the value; the computation counts as waited for until that is gone, when callers wait for it indeed.
func (m *Miss) refresh(ctx context.Context, fl *flight, compute func(context.Context) Result) {
	c := m.cache
	fl.seat = seatOf(ctx)
	w := c.under(ctx, fl)
	defer func() { w.landed(c.flights.waiting(fl)) }()
	gone := time.AfterFunc(m.finding.entry.Left(time.Now()), func() {
		c.flights.leave(fl, false, c.lingerOf(m.task, context.DeadlineExceeded), nil)
	})
	defer gone.Stop()
	fl.run(w, c, func(ctx context.Context) { c.runRefresh(ctx, fl, compute, *m.finding) })
}

// runRefresh takes the lease over the stale value, computes and stores. An error or a panic puts the next
// try off.
func (c *Store) runRefresh(ctx context.Context, fl *flight, compute func(context.Context) Result, f found) {
	step, done := c.step(ctx, fl)
	l, ok, err := c.take(step, fl, f, false)
	done(err)
	if err != nil {
		c.taskFault(fl.task, "take the lease for ", err)
	}
	if ok { // else the outcome is for nobody
		c.runWithLease(ctx, fl, compute, l)
	}
}

// Force runs compute, whatever is stored, stores its result and returns it. Once it has
// returned without an error, nobody gets a value from a computation older than this one:
// where the result could not be stored, what was there is deleted. That is not so when the server
// can't be reached. When ctx ends before the result is stored, Err is the context's error.
func (c *Store) Force(ctx context.Context, key Key, task *Task, compute func(context.Context) Result) Result {
	if err := ctx.Err(); err != nil {
		return Result{Err: err}
	}
	fl := c.flights.replace(ctx, &key, task)
	if fl == nil {
		return Result{Closed: true}
	}
	patience := c.patience(ctx, task)
	r, _ := c.lead(ctx, fl, func(ctx context.Context) { c.runForced(ctx, fl, compute, patience) })
	return r
}

// forceTries is how often a lease is fought for before a forced computation runs without.
const forceTries = 10

func (c *Store) runForced(ctx context.Context, fl *flight, compute func(context.Context) Result, patience time.Duration) {
	if l := c.steal(ctx, fl, patience); l != nil {
		c.runWithLease(ctx, fl, compute, l)
	} else if ctx.Err() != nil {
		fl.leaveEmpty(ctx)
	} else {
		c.runWithoutLease(ctx, fl, compute)
	}
	if !fl.failed() && !fl.stored {
		c.dropOlder(unending(ctx), fl)
	}
}

// steal takes the lease on the flight's key, over whatever is there, or returns nil.
func (c *Store) steal(ctx context.Context, fl *flight, patience time.Duration) *lease {
	if c.discards {
		return nil
	}
	step, done := c.step(ctx, fl)
	var err error
	defer func() { done(err) }()
	if c.flights.remote {
		var cancel context.CancelFunc
		step, cancel = context.WithTimeout(step, patience)
		defer cancel()
	}
	for range forceTries {
		var f found
		err = c.lookup(step, &f, fl.key)
		if err == nil {
			var l *lease
			var ok bool
			if l, ok, err = c.take(step, fl, f, true); ok {
				return l
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				c.taskFault(fl.task, "take the lease for ", err)
			}
			return nil
		}
	}
	return nil
}

// dropOlder deletes what is under the flight's key.
func (c *Store) dropOlder(ctx context.Context, fl *flight) {
	step, done := c.step(ctx, fl)
	_, err := c.Engine.Delete(step, fl.key.stored)
	done(err)
	if err != nil {
		c.taskFault(fl.task, "delete an old result of ", c.replayDelete(fl.key.stored, err))
	}
}

// FetchCached returns the value of the task's type under key, or an error that matches
// cacheutils.ErrNoCachedValue. It computes nothing.
func (c *Store) FetchCached(ctx context.Context, key Key, task *Task) (any, error) {
	value, err := c.value(ctx, key, task.typ, true)
	if err != nil {
		task.Stats.Misses.Add(1)
		if errors.Is(err, cacheutils.ErrCacheMiss) && !errors.Is(err, cacheutils.ErrUndecodable) {
			return nil, fmt.Errorf("%w: %s, key %s", cacheutils.ErrNoCachedValue, task.name, key)
		}
		return nil, fmt.Errorf("%w: %s, key %s: %w", cacheutils.ErrNoCachedValue, task.name, key, err)
	}
	task.Stats.Hits.Add(1)
	return value, nil
}

// Put stores the value of the task's type that value points at, which nobody changes later.
func (c *Store) Put(ctx context.Context, key Key, task *Task, value any, timeout time.Duration) error {
	timeout = c.timeoutOf(timeout)
	e, err := c.sealer.Seal(key.check, task.typ, value, task.shared, nil)
	if err != nil {
		return fmt.Errorf("backends: set %q: %w", key.text, err)
	}
	if timeout > 0 {
		if e.Groups, err = c.begunBounded(ctx, key.groups); err != nil {
			return fmt.Errorf("backends: set %q: %w", key.text, err)
		}
	}
	return c.store(ctx, key, &e, timeout, c.staleOf(task))
}

// staleOf returns how long the task's values may be served past their timeout.
func (c *Store) staleOf(task *Task) time.Duration {
	if task.Stale == DefaultStale {
		return c.Stale
	}
	return max(task.Stale, 0)
}
