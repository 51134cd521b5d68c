package decorators

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/store"
)

// The results of a function, its trailing error left out, are cached as one value: the
// result itself where there is one, otherwise a struct with a field for each. A box is a pointer
// to such a value.

// CacheNil stores a sole result that is nil, too. Without it a nil pointer, slice, map or
// interface counts as no result: it is returned, and the next call runs the function again.
func CacheNil() Option {
	return func(o *options) { o.cacheNil = true }
}

// Unless has fn decide which results are not stored. It takes the results of the decorated
// function, with or without the trailing error, and returns a bool: true leaves them out. Callers who wait for one
// computation get its results all the same.
// Errors that CacheErrors names are shown to one that takes the error.
func Unless(fn any) Option {
	return func(o *options) { o.unless = &fn }
}

// Shared says that callers only read results, so that all of them, and a backend in this
// process's memory, may have the very same value. It saves the copies that keep callers
// apart, and lets such a backend keep types that can't be encoded.
//
// What a value takes of the backend's max_cost is found out when it is stored, by following its pointers, slices, maps and
// interfaces to the end: nobody may be changing what they lead to. Some memory can't be seen from there: what a string
// or slice was cut from (clone what is kept of something large), what a channel or a captured variable holds, and
// what a pointee with a lock guards. Of the last three a line in the log says so once.
func Shared() Option {
	return func(o *options) { o.shared = true }
}

// Types names the types that results may have behind interfaces, by a value of each: Types(City{}, &Offer{}, "", 0). Who can
// write to the server can put a value of any type that the program knows behind an interface, and has that type's own
// UnmarshalBinary, GobDecode or UnmarshalText called. With Types, a value of another type is not decoded, so that it is a
// miss, and a result that has one isn't stored: the call returns it, and the log says which type it is. A nil interface may be
// anywhere. What is in a value of a named type by its declaration need not be named, and what that has behind interfaces
// must be. A backend that keeps results as they are, for Shared, decodes nothing, and takes all of them.
func Types(samples ...any) Option {
	return func(o *options) { o.samples, o.hasTypes = append(o.samples, samples...), true }
}

type resultOptions struct {
	samples  []any // of Types
	hasTypes bool
	cacheNil bool
	unless   *any // nil: not given
	shared   bool
}

// A resultPlan is what becomes of the results of a call.
type resultPlan struct {
	*function
	numOut        int          // how many there are
	numResults    int          // how many there are, the trailing error left out
	errorType     reflect.Type // of the trailing error; nil if there is none
	noError       reflect.Value
	carriesErrors bool // any error can be returned as the trailing one
	boxType       reflect.Type
	types         codec.Types   // behind interfaces; nil: all
	nilIsNone     bool          // a nil is not to be stored
	unless        reflect.Value // invalid: all results are stored
	timeoutOf     reflect.Value // invalid: all results have one timeout
	errors        *store.Errors // that count as results; nil: none
}

// newResultPlan panics if there are no results, or an option about them doesn't fit.
func newResultPlan(f *function) resultPlan {
	t := f.typ
	if t.NumOut() == 0 {
		panicf("%s returns nothing, so there is nothing to cache; cache a function that has a result", f.displayName)
	}
	r := resultPlan{function: f, numOut: t.NumOut(), numResults: t.NumOut()}
	if last := t.Out(r.numOut - 1); last.Implements(errorType) {
		r.checkError(last)
		r.numResults--
		r.errorType = last
		r.noError = reflect.Zero(last)
		r.carriesErrors = last == errorType
	}
	for i := range r.numResults {
		if out := t.Out(i); out.Kind() == reflect.Interface && out.Implements(errorType) {
			panicf("%s: result %d is an error that isn't last, so it would be cached as a value; return the error last", f.displayName, i+1)
		}
	}
	r.boxType = boxTypeOf(t, r.numResults)
	r.types = r.checkedTypes()
	r.nilIsNone = r.numResults == 1 && canBeNil(t.Out(0)) && !f.options.cacheNil
	r.timeoutOf = r.checkedTimeoutOf()
	r.unless = r.resultFunc("Unless", f.options.unless, reflect.TypeFor[bool]())
	r.errors = r.checkedErrors()
	return r
}

