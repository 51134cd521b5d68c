package store

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// An entry is what the Cache finds or stores under a key. It is one of four:
//
//   - a number of a predeclared integer type, as decimal text with memcached's flags 2, as
//     Django writes it: Incr works on it. Bits that Django ignores say which type;
//   - a live value, in engines that hold those, where nobody can change it or its user said
//     Shared: a pointer to a copy of its own, under its label if it has one;
//   - a frame: a label and the encoded value, see frame.go;
//   - a frame with nothing but a label: somebody's lease, or what is left of one.
//
// Text with flags 16, as Django writes str, is read too.
type entry struct {
	label
	flags       uint32
	live        any    // a pointer to the value; not nil for live values only
	body        []byte // the number, the text, or the frame's payload
	fingerprint uint64 // of the type of a frame's value
	compressed  bool   // of a frame's payload
	cost        int    // in bytes
	cas         uint64 // as it was read
}

const (
	flagsNumber = 2 // | kind of integer << kindShift; 0 stands for int
	kindShift   = 8
	flagsText   = 16
	flagsFrame  = 0xCA << 16
)

// A label is what an entry carries beside its value. Times are in Unix milliseconds.
type label struct {
	check      keyCheck
	freshUntil int64        // after that the value is stale; 0: never
	goneAt     int64        // when the engine drops the entry; 0: never, or as the engine knows
	groups     []generation // the entry counts while the groups still have these
	holder     token        // who computes the value anew; zero: nobody
	heldUntil  int64        // when others stop to count on the holder of a stale value
	failures   uint8        // computations in a row that have failed to renew a stale value
	retryAt    int64        // when the next may try
	empty      bool         // there is no value
	absent     bool         // because the function has none
}

// onlyGone tells whether there is nothing on the label but perhaps goneAt.
func (l *label) onlyGone() bool {
	return l.check == keyCheck{} && l.freshUntil == 0 && l.groups == nil &&
		l.holder == token{} && l.failures == 0 && l.retryAt == 0 && !l.empty && !l.absent
}

// A labelled is a live value with a label.
type labelled struct {
	label
	value any
}

// An expiring is a live value of whose label there is only goneAt: most are.
type expiring struct {
	goneAt int64
	value  any
}

// seal makes the entry that holds the value that p, a pointer to a t, points at. A live value
// keeps p. payload is the encoded value, or nil when that isn't known yet.
func (c *Store) seal(key Key, t *codec.Type, p any, shared bool, payload []byte) (entry, error) {
	e := entry{label: label{check: key.check}}
	if c.holdsLive(t, shared) {
		e.live, e.cost = p, t.Size(pointer(p))
		return e, nil
	}
	if payload == nil {
		var err error
		if payload, err = t.Append(nil, pointer(p)); err != nil {
			return e, fmt.Errorf("backends: encode a %s: %w", t.Type(), err)
		}
	}
	e.flags, e.fingerprint, e.body = flagsFrame, t.Fingerprint(), payload
	if c.CompressAbove >= 0 && len(payload) > c.CompressAbove {
		if small := compress(payload); len(small) < len(payload) {
			e.body, e.compressed = small, true
		}
	}
	return e, nil
}

// sealPlain is seal for the values of the low-level API: whole numbers stay text, unless the
// key was shortened or is in a group, of which text could say nothing.
func (c *Store) sealPlain(key Key, t *codec.Type, p any) (entry, error) {
	kind := t.Type().Kind()
	if integers[kind] != t.Type() || key.check != (keyCheck{}) || len(key.groups) > 0 {
		return c.seal(key, t, p, false, nil)
	}
	v := reflect.ValueOf(p).Elem()
	e := entry{flags: flagsNumber}
	if v.CanInt() {
		e.body = strconv.AppendInt(nil, v.Int(), 10)
	} else {
		e.body = strconv.AppendUint(nil, v.Uint(), 10)
	}
	if kind != reflect.Int {
		e.flags |= uint32(kind) << kindShift
	}
	return e, nil
}

// item returns what the engine is given for the entry.
func (e *entry) item() engine.Item {
	item := engine.Item{Live: e.live, Flags: e.flags, Brief: e.empty && !e.absent, Cost: e.cost, CAS: e.cas}
	switch {
	case e.live != nil:
		item.Live = e.labelledLive()
	case e.flags == flagsFrame:
		item.Value = e.frame()
		item.Cost = len(item.Value)
	default:
		item.Value, item.Cost = e.body, len(e.body)
	}
	e.cost = item.Cost
	return item
}

// labelledLive returns the live value with its label.
func (e *entry) labelledLive() any {
	_, mark := e.live.(*lease)
	switch {
	case mark:
		return e.live // which is a label as well
	case !e.label.onlyGone():
		return &labelled{e.label, e.live}
	case e.goneAt != 0:
		return &expiring{e.goneAt, e.live}
	default:
		return e.live
	}
}

