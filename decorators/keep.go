package decorators

import (
	"reflect"
	"slices"

	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/store"
)

// A computation may run longer than the call that has started it: in the background, or when its caller has left.
// The caller may then change what its arguments refer to, a buffer that is used again, say. So where that may be,
// the function is given copies. Of what can't be copied, a service mostly, or what a context value refers to, the key is made
// once more before a result is stored for which its caller has not waited: if it is another one, the result is for other
// arguments.

// A copyPlan is which arguments are copied for a computation that may run longer than the call.
type copyPlan struct {
	copied   []copiedParam
	uncopied bool // an argument that counts in the key can be changed by its caller, and not copied
	mutable  bool // one can be changed by its caller
}

// A copiedParam is a parameter whose arguments are copied.
type copiedParam struct {
	index    int
	encoder  *keyenc.Encoder
	variadic bool // the encoder is that of one of them
}

// newCopyPlan finds out which arguments can be changed by their caller.
func newCopyPlan(k *keyPlan) (p copyPlan) {
	for _, prm := range k.params {
		if in := k.typ.In(prm.index); prm.encoder != nil && !in.Implements(contextType) && (prm.variadic || !prm.encoder.Fixed()) {
			p.copied = append(p.copied, copiedParam{prm.index, prm.encoder, prm.variadic})
		}
	}
	if k.kwargs != nil {
		p.copied = append(p.copied, copiedParam{index: k.kwargsIndex, encoder: k.kwargs})
	}
	if k.keyOf.IsValid() {
		p.underKeyOf(k)
	}
	p.mutable = p.uncopied || len(p.copied) > 0
	return p
}

// underKeyOf plans for arguments of which it isn't known what counts.
func (p *copyPlan) underKeyOf(k *keyPlan) {
	for i := range k.typ.NumIn() {
		in := k.typ.In(i)
		if in.Implements(contextType) || k.options.ignored[in] {
			continue
		}
		e, err := k.encoderOf(in, nil)
		switch kind := in.Kind(); {
		case err == nil && e.Fixed():
		// What a pointer points at may be a value, or a service, which must stay itself.
		case err == nil && kind != reflect.Pointer && kind != reflect.Interface:
			p.copied = append(p.copied, copiedParam{index: i, encoder: e})
		default:
			p.uncopied = true
		}
	}
}

// keep makes a, the arguments of a call, those of its computation: copies where that may run longer than the
// call. The values of a are replaced, what its pointer points at is changed. miss is nil for a call that
// computes whatever is cached. keep returns what makes the key once more of arguments that the caller can still
// change when it has left, or nil.
func (p *plan) keep(a *arguments, miss *store.Miss) (rekey store.Rekey) {
	outlasts := a.ctx != nil && a.ctx.Done() != nil || miss != nil && miss.Refreshes()
	if !outlasts || (!p.mutable || p.copyInto(a)) && !p.countsContext() {
		return nil
	}
	kept := *a
	return func(head []byte, s *keyenc.Secrets) ([]byte, error) { return p.appendKey(head, &kept, s) }
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
		var own reflect.Value
		if a.values != nil {
			own = reflect.New(p.typ.In(c.index)).Elem()
			own.Set(a.values[c.index])
			a.values[c.index] = own
		} else {
			own = args.Field(c.index - 1)
		}
		ours = c.own(own) && ours
	}
	return ours
}

// own has v, a plain copy of the arguments for the parameter, share nothing with them, and reports whether that is so.
func (c *copiedParam) own(v reflect.Value) (whole bool) {
	if !c.variadic {
		return c.encoder.Own(v.Addr().UnsafePointer())
	}
	if v.IsNil() {
		return true
	}
	all := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	reflect.Copy(all, v)
	v.Set(all)
	whole = true
	for i := range all.Len() {
		whole = c.encoder.Own(all.Index(i).Addr().UnsafePointer()) && whole
	}
	return whole
}
