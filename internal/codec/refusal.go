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
	why  string // empty if part is refused itself
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
			t.refuse(&refusal{"[key]", t.key, "a pointer in a map's key"})
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
	if why := refusedKind(t.rtype); why != "" {
		return &refusal{why: why, part: t}
	}
	for _, f := range t.fields {
		if f.hidden {
			why := refusedKind(f.typ.rtype)
			if why == "" {
				why = "an unexported field of a type that has no marshaler"
			}
			return &refusal{f.name, f.typ, why}
		}
	}
	return nil
}

func refusedKind(rt reflect.Type) string {
	switch rt.Kind() {
	case reflect.Func:
		return "a function"
	case reflect.Chan:
		return "a channel"
	case reflect.UnsafePointer:
		return "an unsafe pointer"
	case reflect.Interface:
		if rt.NumMethod() > 0 {
			return "a non-empty interface"
		}
	}
	return ""
}

// pointers reports whether values of t as map keys are compared by a pointer's address, which
// doesn't outlive the process.
func (t *Type) pointers() bool {
	if t.form != structural {
		return false
	}
	if t.rtype.Kind() == reflect.Pointer {
		return true
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
		switch {
		case t.rtype.Kind() == reflect.Struct && path == "":
			path = t.rtype.String() + "." + r.step
		case t.rtype.Kind() == reflect.Struct:
			path += "." + r.step
		case path != "":
			path += r.step
		}
		if r.why == "" {
			t = r.part
			continue
		}
		if path == "" {
			return "type " + r.part.rtype.String() + ": " + r.why
		}
		return "field " + path + " of type " + r.part.rtype.String() + ": " + r.why
	}
}
