package keyenc

import (
	"bytes"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"unsafe"
)

// appendAny renders x as behind an interface.
func (s *scope) appendAny(dst []byte, x any, w walk) ([]byte, error) {
	switch x := x.(type) {
	case nil:
		return append(dst, "None"...), nil
	case bool:
		return appendBool(dst, x), nil
	case int:
		return strconv.AppendInt(dst, int64(x), 10), nil
	case string:
		return appendText(dst, x, w)
	case float64:
		return appendFloat(dst, x, 64), nil
	}
	return s.appendDynamic(dst, reflect.ValueOf(x), w)
}

// appendElem renders what the interface value v holds.
func (s *scope) appendElem(dst []byte, v reflect.Value, w walk) ([]byte, error) {
	if v.IsNil() {
		return append(dst, "None"...), nil
	}
	return s.appendDynamic(dst, v.Elem(), w)
}

// appendDynamic renders v with its type, unless it is the default one for its rendering.
func (s *scope) appendDynamic(dst []byte, v reflect.Value, w walk) ([]byte, error) {
	e, err := s.encoder(v.Type())
	if err != nil {
		return dst, err
	}
	if e.alike {
		return dst, invalid("two types are called %s, so that a value of one behind an interface looks like the other's; declare them outside of functions", sourceName(v.Type()))
	}
	n := e.root
	if n.isBare(v) {
		return n.appendValue(dst, v, false, w)
	}
	dst = append(dst, n.full...)
	if n.named || n.typ.Kind() == reflect.Pointer && n.elem.named && !v.IsNil() {
		return n.appendValue(dst, v, true, w)
	}
	dst = append(dst, '(')
	if dst, err = n.appendValue(dst, v, false, w); err != nil {
		return dst, err
	}
	return append(dst, ')'), nil
}

// isBare reports whether v goes without its type's name behind an interface.
func (n *node) isBare(v reflect.Value) bool {
	switch n.fallback {
	case bare:
		return !n.none || !v.IsNil()
	case bareBig:
		return !v.IsNil() && !(*big.Int)(v.UnsafePointer()).IsInt64()
	case bareAnyKeyed:
		for it := v.MapRange(); it.Next(); {
			if k := it.Key(); k.IsNil() || k.Elem().Type() != stringType {
				return true
			}
		}
	}
	return false
}

var stringType = reflect.TypeFor[string]()

// appendValue renders v, of n's type; without its name if its type was already named.
// Kinds that reflection reads without an address are not copied.
func (n *node) appendValue(dst []byte, v reflect.Value, wasNamed bool, w walk) ([]byte, error) {
	if !n.asText {
		if out, ok := appendScalar(dst, v); ok {
			return out, nil
		}
		switch v.Kind() {
		case reflect.String:
			return appendText(dst, v.String(), w)
		case reflect.Pointer:
			if wasNamed {
				return n.enterPointer(dst, v.UnsafePointer(), n.elem.body, w)
			}
			return n.appendPointer(dst, v.UnsafePointer(), w)
		case reflect.Slice:
			return n.appendSlice(dst, v.UnsafePointer(), v.Len(), w)
		case reflect.Map:
			if v.CanInterface() {
				return n.appendMap(dst, v, w)
			}
		case reflect.Interface:
			return n.scope.appendElem(dst, v, w)
		}
	}
	if !v.CanInterface() {
		return dst, n.unexported()
	}
	c := reflect.New(n.typ)
	c.Elem().Set(v)
	if wasNamed {
		return n.body(dst, c.UnsafePointer(), w)
	}
	return n.append(dst, c.UnsafePointer(), w)
}

// appendPointer renders what p points at. Where that can be None itself, & distinguishes it from nil.
func (n *node) appendPointer(dst []byte, p unsafe.Pointer, w walk) ([]byte, error) {
	if p == nil {
		return append(dst, "None"...), nil
	}
	if n.elem.none {
		dst = append(dst, '&')
	}
	return n.enterPointer(append(dst, n.elem.name...), p, n.elem.body, w)
}

func (n *node) enterPointer(dst []byte, p unsafe.Pointer, body appendFunc, w walk) ([]byte, error) {
	at := visit{p: p, typ: n.typ}
	w, err := w.enter(dst, at)
	if err != nil {
		return dst, err
	}
	dst, err = body(dst, p, w)
	w.leave(at)
	return dst, err
}

