package codec

import (
	"reflect"
	"sync"
)

// expecting is what Expect was told. Nothing is made of it before there is a type with an interface in it: most programs
// have none.
var expecting struct {
	sync.Mutex
	any     bool           // there was one
	waiting []reflect.Type // the types until then
}

// Expect has Lookup know the types that values behind interfaces are likely to have in a program that caches values
// of rt, or has such arguments: the named types in it, and pointers to them, slices and maps by string. So a process
// that has not had such a value itself can decode one of another process. Of other types it has to encode a value
// before.
func Expect(rt reflect.Type) {
	expecting.Lock()
	defer expecting.Unlock()
	if !expecting.any && !Of(rt).holdsAny(make(map[*Type]bool)) {
		expecting.waiting = append(expecting.waiting, rt)
		return
	}
	for _, waiting := range append(expecting.waiting, rt) {
		Of(waiting).expect()
	}
	if !expecting.any {
		for _, tagged := range tagged[tagBool:] {
			Of(tagged).expect()
		}
	}
	expecting.any, expecting.waiting = true, nil
}

// holdsAny reports whether values of t have interfaces in them.
func (t *Type) holdsAny(seen map[*Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if t.rtype.Kind() == reflect.Interface {
		return true
	}
	for _, part := range t.parts {
		if part.holdsAny(seen) {
			return true
		}
	}
	return false
}

// expect makes the types known that are near t.
func (t *Type) expect() {
	if t.expected {
		return
	}
	t.expected = true
	if t.refused == nil && t.rtype.Name() != "" && t.rtype.Kind() != reflect.Interface {
		for _, rt := range []reflect.Type{t.rtype, t.ptr} {
			Of(rt)
			Of(reflect.SliceOf(rt))
			Of(reflect.MapOf(reflect.TypeFor[string](), rt))
		}
	}
	for _, part := range t.parts {
		part.expect()
	}
}
