package cachekey

import (
	"math"
	"math/big"
	"reflect"
	"time"
	"unsafe"
)

// same is what the laws mean by equal values, written without the package under test: of one type
// and, through pointers, elements and fields, of one content. A NaN is like each NaN, -0 is
// not 0, nil is not empty, the types of interface values count. Maps are sets of entries.
func same(a, b reflect.Value) bool {
	if !a.IsValid() || !b.IsValid() {
		return a.IsValid() == b.IsValid()
	}
	if a.Type() != b.Type() {
		return false
	}
	a, b = readable(a), readable(b)
	switch a.Type() {
	case reflect.TypeFor[time.Time]():
		x, y := a.Interface().(time.Time), b.Interface().(time.Time)
		_, xo := x.Zone()
		_, yo := y.Zone()
		return x.Equal(y) && xo == yo && x.Location().String() == y.Location().String()
	case reflect.TypeFor[big.Int]():
		x, y := a.Interface().(big.Int), b.Interface().(big.Int)
		return x.Cmp(&y) == 0
	}
	switch a.Kind() {
	case reflect.Bool:
		return a.Bool() == b.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return a.Int() == b.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return a.Uint() == b.Uint()
	case reflect.Float32, reflect.Float64:
		return sameFloat(a.Float(), b.Float())
	case reflect.Complex64, reflect.Complex128:
		return sameFloat(real(a.Complex()), real(b.Complex())) && sameFloat(imag(a.Complex()), imag(b.Complex()))
	case reflect.String:
		return a.String() == b.String()
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return same(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if !same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Array:
		return sameElements(a, b)
	case reflect.Slice:
		return a.IsNil() == b.IsNil() && sameElements(a, b)
	case reflect.Map:
		return a.IsNil() == b.IsNil() && sameEntries(a, b)
	}
	panic("same: " + a.Type().String())
}

func sameFloat(x, y float64) bool {
	if math.IsNaN(x) || math.IsNaN(y) {
		return math.IsNaN(x) && math.IsNaN(y)
	}
	return math.Float64bits(x) == math.Float64bits(y)
}

func sameElements(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !same(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}

// sameEntries pairs off the entries. As same is an equivalence, any partner is as good as another.
func sameEntries(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	type entry struct{ k, v reflect.Value }
	var left []entry
	for it := b.MapRange(); it.Next(); {
		left = append(left, entry{it.Key(), it.Value()})
	}
next:
	for it := a.MapRange(); it.Next(); {
		for i, e := range left {
			if same(it.Key(), e.k) && same(it.Value(), e.v) {
				left[i] = left[len(left)-1]
				left = left[:len(left)-1]
				continue next
			}
		}
		return false
	}
	return true
}

// readable returns v, or a copy of it, addressable and as if it did not come from an unexported field.
func readable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return settable(v)
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

// clone returns an addressable deep copy of v, with maps rebuilt in another order.
func clone(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	switch v.Type() {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[big.Int]():
		return c
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.Set(clone(v.Elem()).Addr())
		}
	case reflect.Interface:
		if !v.IsNil() {
			c.Set(clone(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()+1))
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			c.Index(i).Set(clone(v.Index(i)))
		}
	case reflect.Map:
		if !v.IsNil() {
			c.Set(reflect.MakeMap(v.Type()))
			for it := v.MapRange(); it.Next(); {
				c.SetMapIndex(clone(it.Key()), clone(it.Value()))
			}
		}
	case reflect.Struct:
		for i := range c.NumField() {
			f := settable(c.Field(i))
			f.Set(clone(f))
		}
	}
	return c
}

// settable returns the addressable value f as one that can be set, though it come from an unexported field.
func settable(f reflect.Value) reflect.Value {
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}
