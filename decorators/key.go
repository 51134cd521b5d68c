package decorators

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"unsafe"

	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/store"
)

// Hashed makes each key the sha256 of what it would have been or, where the backend has the option key_secret, an HMAC-SHA256
// under that: for arguments that are long or not to be read by others. Who can guess the arguments can find the sum of them, but not
// the HMAC. For single arguments there is cachekey.Secret.
func Hashed() Option {
	return func(o *options) { o.hashed = true }
}

// KeyOf has fn decide what stands for the arguments in the key. It takes the parameters of
// the decorated function, the context too, and returns one value or several, which are
// rendered as arguments; a single cachekey.Tuple is rendered as the arguments it contains.
func KeyOf(fn any) Option {
	return func(o *options) { o.keyOf = &fn }
}

type keyOptions struct {
	hashed bool
	keyOf  *any // nil: not given
}

// A keyPlan is how the arguments of a call make a key.
type keyPlan struct {
	*function
	prefix        string          // what stands before the arguments
	params        []param         // those that count, in their order
	inPlace       bool            // of typed calls: making the key retains no pointer to the arguments
	argsType      reflect.Type    // of typed calls: a struct of the parameters after the context; otherwise nil
	contextIndex  int             // of the call's context among the parameters, or -1
	derives       bool            // that is a context.Context, in whose place the function is given its computation's
	ownContext    reflect.Type    // of a context among the parameters that isn't a context.Context, or nil
	givenContexts []int           // of the contexts that the function is given as they are
	kwargsIndex   int             // of a cachekey.Kwargs that is the last parameter, or -1
	kwargs        *keyenc.Encoder // of it
	keyOf         reflect.Value   // invalid: the parameters make the key
	keyParams     []param         // of what keyOf returns
	contextKey    reflect.Value   // invalid: nothing of the context counts, unless keyOf says so
	contextParams []param         // of what contextKey returns
	unkeyed       *keyenc.Secrets // for stores outside of this process that have no key for a cachekey.Secret
}

// newKeyPlan panics if a parameter can't be in a key, or an option about keys doesn't fit the parameters.
func newKeyPlan(f *function) keyPlan {
	k := keyPlan{function: f, prefix: errtext.FunctionMark + f.name + "(", contextIndex: -1, kwargsIndex: -1}
	attrs := f.attrs()
	k.planParams(attrs)
	k.planKeyOf(attrs)
	k.planContextKey(attrs)
	return k
}

// planKeyOf checks the function that makes the key, if there is one.
func (k *keyPlan) planKeyOf(attrs keyenc.Attrs) {
	fn := k.options.keyOf
	if fn == nil {
		return
	}
	v := reflect.ValueOf(*fn)
	if !k.takesParameters(v) || v.Type().NumOut() == 0 {
		panicf("%s: KeyOf takes a func%s that returns what stands for them, got %s", k.displayName, k.takes(), givenFunc(v))
	}
	k.keyOf, k.keyParams = v, k.resultParams("KeyOf", v.Type(), attrs)
}

// resultParams returns what is rendered as arguments of what the function of an option returns, whose type t is.
func (k *keyPlan) resultParams(option string, t reflect.Type, attrs keyenc.Attrs) (params []param) {
	for i := range t.NumOut() {
		out := t.Out(i)
		if out == tupleType && t.NumOut() == 1 {
			e, _ := k.encoderOf(reflect.TypeFor[any](), attrs)
			return []param{{encoder: e, variadic: true}}
		}
		e, err := k.encoderOf(out, attrs)
		var refused *keyenc.TypeError
		switch {
		case errors.As(err, &refused):
			panicf("Cached at %s: %s of %s returns the type %s, which can't be in a key%s; return what can, a number or a text say",
				k.location, option, k.displayName, out, after(": ", refused.Reason()))
		case err != nil:
			panicf("Cached at %s: %s of %s: %v", k.location, option, k.displayName, errtext.Bare(err))
		}
		params = append(params, param{index: i, encoder: e})
	}
	return params
}

var tupleType = reflect.TypeFor[cachekey.Tuple]()

// layOut prepares typed calls, whose arguments after the context are the fields of a struct.
func (k *keyPlan) layOut(argsType reflect.Type) {
	k.argsType = argsType
	k.inPlace = !k.keyOf.IsValid() && k.options.groupsOf == nil && k.options.bypassIf == nil && k.kwargs == nil
	for i := range k.params {
		prm := &k.params[i]
		field := argsType.Field(prm.index - 1)
		prm.offset = field.Offset
		k.inPlace = k.inPlace && prm.encoder.InPlace()
	}
}

// arguments are those of one call: of one by reflection as values, of a typed one as a struct.
type arguments struct {
	ctx     context.Context // as given
	values  []reflect.Value // with the context, or nil
	pointer unsafe.Pointer  // to a keyPlan.argsType, which has no context, or nil
	part    []byte          // of the key, that stands for the context; nil: that is to be made
}

