package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

type decodeFunc func(d *decoder, p unsafe.Pointer) error

type decoder struct {
	data   []byte // what is left
	free   uint64 // the memory that may still be taken
	held   uint64 // the memory that was taken
	depth  int
	scope  *Scope // of the type
	limits Limits
	inKey  bool                      // a key of a map is being decoded
	zones  map[string]*time.Location // locations that had to be looked up, nil for those that were not found
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// Decode fills the value at p, which must be of the type and zero, from an encoding made by
// Append. All of data must belong to it; Decode does not retain it. An error matches
// ErrUndecodable and leaves the value in an undefined state; it matches ErrUnknownType, too, if an interface
// in the value has a type that this process doesn't know (see Lookup). Decode never allocates
// more than 32 bytes for each byte of data and 2 KiB, besides what unmarshalers and the tables
// of time zones take.
func (t *Type) Decode(data []byte, p unsafe.Pointer) error { return t.DecodeWithin(data, p, &Limits{}) }

// DecodeWithin is Decode for a value that keeps to the limits. One that doesn't is an error before its memory is
// allocated, or a method of its type is called. What was allocated is taken from the limits' Memory, of which at least 1
// is left.
func (t *Type) DecodeWithin(data []byte, p unsafe.Pointer, limits *Limits) (err error) {
	if t.refused != nil {
		return t.Err()
	}
	d := decoders.Get().(*decoder)
	d.data, d.free, d.scope, d.limits = data, freeMemory+uint64(len(data))*memoryPerByte, t.scope, *limits
	if limits.Memory > 0 {
		d.free = min(d.free, limits.Memory)
	}
	defer func() {
		if r := recover(); r != nil {
			err = undecodablef("decoding %v: panic: %s", t.rtype, errtext.Panicked(r))
		}
		if limits.Memory > 0 {
			limits.Memory = max(d.limits.Memory-d.held, 1)
		}
		*d = decoder{}
		decoders.Put(d)
	}()
	if uint64(len(data)) < t.min {
		return errShort
	}
	if err := t.decode(d, p); err != nil {
		return err
	}
	if uint64(len(d.data)) != padding(d.held, uint64(len(data)-len(d.data))) {
		return undecodablef("%d bytes left over", len(d.data))
	}
	for _, b := range d.data {
		if b != 0 {
			return undecodablef("%d bytes left over", len(d.data))
		}
	}
	return nil
}

var errShort = fmt.Errorf("%w: it ends too early", cacheutils.ErrUndecodable)

// ErrUnknownType is matched by errors of Decode for data that another process can decode: an interface in the value has
// a type that this process doesn't know (see Lookup), or a time in a map's key is in a zone that is that of another
// machine. The data is not damaged, and no server is to blame.
var ErrUnknownType = errors.New("unknown to this process")

func unknownTypef(format string, args ...any) error {
	return undecodablef(format+", %w", append(args, ErrUnknownType)...)
}

func undecodablef(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{cacheutils.ErrUndecodable}, args...)...)
}

// hold counts memory that is about to be allocated.
func (d *decoder) hold(n uint64) error {
	if n > d.free {
		return d.tooMuch(n)
	}
	d.free -= n
	d.held += n
	return nil
}

// tooMuch returns why n more bytes may not be taken. It is apart, so that hold is inlined.
func (d *decoder) tooMuch(n uint64) error {
	if most := d.limits.Memory; most > 0 && n > most-d.held {
		return ErrTooMuch
	}
	return undecodablef("it requires more memory than its length allows")
}

// copies counts memory that is about to be allocated and that an encoding is not padded for.
func (d *decoder) copies(n uint64) error {
	if d.limits.Memory == 0 {
		return nil
	}
	left := d.limits.Memory - d.held
	if n > left {
		return ErrTooMuch
	}
	d.limits.Memory -= n
	d.free = min(d.free, left-n)
	return nil
}

func (d *decoder) enter() error {
	d.depth++
	if d.depth > maxDepth {
		return undecodablef("nested deeper than %d levels", maxDepth)
	}
	return nil
}