// parse fills in e, which is zero, from item. A frame that is damaged is an error that matches
// ErrUndecodable; the entry then still has what it takes to replace it.
func (e *entry) parse(item engine.Item) error {
	e.flags, e.live, e.cost, e.cas = item.Flags, item.Live, item.Cost, item.CAS
	if item.Live != nil {
		switch l := item.Live.(type) {
		case *labelled:
			e.label, e.live = l.label, l.value
		case *expiring:
			e.goneAt, e.live = l.goneAt, l.value
		case *lease:
			e.label = label{check: l.key.check, holder: l.token, heldUntil: l.heldUntil.Load(), empty: true}
		}
		return nil
	}
	if item.Flags != flagsFrame {
		e.body = item.Value
		return nil
	}
	return e.parseFrame(item.Value)
}

// holdsLive tells whether values of t are kept as they are.
func (c *Store) holdsLive(t *codec.Type, shared bool) bool {
	return c.live && (shared || t.Shareable())
}

// integers are the predeclared integer types by their kind.
var integers = map[reflect.Kind]reflect.Type{
	reflect.Int: reflect.TypeFor[int](), reflect.Int8: reflect.TypeFor[int8](), reflect.Int16: reflect.TypeFor[int16](),
	reflect.Int32: reflect.TypeFor[int32](), reflect.Int64: reflect.TypeFor[int64](),
	reflect.Uint: reflect.TypeFor[uint](), reflect.Uint8: reflect.TypeFor[uint8](), reflect.Uint16: reflect.TypeFor[uint16](),
	reflect.Uint32: reflect.TypeFor[uint32](), reflect.Uint64: reflect.TypeFor[uint64](),
}

// value returns a pointer to the entry's value of type t. For a live value that is the pointer
// that was stored: its value is to be copied, not changed. An entry that holds anything else
// is an error that matches ErrUndecodable.
func (e *entry) value(key *Key, t *codec.Type) (any, error) { return e.valueIn(nil, key, t) }

// valueIn is value for a value that goes into box, a pointer to a zero t, unless that is nil or the value is live.
// After an error there may be anything in box.
func (e *entry) valueIn(box any, key *Key, t *codec.Type) (any, error) {
	if e.check != key.check {
		return nil, undecodable("it belongs to another key with the same hash")
	}
	if e.live != nil && reflect.TypeOf(e.live) == t.Pointer() {
		return e.live, nil
	}
	p := reflect.ValueOf(box)
	if box == nil {
		p = reflect.New(t.Type())
		box = p.Interface()
	}
	if err := e.valueInto(t, p); err != nil {
		return nil, err
	}
	return box, nil
}

func (e *entry) valueInto(t *codec.Type, p reflect.Value) error {
	switch {
	case e.live != nil:
		return assign(p.Elem(), reflect.ValueOf(e.live).Elem())
	case e.flags == flagsFrame:
		return e.decode(t, p)
	case e.flags == flagsText:
		return assign(p.Elem(), reflect.ValueOf(string(e.body)))
	case e.flags == flagsNumber:
		return openNumber(e.body, reflect.TypeFor[int](), p.Elem())
	}
	kind := reflect.Kind(e.flags >> kindShift)
	if stored, ok := integers[kind]; ok && e.flags == flagsNumber|uint32(kind)<<kindShift {
		return openNumber(e.body, stored, p.Elem())
	}
	return undecodable("flags %d are not of this library", e.flags)
}

// decode reads the value of a frame.
func (e *entry) decode(t *codec.Type, p reflect.Value) error {
	payload := e.body
	if e.compressed {
		var err error
		if payload, err = uncompress(payload); err != nil {
			return undecodable("its compressed part: %v", err)
		}
	}
	if e.fingerprint == t.Fingerprint() {
		return t.Decode(payload, p.UnsafePointer())
	}
	return openOther(e.fingerprint, t, payload, p)
}

// openOther reads a value that was stored as one type into a variable of another that can
// hold it: a City into an any, an any that holds a City into a City, or an int into an int64.
func openOther(fingerprint uint64, t *codec.Type, payload []byte, p reflect.Value) error {
	from, ok := codec.Lookup(fingerprint)
	if !ok || from.Type().Kind() != reflect.Interface && t.Type().Kind() != reflect.Interface && !areIntegers(from.Type(), t.Type()) {
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
	if from.Type() != v.Type() && areIntegers(from.Type(), v.Type()) {
		return openNumber(fmt.Append(nil, from), from.Type(), v)
	}
	if !from.Type().AssignableTo(v.Type()) {
		return undecodable("it is a %s, no %s", from.Type(), v.Type())
	}
	v.Set(from)
	return nil
}

// areIntegers tells whether both types are predeclared integer types.
func areIntegers(a, b reflect.Type) bool { return integers[a.Kind()] == a && integers[b.Kind()] == b }

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
