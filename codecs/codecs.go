// Package codecs is for types that can't be cached as they are, since they have fields that only their own package knows:
// entities of an ORM, tokens, messages. A [Codec] says how their values are encoded, copied, compared and named in keys. It
// is for results and for arguments, at any depth: in fields, slices, maps, behind pointers and interfaces.
//
//	var _ = codecs.Register(codecs.Codec[*ent.User]{
//		Name:   "ent.User 1",
//		Encode: func(u *ent.User) ([]byte, error) { return json.Marshal(u) },
//		Decode: func(b []byte, _ reflect.Type) (u *ent.User, err error) { err = json.Unmarshal(b, &u); return },
//		Equal:  codecs.EqualExported[*ent.User],
//	})
//
// [Register] is for all functions of the program, decorators.Codec for one of them. [JSON] is a Codec for what JSON carries.
// For protobuf messages there is a module of its own: import _ "github.com/cacheutils/cacheutils/codecs/protobuf".
//
// # What is checked
//
// No codec alters a value unnoticed. Where a function is decorated, its codecs are tried with a zero value and with one
// whose fields are set, exported ones and, without an Equal, the others: what comes back different is refused there. Each
// value is decoded again before it is stored, and has to be Equal to what it was; a result that isn't is computed at each
// call, which is logged. A panic of one of the functions counts as an error of it: it never reaches a caller.
package codecs

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"

	"github.com/cacheutils/cacheutils/internal/usercodec"
)

// A Codec carries values of T, a type with a name or a pointer to one or, where T is an interface with methods, of all
// types that implement it by themselves: not by a field that they embed. Its functions are never given a nil, and may be
// called by several goroutines at once. Name, Encode and Decode are needed.
type Codec[T any] struct {
	// Name is that of the encoding. It is a part of the fingerprint that entries have: change it, "city 2" after "city 1", with
	// each change of what Encode writes or of what Decode makes of that. Entries of before are misses then, and
	// processes of both versions of a program run side by side, each with entries of its own.
	Name string

	// Encode returns the bytes of a value. It may not change the value.
	Encode func(T) ([]byte, error)

	// Decode returns the value of the bytes, which are its own. They may have been written by anybody who can write to the server:
	// what is not an encoding is an error. Where T is an interface, the type is that of the value that was encoded, and of the one
	// that Decode has to return; otherwise it is T.
	Decode func([]byte, reflect.Type) (T, error)

	// Clone returns a copy that shares nothing with the value which somebody can change, for arguments that their caller may
	// change while the function still runs. Nil: what Decode makes of what Encode returns.
	Clone func(T) T

	// Equal reports whether two values are the same to those who use them. Nil: all fields are compared, deeply; a time is
	// the same at the same instant, offset and abbreviation, and what has a method Equal is if that says so.
	Equal func(T, T) bool

	// Key returns the text that stands for a value in keys: equal values have one text, and others have others. The name of the
	// type stands before it. Nil: what Encode returns, which then has to be the same for equal values; what Decode doesn't give
	// back can't be in a key.
	Key func(T) (string, error)

	// Memory returns about how many bytes of memory Decode takes for the bytes, and doesn't take them. They are counted in the
	// backend's option max_decoded_size before Decode is called. Nil: as many as there are bytes. Those are counted once more,
	// since Decode gets a copy.
	Memory func([]byte, reflect.Type) int

	// Schema returns a text that changes when the type does, so that entries of another version of it are misses. The type is
	// the one that Decode is given. Nil: all fields with their types and tags, all the way down; of types of the standard library
	// the exported ones.
	Schema func(reflect.Type) (string, error)
}

// Register has all functions of the program that are decorated from now on use c for values of T, whatever methods the type
// has. A codec for the type itself comes before one for an interface.
//
// It panics, saying what to change, if c lacks something, if T has a codec already, or if a type that c is for has been
// met without it, by a Cached, a cache.Set or in a key: what was stored or named then would not be found. So it stands in a
// variable of the package that declares T, or of one that is imported by those that decorate functions:
//
//	var _ = codecs.Register(codecs.JSON(codecs.EqualExported[*oauth2.Token]))
func Register[T any](c Codec[T]) bool {
	_, file, line, _ := runtime.Caller(1)
	erased, wrong := usercodec.New(usercodec.Funcs[T](c))
	if wrong == "" {
		wrong = usercodec.Register(erased, fmt.Sprintf("%s:%d", file, line))
	}
	if wrong != "" {
		panic(fmt.Sprintf("codecs: Register[%v] at %s:%d: %s", reflect.TypeFor[T](), file, line, wrong))
	}
	return true
}

// JSON returns a codec for what encoding/json carries, with the Equal that is given, or with nil one for which everything
// counts. T is not an interface. What JSON alters so that Equal tells is refused, as with any codec: unexported fields and
// those with the tag `json:"-"`, numbers behind interfaces, which come back as float64, empty slices and maps that omitempty
// leaves out, times in other zones than Local and UTC. It has no Memory: what somebody writes to the server as a list of
// empty objects takes more than is counted.
func JSON[T any](equal func(T, T) bool) Codec[T] {
	return Codec[T]{
		Name:   "json",
		Equal:  equal,
		Encode: func(x T) ([]byte, error) { return json.Marshal(x) },
		Decode: func(data []byte, _ reflect.Type) (x T, err error) {
			err = json.Unmarshal(data, &x)
			return x, err
		},
	}
}

// EqualExported reports whether a and b are equal but for what only their packages know: unexported fields of structs that
// have exported ones. It is an Equal for values whose other fields hold a client, a cache, or what was asked for.
func EqualExported[T any](a, b T) bool {
	return usercodec.EqualExported(reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem())
}