// checkedTypes returns the types that Types has named, and panics where results can't have them.
func (r *resultPlan) checkedTypes() codec.Types {
	o := &r.options.resultOptions
	if !o.hasTypes {
		return nil
	}
	if len(o.samples) == 0 {
		panicf("%s: Types names no type; give it a value of each type that results have behind interfaces", r.displayName)
	}
	types := make(codec.Types)
	var interfaces []reflect.Type
	addInterfaces := func(t reflect.Type) {
		for i := range r.scope.Of(t).Interfaces {
			interfaces = append(interfaces, i)
		}
	}
	addInterfaces(r.boxType)
	if len(interfaces) == 0 {
		panicf("%s: Types has no meaning, since there is no interface in its results (%s); leave it out", r.displayName, typeList(r.typ.Out, r.numResults))
	}
	for i, sample := range o.samples {
		if sample == nil {
			panicf("%s: value %d of Types is nil, which has no type; give it a value of the type, or leave it out", r.displayName, i+1)
		}
		t := reflect.TypeOf(sample)
		types[t] = true
		addInterfaces(t)
	}
	for _, sample := range o.samples {
		t := reflect.TypeOf(sample)
		if !slices.ContainsFunc(interfaces, t.Implements) {
			panicf("%s: Types names %s, which no interface in its results can hold; leave it out, or give a value of the type that they hold", r.displayName, t)
		}
		if err := r.scope.Of(t).Err(); err != nil && !o.shared {
			panicf("%s: Types names %s, which can't be cached: %v; leave it out", r.displayName, t, errtext.Bare(err))
		}
	}
	return types
}

var errorType = reflect.TypeFor[error]()

// checkError panics if the trailing result, whose type t has an Error method, is the only one, or can't say that there
// is no error.
func (r *resultPlan) checkError(t reflect.Type) {
	switch {
	case r.numOut == 1 && t == errorType:
		panicf("%s returns only an error, so there is nothing to cache, and a second call would do nothing; cache a function that has a result",
			r.displayName)
	case r.numOut == 1:
		panicf("%s returns only a value of type %s, which has an Error method and so counts as its error; return a value besides, or one of another type",
			r.displayName, t)
	case !canBeNil(t):
		panicf("%s: its last result has type %s, which has an Error method but no nil for when there is no error; return error instead",
			r.displayName, t)
	}
}

func canBeNil(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan:
		return true
	default:
		return false
	}
}

func boxTypeOf(t reflect.Type, n int) reflect.Type {
	if n == 1 {
		return t.Out(0)
	}
	fields := make([]reflect.StructField, n)
	for i := range fields {
		fields[i] = reflect.StructField{Name: fmt.Sprintf("R%d", i), Type: t.Out(i)}
	}
	return reflect.StructOf(fields)
}

// whyRefused returns err, which says why the box can't be cached, with the result that it is about.
func (r *resultPlan) whyRefused(err error) error {
	for i := range r.numResults {
		if own := r.scope.Of(r.typ.Out(i)).Err(); r.numResults > 1 && own != nil {
			return fmt.Errorf("result %d: %w", i+1, own)
		}
	}
	return errtext.Bare(err)
}

