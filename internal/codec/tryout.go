package codec

import (
	"math"
	"reflect"
	"strings"
	"unsafe"
)

// What a type's own methods keep of its values shows only when they are called, and each value is checked when it is
// encoded. But where they fail for any value, nothing would ever be stored. So two values are tried before:
// the zero value, and one whose exported fields are set or, where there are none, what became of the zero value.
// If neither is kept, the type is refused. What returns an error or panics for them says nothing of
// others. The same goes for the keys of maps. A codec that the user has given is held to more: it has to keep both.

// tryout returns why no value with values of t in it can be encoded, as far as trying shows.
func (t *Type) tryout() error {
	seen := make(map[*Type]bool)
	var visit func(t *Type, path string) error
	visit = func(t *Type, path string) error {
		if seen[t] || immutable[t.rtype] {
			return nil
		}
		seen[t] = true
		why := ""
		switch {
		case t.form == asUser:
			why = t.altered()
		case t.form != structural && isHopeless(t.rtype, t.marshaled, equality(t.rtype)):
			why = "its marshaler loses a part of each value; if that doesn't matter, give the type a method Equal"
		case t.form != structural && t.lostField() != "":
			why = "its marshaler loses the field " + t.lostField() + "; if that doesn't matter, give the type a method Equal"
		case t.form != structural:
			return nil
		case t.rtype.Kind() == reflect.Map && isHopeless(t.key.rtype, t.key.keyed, areSame):
			path, t = step(path, t, "[key]"), t.key
			why = "as a map's key it is told apart by an address, or by what its encoding leaves out, so that it would not be found again"
		}
		if why != "" {
			return unsupported(at(path, t) + why)
		}
		for name, part := range t.parts {
			if err := visit(part, step(path, t, name)); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(t, "")
}

// isHopeless reports whether neither of two values of rt is the same as its copy. A value is given by a pointer to it.
func isHopeless(rt reflect.Type, copied func(reflect.Value) (reflect.Value, error), same func(a, b reflect.Value) bool) (hopeless bool) {
	defer func() {
		if recover() != nil {
			hopeless = false
		}
	}()
	zero := reflect.New(rt)
	back, err := copied(zero)
	if err != nil || same(zero, back) {
		return false
	}
	other := reflect.New(rt)
	if !filled.set(other.Elem()) {
		other = back
	}
	back, err = copied(other)
	return err == nil && !same(other, back)
}

// keyed returns a copy of the key of a map that k points at.
func (t *Type) keyed(k reflect.Value) (back reflect.Value, err error) {
	e := encoder{scope: t.scope, inKey: true, unchecked: true}
	if err := t.encode(&e, k.UnsafePointer()); err != nil {
		return back, err
	}
	back = reflect.New(t.rtype)
	d := decoder{data: e.buf, free: math.MaxUint64, scope: t.scope, inKey: true}
	return back, t.decode(&d, back.UnsafePointer())
}

// A filling says what is set of a value that is zero.
type filling struct {
	depth  int  // how many levels
	hidden bool // unexported fields, too, but those that may guard something
}

// filled is the filling of what anybody can set.
var filled = filling{depth: 4}

// set sets parts of v, and reports whether it has set something.
func (f filling) set(v reflect.Value) (done bool) {
	if f.depth == 0 || v.Type() == timeType {
		return false
	}
	f.depth--
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.set(v.Elem())
	case reflect.Interface:
		if v.NumMethod() > 0 {
			return false
		}
		v.Set(reflect.ValueOf("x"))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.set(v.Index(0))
	case reflect.Map:
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.set(key)
		f.set(elem)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, elem)
	case reflect.Array:
		for i := range min(v.Len(), 16) {
			done = f.set(v.Index(i)) || done
		}
		return done
	case reflect.Struct:
		for i := range v.NumField() {
			part := v.Field(i)
			if !part.CanSet() && f.hidden && isInnocent(v.Type()) && isInnocent(part.Type()) {
				part = reflect.NewAt(part.Type(), unsafe.Pointer(part.UnsafeAddr())).Elem()
			}
			if part.CanSet() {
				done = f.set(part) || done
			}
		}
		return done
	default:
		switch {
		case v.CanInt():
			v.SetInt(1)
		case v.CanUint():
			v.SetUint(1)
		default:
			return false
		}
	}
	return true
}

// isInnocent reports whether an unexported field of type rt, or in an rt, may be set without knowing what it is for: it has nothing
// that a goroutine waits for. Of other packages' types with methods only those know.
func isInnocent(rt reflect.Type) bool {
	for rt.Kind() == reflect.Pointer {
		rt = rt.Elem()
	}
	switch {
	case rt.Kind() != reflect.Struct:
		return true
	case isStandard(rt):
		return false
	}
	for i := range rt.NumField() {
		if t := rt.Field(i).Type; isGuard(t) || isGuardElsewhere(t) || t.Kind() == reflect.Chan {
			return false
		}
	}
	return true
}

// isStandard reports whether rt is a type of the standard library, or of a package whose path looks like one of that.
func isStandard(rt reflect.Type) bool {
	host, _, _ := strings.Cut(rt.PkgPath(), "/")
	return host != "" && host != "main" && !strings.Contains(host, ".")
}

// lostField returns the name of an exported field that the type's marshaler leaves out, or "": it does so where the field alone
// is set, and where all are. Other fields may be worth nothing by themselves.
func (t *Type) lostField() (name string) {
	defer func() {
		if recover() != nil {
			name = ""
		}
	}()
	if t.rtype.Kind() != reflect.Struct || isStandard(t.rtype) {
		return ""
	}
	equal := equality(t.rtype)
	all := reflect.New(t.rtype)
	filled.set(all.Elem())
	allBack, err := t.marshaled(all)
	if err != nil || equal(all, allBack) {
		return ""
	}
	for i := range t.rtype.NumField() {
		if !t.rtype.Field(i).IsExported() {
			continue
		}
		one := reflect.New(t.rtype)
		if !filled.set(one.Elem().Field(i)) || !allBack.Elem().Field(i).IsZero() {
			continue
		}
		back, err := t.marshaled(one)
		if err == nil && back.Elem().Field(i).IsZero() && !equal(one, back) {
			return t.rtype.Field(i).Name
		}
	}
	return ""
}
