package usercodec

import (
	"math"
	"reflect"
	"strconv"
	"time"
	"unsafe"
)

// How values are compared where the user has no function for it: as reflect.DeepEqual does, unexported fields included, but
// for what that tells apart though nobody can, and takes for equal though somebody can.
//
//   - Two NaNs are equal; 0 and -0 are not.
//   - Times are equal if they are at one instant, at one offset, and under one abbreviation.
//   - Values of a type with a method Equal for values of that type are equal if it says so.
//   - A nil slice or map is not equal to an empty one, and functions are equal if they are nil.

// Difference returns the path to a part in which a and b, of one type, differ, and whether there is one.
func Difference(a, b reflect.Value) (path string, differ bool) {
	c := comparison{seen: make(map[pair]bool)}
	return c.at(a.Type().String(), addressable(a), addressable(b))
}

// EqualExported reports whether a and b, of one type, don't differ, but for unexported fields of structs that have exported ones.
func EqualExported(a, b reflect.Value) bool {
	c := comparison{seen: make(map[pair]bool), exported: true}
	_, differ := c.at("", addressable(a), addressable(b))
	return !differ
}

type comparison struct {
	seen     map[pair]bool // what is being compared, or has been
	exported bool
}

type pair struct {
	a, b unsafe.Pointer
	len  int
	typ  reflect.Type
}

// isNew notes a pair, and reports whether that is the first time.
func (c *comparison) isNew(a, b reflect.Value, length int) bool {
	p := pair{a.UnsafePointer(), b.UnsafePointer(), length, a.Type()}
	known := c.seen[p]
	c.seen[p] = true
	return !known
}

var timeType = reflect.TypeFor[time.Time]()

// at compares a and b, which are addressable, at the path.
func (c *comparison) at(path string, a, b reflect.Value) (where string, differ bool) {
	rt := a.Type()
	if rt == timeType {
		x, y := a.Interface().(time.Time), b.Interface().(time.Time)
		xName, xOffset := x.Zone()
		yName, yOffset := y.Zone()
		return path, !x.Equal(y) || xName != yName || xOffset != yOffset
	}
	if CanBeNil(rt) && (a.IsNil() || b.IsNil()) {
		return path, a.IsNil() != b.IsNil()
	}
	if saysEqual(a, b) {
		return path, false
	}
	switch rt.Kind() {
	case reflect.Bool:
		return path, a.Bool() != b.Bool()
	case reflect.String:
		return path, a.String() != b.String()
	case reflect.Float32, reflect.Float64:
		return path, !sameFloat(a.Float(), b.Float())
	case reflect.Complex64, reflect.Complex128:
		x, y := a.Complex(), b.Complex()
		return path, !sameFloat(real(x), real(y)) || !sameFloat(imag(x), imag(y))
	case reflect.Pointer:
		if a.Pointer() == b.Pointer() || !c.isNew(a, b, 0) {
			return path, false
		}
		return c.at(path, a.Elem(), b.Elem())
	case reflect.Interface:
		x, y := a.Elem(), b.Elem()
		if x.Type() != y.Type() {
			return path, true
		}
		return c.at(path, addressable(x), addressable(y))
	case reflect.Slice:
		if a.Len() != b.Len() {
			return path, true
		}
		if a.Pointer() == b.Pointer() || !c.isNew(a, b, a.Len()) {
			return path, false
		}
		return c.elements(path, a, b)
	case reflect.Array:
		return c.elements(path, a, b)
	case reflect.Map:
		return c.entries(path, a, b)
	case reflect.Struct:
		return c.fields(path, a, b)
	case reflect.Func:
		return path, true
	case reflect.Chan, reflect.UnsafePointer:
		return path, a.Pointer() != b.Pointer()
	default:
		if a.CanInt() {
			return path, a.Int() != b.Int()
		}
		return path, a.Uint() != b.Uint()
	}
}

func sameFloat(x, y float64) bool {
	return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y
}

// saysEqual reports whether the values' type has a method Equal that says that they are equal.
func saysEqual(a, b reflect.Value) bool {
	rt := a.Type()
	if rt.Kind() == reflect.Interface {
		return false
	}
	m, ok := rt.MethodByName("Equal")
	if !ok || m.Type.NumIn() != 2 || m.Type.In(1) != rt || m.Type.NumOut() != 1 || m.Type.Out(0).Kind() != reflect.Bool {
		return false
	}
	return m.Func.Call([]reflect.Value{a, b})[0].Bool()
}

func (c *comparison) elements(path string, a, b reflect.Value) (where string, differ bool) {
	for i := range a.Len() {
		if where, differ := c.at(path+"["+strconv.Itoa(i)+"]", a.Index(i), b.Index(i)); differ {
			return where, true
		}
	}
	return path, false
}

func (c *comparison) entries(path string, a, b reflect.Value) (where string, differ bool) {
	if a.Len() != b.Len() {
		return path, true
	}
	if a.Pointer() == b.Pointer() || !c.isNew(a, b, 0) {
		return path, false
	}
	for it := a.MapRange(); it.Next(); {
		other := b.MapIndex(it.Key())
		if !other.IsValid() {
			return path, true
		}
		if where, differ := c.at(path+"[]", addressable(it.Value()), addressable(other)); differ {
			return where, true
		}
	}
	return path, false
}

func (c *comparison) fields(path string, a, b reflect.Value) (where string, differ bool) {
	rt := a.Type()
	skips := c.exported && hasExported(rt)
	for i := range rt.NumField() {
		f := rt.Field(i)
		if f.Name == "_" || skips && !f.IsExported() && !promotes(f) {
			continue
		}
		if where, differ := c.at(path+"."+f.Name, field(a, i), field(b, i)); differ {
			return where, true
		}
	}
	return path, false
}

// promotes reports whether f is an embedded struct, or a pointer to one, with exported fields, which are those of the outer
// struct as well.
func promotes(f reflect.StructField) bool {
	rt := f.Type
	if rt.Kind() == reflect.Pointer {
		rt = rt.Elem()
	}
	return f.Anonymous && rt.Kind() == reflect.Struct && hasExported(rt)
}

// hasExported reports whether the struct type rt has a field that is exported.
func hasExported(rt reflect.Type) bool {
	for i := range rt.NumField() {
		if rt.Field(i).IsExported() {
			return true
		}
	}
	return false
}

// field returns a field of v, which is addressable, as if it were exported.
func field(v reflect.Value, i int) reflect.Value {
	f := v.Field(i)
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}

// addressable returns a plain copy of v that is addressable.
func addressable(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}
