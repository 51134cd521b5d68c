package protobuf

import (
	"math"
	"reflect"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// How much memory a message takes when it is decoded. Two bytes can stand for a message of a hundred fields, so the encoding
// is walked as Unmarshal does it, and what that allocates is added up: the structs of messages, texts, and lists and maps
// with the room for growth. A message that comes again for a field is merged by Unmarshal into the one before, and counted
// once more here.

const (
	maxDepth  = 10_000        // of messages within others, as Unmarshal has it
	entrySize = 64            // of a map, besides its key and value
	extension = 128           // what an extension takes besides its value
	tooMuch   = math.MaxInt32 // what is counted at most
)

func memory(data []byte, t reflect.Type) int {
	mt, err := typeOf(t)
	if err != nil {
		return len(data)
	}
	n, _ := layoutOf(mt).memory(data, 0, 0)
	return int(n)
}

// A layout is what is to be known of the messages of one type.
type layout struct {
	size   int64 // of the struct
	fields map[protowire.Number]*field
	name   protoreflect.FullName
}

type field struct {
	list, mapped bool
	kind         protoreflect.Kind
	elem         int64                    // what a value takes in a list or, where it is not part of the struct, behind a pointer
	message      protoreflect.MessageType // of values; nil: they are none
	value        *field                   // of a map
}

var layouts sync.Map // protoreflect.MessageType to *layout

func layoutOf(mt protoreflect.MessageType) *layout {
	if known, ok := layouts.Load(mt); ok {
		return known.(*layout)
	}
	known, _ := layouts.LoadOrStore(mt, newLayout(mt))
	return known.(*layout)
}

func newLayout(mt protoreflect.MessageType) *layout {
	m := mt.New()
	l := &layout{size: allocated(int(reflect.TypeOf(m.Interface()).Elem().Size())), name: m.Descriptor().FullName()}
	fields := m.Descriptor().Fields()
	l.fields = make(map[protowire.Number]*field, fields.Len())
	for i := range fields.Len() {
		fd := fields.Get(i)
		l.fields[fd.Number()] = newField(fd, func() protoreflect.Value { return m.NewField(fd) })
	}
	return l
}

// newField returns what is to be known of a field; value makes one that is empty.
func newField(fd protoreflect.FieldDescriptor, value func() protoreflect.Value) *field {
	f := &field{list: fd.IsList(), mapped: fd.IsMap(), kind: fd.Kind(), elem: 8}
	switch {
	case f.mapped:
		f.kind = fd.MapValue().Kind()
		if fd.MapValue().Message() != nil {
			f.message = value().Map().NewValue().Message().Type()
		}
		f.value = &field{kind: f.kind, elem: elemSize(f.kind), message: f.message}
	case fd.Message() != nil && f.list:
		f.message = value().List().NewElement().Message().Type()
	case fd.Message() != nil:
		f.message = value().Message().Type()
	default:
		f.elem = elemSize(f.kind)
	}
	return f
}

// elemSize is what a value takes in a list.
func elemSize(kind protoreflect.Kind) int64 {
	switch kind {
	case protoreflect.StringKind:
		return 16
	case protoreflect.BytesKind:
		return 24
	case protoreflect.BoolKind:
		return 1
	case protoreflect.EnumKind, protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Uint32Kind,
		protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return 4
	default:
		return 8
	}
}

// allocated is about what the allocator takes for n bytes.
func allocated(n int) int64 { return int64(n) + int64(n)/8 + 8 }

// memory returns what decoding data takes, a message or a group with its end, and how many bytes those are.
func (l *layout) memory(data []byte, group protowire.Number, depth int) (n int64, length int) {
	n = l.size
	if depth > maxDepth {
		return tooMuch, len(data)
	}
	begin := len(data)
	for len(data) > 0 && n < tooMuch {
		number, wire, tag := protowire.ConsumeTag(data)
		if tag < 0 {
			break
		}
		data = data[tag:]
		if wire == protowire.EndGroupType {
			if number == group {
				return n, begin - len(data)
			}
			break
		}
		f := l.fields[number]
		if f == nil {
			f = extensionOf(l.name, number)
			if f != nil {
				n += extension
			}
		}
		taken, size := f.memory(data, number, wire, depth)
		if size < 0 {
			break
		}
		n += taken
		data = data[size:]
	}
	return min(n, tooMuch), begin - len(data)
}

// memory returns what decoding a value of the field takes, and how many bytes of data that value is, negative for none. A
// nil field is unknown.
func (f *field) memory(data []byte, number protowire.Number, wire protowire.Type, depth int) (n int64, size int) {
	if f != nil && f.message != nil && wire == protowire.StartGroupType && !f.mapped {
		n, size = layoutOf(f.message).memory(data, number, depth+1)
		return n + f.elem*2, size
	}
	size = protowire.ConsumeFieldValue(number, wire, data)
	if size < 0 {
		return 0, size
	}
	if f == nil {
		return 2 * (int64(size) + 8), size // kept as it is
	}
	if wire != protowire.BytesType {
		return 2 * max(f.elem, 8), size // one of a list, or behind a pointer
	}
	value, _ := protowire.ConsumeBytes(data)
	switch {
	case f.mapped:
		return f.entry(value, depth), size
	case f.message != nil:
		n, _ = layoutOf(f.message).memory(value, 0, depth+1)
		return n + 2*f.elem, size
	case f.kind == protoreflect.StringKind || f.kind == protoreflect.BytesKind:
		return allocated(len(value)) + 2*f.elem, size
	default:
		return 2 * f.elem * packed(value, f.kind), size
	}
}

// packed returns how many values there are in a packed list.
func packed(list []byte, kind protoreflect.Kind) (n int64) {
	switch kind {
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return int64(len(list)) / 8
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return int64(len(list)) / 4
	}
	for _, b := range list {
		if b < 0x80 {
			n++
		}
	}
	return n
}

// entry returns what decoding an entry of a map takes.
func (f *field) entry(data []byte, depth int) (n int64) {
	n = 2 * (entrySize + f.value.elem)
	if f.message != nil {
		n += layoutOf(f.message).size // also of an entry without a value
	}
	for len(data) > 0 {
		number, wire, tag := protowire.ConsumeTag(data)
		if tag < 0 {
			break
		}
		data = data[tag:]
		size := protowire.ConsumeFieldValue(number, wire, data)
		if size < 0 {
			break
		}
		switch {
		case number == 2:
			taken, _ := f.value.memory(data, number, wire, depth)
			n += taken
		case wire == protowire.BytesType:
			n += allocated(size) // a key
		}
		data = data[size:]
	}
	return n
}

// extensionOf returns the extension of a message with that number, or nil if the program has none.
func extensionOf(message protoreflect.FullName, number protowire.Number) *field {
	xt, err := protoregistry.GlobalTypes.FindExtensionByNumber(message, number)
	if err != nil {
		return nil
	}
	return newField(xt.TypeDescriptor(), xt.New)
}
