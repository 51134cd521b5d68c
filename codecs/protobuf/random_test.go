package protobuf_test

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/gofeaturespb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/sourcecontextpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"
)

// wellKnown are messages of all kinds: with oneofs (Value), maps of messages (Struct), recursion (DescriptorProto),
// required fields (UninterpretedOption) and defaults of proto2, extensions (FeatureSet), optional scalars, enums,
// packed lists, and what an Any holds.
var wellKnown = []proto.Message{
	(*structpb.Value)(nil), (*structpb.Struct)(nil), (*structpb.ListValue)(nil),
	(*timestamppb.Timestamp)(nil), (*durationpb.Duration)(nil), (*fieldmaskpb.FieldMask)(nil), (*emptypb.Empty)(nil),
	(*anypb.Any)(nil), (*sourcecontextpb.SourceContext)(nil), (*typepb.Type)(nil), (*typepb.Enum)(nil), (*apipb.Api)(nil),
	(*wrapperspb.StringValue)(nil), (*wrapperspb.BytesValue)(nil), (*wrapperspb.DoubleValue)(nil), (*wrapperspb.FloatValue)(nil),
	(*wrapperspb.Int64Value)(nil), (*wrapperspb.UInt32Value)(nil), (*wrapperspb.BoolValue)(nil),
	(*descriptorpb.DescriptorProto)(nil), (*descriptorpb.FileDescriptorProto)(nil), (*descriptorpb.FieldOptions)(nil),
	(*descriptorpb.UninterpretedOption)(nil), (*descriptorpb.SourceCodeInfo)(nil), (*descriptorpb.FeatureSet)(nil),
	(*gofeaturespb.GoFeatures)(nil),
}

// message draws a message of the type of m.
func message(t *rapid.T, m proto.Message) proto.Message {
	drawn := m.ProtoReflect().New()
	fill(t, drawn, 4)
	return drawn.Interface()
}

// anyMessage draws a message of one of the types.
func anyMessage(t *rapid.T, types []proto.Message) proto.Message {
	return message(t, rapid.SampledFrom(types).Draw(t, "type"))
}

func fill(t *rapid.T, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if fd := fields.Get(i); rapid.IntRange(0, 2).Draw(t, "set") == 0 {
			setField(t, m, fd, depth)
		}
	}
	protoregistry.GlobalTypes.RangeExtensionsByMessage(m.Descriptor().FullName(), func(xt protoreflect.ExtensionType) bool {
		if rapid.Bool().Draw(t, "extended") {
			setField(t, m, xt.TypeDescriptor(), depth)
		}
		return true
	})
	if rapid.IntRange(0, 5).Draw(t, "unknown") == 0 {
		m.SetUnknown(unknown(t))
	}
}

func setField(t *rapid.T, m protoreflect.Message, fd protoreflect.FieldDescriptor, depth int) {
	if fd.Message() != nil && depth == 0 {
		return
	}
	one := func(fd protoreflect.FieldDescriptor, empty func() protoreflect.Value) protoreflect.Value {
		if fd.Message() == nil {
			return scalar(t, fd)
		}
		v := empty()
		fill(t, v.Message(), depth-1)
		return v
	}
	n := rapid.IntRange(0, 3)
	switch {
	case fd.IsList():
		list := m.NewField(fd).List()
		for range n.Draw(t, "length") {
			list.Append(one(fd, list.NewElement))
		}
		m.Set(fd, protoreflect.ValueOfList(list))
	case fd.IsMap():
		entries := m.NewField(fd).Map()
		for range n.Draw(t, "entries") {
			entries.Set(scalar(t, fd.MapKey()).MapKey(), one(fd.MapValue(), entries.NewValue))
		}
		m.Set(fd, protoreflect.ValueOfMap(entries))
	default:
		m.Set(fd, one(fd, func() protoreflect.Value { return m.NewField(fd) }))
	}
}

func scalar(t *rapid.T, fd protoreflect.FieldDescriptor) protoreflect.Value {
	number := func() float64 {
		return rapid.OneOf(
			rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), 0.1}),
		).Draw(t, "float")
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.Int32Range(-1, 5).Draw(t, "enum")))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.String().Draw(t, "string"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(number()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(number())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	default:
		panic(fmt.Sprintf("a field of kind %v", fd.Kind()))
	}
}

// unknown draws fields that no message has.
func unknown(t *rapid.T) (raw protoreflect.RawFields) {
	for range rapid.IntRange(1, 3).Draw(t, "unknown fields") {
		number := protowire.Number(rapid.IntRange(19_000, 19_003).Draw(t, "number"))
		switch rapid.IntRange(0, 2).Draw(t, "wire type") {
		case 0:
			raw = protowire.AppendVarint(protowire.AppendTag(raw, number, protowire.VarintType), rapid.Uint64().Draw(t, "varint"))
		case 1:
			raw = protowire.AppendBytes(protowire.AppendTag(raw, number, protowire.BytesType), []byte(rapid.String().Draw(t, "unknown bytes")))
		default:
			raw = protowire.AppendTag(raw, number, protowire.StartGroupType)
			raw = protowire.AppendTag(raw, number, protowire.EndGroupType)
		}
	}
	return raw
}

// scramble returns a message that proto.Equal finds equal to m, made in another way: maps are filled in another order,
// unknown fields of other numbers change places, and the signs of zeros where that doesn't count.
func scramble(m proto.Message) proto.Message {
	s := copied(m)
	scrambleFields(s.ProtoReflect())
	return s
}

func scrambleFields(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			old := v.Map()
			fresh := m.NewField(fd).Map()
			old.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				if fd.MapValue().Message() != nil {
					scrambleFields(v.Message())
				}
				fresh.Set(k, v)
				return true
			})
			m.Set(fd, protoreflect.ValueOfMap(fresh))
		case fd.IsList():
			for i := range v.List().Len() {
				if fd.Message() != nil {
					scrambleFields(v.List().Get(i).Message())
				} else if fd.Kind() == protoreflect.DoubleKind && v.List().Get(i).Float() == 0 {
					v.List().Set(i, protoreflect.ValueOfFloat64(math.Copysign(0, -1)))
				}
			}
		case fd.Message() != nil:
			scrambleFields(v.Message())
		case fd.Kind() == protoreflect.DoubleKind && fd.HasPresence() && v.Float() == 0:
			m.Set(fd, protoreflect.ValueOfFloat64(-v.Float()))
		case fd.Kind() == protoreflect.DoubleKind && v.Float() != v.Float():
			m.Set(fd, protoreflect.ValueOfFloat64(math.Float64frombits(math.Float64bits(v.Float())^1)))
		}
		return true
	})
	// Fields of one number stay in their order.
	var first, others protoreflect.RawFields
	for raw := m.GetUnknown(); len(raw) > 0; {
		number, _, n := protowire.ConsumeField(raw)
		if number == 19_000 {
			first = append(first, raw[:n]...)
		} else {
			others = append(others, raw[:n]...)
		}
		raw = raw[n:]
	}
	if len(first)+len(others) > 0 {
		m.SetUnknown(append(others, first...))
	}
}
