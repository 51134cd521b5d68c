package decorators

import (
	"reflect"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/codec"
)

// The function may run longer than its call: in the background, or when its caller has left. The
// caller may then change what its arguments refer to, a buffer that is used again, say. So a function that
// runs in the background is given copies. Where there are none, the key is made once more before a result is
// stored for which its caller has not waited: if it is another one, the result is for other arguments.

// planKeep finds out which arguments can be changed by who has given them.
func (p *plan) planKeep() {
	if p.keyOf.IsValid() || p.kwargs != nil {
		p.changes = true
	}
	for i := range p.params {
		prm := &p.params[i]
		t := codec.Of(p.typ.In(prm.index))
		switch {
		case t.Shareable() || prm.dynamicType:
		case t.Err() == nil:
			prm.copied = t
		default:
			p.changes = true
		}
	}
	p.copies = p.changes
	for i := range p.params {
		p.copies = p.copies || p.params[i].copied != nil
	}
}

// keepValues returns copies of arguments, as far as they are needed and there can be any, and whether none of
// them can be changed by the caller.
func (p *plan) keepValues(values []reflect.Value) (kept []reflect.Value, ours bool) {
	if !p.copies {
		return values, true
	}
	kept, ours = append([]reflect.Value(nil), values...), !p.changes
	for i := range p.params {
		if prm := &p.params[i]; prm.copied != nil {
			box := reflect.New(prm.copied.Type())
			box.Elem().Set(values[prm.index])
			if copied, ok := copyOf(prm.copied, box); ok {
				kept[prm.index] = copied.Elem()
			} else {
				ours = false
			}
		}
	}
	return kept, ours
}

// keepFields is keepValues for the arguments of a typed call, in their place.
func (p *plan) keepFields(fields unsafe.Pointer) (ours bool) {
	if !p.copies {
		return true
	}
	ours = !p.changes
	all := reflect.NewAt(p.fields, fields).Elem()
	for i := range p.params {
		if prm := &p.params[i]; prm.copied != nil {
			field := all.Field(prm.index - 1)
			if copied, ok := copyOf(prm.copied, field.Addr()); ok {
				field.Set(copied.Elem())
			} else {
				ours = false
			}
		}
	}
	return ours
}

// copyOf returns a pointer to a copy of what p, a pointer to a t, points at.
func copyOf(t *codec.Type, p reflect.Value) (copied reflect.Value, ok bool) {
	payload, err := t.Append(nil, p.UnsafePointer())
	if err != nil {
		return reflect.Value{}, false
	}
	copied = reflect.New(t.Type())
	return copied, t.Decode(payload, copied.UnsafePointer()) == nil
}

// rekey returns what makes the key of the arguments once more, or nil if nobody can have changed it.
func (p *plan) rekey(a *arguments, ours bool) func(head []byte) ([]byte, error) {
	if ours || !p.copies {
		return nil
	}
	return func(head []byte) ([]byte, error) { return p.appendKey(head, a) }
}
