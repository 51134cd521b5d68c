// Package codectest has values that codecs are known to alter, and a comparison that shows when they do. It
// serves the tests of package codec and the comparison of codecs in bench.
package codectest

import (
	"fmt"
	"math"
	"reflect"
	"time"
	"unsafe"
)

// Diff returns where want and got differ, or "" if they differ by addresses at most. It is
// stricter than reflect.DeepEqual, to which an empty map is not nil but a NaN is not itself:
// floats are compared as bits, nil is not empty, interfaces hold values of one type, times have
// one instant, zone and location. Monotonic readings don't count.
func Diff(want, got any) string {
	return diff("value", reflect.ValueOf(want), reflect.ValueOf(got))
}

func diff(path string, want, got reflect.Value) string {
	if want.IsValid() != got.IsValid() {
		return fmt.Sprintf("%s: want %v, got %v", path, want, got)
	}
	if !want.IsValid() {
		return ""
	}
	if want.Type() != got.Type() {
		return fmt.Sprintf("%s: want a %v, got a %v", path, want.Type(), got.Type())
	}
	differ := func(same bool) string {
		if same {
			return ""
		}
		return fmt.Sprintf("%s: want %#v, got %#v", path, want, got)
	}
	if want.Type() == reflect.TypeFor[time.Time]() {
		return differ(sameTime(want.Interface().(time.Time), got.Interface().(time.Time)))
	}
	if m, ok := reflect.PointerTo(want.Type()).MethodByName("Cmp"); ok && m.Type.NumIn() == 2 {
		// Numbers of math/big may have spare zeros.
		w, g := addressable(want).Addr(), addressable(got).Addr()
		return differ(reflect.DeepEqual(w.Interface(), g.Interface()) || fmt.Sprint(w) == fmt.Sprint(g))
	}
	switch want.Kind() {
	case reflect.Float32, reflect.Float64:
		return differ(math.Float64bits(want.Float()) == math.Float64bits(got.Float()))
	case reflect.Complex64, reflect.Complex128:
		w, g := want.Complex(), got.Complex()
		return differ(math.Float64bits(real(w)) == math.Float64bits(real(g)) &&
			math.Float64bits(imag(w)) == math.Float64bits(imag(g)))
	case reflect.Pointer, reflect.Interface:
		if want.IsNil() || got.IsNil() {
			return differ(want.IsNil() == got.IsNil())
		}
		return diff("*"+path, want.Elem(), got.Elem())
	case reflect.Slice:
		if want.IsNil() != got.IsNil() || want.Len() != got.Len() {
			return differ(false)
		}
		return diffElements(path, want, got)
	case reflect.Array:
		return diffElements(path, want, got)
	case reflect.Map:
		if want.IsNil() != got.IsNil() || want.Len() != got.Len() {
			return differ(false)
		}
		return diffEntries(path, want, got)
	case reflect.Struct:
		return diffFields(path, addressable(want), addressable(got))
	case reflect.Func:
		return differ(want.IsNil() && got.IsNil())
	default:
		return differ(want.Equal(got))
	}
}

func diffFields(path string, want, got reflect.Value) string {
	for i := range want.NumField() {
		f := want.Type().Field(i)
		if f.Name == "_" {
			continue
		}
		if d := diff(path+"."+f.Name, exported(want.Field(i)), exported(got.Field(i))); d != "" {
			return d
		}
	}
	return ""
}

func diffElements(path string, want, got reflect.Value) string {
	if want.Type().Elem().Size() == 0 {
		return ""
	}
	for i := range want.Len() {
		if d := diff(fmt.Sprintf("%s[%d]", path, i), want.Index(i), got.Index(i)); d != "" {
			return d
		}
	}
	return ""
}

// diffEntries pairs every entry with an equal one. Keys may be NaN, so it doesn't look them up.
func diffEntries(path string, want, got reflect.Value) string {
	type entry struct{ key, elem reflect.Value }
	var left []entry
	for iter := got.MapRange(); iter.Next(); {
		left = append(left, entry{iter.Key(), iter.Value()})
	}
next:
	for iter := want.MapRange(); iter.Next(); {
		for i, e := range left {
			if diff("", iter.Key(), e.key) == "" && diff("", iter.Value(), e.elem) == "" {
				left = append(left[:i], left[i+1:]...)
				continue next
			}
		}
		return fmt.Sprintf("%s: no entry %v: %v in %v", path, iter.Key(), iter.Value(), got)
	}
	return ""
}

func sameTime(a, b time.Time) bool {
	aName, aOffset := a.Zone()
	bName, bOffset := b.Zone()
	return a.Equal(b) && a.Nanosecond() == b.Nanosecond() && aName == bName && aOffset == bOffset &&
		a.Location().String() == b.Location().String() && sameRules(a, b)
}

// sameRules reports whether the locations agree half a year later too.
func sameRules(a, b time.Time) bool {
	a, b = a.AddDate(0, 6, 0), b.AddDate(0, 6, 0)
	return a.Equal(b) && a.Format(time.RFC3339) == b.Format(time.RFC3339)
}

func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p.Elem()
}

// exported returns v, which is addressable, without the mark of an unexported field.
func exported(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}
