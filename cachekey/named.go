package cachekey

import (
	"encoding"
	"fmt"
	"reflect"
	"runtime/debug"
	"unsafe"

	"github.com/cacheutils/cacheutils"
)

var (
	keyerType  = reflect.TypeFor[Keyer]()
	texterType = reflect.TypeFor[encoding.TextMarshaler]()
)

// ownText returns the body of types that have a text of their own, nil for others:
// Keyers, then big integers, times and locations, whose own texts lose something or are not
// texts of one kind, then encoding.TextMarshalers.
func ownText(t reflect.Type) appendFunc {
	if t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer {
		return nil
	}
	switch t {
	case bigIntType:
		return bigIntBody
	case timeType:
		return timeBody
	case locationType:
		return locationBody
	}
	switch {
	case declares(t, keyerType, cacheKeyOf):
		return quoted(t, func(x any) (string, error) { return x.(Keyer).CacheKey(), nil })
	case declares(t, texterType, marshalTextOf):
		return quoted(t, func(x any) (string, error) {
			text, err := x.(encoding.TextMarshaler).MarshalText()
			return string(text), err
		})
	case t.Kind() == reflect.Struct && t.ConvertibleTo(timeType):
		// A type made of time.Time has its fields, some of which are no part of the instant.
		return timeBody
	}
	return nil
}

// declares reports whether t or *t implements the interface i by a method that is declared for
// t itself; method looks it up. A method that t has only because it embeds another type
// stands for that part of t and would leave out the other fields.
func declares(t, i reflect.Type, method func(reflect.Type) (reflect.Method, bool)) bool {
	pt := reflect.PointerTo(t)
	if !pt.Implements(i) {
		return false
	}
	if !embeds(t, i) {
		return true
	}
	for _, r := range []reflect.Type{t, pt} {
		// The compiler's wrappers of promoted methods have no place in the source.
		if m, ok := method(r); ok && placeOf(m.Func.Pointer()).line != 0 {
			return true
		}
	}
	return false
}

// The names are constants so that the linker still drops the methods that nobody uses.
func cacheKeyOf(t reflect.Type) (reflect.Method, bool)    { return t.MethodByName("CacheKey") }
func marshalTextOf(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalText") }

// embeds reports whether t is a struct with an embedded field that implements i.
func embeds(t, i reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for k := range t.NumField() {
		if f := t.Field(k); f.Anonymous && (f.Type.Implements(i) || reflect.PointerTo(f.Type).Implements(i)) {
			return true
		}
	}
	return false
}

// quoted returns a body that renders the text of a value as ('text'). text is called with a
// pointer to the value, which has the methods of both.
func quoted(t reflect.Type, text func(any) (string, error)) appendFunc {
	return func(dst []byte, p unsafe.Pointer, _ walk) ([]byte, error) {
		s, err := callText(t, text, reflect.NewAt(t, p).Interface())
		if err != nil {
			return dst, err
		}
		return append(appendString(append(dst, '('), s), ')'), nil
	}
}

func callText(t reflect.Type, text func(any) (string, error), x any) (s string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = invalid("the text of a %s: panic: %v\n%s", TypeName(t), r, debug.Stack())
		}
	}()
	s, err = text(x)
	if err != nil {
		err = fmt.Errorf("cachekey: the text of a %s: %w: %w", TypeName(t), cacheutils.ErrInvalidKey, err)
	}
	return s, err
}
