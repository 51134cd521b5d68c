package keyenc

import (
	"reflect"
	"strconv"
	"sync"

	"github.com/cacheutils/cacheutils/internal/typeid"
)

// TypeName returns the name of t with the full paths of the packages in it, without spaces and
// control characters: int, []*example.com/app/geo.City, map[string]any, func(int,...string)error,
// struct{ID:int;example.com/app/geo.name:string}. Two types have two names: those that are declared in
// functions have a number, as in example.com/app/geo.row·3, and package main is called by the path of the
// program. Package typeid says what the limits of that are.
func TypeName(t reflect.Type) string {
	if t == nil {
		return "nil"
	}
	return string(appendType(nil, t))
}

// sourceName returns the name of t for messages, as TypeName without the numbers of types that are declared in
// functions.
func sourceName(t reflect.Type) string { return typeid.WithoutNumbers(TypeName(t)) }

var named sync.Map // reflect.Type by the TypeName of what was rendered

// isAlike reports whether another type than t was rendered under its name.
func isAlike(name string, t reflect.Type) bool {
	first, _ := named.LoadOrStore(name, t)
	return first != t
}

func appendType(dst []byte, t reflect.Type) []byte {
	if path, name := typeid.Of(t); name != "" {
		if path != "" {
			dst = append(append(dst, EscapeName(path)...), '.')
		}
		return append(dst, EscapeName(name)...)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return appendType(append(dst, '*'), t.Elem())
	case reflect.Slice:
		return appendType(append(dst, "[]"...), t.Elem())
	case reflect.Array:
		dst = strconv.AppendInt(append(dst, '['), int64(t.Len()), 10)
		return appendType(append(dst, ']'), t.Elem())
	case reflect.Map:
		dst = appendType(append(dst, "map["...), t.Key())
		return appendType(append(dst, ']'), t.Elem())
	case reflect.Chan:
		word := map[reflect.ChanDir]string{reflect.BothDir: "chan(", reflect.RecvDir: "<-chan(", reflect.SendDir: "chan<-("}
		return append(appendType(append(dst, word[t.ChanDir()]...), t.Elem()), ')')
	case reflect.Func:
		return appendSignature(append(dst, "func"...), t)
	case reflect.Struct:
		return appendStructType(dst, t)
	case reflect.Interface:
		return appendInterfaceType(dst, t)
	}
	return append(dst, EscapeName(t.String())...)
}

// appendSignature renders the func type t from its parameters on.
func appendSignature(dst []byte, t reflect.Type) []byte {
	dst = append(dst, '(')
	for i := range t.NumIn() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if t.IsVariadic() && i == t.NumIn()-1 {
			dst = appendType(append(dst, "..."...), t.In(i).Elem())
		} else {
			dst = appendType(dst, t.In(i))
		}
	}
	dst = append(dst, ')')
	if t.NumOut() == 1 {
		return appendType(dst, t.Out(0))
	}
	if t.NumOut() == 0 {
		return dst
	}
	dst = append(dst, '(')
	for i := range t.NumOut() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendType(dst, t.Out(i))
	}
	return append(dst, ')')
}

// appendStructType renders an anonymous struct type by all that makes it one: the names of its
// fields, with the package of unexported ones, what is embedded (marked +), types and tags.
func appendStructType(dst []byte, t reflect.Type) []byte {
	dst = append(dst, "struct{"...)
	for i := range t.NumField() {
		f := t.Field(i)
		if i > 0 {
			dst = append(dst, ';')
		}
		if f.Anonymous {
			dst = append(dst, '+')
		}
		if f.PkgPath != "" {
			dst = append(append(dst, EscapeName(typeid.Package(f.PkgPath))...), '.')
		}
		dst = append(append(dst, f.Name...), ':')
		dst = appendType(dst, f.Type)
		if f.Tag != "" {
			dst = appendString(dst, string(f.Tag))
		}
	}
	return append(dst, '}')
}

func appendInterfaceType(dst []byte, t reflect.Type) []byte {
	if t.NumMethod() == 0 {
		return append(dst, "any"...)
	}
	dst = append(dst, "interface{"...)
	for i := range t.NumMethod() {
		m := t.Method(i)
		if i > 0 {
			dst = append(dst, ';')
		}
		if m.PkgPath != "" {
			dst = append(append(dst, EscapeName(typeid.Package(m.PkgPath))...), '.')
		}
		dst = appendSignature(append(dst, m.Name...), m.Type)
	}
	return append(dst, '}')
}