// resultFunc checks the function of an option that takes the results, with the trailing error
// or without, and returns one out.
func (r *resultPlan) resultFunc(option string, fn *any, out reflect.Type) reflect.Value {
	if fn == nil {
		return reflect.Value{}
	}
	v := reflect.ValueOf(*fn)
	t := r.typ
	ok := v.Kind() == reflect.Func && !v.IsNil() && !v.Type().IsVariadic() &&
		v.Type().NumOut() == 1 && v.Type().Out(0) == out &&
		(v.Type().NumIn() == r.numResults || v.Type().NumIn() == t.NumOut())
	for i := 0; ok && i < v.Type().NumIn(); i++ {
		ok = t.Out(i).AssignableTo(v.Type().In(i))
	}
	if !ok {
		panicf("%s: %s takes a func(%s) %s, got %s", r.displayName, option, typeList(t.Out, r.numResults), out, givenFunc(v))
	}
	return v
}

// box makes the box of results.
func (r *resultPlan) box(results []reflect.Value) any {
	b := reflect.New(r.boxType)
	if r.numResults == 1 {
		b.Elem().Set(results[0])
		return b.Interface()
	}
	for i := range r.numResults {
		b.Elem().Field(i).Set(results[i])
	}
	return b.Interface()
}

// hit is unbox for a box that a call has found at once: no other call has its arguments, so
// that the results can take their place.
func (r *resultPlan) hit(box any, arguments []reflect.Value) []reflect.Value {
	if r.numOut > len(arguments) {
		return r.found(box)
	}
	value, err := opened(box)
	return r.unboxInto(arguments[:r.numOut], value, err)
}

// found is unbox for a box that a lookup has found.
func (r *resultPlan) found(box any) []reflect.Value {
	value, err := opened(box)
	return r.unbox(value, err)
}

// opened returns what a lookup has found as a box, and the error that was stored with it.
func opened(box any) (value any, err error) {
	if r, ok := box.(*store.Result); ok {
		return r.Value, r.Err
	}
	return box, nil
}

// unbox returns the function's results for a box, nil for zero values, and an error.
func (r *resultPlan) unbox(box any, err error) []reflect.Value {
	return r.unboxInto(make([]reflect.Value, r.numOut), box, err)
}

func (r *resultPlan) unboxInto(out []reflect.Value, box any, err error) []reflect.Value {
	switch {
	case box == nil:
		for i := range r.numResults {
			out[i] = reflect.Zero(r.typ.Out(i))
		}
	case r.numResults == 1:
		out[0] = reflect.ValueOf(box).Elem()
	default:
		b := reflect.ValueOf(box).Elem()
		for i := range r.numResults {
			out[i] = b.Field(i)
		}
	}
	switch {
	case r.errorType == nil:
	case err == nil:
		out[r.numResults] = r.noError
	default:
		e := reflect.New(r.errorType).Elem()
		e.Set(reflect.ValueOf(err))
		out[r.numResults] = e
	}
	return out
}

// failure returns the trailing error among results, or nil.
func (r *resultPlan) failure(results []reflect.Value) error {
	if r.errorType == nil || results[r.numResults].IsNil() {
		return nil
	}
	return results[r.numResults].Interface().(error)
}

// judge says what is to be done with a box that was computed, or with the error.
func (p *plan) judge(ctx context.Context, box any, err error) store.Result {
	r := store.Result{Value: box, Err: err}
	if err != nil {
		p.judgeError(ctx, &r)
		return r
	}
	r.Discard = p.nilIsNone && reflect.ValueOf(box).Elem().IsNil() || p.leavesOut(box, nil)
	if !r.Discard {
		r.Timeout = p.timeoutFor(ctx, box)
	}
	return r
}

// leavesOut reports whether Unless leaves results out. Of an error only a function is asked that takes it.
func (r *resultPlan) leavesOut(box any, err error) bool {
	if !r.unless.IsValid() || err != nil && r.unless.Type().NumIn() == r.numResults {
		return false
	}
	return r.callResultFunc(r.unless, box, err).Bool()
}

// callResultFunc calls the function of an option for results.
func (r *resultPlan) callResultFunc(fn reflect.Value, box any, err error) reflect.Value {
	results := r.unbox(box, err)
	return fn.Call(results[:fn.Type().NumIn()])[0]
}
