package entry

import (
	"fmt"
	"math"
	"reflect"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// Increase adds delta to the number that the entry holds, and returns the sum. An entry that holds something else
// is an error that matches cacheutils.ErrNotNumber; so is one that has no room for metadata, which is the
// engine's to change.
func (e *Entry) Increase(s Sealer, delta int64) (sum int64, err error) {
	if e.IsPlainNumber() {
		return 0, cacheutils.ErrNotNumber
	}
	var number any
	if err := e.valueInto(codec.Of(reflect.TypeFor[any]()), reflect.ValueOf(&number), true); err != nil {
		return 0, fmt.Errorf("%w: %w", cacheutils.ErrNotNumber, err)
	}
	t, p := Box(number)
	if integers[t.Type().Kind()] != t.Type() {
		return 0, fmt.Errorf("%w: its type is %s", cacheutils.ErrNotNumber, t.Type())
	}
	if sum, err = increase(reflect.ValueOf(p).Elem(), delta); err != nil {
		return 0, err
	}
	sealed, err := s.Seal(e.Check, t, p, false, nil)
	if err != nil {
		return 0, err
	}
	sealed.Meta, sealed.CAS = e.Meta, e.CAS
	*e = sealed
	return sum, nil
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
