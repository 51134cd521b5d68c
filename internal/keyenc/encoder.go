package keyenc

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/usercodec"
)

// Attrs lists which fields of a struct type stand for it in keys, by the struct type (or a
// pointer to it). They are rendered in the order of the struct whatever the order here, and
// take precedence over a CacheKey or MarshalText method and over cachekey:"-" tags. A type
// without listed fields is rendered as if it were not in the map.
type Attrs map[reflect.Type][]string

// An Encoder renders the values of one type. It is compiled once and may be used by any
// number of goroutines.
type Encoder struct {
	root    *node
	simple  reflect.Kind // Int for signed integers and String, where values are rendered as such; otherwise Invalid
	scratch *sync.Pool   // of *reflect.Value of the type; nil if a pointer to it may be retained
	alike   bool         // another type has the name
	secret  bool         // a cachekey.Secret is a part of values, as far as types say
}

// EncoderOf returns the encoder of t, which is rendered as a statically known type: struct
// values begin with their bare name, scalars carry no type. If t is an interface type, its
// values are rendered as Repr does.
//
// The error is a *TypeError, naming the path to the offending field, if a type that can't be in a key can be
// reached from t through fields, elements, keys and pointers: a channel, a func, an unsafe.Pointer, a type of
// sync or sync/atomic, a context, a protobuf message without a codec, or a TextMarshaler without UnmarshalText;
// what is behind interfaces is checked when it is rendered. It is also an error if attrs
// names a field that its type doesn't have. Every error wraps cacheutils.ErrInvalidKey.
func EncoderOf(t reflect.Type, attrs Attrs) (*Encoder, error) { return EncoderWith(t, attrs, nil) }

// EncoderWith is EncoderOf where the codecs come before those that are registered.
func EncoderWith(t reflect.Type, attrs Attrs, codecs *usercodec.Set) (*Encoder, error) {
	if t == nil {
		return nil, invalid("EncoderOf: nil type")
	}
	if len(attrs) == 0 && codecs.IsEmpty() {
		return shared.encoder(t)
	}
	listed, err := attrs.fields()
	if err != nil {
		return nil, err
	}
	return (&scope{attrs: listed, codecs: codecs}).encoder(t)
}

// Append appends the rendering of v, which must be of exactly the encoder's type. Values of
// simple kinds and addressable ones are read in place, others are copied first. If it fails,
// the error wraps cacheutils.ErrInvalidKey and what was appended has to be discarded.
func (e *Encoder) Append(dst []byte, v reflect.Value) ([]byte, error) {
	return e.AppendWith(dst, len(dst), v, nil)
}

// AppendWith is Append for one of several values of a text that begins at dst[start], which is bounded as a whole. s says how
// a cachekey.Secret is rendered.
func (e *Encoder) AppendWith(dst []byte, start int, v reflect.Value, s *Secrets) ([]byte, error) {
	out, err := e.appendWith(dst, start, v, s)
	if err == errNotCounted {
		return e.appendWith(dst, start, v, s.counting())
	}
	return out, err
}

func (e *Encoder) appendWith(dst []byte, start int, v reflect.Value, s *Secrets) ([]byte, error) {
	if !v.IsValid() || v.Type() != e.root.typ {
		return dst, invalid("encoder of %s was given %s", e.root.typ, describe(v))
	}
	switch e.simple {
	case reflect.Int:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case reflect.String:
		return appendText(dst, v.String(), walkFrom(start, s))
	}
	if v.CanAddr() {
		return e.root.append(dst, v.Addr().UnsafePointer(), walkFrom(start, s))
	}
	if e.scratch == nil {
		return e.root.appendValue(dst, v, false, walkFrom(start, s))
	}
	if !v.CanInterface() {
		return dst, e.root.unexported()
	}
	c := e.scratch.Get().(*reflect.Value)
	c.Set(v)
	dst, err := e.root.append(dst, c.Addr().UnsafePointer(), walkFrom(start, s))
	c.SetZero()
	e.scratch.Put(c)
	return dst, err
}

// AppendPointer appends the rendering of the value of the encoder's type that p points at.
// It fails as Append does.
func (e *Encoder) AppendPointer(dst []byte, p unsafe.Pointer) ([]byte, error) {
	return e.AppendPointerWith(dst, len(dst), p, nil)
}

// AppendPointerWith is AppendWith for the value that p points at.
func (e *Encoder) AppendPointerWith(dst []byte, start int, p unsafe.Pointer, s *Secrets) ([]byte, error) {
	out, err := e.root.append(dst, p, walkFrom(start, s))
	if err == errNotCounted {
		return e.root.append(dst, p, walkFrom(start, s.counting()))
	}
	return out, err
}

