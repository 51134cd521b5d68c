package protobuf_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/codecs/protobuf"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// same reports whether nothing of a was altered in b: what proto.Equal compares, and the bits of floats.
func same(a, b proto.Message) bool {
	if !proto.Equal(a, b) || a.ProtoReflect().IsValid() != b.ProtoReflect().IsValid() {
		return false
	}
	options := proto.MarshalOptions{Deterministic: true, AllowPartial: true}
	x, errX := options.Marshal(a)
	y, errY := options.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// copied returns a copy of m. That of proto.Clone lacks the sign of a zero.
func copied(m proto.Message) proto.Message {
	data, err := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	c := m.ProtoReflect().New().Interface()
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(data, c); err != nil {
		panic(err)
	}
	return c
}

// holder has messages wherever there can be one.
type holder struct {
	One     *structpb.Struct
	List    []*structpb.Value
	ByName  map[string]*timestamppb.Timestamp
	Far     **structpb.Value
	Message proto.Message
	Any     any
	Nested  []map[string][]proto.Message
	*wrapperspb.StringValue
	N int
}

func drawHolder(t *rapid.T) holder {
	value := func() *structpb.Value { return message(t, (*structpb.Value)(nil)).(*structpb.Value) }
	h := holder{
		One:         message(t, (*structpb.Struct)(nil)).(*structpb.Struct),
		List:        []*structpb.Value{value(), nil, value(), {}},
		ByName:      map[string]*timestamppb.Timestamp{"a": message(t, (*timestamppb.Timestamp)(nil)).(*timestamppb.Timestamp), "nil": nil},
		Message:     anyMessage(t, wellKnown),
		Any:         anyMessage(t, wellKnown),
		Nested:      []map[string][]proto.Message{{"x": {anyMessage(t, wellKnown), nil, (*structpb.Value)(nil)}}, nil, {}},
		StringValue: message(t, (*wrapperspb.StringValue)(nil)).(*wrapperspb.StringValue),
		N:           rapid.Int().Draw(t, "N"),
	}
	if rapid.Bool().Draw(t, "far") {
		far := value()
		h.Far = &far
	}
	if rapid.Bool().Draw(t, "nil") {
		h.One, h.List, h.ByName, h.Message, h.Any, h.Nested, h.StringValue = nil, nil, nil, nil, nil, nil, nil
	}
	return h
}

// compared has messages compared by proto.Equal.
var compared = protocmp.Transform()

// known has the process know all the types, as it does of those in signatures and of those that it has encoded.
var known = sync.OnceFunc(func() {
	for _, m := range wellKnown {
		key := decorators.Key("known " + string(m.ProtoReflect().Descriptor().FullName()))
		_, h := decorators.Cached1(func(context.Context, int) (any, error) { return nil, nil }, key)
		if err := h.Set(context.Background(), 1, m); err != nil {
			panic(err)
		}
	}
})

// Messages come back as they were, from the computation and from the cache, and callers can't reach one another's.
func TestLaw8_Messages(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		known()
		var given proto.Message // to the function that computes
		runs := 0
		load, h := decorators.Cached1(func(context.Context, int) (proto.Message, error) {
			runs++
			return copied(given), nil
		}, decorators.Key(t.Name()))
		rapid.Check(t, func(rt *rapid.T) {
			given, runs = anyMessage(rt, wellKnown), 0
			want := copied(given)
			if err := h.Invalidate(t.Context(), 1); err != nil {
				rt.Fatal(err)
			}
			for call := range 3 {
				got, err := load(t.Context(), 1)
				if err != nil || reflect.TypeOf(got) != reflect.TypeOf(want) || !same(want, got) {
					rt.Fatalf("call %d: %v, %T, (-want +got):\n%s", call, err, got, cmp.Diff(want, got, compared))
				}
				if !same(want, given) {
					rt.Fatal("what the function has returned was changed")
				}
				spoil(got)
			}
			if runs != 1 {
				rt.Fatalf("%d runs in three calls of %s", runs, prototext.Format(want))
			}
		})
	})
}

