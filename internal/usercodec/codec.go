// Package usercodec has the codecs that users give: of the types of other packages, which internal/codec and
// internal/keyenc refuse by themselves. A codec is for one type, or for all types that implement one interface.
package usercodec

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/cacheutils/cacheutils/internal/errtext"
)

// Funcs are what a user gives, with the fields of codecs.Codec, where their doc is.
type Funcs[T any] struct {
	Name   string
	Encode func(T) ([]byte, error)
	Decode func([]byte, reflect.Type) (T, error)
	Clone  func(T) T
	Equal  func(T, T) bool
	Key    func(T) (string, error)
	Memory func([]byte, reflect.Type) int
	Schema func(reflect.Type) (string, error)
}

// A Codec is the functions for a type T, without their type parameter. Values are of T or, where that is an interface, of
// types that implement it; none is nil. What a function of the user's panics with is returned as an error.
type Codec struct {
	Name string
	typ  reflect.Type // T

	encode func(v reflect.Value) ([]byte, error)
	decode func(data []byte, rt reflect.Type) (reflect.Value, error)
	clone  func(v reflect.Value) reflect.Value // nil: by decoding what was encoded
	equal  func(a, b reflect.Value) bool       // nil: by comparing deeply
	key    func(v reflect.Value) (string, error)
	memory func(data []byte, rt reflect.Type) int
	schema func(rt reflect.Type) (string, error)
}

// New returns the codec of the functions, or what is wrong with them.
func New[T any](f Funcs[T]) (c *Codec, wrong string) {
	rt := reflect.TypeFor[T]()
	if wrong := wrongType(rt); wrong != "" {
		return nil, wrong
	}
	switch {
	case f.Name == "":
		return nil, `it has no Name; give it one that changes whenever the encoding does: "citypb 1"`
	case f.Encode == nil || f.Decode == nil:
		return nil, "it needs both Encode and Decode"
	}
	of := func(v reflect.Value) T { return v.Interface().(T) }
	c = &Codec{
		Name:   f.Name,
		typ:    rt,
		encode: func(v reflect.Value) ([]byte, error) { return f.Encode(of(v)) },
		decode: func(data []byte, rt reflect.Type) (reflect.Value, error) {
			x, err := f.Decode(data, rt)
			return concrete(&x), err
		},
		memory: f.Memory,
		schema: f.Schema,
	}
	if f.Clone != nil {
		c.clone = func(v reflect.Value) reflect.Value {
			x := f.Clone(of(v))
			return concrete(&x)
		}
	}
	if f.Equal != nil {
		c.equal = func(a, b reflect.Value) bool { return f.Equal(of(a), of(b)) }
	}
	if f.Key != nil {
		c.key = func(v reflect.Value) (string, error) { return f.Key(of(v)) }
	}
	return c, ""
}

// wrongType says why there can't be a codec for values of rt, or "".
func wrongType(rt reflect.Type) string {
	named := rt
	if rt.Kind() == reflect.Pointer {
		named = rt.Elem()
	}
	switch {
	case rt.Kind() == reflect.Interface && rt.NumMethod() == 0:
		return "each type implements it; name one, or an interface with methods"
	case rt.Kind() == reflect.Interface:
		return ""
	case named.PkgPath() == "" || named.Kind() == reflect.Interface || named.Kind() == reflect.Pointer:
		return "it is neither a type with a name that a package has declared, nor a pointer to one, nor an interface with methods"
	case named.PkgPath() == "time" && named.Name() == "Time":
		return "times are encoded exactly without one"
	}
	return ""
}

// concrete returns what p points at, or what that holds if it is an interface.
func concrete(p any) reflect.Value {
	v := reflect.ValueOf(p).Elem()
	if v.Kind() == reflect.Interface {
		return v.Elem()
	}
	return v
}

// Type returns the type that the codec is for.
func (c *Codec) Type() reflect.Type { return c.typ }

