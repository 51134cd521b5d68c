package entry

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// Box returns a pointer to a copy of value. A nil is an any without a value.
func Box(value any) (*codec.Type, any) {
	if value == nil {
		return codec.Of(reflect.TypeFor[any]()), new(any)
	}
	v := reflect.ValueOf(value)
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return codec.Of(v.Type()), p.Interface()
}

// pointer returns the address in p, which holds a pointer.
func pointer(p any) unsafe.Pointer { return reflect.ValueOf(p).UnsafePointer() }

// A Payload is an encoded value.
type Payload struct {
	Data  []byte
	Needs codec.Needs // what it takes to decode it
}

// Encode appends the encoded value that p, a pointer to a t, points at, to b.
func Encode(b []byte, t *codec.Type, p any) (Payload, error) {
	b, needs, err := t.Encode(b, pointer(p))
	if err != nil {
		return Payload{}, fmt.Errorf("encode a value of type %s: %w", t.Type(), err)
	}
	return Payload{b, needs}, nil
}

// Decode returns a pointer to the value of t that payload, which this process has made, is the encoding of.
func Decode(payload Payload, t *codec.Type) (any, error) {
	p := reflect.New(t.Type())
	if err := t.Decode(payload.Data, p.UnsafePointer()); err != nil {
		return nil, err
	}
	return p.Interface(), nil
}

// Value returns a pointer to the entry's value of type t. For a live value that is the pointer
// that was stored: its value is to be copied, not changed. shared says that the reader changes nothing of what is in the
// value either; for any other reader, what a plain copy would share is copied here. An entry that holds anything else
// is an error that matches ErrUndecodable.
func (e *Entry) Value(t *codec.Type, shared bool) (any, error) { return e.ValueIn(nil, t, shared) }

// ValueIn is Value for a value that goes into box, a pointer to a zero t, unless that is nil or the value is live.
// After an error there may be anything in box.
func (e *Entry) ValueIn(box any, t *codec.Type, shared bool) (any, error) {
	if e.live != nil && reflect.TypeOf(e.live) == t.Pointer() && (shared || t.Shareable()) {
		return e.live, nil
	}
	if value := e.value; value != nil && reflect.TypeOf(value) == t.Pointer() {
		e.value = nil
		if box == nil {
			return value, nil
		}
		reflect.ValueOf(box).Elem().Set(reflect.ValueOf(value).Elem())
		return box, nil
	}
	p := reflect.ValueOf(box)
	if box == nil {
		p = reflect.New(t.Type())
		box = p.Interface()
	}
	if err := e.valueInto(t, p, shared); err != nil {
		return nil, err
	}
	return box, nil
}

func (e *Entry) valueInto(t *codec.Type, p reflect.Value, shared bool) error {
	if e.live == nil && e.flags == flagsFrame {
		return e.decode(t, p)
	}
	if err := e.plainInto(t, p, shared); err != nil {
		return err
	}
	if v := p.Elem(); v.Kind() == reflect.Interface && !v.IsNil() && !t.Has(v.Elem().Type()) {
		return otherType(t)
	}
	return nil
}

// plainInto is valueInto for what is no frame.
func (e *Entry) plainInto(t *codec.Type, p reflect.Value, shared bool) error {
	switch {
	case e.live != nil:
		return e.assignLive(t, p.Elem(), shared)
	case e.flags == FlagsText:
		return assign(p.Elem(), reflect.ValueOf(string(e.body)))
	case e.flags == flagsNumber:
		return openNumber(e.body, reflect.TypeFor[int](), p.Elem())
	}
	kind := reflect.Kind(e.flags >> kindShift)
	if stored, ok := integers[kind]; ok && e.flags == flagsNumber|uint32(kind)<<kindShift {
		return openNumber(e.body, stored, p.Elem())
	}
	return Undecodable("flags %d are not of this library", e.flags)
}

// assignLive sets v to the live value or, unless the reader is shared, to one of its own.
func (e *Entry) assignLive(t *codec.Type, v reflect.Value, shared bool) error {
	live := e.live
	if reflect.TypeOf(live) != t.Pointer() {
		t = codec.Of(reflect.TypeOf(live).Elem())
	}
	if !shared && !t.Shareable() {
		payload, err := Encode(nil, t, live)
		if err != nil {
			return Undecodable("its readers share it, and for one that doesn't there is no copy: %v", err)
		}
		if live, err = Decode(payload, t); err != nil {
			return err
		}
	}
	return assign(v, reflect.ValueOf(live).Elem())
}

// decode reads the value of a frame.
func (e *Entry) decode(t *codec.Type, p reflect.Value) error {
	limits := codec.Limits{Memory: e.MaxDecoded, Types: t.Types()}
	err := e.decodeWithin(&limits, t, p)
	if e.MaxDecoded = limits.Memory; errors.Is(err, codec.ErrTooMuch) {
		return errTooMuch
	}
	return err
}

