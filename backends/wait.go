package backends

import (
	"context"
	"fmt"
	"reflect"

	"github.com/cacheutils/cacheutils"
)

// lead runs the flight and returns its result.
func (c *Cache) lead(ctx context.Context, fl *flight, work func(context.Context)) Result {
	if parent := callersFlight(ctx); parent != nil && waits.enter(parent, fl) {
		defer waits.leave(parent, fl)
	}
	if ctx.Done() == nil {
		fl.run(ctx, c, work)
		fl.rethrow()
		return fl.result
	}
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	fl.cancel = cancel
	go func() {
		defer cancel()
		fl.run(working, c, work)
	}()
	if !c.await(ctx, fl, 0) {
		return Result{Err: ctx.Err()}
	}
	fl.rethrow()
	return fl.result
}

// wait is for callers who have joined a flight. ok is false when its outcome is not for them, or of no
// use to them: then it has landed, and they start again.
func (c *Cache) wait(ctx context.Context, fl *flight, key *Key, task *Task, started uint64, looked bool) (r Result, ok bool) {
	if parent := callersFlight(ctx); parent != nil {
		if !waits.enter(parent, fl) {
			c.flights.leave(fl)
			return Result{Err: fmt.Errorf("%w: %s, key %s", cacheutils.ErrRecursion, fl.task.name, fl.key)}, true
		}
		defer waits.leave(parent, fl)
	}
	if !c.await(ctx, fl, started) {
		return Result{Err: ctx.Err()}, true
	}
	r, ok = c.outcomeFor(fl, key, task, started, looked)
	if !ok && !c.await(ctx, fl, always) {
		return Result{Err: ctx.Err()}, true
	}
	return r, ok
}

// outcomeFor returns the outcome of fl to a caller who waited for it, see isFor.
func (c *Cache) outcomeFor(fl *flight, key *Key, task *Task, started uint64, looked bool) (r Result, ok bool) {
	if !c.flights.isFor(fl, key, started, looked) {
		return Result{}, false
	}
	fl.rethrow()
	if fl.task.typ != task.typ || fl.result.Absent && !task.Many {
		return Result{}, false // another function's result under the same name
	}
	return c.share(fl)
}

// await returns true when the flight has landed, or has a result for a caller who started at that
// tick, and false when ctx ended before.
func (c *Cache) await(ctx context.Context, fl *flight, started uint64) bool {
	computed, landed := fl.computed, c.flights.lands(fl)
	for {
		select {
		case <-computed:
			if started < fl.began {
				return true
			}
			computed = nil
		case <-landed:
			return true
		case <-ctx.Done():
			c.flights.leave(fl)
			return false
		}
	}
}

// readStored is read for those who expect to find what a call has returned: if that is being stored, they
// wait for it.
func (c *Cache) readStored(ctx context.Context, key Key) (finding, error) {
	if fl := c.flights.storing(key); fl != nil {
		select {
		case <-c.flights.lands(fl):
		case <-ctx.Done():
			return finding{}, ctx.Err()
		}
	}
	return c.read(ctx, key)
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

// land takes the flight off the table, prepares what those who wait for it need, and lets them have it.
func (c *Cache) land(fl *flight) {
	callers := c.flights.takeOff(fl)
	if callers > 1 && fl.result.Value != nil && fl.payload == nil && !fl.task.shared && !fl.task.typ.Shareable() {
		c.encode(fl)
	}
	c.closeAgain()
	c.flights.land(fl)
}

// closeAgain closes a Cache that was replaced and has nothing under way any more: what ended last
// has opened again what Configure closed.
func (c *Cache) closeAgain() {
	if c.flights.deserted() {
		_ = c.closeEngine()
	}
}