// Encode returns the encoding of v. It may be memory of v's own.
func (c *Codec) Encode(v reflect.Value) (data []byte, err error) {
	err = protected("Encode", func() (err error) {
		data, err = c.encode(v)
		return err
	})
	return data, err
}

// Decode returns the value of type rt whose encoding data is. The caller leaves data to it.
func (c *Codec) Decode(data []byte, rt reflect.Type) (v reflect.Value, err error) {
	err = protected("Decode", func() (err error) {
		v, err = c.decode(data, rt)
		return err
	})
	if err != nil {
		return v, err
	}
	return v, isOne(v, rt, "Decode")
}

// isOne returns an error unless v is a value of rt that is not nil.
func isOne(v reflect.Value, rt reflect.Type, from string) error {
	switch {
	case !v.IsValid() || IsNil(v):
		return fmt.Errorf("%s returned nil in place of a value of type %v", from, rt)
	case v.Type() != rt:
		return fmt.Errorf("%s returned a value of type %v in place of one of type %v", from, v.Type(), rt)
	}
	return nil
}

// Clone returns a copy of v that shares nothing with it which somebody could change.
func (c *Codec) Clone(v reflect.Value) (copied reflect.Value, err error) {
	if c.clone == nil {
		data, err := c.Encode(v)
		if err != nil {
			return copied, err
		}
		return c.Decode(append([]byte(nil), data...), v.Type())
	}
	err = protected("Clone", func() error {
		copied = c.clone(v)
		return nil
	})
	if err != nil {
		return copied, err
	}
	return copied, isOne(copied, v.Type(), "Clone")
}

// Difference returns nil if a and b are equal. Otherwise the error says where they differ, as far as that is known.
func (c *Codec) Difference(a, b reflect.Value) error {
	return protected("Equal", func() error {
		if c.equal != nil {
			if !c.equal(a, b) {
				return errors.New("its Equal says that what it decodes is not what it has encoded")
			}
			return nil
		}
		if path, differ := Difference(a, b); differ {
			return fmt.Errorf("it alters %s; if that doesn't matter, give it an Equal, such as codecs.EqualExported", path)
		}
		return nil
	})
}

// IsDeep reports whether values are compared deeply, since the user has given no Equal.
func (c *Codec) IsDeep() bool { return c.equal == nil }

// Key returns the text that stands for v in keys. Without a Key of the user's that is its encoding, if that gives the value
// back.
func (c *Codec) Key(v reflect.Value) (text string, err error) {
	if c.key != nil {
		err = protected("Key", func() (err error) {
			text, err = c.key(v)
			return err
		})
		return text, err
	}
	data, err := c.Encode(v)
	if err != nil {
		return "", err
	}
	text = string(data)
	back, err := c.Decode([]byte(text), v.Type())
	if err != nil {
		return "", err
	}
	return text, c.Difference(v, back)
}

// Memory returns how many bytes of memory Decode takes for data, besides a copy of it.
func (c *Codec) Memory(data []byte, rt reflect.Type) (n uint64, err error) {
	if c.memory == nil {
		return uint64(len(data)), nil
	}
	err = protected("Memory", func() error {
		n = uint64(max(c.memory(data, rt), 0))
		return nil
	})
	return n, err
}

// Schema returns what changes with what values of rt are made of. It is not ok where the user has no Schema.
func (c *Codec) Schema(rt reflect.Type) (text string, ok bool, err error) {
	if c.schema == nil {
		return "", false, nil
	}
	err = protected("Schema", func() (err error) {
		text, err = c.schema(rt)
		return err
	})
	return text, true, err
}

// protected calls a function of the user's, and makes an error of a panic.
func protected(name string, call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s panics: %s", name, errtext.Panicked(r))
		}
	}()
	return call()
}

// IsNil reports whether v is nil.
func IsNil(v reflect.Value) bool { return CanBeNil(v.Type()) && v.IsNil() }

// CanBeNil reports whether there is a nil of type rt.
func CanBeNil(rt reflect.Type) bool {
	switch rt.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return true
	default:
		return false
	}
}
