package codec

import (
	"math/bits"
	"net/netip"
	"reflect"
)

// memory returns what a value of rt takes on a 64-bit machine, and its alignment. Programs of
// all machines count with these figures, since the padding of an encoding depends on them.
func memory(rt reflect.Type) (size, align uint64) {
	switch rt.Kind() {
	case reflect.Int, reflect.Uint, reflect.Uintptr,
		reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return 8, 8
	case reflect.String, reflect.Interface:
		return 16, 8
	case reflect.Slice:
		return 24, 8
	case reflect.Int64, reflect.Uint64, reflect.Float64:
		return 8, 8
	case reflect.Complex128:
		return 16, 8
	case reflect.Complex64:
		return 8, 4
	case reflect.Array:
		size, align = memory(rt.Elem())
		return times(size, uint64(rt.Len())), align
	case reflect.Struct:
		align = 1
		last := uint64(1)
		for i := range rt.NumField() {
			s, a := memory(rt.Field(i).Type)
			size = roundUp(size, a) + s
			align = max(align, a)
			last = s
		}
		if last == 0 && size > 0 {
			size++
		}
		return roundUp(size, align), align
	default:
		return uint64(rt.Size()), uint64(rt.Size())
	}
}

func roundUp(n, align uint64) uint64 { return (n + align - 1) / align * align }

// times returns a*b, or a number beyond all memory.
func times(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 || lo > 1<<56 {
		return 1 << 56
	}
	return lo
}

// mapMemory returns about what a map of type t with n entries takes, beyond the header of eight
// bytes, and what the decoder needs to fill it.
func (t *Type) mapMemory(n uint64) uint64 {
	slot, apart := uint64(1), uint64(0)
	for _, part := range []*Type{t.key, t.elem} {
		if part.mem > 128 {
			slot += 8
			apart += part.mem
		} else {
			slot += part.mem
		}
	}
	slots := uint64(0)
	if n > 0 {
		slots = 8
	}
	for n > 8 && slots/8*7 < n {
		slots *= 2
	}
	if slots > 1024 {
		slots *= 2 // a map of several tables splits those that fill up first
	}
	return 48 + times(slots, slot) + times(n, apart) + t.key.mem + t.elem.mem
}

// fewest returns the fewest bytes that a value of t is encoded to.
func fewest(t *Type) uint64 {
	if t.form == asTime {
		return 3
	}
	if t.form != structural {
		return 1
	}
	switch t.rtype.Kind() {
	case reflect.Float32:
		return 4
	case reflect.Float64, reflect.Complex64:
		return 8
	case reflect.Complex128:
		return 16
	case reflect.Array:
		return times(fewest(t.elem), uint64(t.rtype.Len()))
	case reflect.Struct:
		n := uint64(0)
		for _, f := range t.fields {
			if !f.blank {
				n += fewest(f.typ)
			}
		}
		return n
	default:
		return 1
	}
}

func nests(t *Type) bool {
	if t.form != structural {
		return false
	}
	switch t.rtype.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface:
		return true
	case reflect.Array, reflect.Struct:
		for _, part := range t.parts {
			if nests(part) {
				return true
			}
		}
	}
	return false
}

// immutable are types with pointers in them whose pointees never change.
var immutable = map[reflect.Type]bool{
	timeType:                          true,
	reflect.TypeFor[netip.Addr]():     true,
	reflect.TypeFor[netip.AddrPort](): true,
	reflect.TypeFor[netip.Prefix]():   true,
}

func shareable(t *Type) bool {
	switch {
	case t.form == asUser:
		return false
	case immutable[t.rtype]:
		return true
	}
	switch t.rtype.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface,
		reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return false
	case reflect.Array:
		return t.rtype.Len() == 0 || shareable(t.elem)
	case reflect.Struct:
		for _, f := range t.fields {
			if !shareable(f.typ) {
				return false
			}
		}
	}
	return true
}