// spoil changes all of a message.
func spoil(m proto.Message) {
	r := m.ProtoReflect()
	r.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
				if fd.MapValue().Message() != nil {
					spoil(e.Message().Interface())
				}
				v.Map().Clear(k)
				return true
			})
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				spoil(v.List().Get(i).Message().Interface())
			}
		case fd.Kind() == protoreflect.BytesKind && !fd.IsList():
			for i := range v.Bytes() {
				v.Bytes()[i] ^= 0xff
			}
		case fd.Message() != nil && !fd.IsList():
			spoil(v.Message().Interface())
		}
		return true
	})
	unknown := r.GetUnknown()
	for i := range unknown {
		unknown[i] = 0
	}
	proto.Reset(m)
}

// Messages at any depth come back as they were.
func TestLaw8_Depth(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		known()
		var given holder
		runs := 0
		load, h := decorators.Cached1(func(context.Context, int) (holder, error) {
			runs++
			return given, nil
		}, decorators.Key(t.Name()))
		rapid.Check(t, func(rt *rapid.T) {
			given, runs = drawHolder(rt), 0
			if err := h.Invalidate(t.Context(), 1); err != nil {
				rt.Fatal(err)
			}
			for call := range 2 {
				got, err := load(t.Context(), 1)
				if diff := cmp.Diff(given, got, compared); diff != "" || err != nil {
					rt.Fatalf("call %d: %v, (-want +got):\n%s", call, err, diff)
				}
			}
			if runs != 1 {
				rt.Fatalf("%d runs in two calls", runs)
			}
		})
	})
}

// Equal messages have one key, however they were made, and messages that differ, or are of two types, have two.
func TestLaw3_Messages(t *testing.T) {
	key := func(rt *rapid.T, m proto.Message) string {
		text, err := cachekey.Repr(m)
		if err != nil {
			rt.Fatal(err)
		}
		return text
	}
	equal := 0
	rapid.Check(t, func(rt *rapid.T) {
		a := anyMessage(rt, wellKnown)
		scrambled := scramble(a)
		if !proto.Equal(a, scrambled) {
			rt.Fatalf("the test is wrong: scrambled messages differ\n%s", cmp.Diff(a, scrambled, compared))
		}
		if x, y := key(rt, a), key(rt, scrambled); x != y {
			rt.Fatalf("equal messages have two keys:\n%s\n%s", x, y)
		}
		if x, y := key(rt, a), key(rt, copied(a)); x != y {
			rt.Fatalf("a message and its copy have two keys:\n%s\n%s", x, y)
		}
		b := message(rt, rapid.SampledFrom([]proto.Message{a, rapid.SampledFrom(wellKnown).Draw(rt, "other type")}).Draw(rt, "b"))
		isEqual := reflect.TypeOf(a) == reflect.TypeOf(b) && proto.Equal(a, b)
		if isEqual {
			equal++
		}
		if x, y := key(rt, a), key(rt, b); (x == y) != isEqual {
			rt.Fatalf("equal: %t, keys:\n%s\n%s", isEqual, x, y)
		}
		nothing := reflect.Zero(reflect.TypeOf(a)).Interface().(proto.Message)
		if x, y := key(rt, nothing), key(rt, a.ProtoReflect().New().Interface()); x == y || !strings.Contains(x, "(None)") {
			rt.Fatalf("nil and empty have the keys\n%s\n%s", x, y)
		}
	})
	if equal == 0 {
		t.Error("no two messages that were drawn were equal")
	}
}

// The same holds at any depth.
func TestLaw3_Depth(t *testing.T) {
	seen := make(map[string]holder)
	rapid.Check(t, func(rt *rapid.T) {
		h := drawHolder(rt)
		again := h
		if h.One != nil {
			again.One, again.StringValue = scramble(h.One).(*structpb.Struct), scramble(h.StringValue).(*wrapperspb.StringValue)
			again.Message, again.Any = scramble(h.Message), scramble(h.Any.(proto.Message))
		}
		a, errA := cachekey.Repr(h)
		b, errB := cachekey.Repr(again)
		if a != b || errA != nil || errB != nil {
			rt.Fatalf("two keys, %v and %v:\n%s\n%s", errA, errB, a, b)
		}
		if before, ok := seen[a]; ok && !cmp.Equal(before, h, compared) {
			rt.Fatalf("two values have the key %s", a)
		}
		seen[a] = h
	})
}

