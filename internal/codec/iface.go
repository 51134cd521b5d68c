package codec

import (
	"encoding/binary"
	"math"
	"reflect"
	"unsafe"
)

// An empty interface is written as a tag for the type of its value, and the value. The
// predeclared types and what JSON decodes to have tags of one byte; tagOther is followed by the
// fingerprint of any other type. Tags are part of the format: never renumber them.
const (
	tagNil = iota
	tagBool
	tagInt
	tagInt8
	tagInt16
	tagInt32
	tagInt64
	tagUint
	tagUint8
	tagUint16
	tagUint32
	tagUint64
	tagUintptr
	tagFloat32
	tagFloat64
	tagComplex64
	tagComplex128
	tagString
	tagBytes
	tagSlice
	tagStringMap
	tagAnyMap
	tagTime
	tagOther = 255
)

// tagged are the types that have a tag of their own, by tag.
var tagged = [...]reflect.Type{
	tagBool:       reflect.TypeFor[bool](),
	tagInt:        reflect.TypeFor[int](),
	tagInt8:       reflect.TypeFor[int8](),
	tagInt16:      reflect.TypeFor[int16](),
	tagInt32:      reflect.TypeFor[int32](),
	tagInt64:      reflect.TypeFor[int64](),
	tagUint:       reflect.TypeFor[uint](),
	tagUint8:      reflect.TypeFor[uint8](),
	tagUint16:     reflect.TypeFor[uint16](),
	tagUint32:     reflect.TypeFor[uint32](),
	tagUint64:     reflect.TypeFor[uint64](),
	tagUintptr:    reflect.TypeFor[uintptr](),
	tagFloat32:    reflect.TypeFor[float32](),
	tagFloat64:    reflect.TypeFor[float64](),
	tagComplex64:  reflect.TypeFor[complex64](),
	tagComplex128: reflect.TypeFor[complex128](),
	tagString:     reflect.TypeFor[string](),
	tagBytes:      reflect.TypeFor[[]byte](),
	tagSlice:      reflect.TypeFor[[]any](),
	tagStringMap:  reflect.TypeFor[map[string]any](),
	tagAnyMap:     reflect.TypeFor[map[any]any](),
	tagTime:       timeType,
}

var tagOf = func() map[reflect.Type]byte {
	m := make(map[reflect.Type]byte)
	for tag, rt := range tagged {
		if rt != nil {
			m[rt] = byte(tag)
		}
	}
	return m
}()

// boxMemory is what the decoder takes for a value of t behind an interface: it is decoded to one address and
// copied to another.
func (t *Type) boxMemory() uint64 { return 2 * boxed(t.mem) }

func encodeAny(e *encoder, p unsafe.Pointer) error {
	e.meet(reflect.TypeOf(*(*any)(p)))
	// The most common types first, without a copy of the value.
	switch v := (*(*any)(p)).(type) {
	case nil:
		e.buf = append(e.buf, tagNil)
		return nil
	case bool:
		e.held += 16
		e.buf = appendBool(append(e.buf, tagBool), v)
		return nil
	case int:
		e.held += 16
		e.buf = binary.AppendVarint(append(e.buf, tagInt), int64(v))
		return nil
	case int64:
		e.held += 16
		e.buf = binary.AppendVarint(append(e.buf, tagInt64), v)
		return nil
	case float64:
		e.held += 16
		e.buf = binary.LittleEndian.AppendUint64(append(e.buf, tagFloat64), math.Float64bits(v))
		return nil
	case string:
		e.held += 32 + uint64(len(v))
		e.buf = appendString(append(e.buf, tagString), v)
		return nil
	}
	return e.dynamic(reflect.NewAt(anyType, p).Elem().Elem())
}

// meet notes a type behind an interface, or nil, if it is not among those that may be there.
func (e *encoder) meet(rt reflect.Type) {
	if e.only != nil && e.foreign == nil && rt != nil && !e.only.has(rt) {
		e.foreign = rt
	}
}

// dynamic encodes v, what an interface holds, with its type.
func (e *encoder) dynamic(v reflect.Value) error {
	t := e.scope.Of(v.Type())
	if tag, ok := tagOf[t.rtype]; ok {
		e.buf = append(e.buf, tag)
	} else if err := e.writeType(t); err != nil {
		return err
	}
	e.held += t.boxMemory()
	box := reflect.New(t.rtype)
	box.Elem().Set(v)
	in := visit{at: box.UnsafePointer(), typ: t}
	if err := e.enter(in); err != nil {
		return err
	}
	if err := t.encode(e, box.UnsafePointer()); err != nil {
		return err
	}
	e.leave(in)
	return nil
}

