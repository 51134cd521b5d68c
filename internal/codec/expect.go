package codec

import (
	"reflect"
	"sync"
)

// expectations are what Expect was told. Nothing is made of them before there is a type with an interface in it: most programs
// have none.
type expectations struct {
	sync.Mutex
	any     bool           // there was one
	waiting []reflect.Type // the types until then
}

// Expect is Scope.Expect for the program.
func Expect(rt reflect.Type) { program.Expect(rt) }

// Expect has Lookup know the types that values behind interfaces are likely to have in a program that caches values
// of rt, or has such arguments: the named types in it, and pointers to them, slices and maps by string. So a process
// that has not had such a value itself can decode one of another process. Of other types it has to encode a value
// before.
func (s *Scope) Expect(rt reflect.Type) {
	expecting := &s.expecting
	expecting.Lock()
	defer expecting.Unlock()
	if !expecting.any && !s.Of(rt).holdsAny(make(map[*Type]bool)) {
		expecting.waiting = append(expecting.waiting, rt)
		return
	}
	for _, waiting := range append(expecting.waiting, rt) {
		s.Of(waiting).expect()
	}
	if !expecting.any {
		for _, tagged := range tagged[tagBool:] {
			s.Of(tagged).expect()
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
	if t.refused == nil && (t.rtype.Name() != "" || t.form == asUser) && t.rtype.Kind() != reflect.Interface {
		near := []reflect.Type{t.rtype, t.ptr}
		if t.form == asUser {
			near = near[:1]
		}
		for _, rt := range near {
			t.scope.Of(rt)
			t.scope.Of(reflect.SliceOf(rt))
			t.scope.Of(reflect.MapOf(reflect.TypeFor[string](), rt))
		}
	}
	for _, part := range t.parts {
		part.expect()
	}
}
