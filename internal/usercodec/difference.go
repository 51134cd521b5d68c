package usercodec

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
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
	if !c.differ(addressable(a), addressable(b)) {
		return "", false
	}
	slices.Reverse(c.steps)
	if len(c.steps) > mostSteps {
		c.steps = append(c.steps[:mostSteps], "...")
	}
	return a.Type().String() + strings.Join(c.steps, ""), true
}

// EqualExported reports whether a and b, of one type, don't differ, but for unexported fields of structs that have exported ones.
func EqualExported(a, b reflect.Value) bool {
	c := comparison{seen: make(map[pair]bool), exported: true}
	return !c.differ(addressable(a), addressable(b))
}

const (
	maxDepth  = 10_000 // what is nested deeper differs
	mostSteps = 16     // of a path, for a reader
)

type comparison struct {
	seen     map[pair]bool // what is being compared, or has been
	exported bool
	depth    int
	steps    []string // to the part that differs, the last one first
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

// differAt is differ for parts that a step leads to.
func (c *comparison) differAt(step func() string, a, b reflect.Value) bool {
	if !c.differ(a, b) {
		return false
	}
	c.steps = append(c.steps, step())
	return true
}

var timeType = reflect.TypeFor[time.Time]()

// differ reports whether a and b differ, which are addressable.
func (c *comparison) differ(a, b reflect.Value) bool {
	if c.depth++; c.depth > maxDepth {
		return true
	}
	defer func() { c.depth-- }()
	rt := a.Type()
	if rt == timeType {
		x, y := a.Interface().(time.Time), b.Interface().(time.Time)
		xName, xOffset := x.Zone()
		yName, yOffset := y.Zone()
		return !x.Equal(y) || xName != yName || xOffset != yOffset
	}
	if CanBeNil(rt) && (a.IsNil() || b.IsNil()) {
		return a.IsNil() != b.IsNil()
	}
	if saysEqual(a, b) {
		return false
	}
	switch rt.Kind() {
	case reflect.Bool:
		return a.Bool() != b.Bool()
	case reflect.String:
		return a.String() != b.String()
	case reflect.Float32, reflect.Float64:
		return !sameFloat(a.Float(), b.Float())
	case reflect.Complex64, reflect.Complex128:
		x, y := a.Complex(), b.Complex()
		return !sameFloat(real(x), real(y)) || !sameFloat(imag(x), imag(y))
	case reflect.Pointer:
		if a.Pointer() == b.Pointer() || !c.isNew(a, b, 0) {
			return false
		}
		return c.differ(a.Elem(), b.Elem())
	case reflect.Interface:
		x, y := a.Elem(), b.Elem()
		if x.Type() != y.Type() {
			return true
		}
		return c.differ(addressable(x), addressable(y))
	case reflect.Slice:
		if a.Len() != b.Len() {
			return true
		}
		if a.Pointer() == b.Pointer() || !c.isNew(a, b, a.Len()) {
			return false
		}
		return c.elements(a, b)
	case reflect.Array:
		return c.elements(a, b)
	case reflect.Map:
		return c.entries(a, b)
	case reflect.Struct:
		return c.fields(a, b)
	case reflect.Func:
		return true
	case reflect.Chan, reflect.UnsafePointer:
		return a.Pointer() != b.Pointer()
	default:
		if a.CanInt() {
			return a.Int() != b.Int()
		}
		return a.Uint() != b.Uint()
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

func (c *comparison) elements(a, b reflect.Value) bool {
	for i := range a.Len() {
		if c.differAt(func() string { return "[" + strconv.Itoa(i) + "]" }, a.Index(i), b.Index(i)) {
			return true
		}
	}
	return false
}

func (c *comparison) entries(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return true
	}
	if a.Pointer() == b.Pointer() || !c.isNew(a, b, 0) {
		return false
	}
	for it := a.MapRange(); it.Next(); {
		other := b.MapIndex(it.Key())
		if !other.IsValid() {
			return true
		}
		if c.differAt(func() string { return "[]" }, addressable(it.Value()), addressable(other)) {
			return true
		}
	}
	return false
}

func (c *comparison) fields(a, b reflect.Value) bool {
	rt := a.Type()
	skips := c.exported && hasExported(rt)
	for i := range rt.NumField() {
		f := rt.Field(i)
		if f.Name == "_" || skips && !f.IsExported() && !promotes(f) {
			continue
		}
		if c.differAt(func() string { return "." + f.Name }, field(a, i), field(b, i)) {
			return true
		}
	}
	return false
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
