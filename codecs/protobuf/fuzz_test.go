package protobuf

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Any bytes are counted and refused, or are a message that comes back as it is.
func FuzzDecode(f *testing.F) {
	types := []proto.Message{&structpb.Struct{}, &descriptorpb.DescriptorProto{}, &descriptorpb.FeatureSet{}, &anypb.Any{}}
	value, err := structpb.NewStruct(map[string]any{"a": []any{1.5, "x", nil, true}, "b": map[string]any{}})
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range []proto.Message{value, (&descriptorpb.DescriptorProto{
		Name: proto.String("City"), Field: []*descriptorpb.FieldDescriptorProto{{Name: proto.String("id"), Number: proto.Int32(1)}},
	})} {
		b, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0x0b, 0x0b, 0x0c})             // groups
	f.Add([]byte{0xd2, 0x3e, 0x02, 0x08, 0x01}) // an extension
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range types {
			rt := reflect.TypeOf(m)
			if n := memory(data, rt); n < 0 || n > tooMuch {
				t.Errorf("%v: %d bytes of memory for %x", rt, n, data)
			}
			got, err := decode(data, rt)
			if err != nil {
				continue
			}
			again, err := encode(got)
			if err != nil {
				t.Fatalf("%v: %x gives %v, which can't be encoded: %v", rt, data, got, err)
			}
			if back, err := decode(again, rt); err != nil || !proto.Equal(got, back) {
				t.Errorf("%v: %x gives %v and then %v, %v", rt, data, got, back, err)
			}
			if _, err := key(got); err != nil {
				t.Errorf("%v: the key of %v: %v", rt, got, err)
			}
		}
	})
}
