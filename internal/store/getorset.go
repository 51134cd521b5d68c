package store

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/steer"
)

// GetOrSet reads the value under key into the variable that into points at. When there is
// none it calls compute, once for all callers in all processes, and stores what that returns for timeout, or
// the store's own for DefaultTimeout. Under Bypass it does no more than to call compute; under Refresh it calls compute
// whatever is stored.
func (c *Store) GetOrSet(ctx context.Context, key Key, into any, compute func(context.Context) (any, error), timeout time.Duration) error {
	key.quoted = false // what goes wrong is logged
	v, err := target("GetOrSet", into)
	if err != nil {
		return err
	}
	if err := c.Closed(); err != nil {
		return err
	}
	t := codec.Of(v.Type())
	if err := t.Err(); err != nil && !c.sealer.HoldsLive(t, false) {
		return errtext.Wrap(err, "get or set %s", key.String())
	}
	task := &Task{name: "GetOrSet", typ: t, plain: true, Linger: DefaultLinger}
	r := c.inMode(ctx, key, task, func(ctx context.Context) Result {
		value, err := compute(ctx)
		if err != nil {
			return Result{Err: err}
		}
		p := reflect.New(t.Type())
		if value != nil {
			got := reflect.ValueOf(value)
			if !got.Type().AssignableTo(t.Type()) {
				return Result{Err: fmt.Errorf("%w: get or set %s: got a %T for a variable of type %s",
					cacheutils.ErrArguments, key.String(), value, t.Type())}
			}
			p.Elem().Set(got)
		}
		return Result{Value: p.Interface(), Timeout: timeout}
	})
	if r.Closed {
		return c.Closed()
	}
	if r.Err != nil {
		return r.Err
	}
	v.Set(reflect.ValueOf(r.Value).Elem())
	return nil
}

// inMode is Fetch for a caller whose context may say Bypass or Refresh.
func (c *Store) inMode(ctx context.Context, key Key, task *Task, compute func(context.Context) Result) (r Result) {
	switch steer.ModeOf(Steering(ctx)) {
	case steer.Bypassed:
		Compute(ctx, func() { r = compute(ctx) })
		return r
	case steer.Refreshed:
		return c.Renew(key, task, nil).Fetch(Steered(ctx), compute)
	default:
		return c.Fetch(ctx, key, task, compute)
	}
}
