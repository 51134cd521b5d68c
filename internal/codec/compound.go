package codec

import (
	"encoding/binary"
	"reflect"
	"unsafe"
)

// The coders of pointers, slices, arrays, maps and structs. They refer to the types of their
// parts, not to the coders of those, because in a recursive type these may not be there yet.

func structCoders(t *Type) (encodeFunc, decodeFunc) {
	var fields []field
	for _, f := range t.fields {
		if !f.blank && fewest(f.typ) > 0 {
			fields = append(fields, f)
		}
	}
	encode := func(e *encoder, p unsafe.Pointer) error {
		for i := range fields {
			if err := fields[i].typ.encode(e, unsafe.Add(p, fields[i].offset)); err != nil {
				return err
			}
		}
		return nil
	}
	decode := func(d *decoder, p unsafe.Pointer) error {
		for i := range fields {
			if err := fields[i].typ.decode(d, unsafe.Add(p, fields[i].offset)); err != nil {
				return err
			}
		}
		return nil
	}
	return encode, decode
}

// pointerCoders write 0 for nil, otherwise 1 and the pointee.
func pointerCoders(t *Type) (encodeFunc, decodeFunc) {
	elem := t.elem
	box := boxed(elem.mem)
	encode := func(e *encoder, p unsafe.Pointer) error {
		to := *(*unsafe.Pointer)(p)
		e.buf = appendBool(e.buf, to != nil)
		if to == nil {
			return nil
		}
		e.held += box
		if !elem.nests {
			if err := e.room(0); err != nil {
				return err
			}
			return elem.encode(e, to)
		}
		v := visit{at: to, typ: t}
		if err := e.enter(v); err != nil {
			return err
		}
		if err := elem.encode(e, to); err != nil {
			return err
		}
		e.leave(v)
		return nil
	}
	decode := func(d *decoder, p unsafe.Pointer) error {
		present, err := d.flag()
		if err != nil || !present {
			return err
		}
		if uint64(len(d.data)) < elem.min {
			return errShort
		}
		if err := d.hold(box); err != nil {
			return err
		}
		to := reflect.New(elem.rtype).UnsafePointer()
		*(*unsafe.Pointer)(p) = to
		if err := d.enter(); err != nil {
			return err
		}
		if err := elem.decode(d, to); err != nil {
			return err
		}
		d.leave()
		return nil
	}
	return encode, decode
}

type sliceHeader struct {
	data     unsafe.Pointer
	len, cap int
}

// sliceCoders write 0 for nil, otherwise the length plus one, and the elements.
func sliceCoders(t *Type) (encodeFunc, decodeFunc) {
	elem := t.elem
	if k := elem.rtype.Kind(); k == reflect.Uint8 || k == reflect.Int8 {
		return encodeBytes, decodeBytes
	}
	size := elem.rtype.Size()
	counted := max(elem.mem, 1) // there may be more elements of no size than anybody can visit
	encode := func(e *encoder, p unsafe.Pointer) error {
		s := *(*sliceHeader)(p)
		if s.data == nil {
			e.buf = append(e.buf, 0)
			return nil
		}
		e.buf = binary.AppendUvarint(e.buf, uint64(s.len)+1)
		e.held += boxed(times(uint64(s.len), counted))
		if s.len == 0 || elem.min == 0 {
			return nil
		}
		v := visit{s.data, s.len, t}
		if err := e.enter(v); err != nil {
			return err
		}
		for i := range s.len {
			if err := elem.encode(e, unsafe.Add(s.data, uintptr(i)*size)); err != nil {
				return err
			}
		}
		e.leave(v)
		return nil
	}
	decode := func(d *decoder, p unsafe.Pointer) error {
		n, ok, err := d.count(elem.min)
		if err != nil || !ok {
			return err
		}
		if err := d.hold(boxed(times(uint64(n), counted))); err != nil {
			return err
		}
		data := makeSlice(t.rtype, p, n)
		if n == 0 || elem.min == 0 {
			return nil
		}
		if err := d.enter(); err != nil {
			return err
		}
		for i := range n {
			if err := elem.decode(d, unsafe.Add(data, uintptr(i)*size)); err != nil {
				return err
			}
		}
		d.leave()
		return nil
	}
	return encode, decode
}

// makeSlice sets the slice at p to one of n zero elements and returns the first one's address.
func makeSlice(rt reflect.Type, p unsafe.Pointer, n int) unsafe.Pointer {
	if n == 0 { // Grow would leave it nil, and MakeSlice allocates a header
		*(*sliceHeader)(p) = sliceHeader{data: unsafe.Pointer(&nothing)}
		return nil
	}
	s := reflect.NewAt(rt, p).Elem()
	s.Grow(n)
	s.SetLen(n)
	s.SetCap(n)
	return (*sliceHeader)(p).data
}

// nothing is what empty slices refer to.
var nothing struct{}

