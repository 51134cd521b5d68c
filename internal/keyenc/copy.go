package keyenc

import (
	"math/big"
	"reflect"
	"strings"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/usercodec"
)

// A value is copied as far as it counts in the key, so that nothing that is done to it shows in the copy: pointees,
// elements, entries, what interfaces hold, and the bytes of texts, which a program may have made from a buffer that it
// uses again. Fields that don't count are in the copy as they are.
//
// Copying goes where rendering goes, so it ends where that has ended. What can't be copied is a value that names
// itself, which may be a service, and what holds a type that guards itself by value.

// Fixed reports whether values of the encoder's type refer to no memory, so that a plain copy shares nothing.
func (e *Encoder) Fixed() bool { return isSettled(e.root.typ, false) }

// isSettled reports whether values of t refer to no memory that somebody changes, texts apart where they are allowed.
func isSettled(t reflect.Type, texts bool) bool {
	switch {
	case exactTexts[t], t == timeType, t == locationType:
		return true
	case t.Kind() == reflect.String:
		return texts
	case t.Kind() == reflect.Array:
		return isSettled(t.Elem(), texts)
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if !isSettled(t.Field(i).Type, texts) {
				return false
			}
		}
		return true
	default:
		return scalarBody(t.Kind()) != nil
	}
}

// Own has the value at p, which is a plain copy of another one of the encoder's type, share nothing with that. The key of
// that one has been made. It returns false where a part that counts is shared still. It may be used by any number
// of goroutines.
func (e *Encoder) Own(p unsafe.Pointer) (whole bool) { return e.root.own(p) }

func (n *node) own(p unsafe.Pointer) (whole bool) {
	switch k := n.typ.Kind(); {
	case n.typ == bigIntType:
		x := (*big.Int)(p)
		*x = *new(big.Int).Set(x)
		return true
	case n.typ == bigFloatType:
		x := (*big.Float)(p)
		*x = *new(big.Float).Copy(x)
		return true
	case n.user != nil:
		return ownUser(n.user, n.typ, p)
	case n.reread:
		return ownText(n.typ, p)
	case n.asText:
		return !n.keyer || isSettled(n.typ, true)
	case k == reflect.String:
		*(*string)(p) = strings.Clone(*(*string)(p))
		return true
	case k == reflect.Struct:
		whole = true
		for _, part := range n.parts {
			whole = part.node.own(unsafe.Add(p, part.offset)) && whole
		}
		return whole
	case k == reflect.Array:
		return n.elem.ownAll(p, n.typ.Len())
	case k == reflect.Pointer:
		return n.ownPointee(p)
	case k == reflect.Slice:
		return n.ownElements(p)
	case k == reflect.Map:
		return n.ownEntries(reflect.NewAt(n.typ, p).Elem())
	case k == reflect.Interface:
		return n.ownDynamic(reflect.NewAt(n.typ, p).Elem())
	default:
		return true
	}
}

// ownText has the value at p be one that its text gives.
func ownText(t reflect.Type, p unsafe.Pointer) bool {
	if isSettled(t, true) {
		return true
	}
	text, err := marshalText(t, p)
	back := reflect.New(t)
	if err != nil || unmarshalText(t, back, []byte(string(text))) != nil {
		return false
	}
	reflect.NewAt(t, p).Elem().Set(back.Elem())
	return true
}

// ownAll is own for n values that begin at p.
func (n *node) ownAll(p unsafe.Pointer, length int) (whole bool) {
	whole = true
	if isSettled(n.typ, false) {
		return whole
	}
	for i := range length {
		whole = n.own(unsafe.Add(p, uintptr(i)*n.typ.Size())) && whole
	}
	return whole
}

func (n *node) ownPointee(p unsafe.Pointer) (whole bool) {
	to := *(*unsafe.Pointer)(p)
	if to == nil {
		return true
	}
	switch t := n.elem.typ; {
	case t == locationType: // nobody changes it, and it is known by its address
		return true
	case n.elem.user != nil && !usercodec.CanBeNil(t): // its codec makes the copy
	case n.elem.keyer && !isSettled(t, true), holdsGuard(t):
		return false
	}
	if n.elem.user != nil && !usercodec.CanBeNil(n.elem.typ) {
		c, err := n.elem.user.Clone(reflect.NewAt(n.elem.typ, to).Elem())
		if err != nil {
			return false
		}
		to := reflect.New(n.elem.typ)
		to.Elem().Set(c)
		*(*unsafe.Pointer)(p) = to.UnsafePointer()
		return true
	}
	c := reflect.New(n.elem.typ)
	c.Elem().Set(reflect.NewAt(n.elem.typ, to).Elem())
	*(*unsafe.Pointer)(p) = c.UnsafePointer()
	return n.elem.own(c.UnsafePointer())
}

// holdsGuard reports whether the memory of a value of t itself has what guards something in it.
func holdsGuard(t reflect.Type) bool {
	switch {
	case isGuard(t) && t.Kind() != reflect.Interface:
		return true
	case t.Kind() == reflect.Array:
		return holdsGuard(t.Elem())
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if holdsGuard(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

func (n *node) ownElements(p unsafe.Pointer) (whole bool) {
	s := reflect.NewAt(n.typ, p).Elem()
	if s.IsNil() {
		return true
	}
	if holdsGuard(n.elem.typ) {
		return false
	}
	c := reflect.MakeSlice(n.typ, s.Len(), s.Len())
	reflect.Copy(c, s)
	s.Set(c)
	return n.elem.ownAll(c.UnsafePointer(), c.Len())
}

func (n *node) ownEntries(m reflect.Value) (whole bool) {
	if m.IsNil() {
		return true
	}
	if holdsGuard(n.elem.typ) || holdsGuard(n.key.typ) {
		return false
	}
	whole = true
	c := reflect.MakeMapWithSize(n.typ, m.Len())
	key, value := reflect.New(n.key.typ).Elem(), reflect.New(n.elem.typ).Elem()
	for it := m.MapRange(); it.Next(); {
		key.SetIterKey(it)
		value.SetIterValue(it)
		whole = n.key.own(key.Addr().UnsafePointer()) && whole
		whole = n.elem.own(value.Addr().UnsafePointer()) && whole
		c.SetMapIndex(key, value)
	}
	m.Set(c)
	return whole
}

// ownDynamic is own for what the interface v holds.
func (n *node) ownDynamic(v reflect.Value) (whole bool) {
	if v.IsNil() {
		return true
	}
	held := v.Elem()
	e, err := n.scope.encoder(held.Type())
	if err != nil || holdsGuard(held.Type()) {
		return false
	}
	c := reflect.New(held.Type()).Elem()
	c.Set(held)
	whole = e.root.own(c.Addr().UnsafePointer())
	v.Set(c)
	return whole
}
