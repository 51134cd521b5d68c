package entry

import (
	"fmt"
	"math"
	"reflect"
	"sync"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// Increase adds delta to the number that the entry holds, and returns the sum. Where that is more than the number's type
// can hold it is an int64 from then on, as for numbers without metadata. An entry that holds something else
// is an error that matches cacheutils.ErrNotNumber; so is one that has no room for metadata, which is the
// engine's to change.
func (e *Entry) Increase(s Sealer, delta int64) (sum int64, err error) {
	if e.IsPlain() {
		return 0, cacheutils.ErrNotNumber
	}
	if from := e.storedType(); from != nil && from.Kind() != reflect.Interface && integers[from.Kind()] != from {
		return 0, fmt.Errorf("%w: its type is %s", cacheutils.ErrNotNumber, from)
	}
	var number any
	if err := e.valueInto(anyInteger(), reflect.ValueOf(&number), true); err != nil {
		return 0, fmt.Errorf("%w: %w", cacheutils.ErrNotNumber, err)
	}
	t, p := Box(number)
	if integers[t.Type().Kind()] != t.Type() {
		return 0, fmt.Errorf("%w: its type is %s", cacheutils.ErrNotNumber, t.Type())
	}
	if sum, err = plus(reflect.ValueOf(number), delta); err != nil {
		return 0, err
	}
	v := reflect.ValueOf(p).Elem()
	switch {
	case v.CanInt() && !v.OverflowInt(sum):
		v.SetInt(sum)
	case v.CanUint() && sum >= 0 && !v.OverflowUint(uint64(sum)):
		v.SetUint(uint64(sum))
	default:
		t, p = Box(sum)
	}
	sealed, err := s.Seal(e.Check, t, p, false, Payload{})
	if err != nil {
		return 0, err
	}
	sealed.Meta, sealed.CAS = e.Meta, e.CAS
	*e = sealed
	return sum, nil
}

// storedType returns the type as which the value was stored, or nil if this process doesn't know that.
func (e *Entry) storedType() reflect.Type {
	if e.live != nil {
		return reflect.TypeOf(e.live).Elem()
	}
	if t, known := codec.Lookup(e.fingerprint); known {
		return t.Type()
	}
	return nil
}

// anyInteger is an interface with an integer. To find that an entry is none, no code of another type is run.
var anyInteger = sync.OnceValue(func() *codec.Type {
	types := make(codec.Types)
	for _, t := range integers {
		types[t] = true
	}
	return codec.Of(reflect.TypeFor[any]()).Only(types)
})

// plus returns v, an integer, and delta added up, if an int64 can hold that.
func plus(v reflect.Value, delta int64) (sum int64, err error) {
	overflow := fmt.Errorf("%w: the sum is more than an int64 can hold", cacheutils.ErrNotNumber)
	var n int64
	switch {
	case v.CanInt():
		n = v.Int()
	case v.Uint() > math.MaxInt64:
		return 0, overflow
	default:
		n = int64(v.Uint())
	}
	if sum = n + delta; (sum > n) != (delta > 0) && delta != 0 {
		return 0, overflow
	}
	return sum, nil
}
