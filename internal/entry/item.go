package entry

import (
	"reflect"
	"unsafe"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// Item returns what the engine is given for the entry.
func (e *Entry) Item() engine.Item {
	item := engine.Item{Live: e.live, Flags: e.flags, Ephemeral: e.Empty && !e.Negative && len(e.others) == 0, Cost: e.Cost, CAS: e.CAS}
	switch {
	case e.live != nil:
		item.Live = e.wrapped()
		if meta, ok := item.Live.(*withMeta); ok {
			item.Cost += meta.memory()
		}
	case e.flags == flagsFrame:
		item.Value = e.frame()
		item.Cost = len(item.Value)
	default:
		item.Value, item.Cost = e.body, len(e.body)
	}
	if item.Live == nil {
		e.Cost = item.Cost
	}
	return item
}

// A withMeta is a live value with metadata.
type withMeta struct {
	Meta
	value any
}

// memory returns about how many bytes the metadata takes, besides what an engine counts for any item.
func (m *withMeta) memory() int {
	const generation = 32 + 48 // a group and its id, a text of 36 bytes
	n := int(unsafe.Sizeof(withMeta{})) + generation*len(m.Groups)
	for i := range m.Groups {
		n += len(m.Groups[i].Group)
	}
	return n + m.Error.memory()
}

// A withExpiry is a live value whose metadata is only its times, and which is never stale: most are.
type withExpiry struct {
	storedAt, expiresAt int64
	value               any
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
		return &withExpiry{e.StoredAt, e.ExpiresAt, e.live}
	default:
		return e.live
	}
}

// Unwrap returns the value of a live item if that is a *T for the type T of t, is that of a key with this check, and counts
// whatever the time and the groups are: if it has no other metadata, or only what the engine keeps to.
func Unwrap(live any, t *codec.Type, check Check) any {
	switch e := live.(type) {
	case *withMeta:
		if e.Check != check || !e.onlyChecked() {
			return nil
		}
		live = e.value
	case *withExpiry:
		live = e.value
		if check != (Check{}) {
			return nil
		}
	default:
		if check != (Check{}) {
			return nil
		}
	}
	if reflect.TypeOf(live) == t.Pointer() {
		return live
	}
	return nil
}

// Referred returns the metadata of a live item, and whether its value is a *T for the type T of t and is an answer for
// a reader of a key with its Check as long as it is stored, and fresh: a Ref may be made to it.
func Referred(live any, t *codec.Type) (meta Meta, ok bool) {
	var e Entry
	if live == nil || e.Parse(engine.Item{Live: live}) != nil {
		return Meta{}, false
	}
	return e.Meta, reflect.TypeOf(e.live) == t.Pointer() && e.Holder == Token{} && !e.Empty && e.Error == nil
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

// Parse fills in e, which is zero but for MaxDecoded, from item. A frame that is damaged is an error that matches
// ErrUndecodable; the entry then still has what it takes to replace it.
func (e *Entry) Parse(item engine.Item) error {
	e.flags, e.live, e.Cost, e.CAS = item.Flags, item.Live, item.Cost, item.CAS
	if item.Live != nil {
		switch l := item.Live.(type) {
		case *withMeta:
			e.Meta, e.live = l.Meta, l.value
			e.Cost -= l.memory()
		case *withExpiry:
			e.StoredAt, e.ExpiresAt, e.live = l.storedAt, l.expiresAt, l.value
		case Mark:
			e.Meta = l.Meta()
		}
		return nil
	}
	switch item.Flags {
	case flagsFrame:
		return e.parseFrame(item.Value)
	case FlagsSealed:
		return Undecodable("it is not sealed with a secret of this backend, or has ended")
	default:
		e.body = item.Value
		return nil
	}
}