// InPlace reports whether AppendPointer does not retain the pointer that it is given, nor pass it to
// a method of the value's type: it may then point at a variable on the stack of which the
// compiler doesn't know that it is referred to. Pointers within the value are another matter.
func (e *Encoder) InPlace() bool { return e.root.inPlace }

// Scalar returns the kind of values that are bools, numbers or strings and rendered as such, and by
// no method of their type: values of the same bits or bytes then have the same rendering. For
// all others it returns reflect.Invalid.
func (e *Encoder) Scalar() reflect.Kind {
	if kind := e.root.typ.Kind(); !e.root.asText && scalarBody(kind) != nil {
		return kind
	}
	return reflect.Invalid
}

// HasSecret reports whether values have a cachekey.Secret in them, as far as types say it: not behind interfaces.
func (e *Encoder) HasSecret() bool { return e.secret }

// Append appends the rendering of v as behind an interface, as cachekey.Repr describes. It fails as
// Repr does; what was appended then has to be discarded.
func Append(dst []byte, v any) ([]byte, error) { return AppendWith(dst, len(dst), v, nil) }

// AppendWith is Append for one of several values of a text that begins at dst[start], which is bounded as a whole. s says how
// a cachekey.Secret is rendered.
func AppendWith(dst []byte, start int, v any, s *Secrets) ([]byte, error) {
	out, err := shared.appendAny(dst, v, walkFrom(start, s))
	if err == errNotCounted {
		return shared.appendAny(dst, v, walkFrom(start, s.counting()))
	}
	return out, err
}

// AppendTuple appends the rendering of values as a Python tuple, each as Append renders it. It fails
// as Append does.
func AppendTuple(dst []byte, values []any) ([]byte, error) { return AppendTupleWith(dst, values, nil) }

// AppendTupleWith is AppendTuple where s says how a cachekey.Secret is rendered.
func AppendTupleWith(dst []byte, values []any, s *Secrets) ([]byte, error) {
	out, err := shared.appendTuple(dst, values, walkFrom(len(dst), s))
	if err == errNotCounted {
		return shared.appendTuple(dst, values, walkFrom(len(dst), s.counting()))
	}
	return out, err
}

// A scope is the set of encoders that share one set of attributes. The encoders of types found
// behind interfaces are compiled in the scope of the interface's encoder.
type scope struct {
	attrs    map[reflect.Type][]int // indices of the fields that count
	codecs   *usercodec.Set         // before those that are registered
	encoders sync.Map               // reflect.Type to *Encoder, or to the error of compiling it
}

// shared is the scope without attributes.
var shared = &scope{}

func (s *scope) encoder(t reflect.Type) (*Encoder, error) {
	found, ok := s.encoders.Load(t)
	if !ok {
		found, _ = s.encoders.LoadOrStore(t, s.compile(t))
	}
	if e, ok := found.(*Encoder); ok {
		return e, nil
	}
	return nil, found.(error)
}

// compile returns the *Encoder of t or an error.
func (s *scope) compile(t reflect.Type) any {
	c := compiler{scope: s, nodes: make(map[reflect.Type]*node), flat: true}
	root, err := c.node(t, trail{root: t})
	if err != nil {
		return err
	}
	e := &Encoder{root: root, alike: isAlike(root.full, t), secret: c.secret}
	switch v := reflect.Zero(t); {
	case root.asText:
	case v.CanInt():
		e.simple = reflect.Int
	case t.Kind() == reflect.String:
		e.simple = reflect.String
	}
	if c.flat && (t.Kind() == reflect.Struct || t.Kind() == reflect.Array) {
		e.scratch = &sync.Pool{New: func() any {
			v := reflect.New(t).Elem()
			return &v
		}}
	}
	return e
}

// fields resolves the names in a to field indices, sorted and without repetitions.
func (a Attrs) fields() (map[reflect.Type][]int, error) {
	listed := make(map[reflect.Type][]int, len(a))
	for t, names := range a {
		if t != nil && t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if len(names) == 0 {
			continue
		}
		if t == nil || t.Kind() != reflect.Struct {
			return nil, invalid("attributes of %v, which is not a struct type", t)
		}
		for _, name := range names {
			i := slices.IndexFunc(fieldNames(t), func(f string) bool { return f == name && f != "_" })
			if i < 0 {
				return nil, invalid("%s has no field %q; it has %s", TypeName(t), name, strings.Join(fieldNames(t), ", "))
			}
			if !slices.Contains(listed[t], i) {
				listed[t] = append(listed[t], i)
			}
		}
		slices.Sort(listed[t])
	}
	return listed, nil
}

func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Name
	}
	return names
}

func describe(v reflect.Value) string {
	if !v.IsValid() {
		return "an invalid reflect.Value"
	}
	return fmt.Sprintf("a value of type %s", v.Type())
}
