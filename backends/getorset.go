package backends

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// GetOrSet reads the value under key into the variable that into points at. When there is
// none it calls compute, once for all callers in all processes, stores what that returns,
// a nil too, and hands it out. Should somebody have set a value meanwhile, that one stays and is
// handed out. What is deleted meanwhile, or whose group is invalidated, is not stored. An error of compute
// is returned as it is and nothing is stored. That the store fails is logged, not returned: the value is
// there. compute's context, and what is done with its value when all callers have left, are those of
// decorators.Cached without the option Linger.
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
	return c.getOrSet(ctx, key.also(o.groups), into, compute, o.timeout)
}

func (c *Cache) getOrSet(ctx context.Context, key Key, into any, compute func(context.Context) (any, error), timeout time.Duration) error {
	v, err := target("GetOrSet", into)
	if err != nil {
		return err
	}
	if err := c.open(); err != nil {
		return err
	}
	t := codec.Of(v.Type())
	if err := t.Err(); err != nil && !c.holdsLive(t, false) {
		return fmt.Errorf("backends: get or set %q: %w", key.text, err)
	}
	task := &Task{name: "GetOrSet", typ: t, plain: true, Linger: DefaultLinger}
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
	if r.Closed {
		return c.open()
	}
	if r.Err != nil {
		return r.Err
	}
	v.Set(reflect.ValueOf(r.Value).Elem())
	return nil
}