// writeType writes what the decoder finds t by, if it can.
func (e *encoder) writeType(t *Type) error {
	switch {
	case t.refused != nil:
		return unsupportedf("a value of type %v behind an interface: %w", t.rtype, t.Err())
	case t.ambiguous.Load():
		return unsupportedf("a value of type %v behind an interface: two types have this name and structure", t.rtype)
	case e.inKey && t.pointers():
		return unsupportedf("a value of type %v in a map's key: a pointer in a map's key", t.rtype)
	}
	e.buf = binary.BigEndian.AppendUint64(append(e.buf, tagOther), t.Fingerprint())
	return nil
}

func decodeAny(d *decoder, p unsafe.Pointer) error {
	t, tag, err := d.dynamicType(anyType)
	if err != nil || t == nil {
		return err
	}
	if common, err := d.common(tag, (*any)(p)); common {
		return err
	}
	v, err := d.dynamic(t)
	if err == nil {
		*(*any)(p) = v.Interface()
	}
	return err
}

// interfaceCoders are those of an interface with methods, of whose values the user has codecs.
func interfaceCoders(rt reflect.Type) (encodeFunc, decodeFunc) {
	encode := func(e *encoder, p unsafe.Pointer) error {
		v := reflect.NewAt(rt, p).Elem().Elem()
		if !v.IsValid() {
			e.buf = append(e.buf, tagNil)
			return nil
		}
		e.meet(v.Type())
		return e.dynamic(v)
	}
	decode := func(d *decoder, p unsafe.Pointer) error {
		t, _, err := d.dynamicType(rt)
		if err != nil || t == nil {
			return err
		}
		v, err := d.dynamic(t)
		if err == nil {
			reflect.NewAt(rt, p).Elem().Set(v)
		}
		return err
	}
	return encode, decode
}

// dynamicType reads the type of what the interface holds whose type is i, with its tag, or nil for a nil, and counts what is
// taken for the value besides.
func (d *decoder) dynamicType(i reflect.Type) (t *Type, tag byte, err error) {
	if tag, err = d.byte(); err != nil || tag == tagNil {
		return nil, tag, err
	}
	if t, err = d.readType(tag); err != nil {
		return nil, tag, err
	}
	switch {
	case i != anyType && !t.rtype.Implements(i):
		return nil, tag, undecodablef("it holds a value of type %v behind an interface of type %v", t.rtype, i)
	case d.limits.Types != nil && !d.limits.Types.has(t.rtype):
		return nil, tag, undecodablef("it holds a value of type %v behind an interface, which is none of those that it may have", t.rtype)
	case uint64(len(d.data)) < t.min:
		return nil, tag, errShort
	}
	return t, tag, d.hold(t.boxMemory())
}

// dynamic decodes a value behind an interface.
func (d *decoder) dynamic(t *Type) (v reflect.Value, err error) {
	box := reflect.New(t.rtype)
	if err := d.enter(); err != nil {
		return v, err
	}
	if err := t.decode(d, box.UnsafePointer()); err != nil {
		return v, err
	}
	d.leave()
	return box.Elem(), nil
}

// common decodes the most common types, without reflection.
func (d *decoder) common(tag byte, to *any) (ok bool, err error) {
	switch tag {
	case tagBool:
		var v bool
		v, err = d.flag()
		*to = v
	case tagInt64:
		var v int64
		v, err = d.varint()
		*to = v
	case tagInt:
		var v int64
		if v, err = d.varint(); err == nil && int64(int(v)) != v {
			err = undecodablef("%d is out of range", v)
		}
		*to = int(v)
	case tagFloat64:
		var b []byte
		if b, err = d.bytes(8); err == nil {
			*to = math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	case tagString:
		var v string
		v, err = d.string()
		*to = v
	default:
		return false, nil
	}
	return true, err
}

func (d *decoder) readType(tag byte) (*Type, error) {
	if int(tag) < len(tagged) {
		return d.scope.Of(tagged[tag]), nil
	}
	if tag != tagOther {
		return nil, undecodablef("the unknown tag %d", tag)
	}
	b, err := d.bytes(8)
	if err != nil {
		return nil, err
	}
	fingerprint := binary.BigEndian.Uint64(b)
	t, ok := d.scope.lookup(fingerprint)
	switch {
	case !ok:
		return nil, unknownTypef("a value of a type with fingerprint %016x", fingerprint)
	case t.refused != nil:
		return nil, undecodablef("a value of type %v: %w", t.rtype, t.Err())
	case d.inKey && t.pointers():
		return nil, undecodablef("a pointer in a map's key")
	}
	return t, nil
}
