package decorators

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"sync"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/keyenc"
)

// arguments are those of one call. A call by reflection has them as values. A typed call has
// them as the fields of a struct, the context left out.
type arguments struct {
	ctx    context.Context // as given
	values []reflect.Value
	fields unsafe.Pointer // to a plan.fields
}

// context returns the context among the arguments, or one that never ends.
func (a *arguments) context() context.Context { return orBackground(a.ctx) }

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// ofValues returns the arguments of a call by reflection.
func (p *plan) ofValues(values []reflect.Value) arguments {
	return arguments{ctx: p.context(values), values: values}
}

// context returns the context among values, or nil.
func (p *plan) context(values []reflect.Value) context.Context {
	if p.contextIndex < 0 {
		return nil
	}
	ctx, _ := values[p.contextIndex].Interface().(context.Context)
	return ctx
}

// planFields lays typed calls out, whose arguments after the context are the fields of a t.
func (p *plan) planFields(t reflect.Type) {
	p.fields = t
	p.inPlace = !p.keyOf.IsValid() && !p.groupsOf.IsValid() && p.kwargs == nil
	for i := range p.params {
		prm := &p.params[i]
		field := t.Field(prm.index - 1)
		prm.offset, prm.size = field.Offset, field.Type.Size()
		p.inPlace = p.inPlace && prm.encoder.InPlace()
	}
}

// reflected returns the arguments as the function takes them.
func (p *plan) reflected(a *arguments) []reflect.Value {
	if p.fields == nil || a.values != nil {
		return a.values
	}
	ctx := a.ctx
	values := []reflect.Value{reflect.ValueOf(&ctx).Elem()}
	fields := reflect.NewAt(p.fields, a.fields).Elem()
	for i := range fields.NumField() {
		values = append(values, fields.Field(i))
	}
	return values
}

// maxBuffer is how large a buffer for keys may be that is kept for other calls.
const maxBuffer = 64 << 10

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// appendKey appends the text of the key for the arguments. Prefix and version are the backend's
// affair.
func (p *plan) appendKey(b []byte, a *arguments) ([]byte, error) {
	start := len(b)
	b, err := p.appendArgs(append(b, p.prefix...), a)
	if err != nil {
		return b, err
	}
	b = append(b, ')')
	if p.hashed {
		sum := sha256.Sum256(b[start:])
		b = hex.AppendEncode(b[:start], sum[:])
	}
	return b, nil
}

func (p *plan) appendArgs(b []byte, a *arguments) ([]byte, error) {
	if p.keyOf.IsValid() {
		return appendTuple(b, p.keyParams, &arguments{values: callWith(p.keyOf, p.reflected(a))})
	}
	b, err := appendTuple(b, p.params, a)
	if err != nil || p.kwargsIndex < 0 {
		return b, err
	}
	kwargs := p.reflected(a)[p.kwargsIndex]
	if kwargs.Len() == 0 {
		return b, nil
	}
	return p.kwargs.Append(b, kwargs.Convert(reflect.TypeFor[map[string]any]()))
}

// appendTuple renders values as Python's tuple, and none as nothing.
func appendTuple(b []byte, params []param, a *arguments) ([]byte, error) {
	start := len(b)
	n := 0
	var err error
	for i := range params {
		prm := &params[i]
		switch {
		case a.values == nil:
			b, err = prm.encoder.AppendPointer(append(b, ','), unsafe.Add(a.fields, prm.offset))
			n++
		case prm.dynamicType:
			b = appendDynamicType(append(b, ','), a.values[prm.index])
			n++
		case prm.variadic:
			v := a.values[prm.index]
			for i := 0; i < v.Len() && err == nil; i++ {
				b, err = prm.encoder.Append(append(b, ','), v.Index(i))
			}
			n += v.Len()
		default:
			b, err = prm.encoder.Append(append(b, ','), a.values[prm.index])
			n++
		}
		if err != nil {
			return b, err
		}
	}
	if n == 0 {
		return b, nil
	}
	b[start] = '(' // in place of the first comma
	if n == 1 {
		b = append(b, ',')
	}
	return append(b, ')'), nil
}

// appendDynamicType stands for a receiver that is an interface: <example.com/app/geo.Circle>.
func appendDynamicType(b []byte, v reflect.Value) []byte {
	b = append(b, '<')
	if v.IsNil() {
		b = append(b, "None"...)
	} else {
		b = append(b, keyenc.TypeName(v.Elem().Type())...)
	}
	return append(b, '>')
}
