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
// caller among all processes computes it anew, and also to that one, if compute fails.
//
// compute runs under a context with the values of ctx which ends when every caller who
// waits for it has left. Where ctx can't end it runs on the calling goroutine. When ctx
// ends before there is a result, Err is the context's error and Value is nil. A panic in
// compute panics here and in all who wait, with a *cacheutils.PanicError, and a call of
// runtime.Goexit ends them all. Err is ErrRecursion when the caller is itself part of the
// computation that it asks for.
func (c *Cache) Fetch(ctx context.Context, key Key, task *Task, compute func(context.Context) Result) Result {
	started := c.flights.now()
	f, err := c.read(ctx, key)
	if err != nil {
		task.Stats.Misses.Add(1)
		if ctx.Err() == nil {
			c.taskFault(task, "look for a result of ", err)
		}
		return c.compute(ctx, key, task, compute, started, nil)
	}
	if f.state == fresh || f.state == stale {
		value, err := f.entry.value(key, task.typ)
		if err == nil && f.state == fresh {
			task.Stats.Hits.Add(1)
			c.debug(logging.Hit, key, 0)
			return Result{Value: value}
		}
		if err == nil {
			return c.refresh(ctx, key, task, compute, f, value)
		}
		f.state, f.err = dead, err
	}
	task.Stats.Misses.Add(1)
	c.debug(logging.Miss, key, 0)
	if f.err != nil {
		c.taskFault(task, "look for a result of ", f.err)
	}
	return c.compute(ctx, key, task, compute, started, &f)
}

// taskFault counts and logs a fault that the task's caller doesn't see.
func (c *Cache) taskFault(task *Task, doing string, err error) {
	task.Stats.Errors.Add(1)
	c.fault(doing+task.name, err)
}