// context returns the context among the arguments, or one that never ends.
func (a *arguments) context() context.Context { return steered(a.ctx) }

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// ofValues returns the arguments of a call by reflection.
func (k *keyPlan) ofValues(values []reflect.Value) arguments {
	return arguments{ctx: k.context(values), values: values}
}

// context returns the context among values, or nil.
func (k *keyPlan) context(values []reflect.Value) context.Context {
	if k.contextIndex < 0 {
		return nil
	}
	if !k.derives {
		return usable(values[k.contextIndex])
	}
	ctx, _ := values[k.contextIndex].Interface().(context.Context)
	return ctx
}

// usable returns v, a context of a type of the user's, or nil if it has nothing behind it.
func usable(v reflect.Value) (ctx context.Context) {
	defer func() {
		if recover() != nil { // a nil pointer, or one to a struct without the context that it embeds
			ctx = nil
		}
	}()
	ctx, _ = v.Interface().(context.Context)
	if ctx != nil {
		_, _, _ = ctx.Done(), ctx.Err(), ctx.Value(nil)
		_, _ = ctx.Deadline()
	}
	return ctx
}

// givenEnded reports whether one of the contexts has ended that the function was given as they are.
func (k *keyPlan) givenEnded(a *arguments) bool {
	if len(k.givenContexts) == 0 {
		return false
	}
	values := k.reflected(a)
	for _, i := range k.givenContexts {
		v := values[i]
		if v.Kind() != reflect.Slice || v.Type().Implements(contextType) {
			if ctx := usable(v); ctx != nil && ctx.Err() != nil {
				return true
			}
			continue
		}
		for j := range v.Len() {
			if ctx := usable(v.Index(j)); ctx != nil && ctx.Err() != nil {
				return true
			}
		}
	}
	return false
}

// reflected returns the arguments as the function takes them.
func (k *keyPlan) reflected(a *arguments) []reflect.Value {
	if k.argsType == nil || a.values != nil {
		return a.values
	}
	ctx := a.ctx
	values := []reflect.Value{reflect.ValueOf(&ctx).Elem()}
	args := reflect.NewAt(k.argsType, a.pointer).Elem()
	for i := range args.NumField() {
		values = append(values, args.Field(i))
	}
	return values
}

// maxBuffer is up to which size in bytes a buffer for keys is used again.
const maxBuffer = 64 << 10

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// appendKey appends the text of the key for the arguments, without what the backend puts before it. s is the backend's.
func (k *keyPlan) appendKey(b []byte, a *arguments, s *keyenc.Secrets) ([]byte, error) {
	start := len(b)
	b, err := k.appendArgs(append(b, k.prefix...), a, s)
	if err != nil {
		return b, err
	}
	if k.contextKey.IsValid() {
		if b, err = k.appendContext(b, a, s); err != nil {
			return b, err
		}
	}
	b = append(b, ')')
	if k.options.hashed {
		b = s.AppendHash(b[:start], b[start:])
	}
	return b, nil
}

// secrets returns how a cachekey.Secret stands in keys of the store.
func (k *keyPlan) secrets(cache *store.Store) *keyenc.Secrets {
	if s := cache.Secrets(); s != nil || !cache.IsRemote() {
		return s
	}
	return k.unkeyed
}

func (k *keyPlan) appendArgs(b []byte, a *arguments, s *keyenc.Secrets) ([]byte, error) {
	if k.keyOf.IsValid() {
		return appendTuple(b, k.keyParams, &arguments{values: callWith(k.keyOf, k.reflected(a))}, s)
	}
	start := len(b)
	b, err := appendTuple(b, k.params, a, s)
	if err != nil || k.kwargsIndex < 0 {
		return b, err
	}
	kwargs := k.reflected(a)[k.kwargsIndex]
	if kwargs.Len() == 0 {
		return b, nil
	}
	return k.kwargs.AppendWith(b, start, kwargs.Convert(reflect.TypeFor[map[string]any]()), s)
}

// appendTuple renders arguments as Python's tuple, and none as nothing.
func appendTuple(b []byte, params []param, a *arguments, s *keyenc.Secrets) ([]byte, error) {
	start := len(b)
	n := 0
	var err error
	for i := range params {
		prm := &params[i]
		switch {
		case a.values == nil:
			b, err = prm.encoder.AppendPointerWith(append(b, ','), start, unsafe.Add(a.pointer, prm.offset), s)
			n++
		case prm.dynamicType:
			b = appendDynamicType(append(b, ','), a.values[prm.index])
			n++
		case prm.variadic:
			v := a.values[prm.index]
			for i := 0; i < v.Len() && err == nil; i++ {
				b, err = prm.encoder.AppendWith(append(b, ','), start, v.Index(i), s)
			}
			n += v.Len()
		default:
			b, err = prm.encoder.AppendWith(append(b, ','), start, a.values[prm.index], s)
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
