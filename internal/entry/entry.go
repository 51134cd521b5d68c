// Package entry is what is stored under a key: a value with its metadata, and how that becomes an item of an
// engine and a value again. It is pure: it has no context, does no I/O, and knows no time but an argument.
package entry

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// An Entry is what is found or stored under a key. It is one of five:
//
//   - a number of a predeclared integer type, as decimal text with memcached's flags 2, as
//     Django writes it: Incr works on it. Bits that Django ignores say which type;
//   - a live value, in engines that hold those, where nobody can change it or its user said
//     Shared: a pointer to a copy of its own, with its metadata if there is any;
//   - a frame: metadata and the encoded value, see frame.go;
//   - a frame with nothing but metadata: somebody's lease, or what is left of one, or a negative entry;
//   - a Mark, in engines that hold live values: somebody's lease.
//
// Text with flags 16, as Django writes str, is read too.
type Entry struct {
	Meta
	Cost int    // in bytes, once Item has been called
	CAS  uint64 // as it was read

	flags       uint32
	live        any    // a pointer to the value; not nil for live values only
	body        []byte // the number, the text, or the frame's payload
	fingerprint uint64 // of the type of a frame's value
	compressed  bool   // of a frame's payload
}

const (
	flagsNumber = 2 // | kind of integer << kindShift; 0 stands for int
	kindShift   = 8
	flagsFrame  = 0xCA << 16
)

// FlagsText are the flags of text, as Django writes str.
const FlagsText = 16

// A Sealer makes entries for one store.
type Sealer struct {
	Live          bool // the engine holds live values
	CompressAbove int  // bytes above which encoded values are compressed; negative: never
}

// HoldsLive reports whether values of t are kept as they are. shared says that nobody changes them.
func (s Sealer) HoldsLive(t *codec.Type, shared bool) bool {
	return s.Live && (shared || t.Shareable())
}

// Seal makes the entry that holds the value that p, a pointer to a t, points at. A live value
// keeps p. payload is the encoded value, or nil when that isn't known yet.
func (s Sealer) Seal(check Check, t *codec.Type, p any, shared bool, payload []byte) (Entry, error) {
	e := Entry{Meta: Meta{Check: check}}
	if s.HoldsLive(t, shared) {
		e.live, e.Cost = p, t.Size(pointer(p))
		return e, nil
	}
	if payload == nil {
		var err error
		if payload, err = Encode(nil, t, p); err != nil {
			return e, err
		}
	}
	e.flags, e.fingerprint, e.body = flagsFrame, t.Fingerprint(), payload
	if s.CompressAbove >= 0 && len(payload) > s.CompressAbove {
		if small := compress(payload); len(small) < len(payload) {
			e.body, e.compressed = small, true
		}
	}
	return e, nil
}

// SealPlain is Seal for the values of the low-level API: whole numbers stay text, unless the
// key was shortened or is in a group, of which text could say nothing.
func (s Sealer) SealPlain(check Check, grouped bool, t *codec.Type, p any) (Entry, error) {
	kind := t.Type().Kind()
	if integers[kind] != t.Type() || check != (Check{}) || grouped {
		return s.Seal(check, t, p, false, nil)
	}
	v := reflect.ValueOf(p).Elem()
	e := Entry{flags: flagsNumber}
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

// Tombstone returns an entry that counts for nobody.
func (s Sealer) Tombstone(check Check) Entry {
	e := Entry{flags: flagsFrame, Meta: Meta{Check: check, Empty: true}}
	if s.Live {
		e.live = noValue{} // it needs no frame
	}
	return e
}

// Negative returns the entry that says that there is nothing for a key.
func (s Sealer) Negative(check Check) Entry {
	e := s.Tombstone(check)
	e.Meta.Negative = true
	return e
}

// A noValue takes the place of the live value in an entry without one.
type noValue struct{}

// A Mark is a lease that lies on no value, in this process's memory. It is a live value that is its own metadata.
type Mark interface{ Meta() Meta }

// SetMark puts m in the place of an entry without a value.
func (e *Entry) SetMark(m Mark) { e.live = m }

// Item returns what the engine is given for the entry.
func (e *Entry) Item() engine.Item {
	item := engine.Item{Live: e.live, Flags: e.flags, Ephemeral: e.Empty && !e.Negative, Cost: e.Cost, CAS: e.CAS}
	switch {
	case e.live != nil:
		item.Live = e.wrapped()
	case e.flags == flagsFrame:
		item.Value = e.frame()
		item.Cost = len(item.Value)
	default:
		item.Value, item.Cost = e.body, len(e.body)
	}
	e.Cost = item.Cost
	return item
}

// A withMeta is a live value with metadata.
type withMeta struct {
	Meta
	value any
}

// A withExpiry is a live value whose metadata is only its ExpiresAt: most are.
type withExpiry struct {
	expiresAt int64
	value     any
}

// wrapped returns the live value with its metadata.
func (e *Entry) wrapped() any {
	_, mark := e.live.(Mark)
	switch {
	case mark:
		return e.live
	case !e.onlyExpires():
		return &withMeta{e.Meta, e.live}
	case e.ExpiresAt != 0:
		return &withExpiry{e.ExpiresAt, e.live}
	default:
		return e.live
	}
}

// Unwrap returns the value of a live item if that is a *T for the type T of t, and counts whatever the time and
// the groups are: if it has no metadata, or only what the engine keeps to.
func Unwrap(live any, t *codec.Type) any {
	if e, ok := live.(*withExpiry); ok {
		live = e.value
	}
	if reflect.TypeOf(live) == t.Pointer() {
		return live
	}
	return nil
}

// Referred returns the metadata of a live item, and whether its value is a *T for the type T of t and is an answer for
// a reader as long as it is stored, and fresh: a Ref may be made to it.
func Referred(live any, t *codec.Type) (meta Meta, ok bool) {
	var e Entry
	if live == nil || e.Parse(engine.Item{Live: live}) != nil {
		return Meta{}, false
	}
	return e.Meta, reflect.TypeOf(e.live) == t.Pointer() && e.Check == Check{} && e.Holder == Token{} && !e.Empty
}

// LiveValue returns the value of a live item that Referred has found to be one.
func LiveValue(live any) any {
	switch l := live.(type) {
	case *withExpiry:
		return l.value
	case *withMeta:
		return l.value
	default:
		return live
	}
}

// Parse fills in e, which is zero, from item. A frame that is damaged is an error that matches
// ErrUndecodable; the entry then still has what it takes to replace it.
func (e *Entry) Parse(item engine.Item) error {
	e.flags, e.live, e.Cost, e.CAS = item.Flags, item.Live, item.Cost, item.CAS
	if item.Live != nil {
		switch l := item.Live.(type) {
		case *withMeta:
			e.Meta, e.live = l.Meta, l.value
		case *withExpiry:
			e.ExpiresAt, e.live = l.expiresAt, l.value
		case Mark:
			e.Meta = l.Meta()
		}
		return nil
	}
	if item.Flags != flagsFrame {
		e.body = item.Value
		return nil
	}
	return e.parseFrame(item.Value)
}

// IsPlainNumber reports whether e has no room for metadata.
func (e *Entry) IsPlainNumber() bool { return e.live == nil && e.flags != flagsFrame }

// Undecodable returns an error that matches cacheutils.ErrUndecodable.
func Undecodable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", cacheutils.ErrUndecodable, fmt.Sprintf(format, args...))
}
