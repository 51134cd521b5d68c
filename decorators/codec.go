package decorators

import (
	"fmt"
	"reflect"

	"github.com/cacheutils/cacheutils/codecs"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/usercodec"
)

// Codec has c encode, copy and compare values of T in the function's results, and copy and name those in its arguments, at any
// depth. It comes before what codecs.Register says, which is for all functions of the program. For one T the last one
// counts.
//
// Cached tries c, see package codecs, and panics if it alters a value, or if there is no T in the function's parameters and results.
func Codec[T any](c codecs.Codec[T]) Option {
	erased, wrong := usercodec.New(usercodec.Funcs[T](c))
	return func(o *options) {
		if wrong != "" {
			o.wrongCodec = fmt.Sprintf("Codec[%v]: %s", reflect.TypeFor[T](), wrong)
			return
		}
		if o.codecs == nil {
			o.codecs = new(usercodec.Set)
		}
		o.codecs.Add(erased)
	}
}

type codecOptions struct {
	codecs     *usercodec.Set // nil: none
	wrongCodec string         // what is wrong with one of them, or ""
}

// planCodecs panics if one of the function's codecs lacks something, or if there is nothing that it is for.
func (f *function) planCodecs() {
	if wrong := f.options.wrongCodec; wrong != "" {
		panicf("Cached at %s: %s", f.location, wrong)
	}
	f.scope = codec.NewScope(f.options.codecs)
	for c := range f.options.codecs.All {
		if !f.has(c) {
			panicf("Cached at %s: Codec[%v] has no meaning, since there is nothing of that type in the parameters and results of %s; leave it out",
				f.location, c.Type(), f.typ)
		}
	}
}

// has reports whether the codec is for something in the function's parameters and results, as far as their types say.
func (f *function) has(c *usercodec.Codec) bool {
	for i := range f.typ.NumIn() {
		if f.scope.Of(f.typ.In(i)).MayHold(c) {
			return true
		}
	}
	for i := range f.typ.NumOut() {
		if f.scope.Of(f.typ.Out(i)).MayHold(c) {
			return true
		}
	}
	return false
}

// encoderOf returns how values of t are rendered in the function's keys.
func (f *function) encoderOf(t reflect.Type, attrs keyenc.Attrs) (*keyenc.Encoder, error) {
	return keyenc.EncoderWith(t, attrs, f.options.codecs)
}
