package backends

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
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
// waits for it has left, and the task's Linger is over. Where ctx can't end it runs on the calling goroutine. When ctx
// ends before compute has returned, Err is the context's error and Value is nil. A panic in
// compute panics here and in all who wait, with a *cacheutils.PanicError, and a call of
// runtime.Goexit ends them all. Err is ErrRecursion when the caller is itself part of the
// computation that it asks for.
func (c *Cache) Fetch(ctx context.Context, key Key, task *Task, compute func(context.Context) Result) Result {
	value, miss := c.look(ctx, &key, task, c.flights.now())
	if miss == nil {
		return Result{Value: value}
	}
	return miss.Fetch(ctx, compute)
}

// Look is the first step of Fetch: it returns the fresh value under the key that KeyOf makes of text and
// groups, or a Miss, with which to go on. It keeps nothing of text, and a hit on a live value
// allocates nothing.
func (c *Cache) Look(ctx context.Context, text []byte, groups *Groups, task *Task) (value any, miss *Miss) {
	started := c.flights.now()
	if groups != nil || !c.fits(borrowed(text)) {
		key := c.borrowedKey(text, groups)
		return c.look(ctx, &key, task, started)
	}
	if c.living != nil && ctx.Err() == nil {
		live, there := c.living.GetLive(borrowed(text))
		if value := asItIs(live, task.typ); value != nil {
			task.Stats.Hits.Add(1)
			if logging.Enabled(logging.LevelDebug) {
				c.logHit(text)
			}
			return value, nil
		}
		if !there {
			return nil, &Miss{cache: c, key: c.borrowedKey(text, nil).clone(), task: task, started: started, finding: &nothingThere}
		}
	}
	key := c.borrowedKey(text, nil)
	return c.look(ctx, &key, task, started)
}

// asItIs returns the value of what was stored if it counts whatever the time and the groups are: if
// there is nothing on its label, or only what the engine keeps to.
func asItIs(live any, t *codec.Type) any {
	if e, ok := live.(*expiring); ok {
		live = e.value
	}
	if reflect.TypeOf(live) == t.Pointer() {
		return live
	}
	return nil
}

func (c *Cache) logHit(text []byte) {
	key := c.borrowedKey(text, nil)
	c.debug(logging.Hit, &key, 0)
}

// look is Look for a key.
func (c *Cache) look(ctx context.Context, key *Key, task *Task, started uint64) (value any, miss *Miss) {
	var f finding
	looking, cancel := c.hurry(ctx, task)
	err := c.readInto(looking, &f, key)
	cancel()
	return c.found(&f, err, key, task, started)
}

// hurry returns a context for a look.
func (c *Cache) hurry(ctx context.Context, task *Task) (looking context.Context, cancel context.CancelFunc) {
	if !c.flights.remote {
		return ctx, func() {}
	}
	bound := c.patience(ctx, task)
	if c.timed && bound == c.operationTimeout {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, bound)
}

// patience returns how long a caller waits for the store at most, before it goes on without. Where ctx ends soon, that
// is a part of what is left: a server that hangs must not take the time that the computation needs.
func (c *Cache) patience(ctx context.Context, task *Task) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		if spare, ok := task.spare(time.Until(deadline)); ok {
			return min(c.operationTimeout, max(spare, leastPatience))
		}
	}
	return c.operationTimeout
}

// found returns what Look does for a finding, or for the error of a read.
func (c *Cache) found(f *finding, err error, key *Key, task *Task, started uint64) (value any, miss *Miss) {
	if value := c.hit(f, err, key, task, nil); value != nil {
		task.Stats.Hits.Add(1)
		return value, nil
	}
	return nil, c.missed(*f, err, key, task, started)
}

// hit returns the value of a finding that is fresh, which is decoded into box unless that is nil, or nil.
// Who calls it counts.
func (c *Cache) hit(f *finding, err error, key *Key, task *Task, box any) any {
	if err == nil && f.state == fresh {
		if value, err := f.entry.valueIn(box, key, task.typ); err == nil {
			c.debug(logging.Hit, key, 0)
			return value
		}
	}
	if f.nothing && task.Many {
		c.debug(logging.Hit, key, 0)
		return Absent
	}
	return nil
}

// missed returns the miss for a finding, or for the error of a read.
func (c *Cache) missed(f finding, err error, key *Key, task *Task, started uint64) *Miss {
	m := &Miss{cache: c, key: key.clone(), task: task, started: started, finding: &f, err: err}
	if err == nil && (f.state == fresh || f.state == stale) {
		if m.old, f.err = f.entry.value(key, task.typ); f.err != nil {
			f.state = dead
		}
	}
	return m
}

// nothingThere is what is found where there is nothing, and nobody changes.
var nothingThere finding

// A Miss is a look that found no fresh value.
type Miss struct {
	cache   *Cache
	key     Key
	task    *Task
	started uint64 // the tick of the look
	finding *finding
	err     error // could not look
	old     any   // of a stale finding
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
	if f.state == stale && !m.task.plain {
		return c.refresh(ctx, &m.key, m.task, compute, *f, m.old)
	}
	m.task.Stats.Misses.Add(1)
	c.debug(logging.Miss, &m.key, 0)
	if f.err != nil {
		c.taskFault(m.task, "look for a result of ", f.err)
	}
	return c.compute(ctx, &m.key, m.task, compute, m.started, f)
}

