package entry

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// integers are the predeclared integer types by their kind.
var integers = map[reflect.Kind]reflect.Type{
	reflect.Int: reflect.TypeFor[int](), reflect.Int8: reflect.TypeFor[int8](), reflect.Int16: reflect.TypeFor[int16](),
	reflect.Int32: reflect.TypeFor[int32](), reflect.Int64: reflect.TypeFor[int64](),
	reflect.Uint: reflect.TypeFor[uint](), reflect.Uint8: reflect.TypeFor[uint8](), reflect.Uint16: reflect.TypeFor[uint16](),
	reflect.Uint32: reflect.TypeFor[uint32](), reflect.Uint64: reflect.TypeFor[uint64](),
}

// areIntegers reports whether both types are predeclared integer types.
func areIntegers(a, b reflect.Type) bool { return integers[a.Kind()] == a && integers[b.Kind()] == b }

// openNumber reads decimal text, which was stored as a number of the given type, into a variable
// of any integer type that can hold it, or into an interface. memcached pads the text with
// spaces after a decrement that made it shorter.
func openNumber(text []byte, stored reflect.Type, v reflect.Value) error {
	s := strings.TrimRight(string(text), " ")
	if v.Kind() == reflect.Interface {
		n := reflect.New(stored).Elem()
		if err := openNumber(text, stored, n); err != nil {
			return err
		}
		return assign(v, n)
	}
	switch {
	case v.CanInt():
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return Undecodable("%q is not a %s", s, v.Type())
		}
		v.SetInt(n)
	case v.CanUint() && integers[v.Kind()] != nil:
		n, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return Undecodable("%q is not a %s", s, v.Type())
		}
		v.SetUint(n)
	default:
		return Undecodable("it is a number, not a %s", v.Type())
	}
	return nil
}

// Increase adds delta to the number that the entry holds, and returns the sum. An entry that holds something else
// is an error that matches cacheutils.ErrNotNumber; so is one that has no room for metadata, which is the
// engine's to change.
func (e *Entry) Increase(s Sealer, delta int64) (sum int64, err error) {
	if e.IsPlainNumber() {
		return 0, cacheutils.ErrNotNumber
	}
	var number any
	if err := e.valueInto(codec.Of(reflect.TypeFor[any]()), reflect.ValueOf(&number)); err != nil {
		return 0, fmt.Errorf("%w: %w", cacheutils.ErrNotNumber, err)
	}
	t, p := Box(number)
	if integers[t.Type().Kind()] != t.Type() {
		return 0, fmt.Errorf("%w: it is a %s", cacheutils.ErrNotNumber, t.Type())
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
