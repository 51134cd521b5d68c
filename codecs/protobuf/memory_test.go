package protobuf

import (
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// What a message takes, but for what the allocator rounds up, was counted before, and not much more, also of bytes that nobody
// has a message for.
func TestMemory(t *testing.T) {
	message := func(number protowire.Number, of []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), of)
	}
	many := func(b []byte, n int) []byte { return slices.Repeat(b, n) }
	encoded := func(m proto.Message) []byte {
		b, err := encode(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	list, fields := &structpb.ListValue{}, map[string]*structpb.Value{}
	for i := range 2000 {
		list.Values = append(list.Values, structpb.NewStringValue(strings.Repeat("x", i%50)))
		fields[strings.Repeat("k", i)] = structpb.NewNumberValue(1)
	}
	for _, test := range []struct {
		name string
		m    proto.Message
		data []byte
	}{
		{"nothing", &structpb.Struct{}, nil},
		{"empty messages in a list", &descriptorpb.FileDescriptorProto{}, many(message(4, nil), 20_000)},
		{"empty messages in each other", &descriptorpb.DescriptorProto{}, message(3, many(message(2, nil), 20_000))},
		{"a packed list of varints", &descriptorpb.SourceCodeInfo_Location{}, message(1, many([]byte{1}, 100_000))},
		{"a list of varints", &descriptorpb.SourceCodeInfo_Location{}, many([]byte{1 << 3, 1}, 50_000)},
		{"empty texts", &descriptorpb.FileDescriptorProto{}, many(message(3, nil), 50_000)},
		{"long texts", &descriptorpb.FileDescriptorProto{}, many(message(3, many([]byte("x"), 10_000)), 50)},
		{"unknown fields", &structpb.Value{}, many(message(19_000, []byte("x")), 50_000)},
		{"an extension", &descriptorpb.FeatureSet{}, many(message(1002, []byte{1 << 3, 1}), 1)},
		{"values", list, encoded(list)},
		{"a map", &structpb.Struct{}, encoded(&structpb.Struct{Fields: fields})},
		{"one key of a map again and again", &structpb.Struct{}, many(message(1, message(1, []byte("k"))), 10_000)},
	} {
		data, rt := test.data, reflect.TypeOf(test.m)
		_, _ = decode(data, rt) // what is made once for a type
		counted := uint64(memory(data, rt))
		least := uint64(math.MaxUint64)
		for range 3 {
			before := held()
			m, err := decode(data, rt)
			after := held()
			if err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			runtime.KeepAlive(m)
			least = min(least, max(after, before)-before)
		}
		t.Logf("%s: %d bytes, %d of memory, %d counted", test.name, len(data), least, counted)
		merged := strings.Contains(test.name, "again")
		if least > counted+counted/3+4096 || !merged && counted > 4*least+4096 {
			t.Errorf("%s: %d bytes take %d of memory, %d were counted", test.name, len(data), least, counted)
		}
	}
}

// held returns how many bytes of memory the program holds.
func held() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