func encodeBytes(e *encoder, p unsafe.Pointer) error {
	b := *(*[]byte)(p)
	if b == nil {
		e.buf = append(e.buf, 0)
		return nil
	}
	if err := e.room(len(b)); err != nil {
		return err
	}
	e.held += boxed(uint64(len(b)))
	e.buf = binary.AppendUvarint(e.buf, uint64(len(b))+1)
	e.buf = append(e.buf, b...)
	return nil
}

func decodeBytes(d *decoder, p unsafe.Pointer) error {
	n, ok, err := d.count(1)
	if err != nil || !ok {
		return err
	}
	if err := d.hold(boxed(uint64(n))); err != nil {
		return err
	}
	b := make([]byte, n)
	copy(b, d.data)
	d.data = d.data[n:]
	*(*[]byte)(p) = b
	return nil
}

// arrayCoders write the elements.
func arrayCoders(t *Type) (encodeFunc, decodeFunc) {
	n, elem := t.rtype.Len(), t.elem
	if n == 0 || fewest(elem) == 0 {
		return func(*encoder, unsafe.Pointer) error { return nil },
			func(*decoder, unsafe.Pointer) error { return nil }
	}
	size := elem.rtype.Size()
	if k := elem.rtype.Kind(); k == reflect.Uint8 || k == reflect.Int8 {
		encode := func(e *encoder, p unsafe.Pointer) error {
			e.buf = append(e.buf, unsafe.Slice((*byte)(p), n)...)
			return nil
		}
		decode := func(d *decoder, p unsafe.Pointer) error {
			b, err := d.bytes(uint64(n))
			copy(unsafe.Slice((*byte)(p), n), b)
			return err
		}
		return encode, decode
	}
	encode := func(e *encoder, p unsafe.Pointer) error {
		for i := range n {
			if err := elem.encode(e, unsafe.Add(p, uintptr(i)*size)); err != nil {
				return err
			}
		}
		return nil
	}
	decode := func(d *decoder, p unsafe.Pointer) error {
		for i := range n {
			if err := elem.decode(d, unsafe.Add(p, uintptr(i)*size)); err != nil {
				return err
			}
		}
		return nil
	}
	return encode, decode
}

// mapCoders write 0 for nil, otherwise the length plus one, and the entries in any order.
func mapCoders(t *Type) (encodeFunc, decodeFunc) { return mapEncoder(t), mapDecoder(t) }

func mapEncoder(t *Type) encodeFunc {
	key, elem, rt := t.key, t.elem, t.rtype
	return func(e *encoder, p unsafe.Pointer) error {
		m := reflect.NewAt(rt, p).Elem()
		if m.IsNil() {
			e.buf = append(e.buf, 0)
			return nil
		}
		n := m.Len()
		e.buf = binary.AppendUvarint(e.buf, uint64(n)+1)
		e.held += t.mapMemory(uint64(n))
		if n == 0 {
			return nil
		}
		v := visit{at: *(*unsafe.Pointer)(p), typ: t}
		if err := e.enter(v); err != nil {
			return err
		}
		k, x := reflect.New(key.rtype), reflect.New(elem.rtype)
		for iter := m.MapRange(); iter.Next(); n-- {
			k.Elem().SetIterKey(iter)
			x.Elem().SetIterValue(iter)
			start := len(e.buf)
			e.inKey, e.mayDiffer = true, false
			if err := key.encode(e, k.UnsafePointer()); err != nil {
				return err
			}
			e.inKey = false
			if e.mayDiffer {
				if err := key.found(k, e.buf[start:]); err != nil {
					return err
				}
			}
			if err := elem.encode(e, x.UnsafePointer()); err != nil {
				return err
			}
		}
		if n != 0 {
			return unsupportedf("a map of type %v changed while it was encoded", rt)
		}
		e.leave(v)
		return nil
	}
}

func mapDecoder(t *Type) decodeFunc {
	key, elem, rt := t.key, t.elem, t.rtype
	return func(d *decoder, p unsafe.Pointer) error {
		n, ok, err := d.count(key.min + elem.min)
		if err != nil || !ok {
			return err
		}
		if n > 1 && key.min == 0 {
			return undecodablef("several entries of a map with equal keys")
		}
		if err := d.hold(t.mapMemory(uint64(n))); err != nil {
			return err
		}
		m := reflect.MakeMapWithSize(rt, n)
		reflect.NewAt(rt, p).Elem().Set(m)
		if n == 0 {
			return nil
		}
		if err := d.enter(); err != nil {
			return err
		}
		k, x := reflect.New(key.rtype), reflect.New(elem.rtype)
		for range n {
			k.Elem().SetZero()
			x.Elem().SetZero()
			d.inKey = true
			if err := key.decode(d, k.UnsafePointer()); err != nil {
				return err
			}
			d.inKey = false
			if err := elem.decode(d, x.UnsafePointer()); err != nil {
				return err
			}
			m.SetMapIndex(k.Elem(), x.Elem())
		}
		if m.Len() != n {
			return undecodablef("several entries of a map with equal keys")
		}
		d.leave()
		return nil
	}
}
