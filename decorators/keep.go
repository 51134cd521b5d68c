package decorators

import (
	"reflect"
	"slices"

	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/store"
)

// A computation may run longer than the call that has started it: in the background, or when its caller has left.
// The caller may then change what its arguments refer to, a buffer that is used again, say. So where that may be,
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
		if in.Implements(contextType) || k.options.ignored[in] || !counts[i] && i != k.kwargsIndex && !k.keyOf.IsValid() {
			continue
		}
		// With KeyOf it isn't known what a pointer points at: a value, or a service, which must stay itself.
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

// keep makes a, the arguments of a call, those of its computation: copies where that may run longer than the
// call. The values of a are replaced, what its pointer points at is changed. miss is nil for a call that
// computes whatever is cached. keep returns what makes the key once more of arguments that the caller can still
// change, or nil.
func (p *plan) keep(a *arguments, miss *store.Miss) (rekey func(head []byte) ([]byte, error)) {
	if !p.mutable {
		return nil
	}
	outlasts := a.ctx != nil && a.ctx.Done() != nil || miss != nil && miss.Refreshes()
	if outlasts && p.copyInto(a) {
		return nil
	}
	kept := *a
	return func(head []byte) ([]byte, error) { return p.appendKey(head, &kept) }
}

// copyInto puts copies in the place of arguments, as far as they are needed and there can be any, and reports
// whether none of the arguments can be changed by the caller any more.
func (p *plan) copyInto(a *arguments) (ours bool) {
	ours = !p.uncopied
	var args reflect.Value // of a typed call
	if a.values != nil {
		a.values = slices.Clone(a.values)
	} else {
		args = reflect.NewAt(p.argsType, a.pointer).Elem()
	}
	for _, c := range p.copied {
		original := reflect.New(c.typ.Type()).Elem()
		if a.values != nil {
			original.Set(a.values[c.index])
		} else {
			original = args.Field(c.index - 1)
		}
		copied, ok := copyOf(c.typ, original.Addr())
		switch {
		case !ok:
			ours = false
		case a.values != nil:
			a.values[c.index] = copied.Elem()
		default:
			original.Set(copied.Elem())
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
