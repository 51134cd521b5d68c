package backends

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/logging"
)

// Fetch returns the value of the task's type under key: from the cache or, when there is
// none, from compute, which runs once for all callers who ask meanwhile. Value is a pointer
// to a value that others may have too unless the task's type can't be shared; copy it, don't
// change it. No fault of the cache changes what comes out.
//
// compute runs under a context with the values of ctx which ends when every caller who
// waits for it has left. Where ctx can't end it runs on the calling goroutine. When ctx
// ends before there is a result, Err is the context's error and Value is nil. A panic in
// compute panics here and in all who wait, with a *cacheutils.PanicError, and a call of
// runtime.Goexit ends them all. Err is ErrRecursion when the caller is itself part of the
// computation that it asks for.
func (c *Cache) Fetch(ctx context.Context, key Key, task *Task, compute func(context.Context) Result) Result {
	ended := c.flights.ended.Load()
	if value, ok := c.find(ctx, key, task); ok {
		task.Stats.Hits.Add(1)
		return Result{Value: value}
	}
	task.Stats.Misses.Add(1)
	return c.compute(ctx, key, task, compute, ended)
}

// find is lookup for a call that goes on without the cache when that fails.
func (c *Cache) find(ctx context.Context, key Key, task *Task) (value any, ok bool) {
	value, err := c.lookup(ctx, key, task.typ)
	if err == nil {
		return value, true
	}
	if isFault := !errors.Is(err, cacheutils.ErrCacheMiss) || errors.Is(err, cacheutils.ErrUndecodable); isFault && ctx.Err() == nil {
		task.Stats.Errors.Add(1)
		c.fault("look for a result of "+task.name, err)
	}
	return nil, false
}

// Force runs compute, whatever is stored, stores its result and returns it. Once it has
// returned without an error, nobody gets a value from a computation older than this one:
// where the result could not be stored, what was there is deleted.
func (c *Cache) Force(ctx context.Context, key Key, task *Task, compute func(context.Context) Result) Result {
	if err := ctx.Err(); err != nil {
		return Result{Err: err}
	}
	fl, _ := c.flights.join(key, task, true)
	run := func(ctx context.Context) Result {
		task.Stats.Computations.Add(1)
		return compute(ctx)
	}
	r, _ := c.lead(ctx, fl, run, func(stored bool) {
		if !stored {
			c.dropOlder(ctx, key, task)
		}
	})
	return r
}

// dropOlder deletes what is under key, but leaves alone who computes it anew. It takes its
// turn, since an older flight may be storing its result at this moment.
func (c *Cache) dropOlder(ctx context.Context, key Key, task *Task) {
	ctx = context.WithoutCancel(ctx)
	done, err := c.flights.writeBeside(ctx, key)
	if err == nil {
		defer done()
		_, err = c.engine.Delete(ctx, key.stored)
	}
	if err != nil {
		task.Stats.Errors.Add(1)
		c.fault("delete an old result of "+task.name, err)
	}
}

// compute waits for the flight of key or leads one. ended is what flights.ended was before
// the caller looked for key: when flights have ended since, one of them may have stored it.
func (c *Cache) compute(ctx context.Context, key Key, task *Task, compute func(context.Context) Result, ended uint64) Result {
	for {
		if err := ctx.Err(); err != nil {
			return Result{Err: err}
		}
		fl, leads := c.flights.join(key, task, false)
		if leads {
			lookAgain := c.flights.ended.Load() != ended
			r, _ := c.lead(ctx, fl, func(ctx context.Context) Result {
				if lookAgain {
					if value, ok := c.find(ctx, key, task); ok {
						return Result{Value: value, Discard: true, cached: true}
					}
				}
				task.Stats.Computations.Add(1)
				return compute(ctx)
			}, nil)
			return r
		}
		task.Stats.Joins.Add(1)
		if r, ok := c.wait(ctx, fl); ok {
			return r
		}
		ended = ^uint64(0) // look again before computing
	}
}

// lead runs the flight and returns its result. settle, if not nil, is called when the
// computation has succeeded, while the flight has not landed yet.
func (c *Cache) lead(ctx context.Context, fl *flight, compute func(context.Context) Result, settle func(stored bool)) (Result, bool) {
	if parent := callersFlight(ctx); parent != nil && waits.enter(parent, fl) {
		defer waits.leave(parent, fl)
	}
	land := func() { c.land(ctx, fl, settle) }
	if ctx.Done() == nil {
		fl.run(ctx, compute, land)
		fl.rethrow()
		return fl.result, true
	}
	computing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fl.cancel = cancel
	go func() {
		defer cancel()
		fl.run(computing, compute, land)
	}()
	return c.await(ctx, fl, true)
}

// wait is for callers who have joined a flight. ok is false when its outcome is not for
// them: they start again.
func (c *Cache) wait(ctx context.Context, fl *flight) (r Result, ok bool) {
	if parent := callersFlight(ctx); parent != nil {
		if !waits.enter(parent, fl) {
			c.flights.leave(fl)
			return Result{Err: fmt.Errorf("%w: %s, key %s", cacheutils.ErrRecursion, fl.task.name, fl.key)}, true
		}
		defer waits.leave(parent, fl)
	}
	return c.await(ctx, fl, false)
}