// appendSlice renders the slice of length elements that begin at p.
func (n *node) appendSlice(dst []byte, p unsafe.Pointer, length int, w walk) ([]byte, error) {
	if p == nil {
		return append(dst, "None"...), nil
	}
	if n.isBytes() {
		return appendByteText(dst, unsafe.Slice((*byte)(p), length), w)
	}
	at := visit{p: p, len: length, typ: n.typ}
	w, err := w.enter(dst, at)
	if err != nil {
		return dst, err
	}
	if n.tuple {
		dst, err = n.scope.appendTuple(dst, unsafe.Slice((*any)(p), length), w)
	} else {
		dst, err = n.appendList(dst, p, length, w)
	}
	w.leave(at)
	return dst, err
}

// isBytes reports whether the elements of the slice or array are bytes without a text of their own.
func (n *node) isBytes() bool {
	return n.typ.Elem().Kind() == reflect.Uint8 && !n.elem.asText
}

func (n *node) appendList(dst []byte, p unsafe.Pointer, length int, w walk) ([]byte, error) {
	if n.isBytes() {
		return appendByteText(dst, unsafe.Slice((*byte)(p), length), w)
	}
	dst = append(dst, '[')
	size := n.elem.typ.Size()
	var err error
	for i := range length {
		if i > 0 {
			dst = append(dst, ',')
		}
		if err = w.room(dst, 0); err != nil {
			return dst, err
		}
		if dst, err = n.elem.append(dst, unsafe.Add(p, uintptr(i)*size), w); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// isTuple reports whether t is cachekey.Tuple, a []any. Package cachekey imports this one, which
// therefore knows the type by its name.
func isTuple(t reflect.Type) bool {
	return t.Name() == "Tuple" && t.PkgPath() == "github.com/cacheutils/cacheutils/cachekey"
}

func (s *scope) appendTuple(dst []byte, t []any, w walk) ([]byte, error) {
	dst = append(dst, '(')
	var err error
	for i, x := range t {
		if i > 0 {
			dst = append(dst, ',')
		}
		if err = w.room(dst, 0); err != nil {
			return dst, err
		}
		if dst, err = s.appendAny(dst, x, w); err != nil {
			return dst, err
		}
	}
	if len(t) == 1 {
		dst = append(dst, ',')
	}
	return append(dst, ')'), nil
}

// appendMap renders the map m, which must not come from an unexported field. The entries are
// sorted by the text of the key and then of the value: keys that are equal as texts without
// being equal, such as NaNs and pointers, have a definite order too.
func (n *node) appendMap(dst []byte, m reflect.Value, w walk) ([]byte, error) {
	if m.IsNil() {
		return append(dst, "None"...), nil
	}
	if m.Len() == 0 {
		return append(dst, "{}"...), nil
	}
	at := visit{p: m.UnsafePointer(), typ: n.typ}
	w, err := w.enterMap(dst, at)
	if err != nil {
		return dst, err
	}
	type span struct{ start, mid, end int }
	spans := make([]span, 0, m.Len())
	sep, begin := byte('{'), len(dst)
	key, value := reflect.New(n.key.typ), reflect.New(n.elem.typ)
	for it := m.MapRange(); it.Next(); sep = ',' {
		key.Elem().SetIterKey(it)
		value.Elem().SetIterValue(it)
		dst = append(dst, sep)
		at := span{start: len(dst)}
		if dst, err = n.key.append(dst, key.UnsafePointer(), w); err != nil {
			return dst, err
		}
		at.mid = len(dst)
		dst = append(dst, ':')
		if dst, err = n.elem.append(dst, value.UnsafePointer(), w); err != nil {
			return dst, err
		}
		at.end = len(dst)
		spans = append(spans, at)
		if err = w.room(dst, 0); err != nil {
			return dst, err
		}
	}
	w.leave(at)
	compare := func(a, b span) int {
		if c := bytes.Compare(dst[a.start:a.mid], dst[b.start:b.mid]); c != 0 {
			return c
		}
		return bytes.Compare(dst[a.mid:a.end], dst[b.mid:b.end])
	}
	if slices.IsSortedFunc(spans, compare) {
		return append(dst, '}'), nil
	}
	end := len(dst)
	if err = w.copies(end - begin); err != nil {
		return dst, err
	}
	slices.SortFunc(spans, compare)
	sep = '{'
	for _, s := range spans { // behind the text, where a map around this one has room, too
		dst = append(append(dst, sep), dst[s.start:s.end]...)
		sep = ','
	}
	dst = dst[:begin+copy(dst[begin:end], dst[end:])]
	return append(dst, '}'), nil
}
