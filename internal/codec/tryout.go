package codec

import (
	"math"
	"reflect"
)

// What a type's own methods keep of its values shows only when they are called, and each value is checked when it is
// encoded. But where they fail for any value, nothing would ever be stored. So two values are tried before:
// the zero value, and one whose exported fields are set or, where there are none, what became of the zero value.
// If neither is kept, the type is refused. What returns an error or panics for them says nothing of
// others. The same goes for the keys of maps.

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
		case t.form != structural && isHopeless(t.rtype, t.marshaled, equality(t.rtype)):
			why = "its marshaler loses a part of each value; if that doesn't matter, give the type a method Equal"
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
	if !set(other.Elem(), 4) {
		other = back
	}
	back, err = copied(other)
	return err == nil && !same(other, back)
}

// keyed returns a copy of the key of a map that k points at.
func (t *Type) keyed(k reflect.Value) (back reflect.Value, err error) {
	e := encoder{inKey: true, unchecked: true}
	if err := t.encode(&e, k.UnsafePointer()); err != nil {
		return back, err
	}
	back = reflect.New(t.rtype)
	d := decoder{data: e.buf, free: math.MaxUint64, inKey: true}
	return back, t.decode(&d, back.UnsafePointer())
}

// set sets what is exported of v, which is zero, some levels deep, and reports whether it has set something.
func set(v reflect.Value, depth int) (done bool) {
	if depth == 0 || v.Type() == timeType {
		return false
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		set(v.Elem(), depth-1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		set(v.Index(0), depth-1)
	case reflect.Map:
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		set(key, depth-1)
		set(elem, depth-1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, elem)
	case reflect.Array:
		for i := range min(v.Len(), 16) {
			done = set(v.Index(i), depth-1) || done
		}
		return done
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				done = set(f, depth-1) || done
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