// taskFault counts and logs a fault that the task's caller doesn't see.
func (c *Cache) taskFault(task *Task, doing string, err error) {
	task.Stats.Errors.Add(1)
	c.fault(doing+task.name, err)
}

// unanswered returns what a caller goes on with whose look has failed: nothing, so that it does without
// the store, unless it has no time for that anyway. What it computed would be of no use to anybody.
func (m *Miss) unanswered(ctx context.Context) *finding {
	deadline, ok := ctx.Deadline()
	if !ok || !errors.Is(m.err, context.DeadlineExceeded) {
		return nil
	}
	if _, ok := m.task.spare(time.Until(deadline)); ok {
		return nil
	}
	return &finding{state: leased}
}

// refresh is for a caller who found a stale value, which it has: the value is computed anew in the
// background, unless somebody does that already. The function goes on when the caller has left; it counts
// as waited for until the value is gone, when callers wait for it indeed.
func (c *Cache) refresh(ctx context.Context, key *Key, task *Task, compute func(context.Context) Result, f finding, value any) Result {
	old := Result{Value: value}
	task.Stats.Stale.Add(1)
	c.debug(logging.Stale, key, 0)
	if f.entry.isRefreshed() {
		return old
	}
	fl, hung := c.flights.first(key, task, c.lease)
	if hung != nil {
		c.giveUp(hung)
	}
	if fl == nil {
		return old
	}
	fl.seat = seatOf(ctx)
	fl.seat.lend()
	c.fly(ctx, fl, func(ctx context.Context) {
		defer fl.seat.decide()
		gone := time.AfterFunc(f.entry.left(), func() {
			c.flights.leave(fl, c.lingerOf(task, context.DeadlineExceeded), nil)
		})
		defer gone.Stop()
		c.runRefresh(ctx, fl, compute, f)
	})
	return old
}

// runRefresh takes the lease over the stale value, computes and stores. An error or a panic puts the next
// try off.
func (c *Cache) runRefresh(ctx context.Context, fl *flight, compute func(context.Context) Result, f finding) {
	step, done := c.step(ctx, fl)
	l, ok, err := c.take(step, fl, f, false)
	done()
	if err != nil {
		c.taskFault(fl.task, "take the lease for ", err)
	}
	if ok { // else the outcome is for nobody
		c.runWithLease(ctx, fl, compute, l)
	}
}

// Force runs compute, whatever is stored, stores its result and returns it. Once it has
// returned without an error, nobody gets a value from a computation older than this one:
// where the result could not be stored, what was there is deleted.
func (c *Cache) Force(ctx context.Context, key Key, task *Task, compute func(context.Context) Result) Result {
	if err := ctx.Err(); err != nil {
		return Result{Err: err}
	}
	fl := c.flights.replace(&key, task)
	if fl == nil {
		return Result{Closed: true}
	}
	patience := c.patience(ctx, task)
	r, _ := c.lead(ctx, fl, func(ctx context.Context) { c.runForced(ctx, fl, compute, patience) })
	return r
}

// forceTries is how often a lease is fought for before a forced computation runs without.
const forceTries = 10

func (c *Cache) runForced(ctx context.Context, fl *flight, compute func(context.Context) Result, patience time.Duration) {
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
func (c *Cache) steal(ctx context.Context, fl *flight, patience time.Duration) *lease {
	if c.discards {
		return nil
	}
	step, done := c.step(ctx, fl)
	defer done()
	if c.flights.remote {
		var cancel context.CancelFunc
		step, cancel = context.WithTimeout(step, patience)
		defer cancel()
	}
	for range forceTries {
		f, err := c.read(step, *fl.key)
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
func (c *Cache) dropOlder(ctx context.Context, fl *flight) {
	step, done := c.step(ctx, fl)
	defer done()
	if _, err := c.engine.Delete(step, fl.key.stored); err != nil {
		c.taskFault(fl.task, "delete an old result of ", c.replayDelete(fl.key.stored, err))
	}
}

// FetchCached returns the value of the task's type under key, or an error that matches
// cacheutils.ErrNoCachedValue. It computes nothing.
func (c *Cache) FetchCached(ctx context.Context, key Key, task *Task) (any, error) {
	value, err := c.lookup(ctx, key, task.typ, true)
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
func (c *Cache) Put(ctx context.Context, key Key, task *Task, value any, timeout time.Duration) error {
	if timeout == DefaultTimeout {
		timeout = c.timeout
	}
	e, err := c.seal(key, task.typ, value, task.shared, nil)
	if err != nil {
		return err
	}
	if e.groups, err = c.begunBounded(ctx, key.groups); err != nil {
		return fmt.Errorf("backends: set %q: %w", key.text, err)
	}
	return c.store(ctx, key, &e, timeout, c.staleOf(task))
}

// staleOf returns how long the task's values may be served past their timeout.
func (c *Cache) staleOf(task *Task) time.Duration {
	if task.Stale == DefaultStale {
		return c.stale
	}
	return max(task.Stale, 0)
}
