package decorators

import (
	"context"
	"reflect"

	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/keyenc"
)

// ObjectAttrs says which fields of the struct type of sample, or of what it points at, stand
// for a value of that type in keys, wherever one occurs in an argument. A receiver of that
// type then counts in the key.
func ObjectAttrs(sample any, fields ...string) Option {
	return func(o *options) { o.objectAttrs = append(o.objectAttrs, objectAttrs{sample, fields}) }
}

// Ignore leaves parameters of type T, a database handle say, out of keys.
func Ignore[T any]() Option {
	return func(o *options) {
		if o.ignored == nil {
			o.ignored = make(map[reflect.Type]bool)
		}
		o.ignored[reflect.TypeFor[T]()] = true
	}
}

// WithReceiver has the receiver of a method expression count in the key like any argument.
// Without it calls on all receivers share their entries; through an interface, those on all
// receivers of one dynamic type.
func WithReceiver() Option {
	return func(o *options) { o.withReceiver = true }
}

type paramOptions struct {
	objectAttrs  []objectAttrs
	ignored      map[reflect.Type]bool
	withReceiver bool
}

type objectAttrs struct {
	sample any
	fields []string
}

// A param is a parameter that counts in the key, or a result of KeyOf.
type param struct {
	index       int
	offset      uintptr         // in a typed call's struct of arguments
	encoder     *keyenc.Encoder // nil where only the dynamic type counts
	dynamicType bool            // the receiver of a method expression on an interface
	variadic    bool            // a slice whose elements count one by one
}

// planParams decides how each parameter counts in the key.
func (k *keyPlan) planParams(attrs keyenc.Attrs) {
	t, o := k.typ, &k.options
	if o.withReceiver && !k.hasReceiver {
		panicf("%s: WithReceiver is for method expressions such as City.Offers, whose first parameter is the receiver; leave it out", k.displayName)
	}
	ignored := make(map[reflect.Type]bool)
	for i := range t.NumIn() {
		in := t.In(i)
		switch {
		case in == contextType:
			if k.contextIndex < 0 {
				k.contextIndex = i
			}
		case o.ignored[in]:
			ignored[in] = true
		case o.keyOf != nil:
		case i == 0 && k.hasReceiver && !o.withReceiver && !countsByAttrs(in, attrs):
			if in.Kind() == reflect.Interface {
				k.params = append(k.params, param{index: i, dynamicType: true})
			}
		case in == kwargsType && i == t.NumIn()-1 && !t.IsVariadic():
			k.kwargsIndex = i
			k.kwargs = k.encoder(i, reflect.TypeFor[map[string]any](), attrs)
		case t.IsVariadic() && i == t.NumIn()-1:
			k.params = append(k.params, param{index: i, encoder: k.encoder(i, in.Elem(), attrs), variadic: true})
		default:
			k.params = append(k.params, param{index: i, encoder: k.encoder(i, in, attrs)})
		}
	}
	for in := range o.ignored {
		if !ignored[in] {
			panicf("%s: Ignore[%s]: it has no parameter of that type; leave it out", k.displayName, in)
		}
	}
}

var (
	contextType = reflect.TypeFor[context.Context]()
	kwargsType  = reflect.TypeFor[cachekey.Kwargs]()
)

func (k *keyPlan) encoder(i int, t reflect.Type, attrs keyenc.Attrs) *keyenc.Encoder {
	e, err := keyenc.EncoderOf(t, attrs)
	if err != nil {
		panicf("parameter %d of %s has type %s, which can't be in a key: %v; leave it out with Ignore[%s]() or KeyOf",
			i+1, k.displayName, k.typ.In(i), errtext.Bare(err), k.typ.In(i))
	}
	return e
}

// attrs returns what the ObjectAttrs say.
func (f *function) attrs() keyenc.Attrs {
	if len(f.options.objectAttrs) == 0 {
		return nil
	}
	attrs := make(keyenc.Attrs)
	for _, given := range f.options.objectAttrs {
		t := reflect.TypeOf(given.sample)
		for t != nil && t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t == nil || t.Kind() != reflect.Struct {
			panicf("%s: ObjectAttrs takes a sample of a struct type, got %T", f.displayName, given.sample)
		}
		for _, name := range given.fields {
			if field, ok := t.FieldByName(name); !ok || len(field.Index) != 1 {
				panicf("%s: ObjectAttrs: %s has no field %s of its own", f.displayName, t, name)
			}
		}
		attrs[t] = given.fields
	}
	return attrs
}

func countsByAttrs(t reflect.Type, attrs keyenc.Attrs) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, ok := attrs[t]
	return ok
}