func (c *Cache) await(ctx context.Context, fl *flight, leads bool) (r Result, ok bool) {
	select {
	case <-fl.landed:
	case <-ctx.Done():
		c.flights.leave(fl)
		return Result{Err: ctx.Err()}, true
	}
	if leads {
		fl.rethrow()
		return fl.result, true
	}
	if fl.result.cached || c.flights.isAbandoned(fl) {
		return Result{}, false
	}
	fl.rethrow()
	return c.share(fl)
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

// land stores what the flight computed, takes it off the table and prepares what those who
// wait for it need.
func (c *Cache) land(ctx context.Context, fl *flight, settle func(stored bool)) {
	succeeded := fl.panic == nil && !fl.exited && fl.result.Err == nil
	if succeeded {
		stored := c.storeResult(context.WithoutCancel(ctx), fl)
		if settle != nil && !c.flights.isAbandoned(fl) {
			settle(stored)
		}
	}
	callers := c.flights.takeOff(fl)
	if callers > 1 && fl.result.Value != nil && fl.payload == nil && !fl.task.shared && !fl.task.typ.Shareable() {
		c.encode(fl)
	}
}

// encode fills in the flight's payload. The callers that don't get a copy compute for
// themselves, so that a failure is logged and goes no further.
func (c *Cache) encode(fl *flight) bool {
	payload, err := fl.task.typ.Append(nil, pointer(fl.result.Value))
	if err != nil {
		fl.task.Stats.Errors.Add(1)
		c.fault("encode a result of "+fl.task.name, err)
		return false
	}
	if payload == nil {
		payload = []byte{}
	}
	fl.payload = payload
	return true
}

// storeResult stores the flight's result unless its key was written since it started.
func (c *Cache) storeResult(ctx context.Context, fl *flight) (stored bool) {
	r := &fl.result
	timeout := r.Timeout
	if timeout == DefaultTimeout {
		timeout = c.timeout
	}
	if r.Discard || timeout <= 0 {
		return false
	}
	item, ok := c.sealResult(fl)
	if !ok {
		return false
	}
	done := c.flights.writeResult(fl)
	if done == nil {
		fl.task.Stats.Refusals.Add(1)
		return false
	}
	defer done()
	var err error
	if fl.task.plain {
		err = c.addResult(ctx, fl, item, timeout)
	} else {
		err = c.store(ctx, fl.key, item, timeout)
	}
	if err != nil {
		fl.task.Stats.Errors.Add(1)
		c.fault("store a result of "+fl.task.name, err)
		return false
	}
	fl.task.Stats.Stores.Add(1)
	c.flights.ended.Add(1)
	return true
}

// sealResult makes the item for the flight's result. A value that can't be encoded is not
// stored, which is logged and goes no further.
func (c *Cache) sealResult(fl *flight) (item engine.Item, ok bool) {
	if fl.task.plain {
		var err error
		t, p := fl.task.typ, fl.result.Value
		if t.Type().Kind() == reflect.Interface { // stored as Set would
			t, p = boxed(reflect.ValueOf(p).Elem().Interface())
		}
		if item, err = c.sealPlain(fl.key, t, p); err != nil {
			c.fault("encode a value for "+fl.key.text, err)
		}
		return item, err == nil
	}
	if !c.holdsLive(fl.task.typ, fl.task.shared) && !c.encode(fl) {
		return item, false
	}
	item, err := c.seal(fl.key, fl.task.typ, fl.result.Value, fl.task.shared, fl.payload)
	if err != nil {
		c.fault("encode a result of "+fl.task.name, err)
	}
	return item, err == nil
}

// addResult stores the item where nothing is, or nothing that can be decoded. If another
// process was first, its value is the flight's result.
func (c *Cache) addResult(ctx context.Context, fl *flight, item engine.Item, timeout time.Duration) error {
	stored, err := c.engine.Add(ctx, fl.key.stored, item, timeout)
	if err != nil {
		return err
	}
	if !stored {
		other, err := c.engine.Get(ctx, fl.key.stored)
		if err != nil {
			return nil // it has gone since: the result is right all the same
		}
		value, err := open(fl.key, fl.task.typ, other)
		if err == nil {
			fl.result.Value, fl.payload = value, nil
			return nil
		}
		item.CAS = other.CAS
		if stored, err = c.engine.CompareAndSwap(ctx, fl.key.stored, item, timeout); err != nil {
			return err
		}
	}
	if stored {
		c.debug(logging.Set, fl.key, item.Cost)
	}
	return nil
}

// FetchCached returns the value of the task's type under key, or an error that matches
// cacheutils.ErrNoCachedValue. It computes nothing.
func (c *Cache) FetchCached(ctx context.Context, key Key, task *Task) (any, error) {
	value, err := c.lookup(ctx, key, task.typ)
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
	item, err := c.seal(key, task.typ, value, task.shared, nil)
	if err != nil {
		return err
	}
	done, err := c.flights.write(ctx, key)
	if err != nil {
		return fmt.Errorf("backends: set %q: %w", key.text, err)
	}
	defer done()
	return c.store(ctx, key, item, timeout)
}

// GetOrSet reads the value under key into the variable that into points at. When there is
// none it calls compute, once for all callers in this process, stores what that returns,
// a nil too, and hands it out. Should another process have stored a value meanwhile, that
// one stays and is handed out. An error of compute is returned as it is and nothing is
// stored. That the store fails is logged, not returned: the value is there.
func (c *Cache) GetOrSet(ctx context.Context, key string, into any, compute func(context.Context) (any, error), opts ...Option) error {
	o := c.operation(opts)
	k, err := c.plainKey(key, o.version)
	if err != nil {
		return err
	}
	return c.getOrSet(ctx, k, into, compute, o.timeout)
}

// GetOrSetKey is GetOrSet for a Key.
func (c *Cache) GetOrSetKey(ctx context.Context, key Key, into any, compute func(context.Context) (any, error), opts ...Option) error {
	return c.getOrSet(ctx, key, into, compute, c.operation(opts).timeout)
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
	task := &Task{name: "GetOrSet", typ: t, plain: true}
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
