package protobuf

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The text of a message in keys. It has what proto.Equal compares, and nothing of how the message came to be:
//
//   - the full name of the message, and the fields that are there, in the order of their numbers: {id:1,lang:"it"}; those of
//     extensions by their full names, in brackets
//   - lists in brackets, maps in braces, with their keys in order; enums as numbers
//   - floats with the digits that give them back, one word for all NaNs, and no sign for a zero, unless that is what says
//     that the field is there
//   - unknown fields, by number and each in its order: what proto.Equal compares of them
//
// A text, and so each part, ends where it says so, as values do in package keyenc: by its bracket, its quote, or before a
// character that numbers and words don't have.

func key(m proto.Message) (string, error) {
	if _, err := typeOf(reflect.TypeOf(m)); err != nil {
		return "", err
	}
	if err := check(m.ProtoReflect(), 1); err != nil {
		return "", err
	}
	return string(appendFields([]byte(m.ProtoReflect().Descriptor().FullName()), m.ProtoReflect())), nil
}

func appendFields(b []byte, m protoreflect.Message) []byte {
	type entry struct {
		fd protoreflect.FieldDescriptor
		v  protoreflect.Value
	}
	var entries []entry
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		entries = append(entries, entry{fd, v})
		return true
	})
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.fd.Number(), b.fd.Number()) })
	b = append(b, '{')
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		if e.fd.IsExtension() {
			b = append(append(append(b, '['), e.fd.FullName()...), ']')
		} else {
			b = append(b, e.fd.Name()...)
		}
		b = appendValue(append(b, ':'), e.fd, e.v)
	}
	b = appendUnknown(b, m.GetUnknown())
	return append(b, '}')
}

func appendValue(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch {
	case fd.IsList():
		list := v.List()
		b = append(b, '[')
		for i := range list.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendSingular(b, fd, list.Get(i))
		}
		return append(b, ']')
	case fd.IsMap():
		return appendMap(b, fd, v.Map())
	default:
		return appendSingular(b, fd, v)
	}
}

func appendMap(b []byte, fd protoreflect.FieldDescriptor, m protoreflect.Map) []byte {
	var entries []string
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		e := append(appendSingular(nil, fd.MapKey(), k.Value()), ':')
		entries = append(entries, string(appendSingular(e, fd.MapValue(), v)))
		return true
	})
	slices.Sort(entries)
	b = append(b, '{')
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e...)
	}
	return append(b, '}')
}

func appendSingular(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool())
	case protoreflect.EnumKind:
		return strconv.AppendInt(b, int64(v.Enum()), 10)
	case protoreflect.StringKind:
		return strconv.AppendQuote(b, v.String())
	case protoreflect.BytesKind:
		return strconv.AppendQuote(b, string(v.Bytes()))
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return appendFields(b, v.Message())
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		f := v.Float()
		if f == 0 && (fd.IsList() || fd.HasPresence() || fd.ContainingMessage().IsMapEntry()) {
			f = 0 // of a -0, which proto.Equal doesn't tell from 0 there
		}
		bits := 64
		if fd.Kind() == protoreflect.FloatKind {
			bits = 32
		}
		return strconv.AppendFloat(b, f, 'g', -1, bits)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return strconv.AppendUint(b, v.Uint(), 10)
	default:
		return strconv.AppendInt(b, v.Int(), 10)
	}
}

// appendUnknown appends unknown fields: those of one number stand together, in their order, behind a semicolon.
func appendUnknown(b []byte, raw protoreflect.RawFields) []byte {
	if len(raw) == 0 {
		return b
	}
	type unknown struct {
		number protowire.Number
		bytes  []byte
	}
	var all []unknown
	for len(raw) > 0 {
		number, _, n := protowire.ConsumeField(raw)
		if n < 0 { // nobody can have made that of a message
			number, n = 0, len(raw)
		}
		all = append(all, unknown{number, raw[:n]})
		raw = raw[n:]
	}
	slices.SortStableFunc(all, func(a, b unknown) int { return cmp.Compare(a.number, b.number) })
	b = append(b, ';')
	var bytes []byte
	for _, u := range all {
		bytes = append(bytes, u.bytes...)
	}
	return strconv.AppendQuote(b, string(bytes))
}