// A function is called once for equal arguments.
func TestLaw3_Arguments(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		runs := 0
		load, _ := decorators.Cached2(func(context.Context, *structpb.Struct, []proto.Message) (bool, error) {
			runs++
			return true, nil
		}, decorators.Key(t.Name()))
		first := 0
		rapid.Check(t, func(rt *rapid.T) {
			s := message(rt, (*structpb.Struct)(nil)).(*structpb.Struct)
			many := []proto.Message{anyMessage(rt, wellKnown), nil, anyMessage(rt, wellKnown)}
			runs = 0
			if _, err := load(t.Context(), s, many); err != nil {
				rt.Fatal(err)
			}
			first += runs
			runs = 0
			again := []proto.Message{scramble(many[0]), nil, scramble(many[2])}
			if _, err := load(t.Context(), scramble(s).(*structpb.Struct), again); err != nil || runs > 0 {
				rt.Fatalf("%v; computed for equal arguments: %d times", err, runs)
			}
		})
		if first < 50 {
			t.Errorf("computed for %d of some hundred arguments only", first)
		}
	})
}

// What a caller does to its message once it has left changes nothing.
func TestLaw6_Arguments(t *testing.T) {
	cachetest.Locmem(t)
	entered, proceed := make(chan struct{}), make(chan struct{})
	seen := make(chan string, 1)
	load, _ := decorators.Cached1(func(_ context.Context, s *structpb.Value) (string, error) {
		close(entered)
		<-proceed
		seen <- s.GetStringValue()
		return s.GetStringValue(), nil
	}, decorators.Key(t.Name()), decorators.Linger(time.Minute))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	given := structpb.NewStringValue("Rome")
	if _, err := load(ctx, given); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the error of the caller's context", err)
	}
	given.Kind = &structpb.Value_StringValue{StringValue: "Milan"}
	close(proceed)
	if got := <-seen; got != "Rome" {
		t.Errorf("the function saw %q", got)
	}
}

// Package cache takes messages, as values and as keys.
func TestPackageCache(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		ctx, key := t.Context(), timestamppb.New(time.Unix(7, 0))
		want := structpb.NewStringValue("Rome")
		if err := cache.Set(ctx, key, want); err != nil {
			t.Fatal(err)
		}
		want.Kind = &structpb.Value_BoolValue{}
		got, err := cache.Get[*structpb.Value](ctx, timestamppb.New(time.Unix(7, 0)))
		if err != nil || got.GetStringValue() != "Rome" {
			t.Errorf("got %v, %v", got, err)
		}
		if _, err := cache.Get[*structpb.Value](ctx, durationpb.New(7*time.Second)); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("under a message of another type: %v", err)
		}
	})
}

// A change of a message is another fingerprint, as the text of its schema is another one.
func TestSchema(t *testing.T) {
	file := func(change func(*descriptorpb.DescriptorProto)) *descriptorpb.FileDescriptorProto {
		str, i32 := descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum()
		message, optional := descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
		city := &descriptorpb.DescriptorProto{
			Name: proto.String("City"),
			Field: []*descriptorpb.FieldDescriptorProto{
				{Name: proto.String("id"), Number: proto.Int32(1), Type: i32, Label: optional},
				{Name: proto.String("name"), Number: proto.Int32(2), Type: str, Label: optional},
				{Name: proto.String("twin"), Number: proto.Int32(3), Type: message, TypeName: proto.String(".geo.City"), Label: optional},
				{Name: proto.String("mayor"), Number: proto.Int32(4), Type: message, TypeName: proto.String(".geo.City.Mayor"), Label: optional},
			},
			NestedType: []*descriptorpb.DescriptorProto{{Name: proto.String("Mayor")}},
		}
		change(city)
		return &descriptorpb.FileDescriptorProto{
			Name: proto.String("geo.proto"), Package: proto.String("geo"), Syntax: proto.String("proto2"), MessageType: []*descriptorpb.DescriptorProto{city},
		}
	}
	texts := make(map[string]string)
	for name, change := range map[string]func(*descriptorpb.DescriptorProto){
		"as it is":           func(*descriptorpb.DescriptorProto) {},
		"a field renamed":    func(c *descriptorpb.DescriptorProto) { c.Field[1].Name = proto.String("title") },
		"a field renumbered": func(c *descriptorpb.DescriptorProto) { c.Field[1].Number = proto.Int32(9) },
		"a type": func(c *descriptorpb.DescriptorProto) {
			c.Field[0].Type = descriptorpb.FieldDescriptorProto_TYPE_INT64.Enum()
		},
		"a list": func(c *descriptorpb.DescriptorProto) {
			c.Field[0].Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		},
		"a default": func(c *descriptorpb.DescriptorProto) { c.Field[0].DefaultValue = proto.String("7") },
		"fields of a part": func(c *descriptorpb.DescriptorProto) {
			c.NestedType[0].Field = []*descriptorpb.FieldDescriptorProto{{
				Name: proto.String("name"), Number: proto.Int32(1), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
				Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}}
		},
		"a oneof": func(c *descriptorpb.DescriptorProto) {
			c.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: proto.String("which")}}
			c.Field[0].OneofIndex, c.Field[1].OneofIndex = proto.Int32(0), proto.Int32(0)
		},
	} {
		fd, err := protodesc.NewFile(file(change), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := protobuf.SchemaOf(fd.Messages().Get(0))
		if other, ok := texts[text]; ok {
			t.Errorf("%s and %s have one schema: %s", name, other, text)
		}
		texts[text] = name
	}
}