func (e *Entry) decodeWithin(limits *codec.Limits, t *codec.Type, p reflect.Value) (err error) {
	payload := e.body
	if e.compressed {
		if payload, err = uncompress(payload, limits); err != nil {
			return err
		}
	}
	if e.fingerprint == t.Fingerprint() {
		return t.DecodeWithin(payload, p.UnsafePointer(), limits)
	}
	return openOther(e.fingerprint, t, payload, limits, p)
}

// openOther reads a value that was stored as one type into a variable of another that can
// hold it: a City into an any, an any that holds a City into a City, or an int into an int64. Nothing is decoded that
// would not go into the variable.
func openOther(fingerprint uint64, t *codec.Type, payload []byte, limits *codec.Limits, p reflect.Value) error {
	from, _ := codec.Lookup(fingerprint)
	if !mayOpen(fingerprint, t) {
		return otherType(t)
	}
	if from.Type().Kind() == reflect.Interface && t.Type().Kind() != reflect.Interface {
		held, err := from.DynamicType(payload)
		if err != nil {
			return err
		}
		if !isAssignable(held, t.Type()) {
			return otherType(t)
		}
	}
	q := reflect.New(from.Type())
	if err := from.DecodeWithin(payload, q.UnsafePointer(), limits); err != nil {
		return err
	}
	return assign(p.Elem(), q.Elem())
}

// isAssignable reports whether assign may set a variable of type to, which is not an interface's, to a value of type held
// behind an interface, nil for a nil.
func isAssignable(held, to reflect.Type) bool {
	return held == nil || held.AssignableTo(to) || areIntegers(held, to) || held == reflect.TypeFor[string]() && to.Kind() == reflect.String
}

// mayOpen reports whether a variable of type t may hold what was stored as the type with this fingerprint.
func mayOpen(fingerprint uint64, t *codec.Type) bool {
	from, ok := codec.Lookup(fingerprint)
	return ok && (from.Type().Kind() == reflect.Interface || t.Type().Kind() == reflect.Interface && t.Has(from.Type()) || areIntegers(from.Type(), t.Type()))
}

// otherType is for a reader of type t who finds a value of another.
func otherType(t *codec.Type) error {
	return Undecodable("its type is not %s, or another version of that", t.Type())
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
			return Undecodable("it is nil, and not of type %s", v.Type())
		}
	}
	if v.Kind() == reflect.String && from.Kind() == reflect.String && from.Type() == reflect.TypeFor[string]() {
		v.SetString(from.String())
		return nil
	}
	if from.Type() != v.Type() && areIntegers(from.Type(), v.Type()) {
		return openNumber(fmt.Append(nil, from), from.Type(), v)
	}
	if !from.Type().AssignableTo(v.Type()) {
		return Undecodable("its type is %s, not %s", from.Type(), v.Type())
	}
	v.Set(from)
	return nil
}

// openNumber reads decimal text, which was stored as a number of the given type, into a variable
// of any integer type that can hold it, or into an interface: as a number of that type or, where Incr has made it
// more than that can hold, an int64 or uint64. memcached pads the text with spaces after a decrement that made it
// shorter.
func openNumber(text []byte, stored reflect.Type, v reflect.Value) error {
	s := strings.TrimRight(string(text), " ")
	if v.Kind() == reflect.Interface {
		var err error
		for _, t := range []reflect.Type{stored, reflect.TypeFor[int64](), reflect.TypeFor[uint64]()} {
			n := reflect.New(t).Elem()
			if err = openNumber(text, t, n); err == nil {
				return assign(v, n)
			}
		}
		return err
	}
	switch {
	case v.CanInt():
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return Undecodable("%s is not of type %s", errtext.Quote(s), v.Type())
		}
		v.SetInt(n)
	case v.CanUint() && integers[v.Kind()] != nil:
		n, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return Undecodable("%s is not of type %s", errtext.Quote(s), v.Type())
		}
		v.SetUint(n)
	default:
		return Undecodable("it is a number, and not of type %s", v.Type())
	}
	return nil
}

// integers are the predeclared integer types by their kind.
var integers = map[reflect.Kind]reflect.Type{
	reflect.Int: reflect.TypeFor[int](), reflect.Int8: reflect.TypeFor[int8](), reflect.Int16: reflect.TypeFor[int16](),
	reflect.Int32: reflect.TypeFor[int32](), reflect.Int64: reflect.TypeFor[int64](),
	reflect.Uint: reflect.TypeFor[uint](), reflect.Uint8: reflect.TypeFor[uint8](), reflect.Uint16: reflect.TypeFor[uint16](),
	reflect.Uint32: reflect.TypeFor[uint32](), reflect.Uint64: reflect.TypeFor[uint64](),
}

// areIntegers reports whether both types are predeclared integer types.
func areIntegers(a, b reflect.Type) bool { return integers[a.Kind()] == a && integers[b.Kind()] == b }
