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
	if !c.await(ctx, fl) {
		return Result{Err: ctx.Err()}
	}
	fl.rethrow()
	return fl.result
}

// wait is for callers who have joined a flight. ok is false when its outcome is not for
// them, see isFor, or of no use to them: they start again.
func (c *Cache) wait(ctx context.Context, fl *flight, key Key, task *Task, started uint64, looked bool) (r Result, ok bool) {
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
	if fl.task.typ != task.typ || fl.result.Absent && !task.Many {
		return Result{}, false // another function's result under the same name
	}
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
	callers := c.flights.takeOff(fl)
	if callers > 1 && fl.result.Value != nil && fl.payload == nil && !fl.task.shared && !fl.task.typ.Shareable() {
		c.encode(fl)
	}
	c.closeAgain()
}

// closeAgain closes a Cache that was replaced and has nothing under way any more: what ended last
// has opened again what Configure closed.
func (c *Cache) closeAgain() {
	if c.flights.deserted() {
		_ = c.closeEngine()
	}
}