// What can't be carried exactly is refused, and the text says what to do.
func TestLaw8_Refusals(t *testing.T) {
	refusal := func(f func()) (text string) {
		defer func() {
			if r := recover(); r != nil {
				text = fmt.Sprint(r)
			}
		}()
		f()
		return ""
	}
	type byValue struct{ V structpb.Value } //nolint:govet // as a mistake
	for _, test := range []struct {
		name string
		f    func()
		want string
	}{
		{"held by value", func() {
			_, _ = decorators.Cached0(func(context.Context) (*byValue, error) { return nil, nil }, decorators.Key("value"))
		}, "byValue.V of type structpb.Value: there is a codec for pointers to it alone; have a pointer in its place"},
		{"held by value, in a key", func() {
			_, _ = decorators.Cached1(func(context.Context, *byValue) (int, error) { return 0, nil }, decorators.Key("value"))
		}, "V has type structpb.Value, and there is a codec for pointers to it alone; leave the field out with the tag `cachekey:\"-\"`, " +
			"or have a pointer in its place, or say what stands for the arguments with KeyOf"},
		{"made at run time", func() {
			_, _ = decorators.Cached0(func(context.Context) (*dynamicpb.Message, error) { return nil, nil }, decorators.Key("dynamic"))
		}, "the type *dynamicpb.Message doesn't say which messages it has"},
		{"an interface", func() {
			_, _ = decorators.Cached0(func(context.Context) (protoreflect.ProtoMessage, error) { return nil, nil }, decorators.Key("interface"))
		}, ""},
		{"a larger interface", func() {
			_, _ = decorators.Cached0(func(context.Context) (interface {
				proto.Message
				GetSeconds() int64
			}, error) {
				return nil, nil
			}, decorators.Key("larger"))
		}, ""},
	} {
		if got := refusal(test.f); !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	loop := structpb.NewListValue(&structpb.ListValue{})
	loop.GetListValue().Values = []*structpb.Value{loop}
	for name, m := range map[string]proto.Message{
		"a nil in a list":   &structpb.ListValue{Values: []*structpb.Value{nil}},
		"a nil in a map":    &structpb.Struct{Fields: map[string]*structpb.Value{"a": nil}},
		"a nil in a oneof":  &structpb.Value{Kind: &structpb.Value_StructValue{}},
		"invalid UTF-8":     structpb.NewStringValue("\xff"),
		"dynamic":           dynamicpb.NewMessage((*structpb.Value)(nil).ProtoReflect().Descriptor()),
		"itself in itself":  loop,
		"unknown nonsense":  withUnknown(&structpb.Value{}, []byte{0xff}),
		"in a list of many": &structpb.ListValue{Values: []*structpb.Value{{}, structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{nil}})}},
	} {
		cachetest.Locmem(t)
		load, h := decorators.Cached0(func(context.Context) (proto.Message, error) { return m, nil }, decorators.Key(t.Name()+name))
		for range 2 {
			if got, err := load(t.Context()); got != m || err != nil {
				t.Errorf("%s: got %v, %v, want the message itself", name, got, err)
			}
		}
		if s := h.Stats(); s.Computations != 2 || s.Unstorable == 0 {
			t.Errorf("%s: %d computations in two calls, %d unstorable", name, s.Computations, s.Unstorable)
		}
	}
}

func withUnknown(m proto.Message, raw []byte) proto.Message {
	m.ProtoReflect().SetUnknown(raw)
	return m
}
