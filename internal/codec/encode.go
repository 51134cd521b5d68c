package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

const (
	// maxDepth is how deep pointers, slices, maps and interfaces may be nested. At a few
	// hundred bytes of stack for each, that stays far below what a goroutine may use.
	maxDepth = 10_000

	// maxEncoded is the largest encoding, and maxParts how many pointers, slices, maps and interfaces with something
	// in them a value has at most as it is written out. One that shares pointers may be tiny in memory and endless then.
	maxEncoded = 512 << 20
	maxParts   = 4 << 20

	// costlyEncoded and costlyParts are from where on it has taken long to find that a value can't be encoded: some
	// ten milliseconds.
	costlyEncoded = 16 << 20
	costlyParts   = 256 << 10

	// trackFrom is the depth from which cycles are detected; few values are so deep.
	trackFrom = 32
)

type encodeFunc func(e *encoder, p unsafe.Pointer) error

type encoder struct {
	buf    []byte
	start  int    // where this value's encoding starts in buf
	held   uint64 // the memory that decoding will take
	copied uint64 // what it will take that the encoding is not padded for
	parts  int    // that were encoded
	depth  int
	onPath map[visit]struct{} // what is being encoded, deeper than trackFrom

	scope   *Scope       // of the type
	only    Types        // see Type.Only
	foreign reflect.Type // the first that is not among them

	inKey     bool // a key of a map is being encoded
	mayDiffer bool // that holds something of which a copy may not be == to it
	unchecked bool // marshalers may lose something
}

// A visit is an address in memory seen as a type. Slices of one array differ by their length.
type visit struct {
	at  unsafe.Pointer
	len int
	typ *Type
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// Append appends the encoding of the value at p, which must be of the type, to dst. It returns
// dst as it was and an error that matches ErrUnsupportedValue if the type, or one that an
// interface in the value holds, can't be encoded, if the value is cyclic, nested deeper than
// 10,000 levels or, when encoded, larger than 512 MiB or of more than 4 million pointers, slices, maps and interfaces,
// or if a marshaler fails, panics, or loses something. IsCostly reports whether it took long to find that
// out. The order of a map's entries is not defined.
func (t *Type) Append(dst []byte, p unsafe.Pointer) (out []byte, err error) {
	out, _, err = t.Encode(dst, p)
	return out, err
}

// Encode is Append, and returns besides what it takes to decode the encoding.
func (t *Type) Encode(dst []byte, p unsafe.Pointer) (out []byte, needs Needs, err error) {
	if t.refused != nil {
		return dst, needs, t.Err()
	}
	e := encoders.Get().(*encoder)
	e.buf, e.start, e.scope, e.only = dst, len(dst), t.scope, t.only
	defer func() {
		if r := recover(); r != nil {
			out, err = dst, fmt.Errorf("%w: encoding %v: panic: %s", cacheutils.ErrUnsupportedValue, t.rtype, errtext.Panicked(r))
		}
		clear(e.onPath)
		*e = encoder{onPath: e.onPath}
		encoders.Put(e)
	}()
	if err := t.encode(e, p); err != nil {
		if e.parts > costlyParts || len(e.buf)-e.start > costlyEncoded {
			err = costly{err}
		}
		return dst, needs, err
	}
	n := len(e.buf) - e.start
	return append(e.buf, make([]byte, padding(e.held, uint64(n)))...), Needs{e.held + e.copied, e.foreign}, nil
}

// A costly error is one of Append that came after much work.
type costly struct{ error }

func (c costly) Unwrap() error { return c.error }

// IsCostly reports whether it has taken more than some milliseconds until Append returned err.
func IsCostly(err error) bool { return errors.As(err, new(costly)) }

func unsupportedf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{cacheutils.ErrUnsupportedValue}, args...)...)
}

// room returns an error if n more bytes would be too many. It is called for what many parts of a value can
// share.
func (e *encoder) room(n int) error {
	if len(e.buf)-e.start+n > maxEncoded {
		return unsupportedf("larger than %d bytes when encoded", maxEncoded)
	}
	return nil
}

// enter records that the encoding of v's value begins, leave that it has ended.
func (e *encoder) enter(v visit) error {
	e.depth++
	if e.depth > maxDepth {
		return unsupportedf("nested deeper than %d levels", maxDepth)
	}
	if e.parts++; e.parts > maxParts {
		return unsupportedf("more than %d parts when encoded; what several pointers share is encoded for each of them", maxParts)
	}
	if err := e.room(0); err != nil {
		return err
	}
	if e.depth > trackFrom {
		if _, on := e.onPath[v]; on {
			return unsupportedf("a value of type %v that contains itself", v.typ.rtype)
		}
		if e.onPath == nil {
			e.onPath = make(map[visit]struct{})
		}
		e.onPath[v] = struct{}{}
	}
	return nil
}

func (e *encoder) leave(v visit) {
	if e.depth > trackFrom {
		delete(e.onPath, v)
	}
	e.depth--
}