func (d *decoder) leave() { d.depth-- }

func (d *decoder) byte() (byte, error) {
	if len(d.data) == 0 {
		return 0, errShort
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b, nil
}

// bytes returns the next n bytes, which are part of the input.
func (d *decoder) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(d.data)) {
		return nil, errShort
	}
	b := d.data[:n]
	d.data = d.data[n:]
	return b, nil
}

func (d *decoder) uvarint() (uint64, error) {
	if len(d.data) > 0 && d.data[0] < 0x80 {
		n := d.data[0]
		d.data = d.data[1:]
		return uint64(n), nil
	}
	n, size := binary.Uvarint(d.data)
	if size == 0 {
		return 0, errShort
	}
	if size < 0 {
		return 0, undecodablef("a number is out of range")
	}
	d.data = d.data[size:]
	return n, nil
}

func (d *decoder) varint() (int64, error) {
	n, err := d.uvarint()
	return int64(n>>1) ^ -int64(n&1), err
}

// flag reads a byte that is 0 or 1.
func (d *decoder) flag() (bool, error) {
	b, err := d.byte()
	if err == nil && b > 1 {
		err = undecodablef("%#02x where 0 or 1 should be", b)
	}
	return b == 1, err
}

// string reads a string, or bytes as one.
func (d *decoder) string() (string, error) {
	n, err := d.uvarint()
	if err != nil {
		return "", err
	}
	b, err := d.bytes(n)
	if err != nil {
		return "", err
	}
	if err := d.hold(n); err != nil {
		return "", err
	}
	return string(b), nil
}

// count reads the number of elements of a slice or map, each of which is encoded to min bytes at
// least. Not ok means nil.
func (d *decoder) count(min uint64) (n int, ok bool, err error) {
	u, err := d.uvarint()
	if err != nil || u == 0 {
		return 0, false, err
	}
	u--
	if min > 0 && u > uint64(len(d.data))/min || u > math.MaxInt {
		return 0, false, errShort
	}
	return int(u), true, nil
}

func decodeBool(d *decoder, p unsafe.Pointer) (err error) {
	*(*bool)(p), err = d.flag()
	return err
}

func decodeByte(d *decoder, p unsafe.Pointer) (err error) {
	*(*byte)(p), err = d.byte()
	return err
}

func decodeInt[T int | int16 | int32 | int64](d *decoder, p unsafe.Pointer) error {
	n, err := d.varint()
	if err != nil {
		return err
	}
	if int64(T(n)) != n {
		return undecodablef("%d is out of range", n)
	}
	*(*T)(p) = T(n)
	return nil
}

func decodeUint[T uint | uint16 | uint32 | uint64 | uintptr](d *decoder, p unsafe.Pointer) error {
	n, err := d.uvarint()
	if err != nil {
		return err
	}
	if uint64(T(n)) != n {
		return undecodablef("%d is out of range", n)
	}
	*(*T)(p) = T(n)
	return nil
}

func decodeFloat32(d *decoder, p unsafe.Pointer) error {
	b, err := d.bytes(4)
	if err == nil {
		*(*uint32)(p) = binary.LittleEndian.Uint32(b)
	}
	return err
}

func decodeFloat64(d *decoder, p unsafe.Pointer) error {
	b, err := d.bytes(8)
	if err == nil {
		*(*uint64)(p) = binary.LittleEndian.Uint64(b)
	}
	return err
}

func decodeComplex64(d *decoder, p unsafe.Pointer) error {
	if err := decodeFloat32(d, p); err != nil {
		return err
	}
	return decodeFloat32(d, unsafe.Add(p, 4))
}

func decodeComplex128(d *decoder, p unsafe.Pointer) error {
	if err := decodeFloat64(d, p); err != nil {
		return err
	}
	return decodeFloat64(d, unsafe.Add(p, 8))
}

func decodeString(d *decoder, p unsafe.Pointer) (err error) {
	*(*string)(p), err = d.string()
	return err
}
