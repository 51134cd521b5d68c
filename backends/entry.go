package backends

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// What is stored under a key is one of three:
//
//   - a number of a predeclared integer type, as decimal text with memcached's flags 2, as
//     Django writes it: Incr works on it. Bits that Django ignores say which type;
//   - a live value, in engines that hold those, where nobody can change it or its user said
//     Shared: a pointer to a copy of its own;
//   - a frame: two bytes that say what it is, a byte of bits, the fingerprint of the value's
//     type, for shortened keys 16 bytes of the key's sha256, and the encoded value.
//
// Text with flags 16, as Django writes str, is read too.
const (
	flagsNumber = 2 // | kind of integer << kindShift; 0 stands for int
	kindShift   = 8
	flagsText   = 16
	flagsFrame  = 0xCA << 16

	frameMagic   = 0xCA
	frameFormat  = 1
	frameHead    = 3 + 8
	bitCompress  = 1
	bitKeyCheck  = 2
	allFrameBits = bitCompress | bitKeyCheck
)

// A checkedLive is a live value under a shortened key.
type checkedLive struct {
	check keyCheck
	value any
}

// seal makes the item that holds the value that p, a pointer to a t, points at. The item of
// a live value keeps p. payload is the encoded value, or nil when that isn't known yet.
func (c *Cache) seal(key Key, t *codec.Type, p any, shared bool, payload []byte) (engine.Item, error) {
	if c.holdsLive(t, shared) {
		item := engine.Item{Live: p, Cost: t.Size(pointer(p))}
		if key.check != (keyCheck{}) {
			item.Live = &checkedLive{key.check, p}
		}
		return item, nil
	}
	if payload == nil {
		var err error
		if payload, err = t.Append(nil, pointer(p)); err != nil {
			return engine.Item{}, fmt.Errorf("backends: encode a %s: %w", t.Type(), err)
		}
	}
	frame := c.frame(key, t, payload)
	return engine.Item{Value: frame, Flags: flagsFrame, Cost: len(frame)}, nil
}

// sealPlain is seal for the values of the low-level API: whole numbers stay text, except under
// shortened keys, of which the text would say nothing.
func (c *Cache) sealPlain(key Key, t *codec.Type, p any) (engine.Item, error) {
	if kind := t.Type().Kind(); integers[kind] == t.Type() && key.check == (keyCheck{}) {
		v := reflect.ValueOf(p).Elem()
		var text []byte
		if v.CanInt() {
			text = strconv.AppendInt(nil, v.Int(), 10)
		} else {
			text = strconv.AppendUint(nil, v.Uint(), 10)
		}
		item := engine.Item{Value: text, Flags: flagsNumber, Cost: len(text)}
		if kind != reflect.Int {
			item.Flags |= uint32(kind) << kindShift
		}
		return item, nil
	}
	return c.seal(key, t, p, false, nil)
}

// holdsLive tells whether values of t are kept as they are.
func (c *Cache) holdsLive(t *codec.Type, shared bool) bool {
	return c.live && (shared || t.Shareable())
}

// integers are the predeclared integer types by their kind.
var integers = map[reflect.Kind]reflect.Type{
	reflect.Int: reflect.TypeFor[int](), reflect.Int8: reflect.TypeFor[int8](), reflect.Int16: reflect.TypeFor[int16](),
	reflect.Int32: reflect.TypeFor[int32](), reflect.Int64: reflect.TypeFor[int64](),
	reflect.Uint: reflect.TypeFor[uint](), reflect.Uint8: reflect.TypeFor[uint8](), reflect.Uint16: reflect.TypeFor[uint16](),
	reflect.Uint32: reflect.TypeFor[uint32](), reflect.Uint64: reflect.TypeFor[uint64](),
}

func (c *Cache) frame(key Key, t *codec.Type, payload []byte) []byte {
	var bits byte
	if c.compressAbove >= 0 && len(payload) > c.compressAbove {
		if small := compress(payload); len(small) < len(payload) {
			payload, bits = small, bits|bitCompress
		}
	}
	frame := make([]byte, 0, frameHead+len(key.check)+len(payload))
	if key.check != (keyCheck{}) {
		bits |= bitKeyCheck
	}
	frame = append(frame, frameMagic, frameFormat, bits)
	frame = binary.BigEndian.AppendUint64(frame, t.Fingerprint())
	if bits&bitKeyCheck != 0 {
		frame = append(frame, key.check[:]...)
	}
	return append(frame, payload...)
}

// open returns a pointer to the value of type t that item holds. For a live value that is
// the pointer that was stored: its value is to be copied, not changed. An item that holds
// anything else is an error that matches ErrUndecodable.
func open(key Key, t *codec.Type, item engine.Item) (any, error) {
	if item.Live != nil {
		return openLive(key, t, item.Live)
	}
	p := reflect.New(t.Type())
	if err := openInto(key, t, item, p); err != nil {
		return nil, err
	}
	return p.Interface(), nil
}

