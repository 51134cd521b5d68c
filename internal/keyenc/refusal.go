package keyenc

import (
	"context"
	"reflect"
)

// Which types can't be in a key, whatever their values are.
//
// Channels, funcs and unsafe.Pointers have nothing but an address. A type that guards itself is there to be changed by
// several goroutines: to read it without its lock is a race, and its lock's state is no part of what it is. A context
// never counts, and what it carries, deadlines and channels too, differs at each call. The state of a protobuf message is
// hidden by the generated code. A text counts only if it gives the value back, see named.go.
//
// A type with a refused part is refused, unless it names itself or attributes name its fields. What is behind
// an interface is refused by its type, before anything of its value is read.

var contextType = reflect.TypeFor[context.Context]()

// refusal returns why values of t can't be in a key, "" if they can as far as t by itself says. Kinds that can't
// be are left to composite.
func refusal(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer: // what it points at says it
		return ""
	case IsContext(t):
		return whyContext
	case isGuard(t):
		return whyGuard
	case isProtobuf(t):
		return whyProtobuf
	}
	return ""
}

const (
	whyContext  = "a context never counts"
	whyGuard    = "it guards itself, since other goroutines may be changing it"
	whyProtobuf = "the state of a protobuf message is hidden"
	whyPointer  = "there is a codec for pointers to it alone"
	whyText     = "its MarshalText may hide a part of it, since there is no UnmarshalText that gives it back"
)

// IsContext reports whether t, or a pointer to it, is a context.Context, under whatever name.
func IsContext(t reflect.Type) bool { return implements(t, contextType) }

// implements reports whether t or a pointer to it implements the interface i.
func implements(t, i reflect.Type) bool {
	return t.Implements(i) || t.Kind() != reflect.Interface && t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(i)
}

// isGuard reports whether t is what types guard themselves with: a type of sync or sync/atomic, or of the packages that
// are behind these, or an interface to a lock.
func isGuard(t reflect.Type) bool {
	switch t.PkgPath() {
	case "sync", "sync/atomic", "internal/sync", "internal/poll":
		return true
	}
	return t.Kind() == reflect.Interface && t.Implements(lockType)
}

var lockType = reflect.TypeFor[interface {
	Lock()
	Unlock()
}]()

// isProtobuf reports whether t is a message that a protobuf compiler has generated. The name is a constant so that the
// linker still drops unused methods.
func isProtobuf(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	m, ok := protoReflectOf(reflect.PointerTo(t))
	return ok && m.Type.NumIn() == 1 && m.Type.NumOut() == 1 && isOwn(t, protoReflectOf)
}

// guardIn returns the trail from t to a part of it that guards itself, for a type whose text would hide that.
func guardIn(t reflect.Type, at trail, seen map[reflect.Type]bool) (trail, reflect.Type) {
	if seen[t] {
		return at, nil
	}
	seen[t] = true
	if isGuard(t) {
		return at, t
	}
	switch t.Kind() {
	case reflect.Pointer:
		return guardIn(t.Elem(), at, seen)
	case reflect.Slice, reflect.Array:
		return guardIn(t.Elem(), at.step("[]"), seen)
	case reflect.Map:
		if found, guard := guardIn(t.Key(), at.step("[key]"), seen); guard != nil {
			return found, guard
		}
		return guardIn(t.Elem(), at.step("[]"), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if found, guard := guardIn(t.Field(i).Type, at.field(t.Field(i).Name), seen); guard != nil {
				return found, guard
			}
		}
	}
	return at, nil
}
