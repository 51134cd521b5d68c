package codec

import (
	"fmt"
	"reflect"

	"github.com/cacheutils/cacheutils"
)

// What is read from a store may have been written by anybody. So a reader says what it takes, and a writer stores only what
// readers like itself take: both count memory, and meet the types behind interfaces, in the same places.

// Limits are what Decode makes of data that others may have written. The zero Limits are none.
type Limits struct {
	// Memory is how many bytes of memory the value and all that it refers to take at most, as they are counted for all
	// machines, see layout.go; 0: as many as the length of the data allows. What the allocator rounds up isn't counted: a
	// third at most.
	Memory uint64

	// Types are those that values behind interfaces have.
	Types Types
}

// Types are the types that values behind interfaces may have. Nil are all that the process knows. A nil interface is in
// all of them. It is not changed once it is in use.
type Types map[reflect.Type]bool

// has reports whether a value behind an interface may be an rt.
func (ts Types) has(rt reflect.Type) bool { return ts == nil || ts[rt] }

// Needs is what it takes to decode an encoding.
type Needs struct {
	Memory  uint64       // as Limits count it
	Foreign reflect.Type // a type behind an interface that is not one of the type's own, see Only; nil: there is none
}

// ErrTooMuch is matched by errors of Decode for a value that takes more memory than its Limits allow.
var ErrTooMuch = fmt.Errorf("%w: it takes more memory than its limit", cacheutils.ErrUndecodable)

// Only returns t for values that have nothing behind interfaces but values of these types, and nil: a Type of its own, whose
// encodings are those of t. Append and Decode take any value; what has another type in it shows in its Needs, and is refused
// by DecodeWithin for Limits with the types.
func (t *Type) Only(types Types) *Type {
	return &Type{
		rtype: t.rtype, ptr: t.ptr, form: t.form, elem: t.elem, key: t.key, fields: t.fields, scope: t.scope, user: t.user, schema: t.schema,
		refused: t.refused, encode: t.encode, decode: t.decode,
		min: t.min, mem: t.mem, nests: t.nests, flat: t.flat, guarded: t.guarded, borrowsGuard: t.borrowsGuard, direct: t.direct,
		borrows: t.borrows, shareable: t.shareable,
		any: t, only: types,
	}
}

// Types returns the types that values behind interfaces in a t have, as Only was told.
func (t *Type) Types() Types { return t.only }

// Has reports whether an interface in a t may hold an rt, as far as Only was told.
func (t *Type) Has(rt reflect.Type) bool { return t.only.has(rt) }

// HoldsAny reports whether there are interfaces in values of t.
func (t *Type) HoldsAny() bool { return t.holdsAny(make(map[*Type]bool)) }

// Interfaces calls yield with the types of the interfaces that are in values of t, each once.
func (t *Type) Interfaces(yield func(reflect.Type) bool) {
	seen := make(map[*Type]bool)
	var visit func(t *Type) bool
	visit = func(t *Type) bool {
		if seen[t] {
			return true
		}
		seen[t] = true
		if t.rtype.Kind() == reflect.Interface {
			return yield(t.rtype)
		}
		for _, part := range t.parts {
			if !visit(part) {
				return false
			}
		}
		return true
	}
	visit(t)
}

// DynamicType returns the type of the value that an encoding of t, an interface, begins with, and nil for a nil. It runs no
// code of that type, and matches its error as Decode does.
func (t *Type) DynamicType(data []byte) (reflect.Type, error) {
	d := decoder{data: data, scope: t.scope}
	tag, err := d.byte()
	if err != nil || tag == tagNil {
		return nil, err
	}
	held, err := d.readType(tag)
	if err != nil {
		return nil, err
	}
	return held.rtype, nil
}
