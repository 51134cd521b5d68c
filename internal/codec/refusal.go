package codec

import (
	"reflect"
)

// Which types are refused.
//
// Some kinds can't be encoded at all: functions, channels, unsafe pointers and interfaces with
// methods. A struct with an unexported field can't be encoded by its parts, and a type with a
// refused part can't either. A type that would be refused is encoded with its own marshaler if it
// has one, and then the types that it is part of aren't refused because of it. Types may refer to
// each other in cycles, so refusals are propagated until nothing changes: only a type with a
// refused part is refused, in whatever order types are compiled.

// A refusal says why values of a type can't be encoded.
type refusal struct {
	step string // the field's name, "[]" for an element, "[key]" for a map's key, "" for the type itself
	part *Type  // the type there
	why  string // and what to do; empty if part is refused itself
}

// refuse sets refused and form of the types.
func (c *compiler) refuse() {
	for _, t := range c.order {
		if t.form == structural {
			t.refuse(t.ownRefusal())
		}
	}
	c.propagate()
	// Only now is it known which keys have marshalers, which determine what such a key is.
	for _, t := range c.order {
		if t.rtype.Kind() == reflect.Map && t.open() && t.key.pointers() {
			t.refuse(&refusal{"[key]", t.key, "a pointer in a map's key, of which a copy is another; have what it points at in its place"})
		}
	}
	c.propagate()
}

// propagate refuses the types that have a refused part.
func (c *compiler) propagate() {
	for changed := true; changed; {
		changed = false
		for _, t := range c.order {
			if !t.open() {
				continue
			}
			for step, part := range t.parts {
				if part.refused != nil {
					t.refuse(&refusal{step: step, part: part})
					changed = true
					break
				}
			}
		}
	}
}

// open reports whether t is neither refused nor encoded with its marshaler.
func (t *Type) open() bool { return t.refused == nil && t.form == structural }

func (t *Type) refuse(r *refusal) {
	if r == nil {
		return
	}
	if t.form = ownMarshaler(t.rtype); t.form == structural {
		t.refused = r
	}
}

// ownRefusal returns why t can't be encoded by its parts, as far as it doesn't depend on the
// types of the parts.
func (t *Type) ownRefusal() *refusal {
	if why := t.refusedAs(); why != "" {
		return &refusal{why: why, part: t}
	}
	for _, f := range t.fields {
		switch {
		case !f.hidden:
			continue
		case t.scope.codecs.Has(t.ptr):
			return &refusal{why: "there is a codec for pointers to it alone; have a pointer in its place", part: t}
		case ownMethod(t.rtype, "ProtoReflect"):
			return &refusal{why: whyMessage, part: t}
		default:
			why := refusedKind(f.typ.rtype)
			if why == "" {
				why = "an unexported field of a type that has no marshaler; export it, give the type MarshalBinary and UnmarshalBinary, " +
					"or have a codec encode it: codecs.Register, or the option Codec"
			}
			return &refusal{f.name, f.typ, why}
		}
	}
	return nil
}

const whyMessage = "a protobuf message; import _ \"github.com/cacheutils/cacheutils/codecs/protobuf\" in the package that decorates the function"

// refusedAs says why values of t can't be encoded, whatever its parts are, or "".
func (t *Type) refusedAs() string {
	switch rt := t.rtype; {
	case rt.Kind() == reflect.Interface && rt.NumMethod() > 0 && t.scope.codecs.Carries(rt):
		return ""
	default:
		return refusedKind(rt)
	}
}

func refusedKind(rt reflect.Type) string {
	switch rt.Kind() {
	case reflect.Func:
		return "a function; leave it out"
	case reflect.Chan:
		return "a channel; leave it out"
	case reflect.UnsafePointer:
		return "an unsafe pointer; leave it out"
	case reflect.Interface:
		if rt.NumMethod() > 0 {
			return "an interface with methods; have a concrete type in its place, or a codec for it: codecs.Register, or the option Codec"
		}
	case reflect.Struct:
		if rt.PkgPath() == "sync" || rt.PkgPath() == "sync/atomic" {
			return "a copy of it guards nothing; leave it out"
		}
	}
	return ""
}

// pointers reports whether values of t as map keys are compared by a pointer's address, which
// doesn't outlive the process.
func (t *Type) pointers() bool {
	if t.rtype.Kind() == reflect.Pointer {
		return true
	}
	if t.form != structural {
		return false
	}
	if k := t.rtype.Kind(); k != reflect.Struct && k != reflect.Array {
		return false
	}
	for _, part := range t.parts {
		if part.pointers() {
			return true
		}
	}
	return false
}

// refusalText follows the refusals from t to the reason.
func (t *Type) refusalText() string {
	path := ""
	for {
		r := t.refused
		path = step(path, t, r.step)
		if r.why != "" {
			return at(path, r.part) + r.why
		}
		t = r.part
	}
}

// step returns the path to a part of t, which is at path, by the step to it, which is empty for t itself. Paths begin
// at the first struct.
func step(path string, t *Type, step string) string {
	switch {
	case step == "":
		return path
	case t.rtype.Kind() == reflect.Struct && path == "":
		return t.rtype.String() + "." + step
	case t.rtype.Kind() == reflect.Struct:
		return path + "." + step
	case path != "":
		return path + step
	default:
		return ""
	}
}

// at is how a text begins about the part of type t at path.
func at(path string, t *Type) string {
	if path == "" {
		return "type " + t.rtype.String() + ": "
	}
	return "field " + path + " of type " + t.rtype.String() + ": "
}