// compute waits for the flight of key or leads one. started is when the caller did, and f what
// it found, or nil when it could not look.
func (c *Cache) compute(ctx context.Context, key Key, task *Task, compute func(context.Context) Result, started uint64, f *finding) Result {
	looked := f != nil
	for {
		if err := ctx.Err(); err != nil {
			return Result{Err: err}
		}
		fl, leads := c.flights.join(key, task, false)
		if leads {
			return c.lead(ctx, fl, func(ctx context.Context) { c.work(ctx, fl, compute, f) })
		}
		task.Stats.Joins.Add(1)
		if r, ok := c.wait(ctx, fl, key, started, looked); ok {
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
			l, ok, err := c.take(ctx, fl.key, *f, false)
			if err != nil {
				c.taskFault(fl.task, "take the lease for ", err)
				c.runWithoutLease(ctx, fl, compute)
				return
			}
			if ok {
				c.runWithLease(ctx, fl, compute, l)
				return
			}
		} else if n > 0 {
			fl.task.Stats.Waits.Add(1)
			if err := sleep(ctx, pollDelay(n-1)); err != nil {
				fl.result, fl.valid = Result{Err: err}, 0
				return
			}
		}
		tick := c.flights.tick()
		next, err := c.read(ctx, fl.key)
		if err != nil {
			c.taskFault(fl.task, "look for a result of ", err)
			c.runWithoutLease(ctx, fl, compute)
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
		f = &next
	}
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
	returned := false
	defer func() {
		if !returned { // a panic, or runtime.Goexit
			c.release(fl, l)
			fl.valid = always
		}
	}()
	fl.valid = c.flights.tick()
	fl.task.Stats.Computations.Add(1)
	fl.result = compute(ctx)
	returned = true
	tick := c.flights.tick()
	if held := c.settle(context.WithoutCancel(ctx), fl, l); held {
		fl.valid = tick
	}
	if fl.result.Err != nil {
		fl.valid = always
	}
}

// settle stores the flight's result, or gives the lease back when it is not to be stored. It
// tells whether the lease was held and the groups had not changed.
func (c *Cache) settle(ctx context.Context, fl *flight, l *lease) (held bool) {
	r := &fl.result
	timeout := r.Timeout
	if timeout == DefaultTimeout {
		timeout = c.timeout
	}
	if r.Err != nil || c.flights.isAbandoned(fl) {
		return c.release(fl, l)
	}
	if r.Discard || timeout <= 0 {
		l.drops = true
		return c.release(fl, l)
	}
	e, ok := c.sealResult(fl)
	if !ok {
		l.drops = true
		return c.release(fl, l)
	}
	e.groups = l.groups
	keep := e.stamp(timeout, c.staleOf(fl.task))
	held, err := l.settle(ctx, &e, keep)
	switch {
	case err != nil:
		c.taskFault(fl.task, "store a result of ", err)
	case held:
		fl.stored = true
		fl.task.Stats.Stores.Add(1)
		c.debug(logging.Set, fl.key, e.cost)
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
	f, err := c.read(ctx, fl.key)
	if err != nil || f.state != fresh {
		return
	}
	if value, err := f.entry.value(fl.key, fl.task.typ); err == nil {
		fl.result.Value, fl.payload = value, nil
	}
}

// sealResult makes the entry for the flight's result. A value that can't be encoded is not
// stored, which is logged and goes no further.
func (c *Cache) sealResult(fl *flight) (e entry, ok bool) {
	t, p := fl.task.typ, fl.result.Value
	var err error
	switch {
	case fl.task.plain && t.Type().Kind() == reflect.Interface: // stored as Set would
		t, p = boxed(reflect.ValueOf(p).Elem().Interface())
		e, err = c.sealPlain(fl.key, t, p)
	case fl.task.plain:
		e, err = c.sealPlain(fl.key, t, p)
	case !c.holdsLive(t, fl.task.shared) && !c.encode(fl):
		return e, false
	default:
		e, err = c.seal(fl.key, t, p, fl.task.shared, fl.payload)
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

// refresh is for a caller who found a stale value: it computes that anew if nobody else does,
// and has the stale one otherwise, or when that fails, or takes longer than ctx.
func (c *Cache) refresh(ctx context.Context, key Key, task *Task, compute func(context.Context) Result, f finding, value any) Result {
	old := Result{Value: value}
	task.Stats.Stale.Add(1)
	c.debug(logging.Stale, key, 0)
	if f.entry.isRefreshed() || ctx.Err() != nil {
		return old
	}
	l, ok, err := c.take(ctx, key, f, false)
	if err != nil {
		c.taskFault(task, "take the lease for ", err)
	}
	if !ok {
		return old
	}
	fl, _ := c.flights.join(key, task, true)
	r := c.lead(ctx, fl, func(ctx context.Context) { c.runRefresh(ctx, fl, compute, l) })
	if r.Err != nil {
		return old
	}
	return r
}

// runRefresh is runWithLease, but that an error or a panic puts the next try off.
func (c *Cache) runRefresh(ctx context.Context, fl *flight, compute func(context.Context) Result, l *lease) {
	c.runWithLease(ctx, fl, func(ctx context.Context) Result {
		returned := false
		defer func() {
			if !returned {
				l.fails = true
			}
		}()
		r := compute(ctx)
		returned = true
		if r.Err != nil && ctx.Err() == nil {
			l.fails = true
			fl.task.Stats.Errors.Add(1)
			c.fault("compute a stale result anew of "+fl.task.name, r.Err)
		}
		return r
	}, l)
}

// Force runs compute, whatever is stored, stores its result and returns it. Once it has
// returned without an error, nobody gets a value from a computation older than this one:
// where the result could not be stored, what was there is deleted.
func (c *Cache) Force(ctx context.Context, key Key, task *Task, compute func(context.Context) Result) Result {
	if err := ctx.Err(); err != nil {
		return Result{Err: err}
	}
	fl, _ := c.flights.join(key, task, true)
	return c.lead(ctx, fl, func(ctx context.Context) { c.runForced(ctx, fl, compute) })
}

// forceTries is how often a lease is fought for before a forced computation runs without.
const forceTries = 10

func (c *Cache) runForced(ctx context.Context, fl *flight, compute func(context.Context) Result) {
	if l := c.steal(ctx, fl); l != nil {
		c.runWithLease(ctx, fl, compute, l)
	} else {
		c.runWithoutLease(ctx, fl, compute)
	}
	if fl.result.Err == nil && !fl.stored && !c.flights.isAbandoned(fl) {
		c.dropOlder(context.WithoutCancel(ctx), fl)
	}
}

// steal takes the lease on the flight's key, over whatever is there, or returns nil.
func (c *Cache) steal(ctx context.Context, fl *flight) *lease {
	if c.discards {
		return nil
	}
	for range forceTries {
		f, err := c.read(ctx, fl.key)
		if err == nil {
			var l *lease
			var ok bool
			if l, ok, err = c.take(ctx, fl.key, f, true); ok {
				return l
			}
		}
		if err != nil {
			c.taskFault(fl.task, "take the lease for ", err)
			return nil
		}
	}
	return nil
}

// dropOlder deletes what is under the flight's key.
func (c *Cache) dropOlder(ctx context.Context, fl *flight) {
	if _, err := c.engine.Delete(ctx, fl.key.stored); err != nil {
		c.taskFault(fl.task, "delete an old result of ", err)
	}
}

// lead runs the flight and returns its result.
func (c *Cache) lead(ctx context.Context, fl *flight, work func(context.Context)) Result {
	if parent := callersFlight(ctx); parent != nil && waits.enter(parent, fl) {
		defer waits.leave(parent, fl)
	}
	land := func() { c.land(fl) }
	if ctx.Done() == nil {
		fl.run(ctx, work, land)
		fl.rethrow()
		return fl.result
	}
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fl.cancel = cancel
	go func() {
		defer cancel()
		fl.run(working, work, land)
	}()
	if !c.await(ctx, fl) {
		return Result{Err: ctx.Err()}
	}
	fl.rethrow()
	return fl.result
}

// wait is for callers who have joined a flight. ok is false when its outcome is not for
// them, see isFor: they start again.
func (c *Cache) wait(ctx context.Context, fl *flight, key Key, started uint64, looked bool) (r Result, ok bool) {
	if parent := callersFlight(ctx); parent != nil {
		if !waits.enter(parent, fl) {
			c.flights.leave(fl)
			return Result{Err: fmt.Errorf("%w: %s, key %s", cacheutils.ErrRecursion, fl.task.name, fl.key)}, true
		}
		defer waits.leave(parent, fl)
	}
	if !c.await(ctx, fl) {
		return Result{Err: ctx.Err()}, true
	}
	if !c.flights.isFor(fl, key, started, looked) {
		return Result{}, false
	}
	fl.rethrow()
	return c.share(fl)
}

// await returns true when the flight has landed, and false when ctx ended before.
func (c *Cache) await(ctx context.Context, fl *flight) bool {
	select {
	case <-fl.landed:
		return true
	case <-ctx.Done():
		c.flights.leave(fl)
		return false
	}
}

// share returns a result that a caller who joined may have. ok is false when there is no way
// to copy it.
func (c *Cache) share(fl *flight) (r Result, ok bool) {
	r = fl.result
	if r.Value == nil || fl.task.shared || fl.task.typ.Shareable() {
		return r, true
	}
	if fl.payload == nil {
		return Result{}, false
	}
	p := reflect.New(fl.task.typ.Type())
	if err := fl.task.typ.Decode(fl.payload, p.UnsafePointer()); err != nil {
		c.fault("copy a result of "+fl.task.name, err)
		return Result{}, false
	}
	r.Value = p.Interface()
	return r, true
}

// land takes the flight off the table and prepares what those who wait for it need.
func (c *Cache) land(fl *flight) {
	callers, last := c.flights.takeOff(fl)
	if callers > 1 && fl.result.Value != nil && fl.payload == nil && !fl.task.shared && !fl.task.typ.Shareable() {
		c.encode(fl)
	}
	if last {
		_ = c.Close() // the flight has opened again what Configure closed
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
	if e.groups, err = c.begun(ctx, key.groups); err != nil {
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

// GetOrSet reads the value under key into the variable that into points at. When there is
// none it calls compute, once for all callers in all processes, stores what that returns,
// a nil too, and hands it out. Should somebody have set a value meanwhile, that one stays and is
// handed out. What is deleted meanwhile, or whose group is invalidated, is not stored. An error of compute is returned as it is and nothing is
// stored. That the store fails is logged, not returned: the value is there.
func (c *Cache) GetOrSet(ctx context.Context, key string, into any, compute func(context.Context) (any, error), opts ...Option) error {
	o := c.operation(opts)
	k, err := c.plainKey(key, o)
	if err != nil {
		return err
	}
	return c.getOrSet(ctx, k, into, compute, o.timeout)
}

// GetOrSetKey is GetOrSet for a Key.
func (c *Cache) GetOrSetKey(ctx context.Context, key Key, into any, compute func(context.Context) (any, error), opts ...Option) error {
	o := c.operation(opts)
	return c.getOrSet(ctx, key.in(o.groups), into, compute, o.timeout)
}

func (c *Cache) getOrSet(ctx context.Context, key Key, into any, compute func(context.Context) (any, error), timeout time.Duration) error {
	v, err := target("GetOrSet", into)
	if err != nil {
		return err
	}
	t := codec.Of(v.Type())
	if err := t.Err(); err != nil && !c.holdsLive(t, false) {
		return fmt.Errorf("backends: get or set %q: %w", key.text, err)
	}
	task := &Task{name: "GetOrSet", typ: t, plain: true, Stale: 0}
	r := c.Fetch(ctx, key, task, func(ctx context.Context) Result {
		value, err := compute(ctx)
		if err != nil {
			return Result{Err: err}
		}
		p := reflect.New(t.Type())
		if value != nil {
			got := reflect.ValueOf(value)
			if !got.Type().AssignableTo(t.Type()) {
				return Result{Err: fmt.Errorf("backends: %w: get or set %q: got a %T for a variable of type %s",
					cacheutils.ErrArguments, key.text, value, t.Type())}
			}
			p.Elem().Set(got)
		}
		return Result{Value: p.Interface(), Timeout: timeout}
	})
	if r.Err != nil {
		return r.Err
	}
	v.Set(reflect.ValueOf(r.Value).Elem())
	return nil
}
