package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// Incr adds delta, which may be negative, to the number under key and returns the sum.
func (c *Store) Incr(ctx context.Context, key Key, delta int64) (int64, error) {
	ctx, done, err := c.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	var n int64
	if len(key.groups) == 0 {
		n, err = c.Engine.Incr(ctx, key.stored, delta)
	}
	if len(key.groups) > 0 || errors.Is(err, cacheutils.ErrNotNumber) {
		n, err = c.incrFrame(ctx, key, delta)
	}
	if err != nil {
		return 0, fmt.Errorf("backends: increment %q: %w", key.text, err)
	}
	return n, nil
}

// incrFrame is Incr for numbers with a label.
func (c *Store) incrFrame(ctx context.Context, key Key, delta int64) (sum int64, err error) {
	had, err := c.change(ctx, key, func(e *entry) (time.Duration, error) {
		if e.isPlainNumber() {
			return 0, cacheutils.ErrNotNumber
		}
		var number any
		if err := e.valueInto(codec.Of(reflect.TypeFor[any]()), reflect.ValueOf(&number)); err != nil {
			return 0, fmt.Errorf("%w: %w", cacheutils.ErrNotNumber, err)
		}
		t, p := boxed(number)
		if integers[t.Type().Kind()] != t.Type() {
			return 0, fmt.Errorf("%w: it is a %s", cacheutils.ErrNotNumber, t.Type())
		}
		if sum, err = increase(reflect.ValueOf(p).Elem(), delta); err != nil {
			return 0, err
		}
		sealed, err := c.seal(key, t, p, false, nil)
		if err != nil {
			return 0, err
		}
		sealed.label, sealed.cas = e.label, e.cas
		*e = sealed
		return e.left(), nil
	}, false)
	if err == nil && !had {
		err = cacheutils.ErrCacheMiss
	}
	return sum, err
}

// increase adds delta to v, an integer, if that can hold the sum and so can an int64.
func increase(v reflect.Value, delta int64) (sum int64, err error) {
	overflow := fmt.Errorf("%w: the sum is more than %s can hold", cacheutils.ErrNotNumber, v.Type())
	if v.CanInt() {
		sum = v.Int() + delta
		if (sum > v.Int()) != (delta > 0) && delta != 0 || v.OverflowInt(sum) {
			return 0, overflow
		}
		v.SetInt(sum)
		return sum, nil
	}
	if v.Uint() > math.MaxInt64 {
		return 0, overflow
	}
	sum = int64(v.Uint()) + delta
	if sum < 0 || v.OverflowUint(uint64(sum)) {
		return 0, overflow
	}
	v.SetUint(uint64(sum))
	return sum, nil
}