// coders returns the functions for a type that is not refused.
func (t *Type) coders() (encodeFunc, decodeFunc) {
	switch {
	case t.refused != nil:
		return nil, nil
	case t.form == asTime:
		return encodeTime, decodeTime
	case t.form == asUser:
		return userCoders(t)
	case t.form != structural:
		return marshalerCoders(t)
	}
	switch t.rtype.Kind() {
	case reflect.Bool:
		return encodeBool, decodeBool
	case reflect.Int:
		return encodeInt[int], decodeInt[int]
	case reflect.Int8:
		return encodeByte, decodeByte
	case reflect.Int16:
		return encodeInt[int16], decodeInt[int16]
	case reflect.Int32:
		return encodeInt[int32], decodeInt[int32]
	case reflect.Int64:
		return encodeInt[int64], decodeInt[int64]
	case reflect.Uint:
		return encodeUint[uint], decodeUint[uint]
	case reflect.Uint8:
		return encodeByte, decodeByte
	case reflect.Uint16:
		return encodeUint[uint16], decodeUint[uint16]
	case reflect.Uint32:
		return encodeUint[uint32], decodeUint[uint32]
	case reflect.Uint64:
		return encodeUint[uint64], decodeUint[uint64]
	case reflect.Uintptr:
		return encodeUint[uintptr], decodeUint[uintptr]
	case reflect.Float32:
		return encodeFloat32, decodeFloat32
	case reflect.Float64:
		return encodeFloat64, decodeFloat64
	case reflect.Complex64:
		return encodeComplex64, decodeComplex64
	case reflect.Complex128:
		return encodeComplex128, decodeComplex128
	case reflect.String:
		return encodeString, decodeString
	case reflect.Interface:
		if t.rtype.NumMethod() > 0 {
			return interfaceCoders(t.rtype)
		}
		return encodeAny, decodeAny
	case reflect.Pointer:
		return pointerCoders(t)
	case reflect.Slice:
		return sliceCoders(t)
	case reflect.Array:
		return arrayCoders(t)
	case reflect.Map:
		return mapCoders(t)
	case reflect.Struct:
		return structCoders(t)
	}
	panic("codec: no coder for " + t.rtype.String())
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func encodeBool(e *encoder, p unsafe.Pointer) error {
	e.buf = appendBool(e.buf, *(*bool)(p))
	return nil
}

func encodeByte(e *encoder, p unsafe.Pointer) error {
	e.buf = append(e.buf, *(*byte)(p))
	return nil
}

func encodeInt[T int | int16 | int32 | int64](e *encoder, p unsafe.Pointer) error {
	e.buf = binary.AppendVarint(e.buf, int64(*(*T)(p)))
	return nil
}

func encodeUint[T uint | uint16 | uint32 | uint64 | uintptr](e *encoder, p unsafe.Pointer) error {
	e.buf = binary.AppendUvarint(e.buf, uint64(*(*T)(p)))
	return nil
}

// Floats are copied as bits: on some machines a conversion would quiet a signaling NaN.

func encodeFloat32(e *encoder, p unsafe.Pointer) error {
	e.buf = binary.LittleEndian.AppendUint32(e.buf, *(*uint32)(p))
	return nil
}

func encodeFloat64(e *encoder, p unsafe.Pointer) error {
	e.buf = binary.LittleEndian.AppendUint64(e.buf, *(*uint64)(p))
	return nil
}

func encodeComplex64(e *encoder, p unsafe.Pointer) error {
	parts := (*[2]uint32)(p)
	e.buf = binary.LittleEndian.AppendUint32(e.buf, parts[0])
	e.buf = binary.LittleEndian.AppendUint32(e.buf, parts[1])
	return nil
}

func encodeComplex128(e *encoder, p unsafe.Pointer) error {
	parts := (*[2]uint64)(p)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, parts[0])
	e.buf = binary.LittleEndian.AppendUint64(e.buf, parts[1])
	return nil
}

func encodeString(e *encoder, p unsafe.Pointer) error {
	s := *(*string)(p)
	if err := e.room(len(s)); err != nil {
		return err
	}
	e.held += uint64(len(s))
	e.buf = appendString(e.buf, s)
	return nil
}

// What decoding may allocate.
//
// A few bytes can stand for a lot of memory: a nil slice takes one byte and 24 in memory, a map
// of one entry has room for eight. So that a decoder needs no trust in its input, an encoding is
// at least 1/24 as long as the memory that its value takes beyond the first KiB; short ones are
// padded with zeros at the end. Encoder and decoder count that memory alike, and the decoder
// stops before it exceeds what the length of its input allows. With what the allocator rounds
// up, that is less than 32 bytes for each byte of input.
const (
	memoryPerByte = 24
	freeMemory    = 1024
)

// padding returns how many zeros follow an encoding of n bytes whose value takes held bytes.
func padding(held, n uint64) uint64 {
	if held <= freeMemory+n*memoryPerByte {
		return 0
	}
	return (held-freeMemory+memoryPerByte-1)/memoryPerByte - n
}

// boxed returns what the allocator takes for n bytes at least.
func boxed(n uint64) uint64 { return min(roundUp(n, 8), math.MaxInt64) }
