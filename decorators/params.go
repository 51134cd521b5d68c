package decorators

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/keyenc"
)

// ObjectAttrs says which fields of the struct type of sample, or of what it points at, stand
// for a value of that type in keys, wherever one occurs in an argument. A receiver of that
// type then counts in the key. At least one field has to be named.
func ObjectAttrs(sample any, fields ...string) Option {
	return func(o *options) { o.objectAttrs = append(o.objectAttrs, objectAttrs{sample, fields}) }
}

// Ignore leaves parameters of type T, a database handle say, out of keys. The function is given them as they are,
// also when it goes on after its caller has left. Contexts don't count anyway.
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
	k.checkIgnored(attrs)
	k.planContexts()
	for i := range t.NumIn() {
		in, receiver := t.In(i), i == 0 && k.hasReceiver
		variadic := t.IsVariadic() && i == t.NumIn()-1
		if variadic {
			in = in.Elem()
		}
		switch {
		case o.ignored[t.In(i)], o.keyOf != nil:
		case receiver && !o.withReceiver && !countsByAttrs(in, attrs):
			if in.Kind() == reflect.Interface {
				k.params = append(k.params, param{index: i, dynamicType: true})
			}
		case in.Implements(contextType) && !receiver && !(k.isMany() && i == 1) && !namesWhatCounts(in, attrs):
		case in == kwargsType && i == t.NumIn()-1 && !variadic:
			k.kwargsIndex = i
			k.kwargs = k.encoder(i, reflect.TypeFor[map[string]any](), attrs)
		case in == kwargsType && !variadic:
			panicf("parameter %d of %s has type %s, and is not the last one; make it the last, or a map[string]any",
				i+1, k.displayName, in)
		default:
			k.params = append(k.params, param{index: i, encoder: k.encoder(i, in, attrs), variadic: variadic})
		}
	}
}

// checkIgnored panics if there is nothing to be left out where Ignore says so.
func (k *keyPlan) checkIgnored(attrs keyenc.Attrs) {
	for in := range k.options.ignored {
		switch {
		case in.Implements(contextType) && !namesWhatCounts(in, attrs):
			panicf("%s: Ignore[%s]: contexts never count; leave it out", k.displayName, in)
		case !k.hasParam(in):
			panicf("%s: Ignore[%s]: it has no parameter of that type; leave it out", k.displayName, in)
		}
	}
}

func (k *keyPlan) hasParam(t reflect.Type) bool {
	for i := range k.typ.NumIn() {
		if k.typ.In(i) == t {
			return true
		}
	}
	return false
}

// planContexts finds the contexts among the parameters, under whatever name. The first context.Context is the call's;
// where there is none, the first of another type.
func (k *keyPlan) planContexts() {
	t := k.typ
	for i := range t.NumIn() {
		if in := t.In(i); in == contextType && !k.derives || in.Implements(contextType) && k.contextIndex < 0 {
			k.contextIndex, k.derives = i, in == contextType
		}
	}
	for i := range t.NumIn() {
		in := t.In(i)
		isContext := in.Implements(contextType)
		areContexts := t.IsVariadic() && i == t.NumIn()-1 && in.Elem().Implements(contextType)
		if (isContext || areContexts) && !(k.derives && i == k.contextIndex) {
			k.givenContexts = append(k.givenContexts, i)
		}
		if isContext && in != contextType {
			k.ownContext = in
		}
	}
	if k.ownContext != nil {
		k.checkAttached("Stale", k.options.stale)
		k.checkAttached("Linger", k.options.linger)
	}
}

// checkAttached panics if an option would have the function go on without the caller whose own context it is given.
func (k *keyPlan) checkAttached(option string, d *time.Duration) {
	if d != nil && *d > 0 {
		panicf("%s: %s runs it when its caller has left, and with that the caller's %s, of which only the caller can make another; "+
			"have it take a context.Context instead, or leave %s out", k.displayName, option, k.ownContext, option)
	}
}

var (
	contextType = reflect.TypeFor[context.Context]()
	kwargsType  = reflect.TypeFor[cachekey.Kwargs]()
	keyerType   = reflect.TypeFor[cachekey.Keyer]()
)

// namesWhatCounts reports whether the user has said what of a context counts.
func namesWhatCounts(t reflect.Type, attrs keyenc.Attrs) bool {
	return countsByAttrs(t, attrs) || t.Implements(keyerType)
}

func (k *keyPlan) encoder(i int, t reflect.Type, attrs keyenc.Attrs) *keyenc.Encoder {
	e, err := k.encoderOf(t, attrs)
	var refused *keyenc.TypeError
	switch {
	case errors.As(err, &refused):
		panicf("parameter %d of %s has type %s, which can't be in a key%s; %s",
			i+1, k.displayName, k.typ.In(i), after(": ", refused.Reason()), k.remedy(i, refused))
	case err != nil:
		panicf("parameter %d of %s: %v", i+1, k.displayName, errtext.Bare(err))
	}
	return e
}

// after returns text behind the separator, or nothing if there is none.
func after(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}

// remedy says what to do about the parameter i, which can't be in a key. To leave out the only one that counts is no
// remedy: all calls would have one result.
func (k *keyPlan) remedy(i int, refused *keyenc.TypeError) string {
	var remedies []string
	if given := refused.Remedy(); given != "" {
		remedies = append(remedies, given)
	}
	if i == 0 && k.options.withReceiver {
		remedies = append(remedies, "name the fields that count with ObjectAttrs instead of WithReceiver")
	} else if t := k.typ.In(i); k.countedBesides(i) {
		remedies = append(remedies, fmt.Sprintf("leave it out with Ignore[%s]()", t))
	}
	return strings.Join(append(remedies, "say what stands for the arguments with KeyOf"), ", or ")
}

// countedBesides reports whether a parameter counts besides i and those of its type.
func (k *keyPlan) countedBesides(i int) bool {
	t := k.typ
	for j := range t.NumIn() {
		in := t.In(j)
		receiver := j == 0 && k.hasReceiver && !k.options.withReceiver
		if in != t.In(i) && !receiver && !k.options.ignored[in] && !in.Implements(contextType) {
			return true
		}
	}
	return false
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
		if len(given.fields) == 0 {
			panicf("%s: ObjectAttrs names no field of %s, so that all its values would have one key; name the fields that count", f.displayName, t)
		}
		for _, name := range given.fields {
			if field, ok := t.FieldByName(name); !ok || len(field.Index) != 1 {
				panicf("%s: ObjectAttrs: %s has no field %s of its own; it has %s", f.displayName, t, name, fieldNames(t))
			}
		}
		attrs[t] = given.fields
	}
	return attrs
}

// fieldNames lists the fields of the struct type t.
func fieldNames(t reflect.Type) string {
	var names []string
	for i := range t.NumField() {
		names = append(names, t.Field(i).Name)
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

func countsByAttrs(t reflect.Type, attrs keyenc.Attrs) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, ok := attrs[t]
	return ok
}
