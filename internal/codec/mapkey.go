package codec

import (
	"math"
	"reflect"
)

// What is under a key of a map has to be found under it in the map that is decoded, by the == that Go compares keys
// with. For what is compared by its bits that is so, in every process. Three kinds of keys are compared by more:
//
//   - Pointers, by an address that no other value has. A type with a pointer in a key is refused.
//   - Times, by the address of their location, too, and by their monotonic part. In UTC a time has none, and
//     each process has one Local; a zone without a name may have one address for all; other locations have as many
//     as they are loaded, each in each process.
//   - Types with a marshaler, by fields of which only their methods know what becomes of them: an address, or
//     something that their Equal leaves out. Those of net/netip, and others whose addresses are the same for the same
//     text, are found again.
//
// So a key that holds one of the latter two is decoded as soon as it is encoded, and has to be == to what it was. A key that isn't == to
// itself, as a NaN, nobody finds in the original either.

// found returns an error if the key that k points at, which was encoded to data, is not found again.
func (t *Type) found(k reflect.Value, data []byte) error {
	back := reflect.New(t.rtype)
	d := decoder{data: data, free: math.MaxUint64, scope: t.scope, inKey: true}
	if t.decode(&d, back.UnsafePointer()) == nil && (areSame(k, back) || !areSame(k, k)) {
		return nil
	}
	return unsupportedf("a key of type %v in a map is told apart by an address, or by what its encoding leaves out, so that "+
		"it would not be found again; put times in keys in UTC, and in the place of other keys their text", t.rtype)
}

// areSame reports whether a and b point at keys that are found under each other.
func areSame(a, b reflect.Value) bool { return a.Elem().Interface() == b.Elem().Interface() }
