package decorators

import (
	"context"
	"reflect"

	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/keyenc"
)

// A param is a value that counts in the key.
type param struct {
	index       int
	offset      uintptr         // of the field that a typed call has it in
	encoder     *keyenc.Encoder // nil where only the dynamic type counts
	dynamicType bool            // the receiver of a method expression on an interface
	variadic    bool            // a slice whose elements count one by one
	kind        reflect.Kind    // where the value's bytes are enough to know it again
	size        uintptr         // of the field
}

// planParams decides how each parameter counts in the key.
func (p *plan) planParams(o *options, receiver bool) {
	t := p.typ
	fields := p.attrs(o)
	if o.withReceiver && !receiver {
		panicf("%s: WithReceiver is for method expressions such as City.Offers, whose first parameter is the receiver", p.label)
	}
	ignored := make(map[reflect.Type]bool)
	for i := range t.NumIn() {
		in := t.In(i)
		switch {
		case in == contextType:
			if p.contextIndex < 0 {
				p.contextIndex = i
			}
		case o.ignored[in]:
			ignored[in] = true
		case o.keyOf != nil:
		case i == 0 && receiver && !o.withReceiver && !countsByAttrs(in, fields):
			if in.Kind() == reflect.Interface {
				p.params = append(p.params, param{index: i, dynamicType: true})
			}
		case in == kwargsType && i == t.NumIn()-1 && !t.IsVariadic():
			p.kwargsIndex = i
			p.kwargs = p.encoder(i, reflect.TypeFor[map[string]any](), fields)
		case t.IsVariadic() && i == t.NumIn()-1:
			p.params = append(p.params, param{index: i, encoder: p.encoder(i, in.Elem(), fields), variadic: true})
		default:
			p.params = append(p.params, param{index: i, encoder: p.encoder(i, in, fields)})
		}
	}
	for in := range o.ignored {
		if !ignored[in] {
			panicf("%s: Ignore[%s]: it has no parameter of that type", p.label, in)
		}
	}
}

var (
	contextType = reflect.TypeFor[context.Context]()
	kwargsType  = reflect.TypeFor[cachekey.Kwargs]()
)

func (p *plan) encoder(i int, t reflect.Type, fields keyenc.Attrs) *keyenc.Encoder {
	e, err := keyenc.EncoderOf(t, fields)
	if err != nil {
		panicf("parameter %d of %s has type %s, which can't be in a key: %v; leave it out with Ignore[%s]() or KeyOf",
			i+1, p.label, p.typ.In(i), err, p.typ.In(i))
	}
	return e
}

// attrs collects the ObjectAttrs.
func (p *plan) attrs(o *options) keyenc.Attrs {
	if len(o.attrs) == 0 {
		return nil
	}
	fields := make(keyenc.Attrs)
	for _, a := range o.attrs {
		t := reflect.TypeOf(a.sample)
		for t != nil && t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t == nil || t.Kind() != reflect.Struct {
			panicf("%s: ObjectAttrs takes a sample of a struct type, got %T", p.label, a.sample)
		}
		for _, name := range a.fields {
			if f, ok := t.FieldByName(name); !ok || len(f.Index) != 1 {
				panicf("%s: ObjectAttrs: %s has no field %s of its own", p.label, t, name)
			}
		}
		fields[t] = a.fields
	}
	return fields
}

func countsByAttrs(t reflect.Type, fields keyenc.Attrs) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, ok := fields[t]
	return ok
}

// planKeyOf checks the function that makes the key, if there is one.
func (p *plan) planKeyOf(o *options) {
	if o.keyOf == nil {
		return
	}
	v := reflect.ValueOf(o.keyOf)
	if !p.hasParameters(v) || v.Type().NumOut() == 0 {
		panicf("%s: KeyOf takes a func%s that returns what stands for them, got %T", p.label, p.takes(), o.keyOf)
	}
	p.keyOf = v
	fields := p.attrs(o)
	for i := range v.Type().NumOut() {
		out := v.Type().Out(i)
		if out == tupleType && v.Type().NumOut() == 1 {
			e, _ := keyenc.EncoderOf(reflect.TypeFor[any](), fields)
			p.keyParams = []param{{encoder: e, variadic: true}}
			return
		}
		e, err := keyenc.EncoderOf(out, fields)
		if err != nil {
			panicf("%s: KeyOf returns a %s, which can't be in a key: %v", p.label, out, err)
		}
		p.keyParams = append(p.keyParams, param{index: i, encoder: e})
	}
}

var tupleType = reflect.TypeFor[cachekey.Tuple]()

// hasParameters tells whether v is a function that can be called with the function's arguments.
func (p *plan) hasParameters(v reflect.Value) bool {
	t := p.typ
	ok := v.Kind() == reflect.Func && !v.IsNil() &&
		v.Type().NumIn() == t.NumIn() && v.Type().IsVariadic() == t.IsVariadic()
	for i := 0; ok && i < t.NumIn(); i++ {
		ok = t.In(i).AssignableTo(v.Type().In(i))
	}
	return ok
}

// callWith calls fn, which hasParameters, with the function's arguments.
func callWith(fn reflect.Value, args []reflect.Value) []reflect.Value {
	if fn.Type().IsVariadic() {
		return fn.CallSlice(args)
	}
	return fn.Call(args)
}