func openLive(key Key, t *codec.Type, live any) (any, error) {
	if l, ok := live.(*checkedLive); ok {
		if l.check != key.check {
			return nil, undecodable("it belongs to another key with the same hash")
		}
		live = l.value
	} else if key.check != (keyCheck{}) {
		return nil, undecodable("it belongs to another key")
	}
	if reflect.TypeOf(live).Elem() == t.Type() {
		return live, nil
	}
	p := reflect.New(t.Type())
	if err := assign(p.Elem(), reflect.ValueOf(live).Elem()); err != nil {
		return nil, err
	}
	return p.Interface(), nil
}

func openInto(key Key, t *codec.Type, item engine.Item, p reflect.Value) error {
	if item.Flags != flagsFrame && key.check != (keyCheck{}) {
		return undecodable("it belongs to another key")
	}
	switch item.Flags {
	case flagsFrame:
		return openFrame(key, t, item.Value, p)
	case flagsText:
		return assign(p.Elem(), reflect.ValueOf(string(item.Value)))
	case flagsNumber:
		return openNumber(item.Value, reflect.TypeFor[int](), p.Elem())
	}
	kind := reflect.Kind(item.Flags >> kindShift)
	if stored, ok := integers[kind]; ok && item.Flags == flagsNumber|uint32(kind)<<kindShift {
		return openNumber(item.Value, stored, p.Elem())
	}
	return undecodable("flags %d are not of this library", item.Flags)
}

func openFrame(key Key, t *codec.Type, frame []byte, p reflect.Value) error {
	if len(frame) < frameHead || frame[0] != frameMagic || frame[1] != frameFormat || frame[2]&^allFrameBits != 0 {
		return undecodable("it has no head of this library")
	}
	bits, fingerprint, payload := frame[2], binary.BigEndian.Uint64(frame[3:]), frame[frameHead:]
	var check keyCheck
	if bits&bitKeyCheck != 0 {
		if len(payload) < len(check) {
			return undecodable("it is cut off")
		}
		payload = payload[copy(check[:], payload):]
	}
	if check != key.check {
		return undecodable("it belongs to another key with the same hash")
	}
	if bits&bitCompress != 0 {
		var err error
		if payload, err = uncompress(payload); err != nil {
			return undecodable("its compressed part: %v", err)
		}
	}
	if fingerprint == t.Fingerprint() {
		return t.Decode(payload, p.UnsafePointer())
	}
	return openOther(fingerprint, t, payload, p)
}

// openOther reads a value that was stored as one type into a variable of another that can
// hold it: a City into an any, or an any that holds a City into a City.
func openOther(fingerprint uint64, t *codec.Type, payload []byte, p reflect.Value) error {
	from, ok := codec.Lookup(fingerprint)
	if !ok || (from.Type().Kind() != reflect.Interface && t.Type().Kind() != reflect.Interface) {
		return undecodable("it is no %s, or of another version of that type", t.Type())
	}
	q := reflect.New(from.Type())
	if err := from.Decode(payload, q.UnsafePointer()); err != nil {
		return err
	}
	return assign(p.Elem(), q.Elem())
}

// assign sets v to from, looking through an interface on the right. A nil goes into anything
// that can be nil.
func assign(v, from reflect.Value) error {
	if from.Kind() == reflect.Interface && v.Kind() != reflect.Interface {
		from = from.Elem()
		if !from.IsValid() {
			switch v.Kind() {
			case reflect.Pointer, reflect.Slice, reflect.Map:
				v.SetZero()
				return nil
			}
			return undecodable("it is nil, no %s", v.Type())
		}
	}
	if v.Kind() == reflect.String && from.Kind() == reflect.String && from.Type() == reflect.TypeFor[string]() {
		v.SetString(from.String())
		return nil
	}
	if !from.Type().AssignableTo(v.Type()) {
		return undecodable("it is a %s, no %s", from.Type(), v.Type())
	}
	v.Set(from)
	return nil
}

// openNumber reads decimal text, which was stored as a number of the given type, into a variable
// of any integer type that can hold it, or into an interface. memcached pads the text with
// spaces after a decrement that made it shorter.
func openNumber(text []byte, stored reflect.Type, v reflect.Value) error {
	s := strings.TrimRight(string(text), " ")
	if v.Kind() == reflect.Interface {
		n := reflect.New(stored).Elem()
		if err := openNumber(text, stored, n); err != nil {
			return err
		}
		return assign(v, n)
	}
	switch {
	case v.CanInt():
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return undecodable("%q is no %s", s, v.Type())
		}
		v.SetInt(n)
	case v.CanUint() && integers[v.Kind()] != nil:
		n, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return undecodable("%q is no %s", s, v.Type())
		}
		v.SetUint(n)
	default:
		return undecodable("it is a number, no %s", v.Type())
	}
	return nil
}

func undecodable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", cacheutils.ErrUndecodable, fmt.Sprintf(format, args...))
}
