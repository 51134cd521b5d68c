package decorators

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/store"
)

// The results of a function, its trailing error left out, are cached as one value: the
// result itself where there is one, else a struct with a field for each. A box is a pointer
// to such a value.

// planResults looks at the function's results and the options about them.
func (p *plan) planResults(o *options) {
	t := p.typ
	if t.NumOut() == 0 {
		panicf("%s returns nothing, so there is nothing to cache", p.label)
	}
	p.numOut, p.values = t.NumOut(), t.NumOut()
	if last := t.Out(p.values - 1); isError(last) {
		p.values--
		p.errorType = last
		p.noError = reflect.Zero(last)
		p.carriesErrors = last == errorType
	}
	p.boxType = boxTypeOf(t, p.values)
	switch t.Out(0).Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan:
		p.nilIsNone = p.values == 1 && !o.cacheNil
	}
	p.hasTimeout, p.timeout = o.hasTimeout, o.timeout
	p.jitter = o.jitter
	if o.jitter < 0 || o.jitter > 1 || o.jitter != o.jitter {
		panicf("%s: Jitter(%v) is no fraction from 0 to 1", p.label, o.jitter)
	}
	p.timeoutOf = p.resultFunc("TimeoutOf", o.timeoutOf, reflect.TypeFor[time.Duration]())
	p.unless = p.resultFunc("Unless", o.unless, reflect.TypeFor[bool]())
	if p.timeoutOf.IsValid() && o.hasTimeout {
		panicf("%s: Timeout and TimeoutOf exclude each other: leave one out", p.label)
	}
}

var errorType = reflect.TypeFor[error]()

// isError tells whether a trailing result of type t says that the function has failed.
func isError(t reflect.Type) bool {
	return t.Implements(errorType) && (t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer)
}

func boxTypeOf(t reflect.Type, values int) reflect.Type {
	if values == 1 {
		return t.Out(0)
	}
	fields := make([]reflect.StructField, values)
	for i := range fields {
		fields[i] = reflect.StructField{Name: fmt.Sprintf("R%d", i), Type: t.Out(i)}
	}
	return reflect.StructOf(fields)
}

// resultFunc checks the function of an option that takes the results, with the trailing error
// or without, and returns one out.
func (p *plan) resultFunc(option string, fn any, out reflect.Type) reflect.Value {
	if fn == nil {
		return reflect.Value{}
	}
	v := reflect.ValueOf(fn)
	t := p.typ
	ok := v.Kind() == reflect.Func && !v.IsNil() && !v.Type().IsVariadic() &&
		v.Type().NumOut() == 1 && v.Type().Out(0) == out &&
		(v.Type().NumIn() == p.values || v.Type().NumIn() == t.NumOut())
	for i := 0; ok && i < v.Type().NumIn(); i++ {
		ok = t.Out(i).AssignableTo(v.Type().In(i))
	}
	if !ok {
		panicf("%s: %s takes a func(%s) %s, got %T", p.label, option, typeList(t.Out, p.values), out, fn)
	}
	return v
}

// box makes the box of results.
func (p *plan) box(results []reflect.Value) any {
	b := reflect.New(p.boxType)
	if p.values == 1 {
		b.Elem().Set(results[0])
		return b.Interface()
	}
	for i := range p.values {
		b.Elem().Field(i).Set(results[i])
	}
	return b.Interface()
}

// hit is unbox for a box that a call has found at once: nobody else has the call's arguments, so
// that the results can take their place.
func (p *plan) hit(box any, arguments []reflect.Value) []reflect.Value {
	if p.numOut > len(arguments) {
		return p.unbox(box, nil)
	}
	return p.unboxInto(arguments[:p.numOut], box, nil)
}

// unbox returns the function's results for a box, nil for zero values, and an error.
func (p *plan) unbox(box any, err error) []reflect.Value {
	return p.unboxInto(make([]reflect.Value, p.numOut), box, err)
}

func (p *plan) unboxInto(out []reflect.Value, box any, err error) []reflect.Value {
	switch {
	case box == nil:
		for i := range p.values {
			out[i] = reflect.Zero(p.typ.Out(i))
		}
	case p.values == 1:
		out[0] = reflect.ValueOf(box).Elem()
	default:
		b := reflect.ValueOf(box).Elem()
		for i := range p.values {
			out[i] = b.Field(i)
		}
	}
	switch {
	case p.errorType == nil:
	case err == nil:
		out[p.values] = p.noError
	default:
		e := reflect.New(p.errorType).Elem()
		e.Set(reflect.ValueOf(err))
		out[p.values] = e
	}
	return out
}

// failure returns the trailing error among results, or nil.
func (p *plan) failure(results []reflect.Value) error {
	if p.errorType == nil || results[p.values].IsNil() {
		return nil
	}
	return results[p.values].Interface().(error)
}

// judge says what is to be done with a box that was computed, or with the error.
func (p *plan) judge(box any, err error) store.Result {
	r := store.Result{Value: box, Err: err}
	if err != nil {
		return r
	}
	r.Discard = p.nilIsNone && reflect.ValueOf(box).Elem().IsNil() ||
		p.unless.IsValid() && p.callResultFunc(p.unless, box).Bool()
	if !r.Discard {
		r.Timeout = p.timeoutFor(box)
	}
	return r
}

// callResultFunc calls the function of an option for the results of a success.
func (p *plan) callResultFunc(fn reflect.Value, box any) reflect.Value {
	results := p.unbox(box, nil)
	return fn.Call(results[:fn.Type().NumIn()])[0]
}

// timeoutFor returns how long a box is to be stored.
func (p *plan) timeoutFor(box any) time.Duration {
	d := store.DefaultTimeout
	switch {
	case p.timeoutOf.IsValid():
		d = time.Duration(p.callResultFunc(p.timeoutOf, box).Int())
	case p.hasTimeout:
		d = p.timeout
	}
	return p.jittered(d)
}

// jittered returns d, or less, as Jitter says.
func (p *plan) jittered(d time.Duration) time.Duration {
	if p.jitter == 0 || d == cacheutils.Forever {
		return d
	}
	if d == store.DefaultTimeout {
		cache, err := p.backend.store()
		if err != nil {
			return d
		}
		if d = cache.Timeout; d == cacheutils.Forever {
			return d
		}
	}
	return d - time.Duration(rand.Float64()*p.jitter*float64(d))
}
