// Package protobuf has the library take protobuf messages: as results and arguments of cached functions, in cache.Set, at
// any depth, on all backends. Import it for that in each package that decorates functions of messages:
//
//	import _ "github.com/cacheutils/cacheutils/codecs/protobuf"
//
// Where only another package imports it, it may come too late, and panics: a function would have been planned without it.
//
// It registers one codec, see package codecs, for proto.Message: for the pointers to all types that protoc-gen-go has
// generated, and for interfaces with the methods of proto.Message. A message that is held by value, which is not to be
// copied, is refused, and so are those of types that are made at run time (dynamicpb).
//
//   - Messages are stored as proto.Marshal encodes them, and copied by proto.Clone. Each is decoded again before it is
//     stored, and has to be what it was: with its oneofs, unknown fields, extensions, and what an Any holds, which stays
//     encoded. Required fields may be missing.
//   - A nil pointer to a message and an empty message are two values. An empty list, map or bytes comes back nil, as they
//     are one in a message, unless bytes have presence; a message with a nil in a list, a map or a oneof is refused.
//   - Messages that proto.Equal finds equal have one text in keys, and others have others:
//     citypb.GetCityRequest{id:1,lang:"it"}. So have those of two types.
//   - After a deploy that changed a message, its entries are misses: the names, numbers and types of all fields are in the
//     fingerprint. Both versions of a program run side by side.
//   - What a message takes in memory is counted before it is decoded, for the backend's option max_decoded_size.
package protobuf

import (
	"fmt"
	"reflect"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/cacheutils/cacheutils/codecs"
)

var _ = codecs.Register(codecs.Codec[proto.Message]{
	Name:   "protobuf 1",
	Encode: encode,
	Decode: decode,
	Clone:  clone,
	Equal:  proto.Equal,
	Key:    key,
	Memory: memory,
	Schema: schema,
})

// encode doesn't insist on required fields: what a function has returned is what callers get.
func encode(m proto.Message) ([]byte, error) {
	if _, err := typeOf(reflect.TypeOf(m)); err != nil {
		return nil, err
	}
	if err := check(m.ProtoReflect(), 1); err != nil {
		return nil, err
	}
	return proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(m)
}

func decode(data []byte, t reflect.Type) (proto.Message, error) {
	mt, err := typeOf(t)
	if err != nil {
		return nil, err
	}
	m := mt.New().Interface()
	return m, proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(data, m)
}

// check returns why a message can't be encoded exactly, or at all: it has a nil pointer in the place of a message, in a list, a
// map or a oneof, which the encoding doesn't tell from an empty message, or it is deeper than what can be decoded.
func check(m protoreflect.Message, depth int) (err error) {
	if !m.IsValid() {
		return fmt.Errorf("there is a nil in the place of a message of type %s", m.Descriptor().FullName())
	}
	if depth > maxDepth {
		return errDeep
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() && fd.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				err = check(v.Message(), depth+1)
				return err == nil
			})
		case fd.Message() == nil || fd.IsMap():
		case fd.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = check(v.List().Get(i).Message(), depth+1)
			}
		default:
			err = check(v.Message(), depth+1)
		}
		return err == nil
	})
	return err
}

var errDeep = fmt.Errorf("messages are nested deeper than %d levels", maxDepth)

// clone returns a copy, or nil if there can be none. proto.Clone loses the sign of a zero.
func clone(m proto.Message) proto.Message {
	if c := proto.Clone(m); proto.Equal(m, c) {
		return c
	}
	data, err := encode(m)
	if err != nil {
		return nil
	}
	c, err := decode(data, reflect.TypeOf(m))
	if err != nil {
		return nil
	}
	return c
}

var types sync.Map // reflect.Type to its protoreflect.MessageType, or to an error

// typeOf returns the type of messages whose Go type is t, a pointer. It is an error if t doesn't say which that is.
func typeOf(t reflect.Type) (protoreflect.MessageType, error) {
	known, ok := types.Load(t)
	if !ok {
		known, _ = types.LoadOrStore(t, findType(t))
	}
	if mt, ok := known.(protoreflect.MessageType); ok {
		return mt, nil
	}
	return nil, known.(error)
}

func findType(t reflect.Type) (found any) {
	made := fmt.Errorf("the type %v doesn't say which messages it has: it is not one that protoc-gen-go has generated", t)
	defer func() {
		if recover() != nil {
			found = made
		}
	}()
	if t.Kind() != reflect.Pointer {
		return made
	}
	mt := reflect.New(t.Elem()).Interface().(proto.Message).ProtoReflect().Type()
	if reflect.TypeOf(mt.New().Interface()) != t || mt.Descriptor().FullName() == "" {
		return made
	}
	return mt
}
