package decorators

import (
	"context"
	"reflect"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/codec"
)

// The function may run longer than its call: in the background, or when its caller has left. The
// caller may then change what its arguments refer to, a buffer that is used again, say. So where that may be,
// the function is given copies. Of what can't be copied, a service mostly, the key is made once more before a result is
// stored for which its caller has not waited: if it is another one, the result is for other arguments.

// A copyPlan is which arguments are copied for a computation that may run longer than the call.
type copyPlan struct {
	copied   []copiedParam
	uncopied bool // an argument that counts in the key can be changed by its caller, and not copied
	mutable  bool // one can be changed by its caller
}

// newCopyPlan finds out which arguments can be changed by their caller.
func newCopyPlan(k *keyPlan) (p copyPlan) {
	counts := make([]bool, k.typ.NumIn())
	for i := range k.params {
		counts[k.params[i].index] = !k.params[i].dynamicType
	}
	for i := range counts {
		in := k.typ.In(i)
		if in == contextType || k.options.ignored[in] || !counts[i] && i != k.kwargsIndex && !k.keyOf.IsValid() {
			continue
		}
		// With KeyOf nobody knows what a pointer is to: a value, or a service that is to stay itself.
		isValue := counts[i] || in.Kind() == reflect.Slice || in.Kind() == reflect.Map
		switch t := codec.Of(in); {
		case t.Shareable():
		case t.Err() == nil && isValue:
			p.copied = append(p.copied, copiedParam{i, t})
		default:
			p.uncopied = true
		}
	}
	p.mutable = p.uncopied || len(p.copied) > 0
	return p
}

// A copiedParam is a parameter whose arguments are copied.
type copiedParam struct {
	index int
	typ   *codec.Type
}

// outlasts reports whether a computation under ctx may go on when its caller has left.
func outlasts(ctx context.Context) bool { return ctx != nil && ctx.Done() != nil }

// keepValues returns copies of arguments, as far as they are needed and there can be any, and whether none of
// them can be changed by the caller.
func (p *plan) keepValues(values []reflect.Value) (kept []reflect.Value, ours bool) {
	if !p.mutable {
		return values, true
	}
	kept, ours = append([]reflect.Value(nil), values...), !p.uncopied
	for _, c := range p.copied {
		box := reflect.New(c.typ.Type())
		box.Elem().Set(values[c.index])
		if copied, ok := copyOf(c.typ, box); ok {
			kept[c.index] = copied.Elem()
		} else {
			ours = false
		}
	}
	return kept, ours
}

// keepFields is keepValues for the arguments of a typed call, in their place.
func (p *plan) keepFields(pointer unsafe.Pointer) (ours bool) {
	if !p.mutable {
		return true
	}
	ours = !p.uncopied
	all := reflect.NewAt(p.argsType, pointer).Elem()
	for _, c := range p.copied {
		field := all.Field(c.index - 1)
		if copied, ok := copyOf(c.typ, field.Addr()); ok {
			field.Set(copied.Elem())
		} else {
			ours = false
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

// rekey returns what makes the key of the arguments once more.
func (p *plan) rekey(a *arguments) func(head []byte) ([]byte, error) {
	return func(head []byte) ([]byte, error) { return p.appendKey(head, a) }
}
