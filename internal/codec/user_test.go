package codec

//lint:file-ignore U1000 some fields are there for reflection to find

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/usercodec"
)

// sealedBox has nothing that is exported; describer is an interface of it.
type (
	sealedBox struct{ parts []string }
	describer interface{ describe() string }
	other     struct{ parts []string }
)

func (b *sealedBox) describe() string { return strings.Join(b.parts, " ") }
func (o *other) describe() string     { return "" }

// scopeOf returns a scope with a codec for T that has the name, whose values are boxes of parts.
func scopeOf[T any](t testing.TB, change func(*usercodec.Funcs[T])) *Scope {
	t.Helper()
	f := usercodec.Funcs[T]{
		Name: "box 1",
		Encode: func(x T) ([]byte, error) {
			return json.Marshal(reflect.NewAt(reflect.TypeFor[[]string](), reflect.ValueOf(x).UnsafePointer()).Elem().Interface())
		},
		Decode: func(data []byte, rt reflect.Type) (x T, err error) {
			p := reflect.New(rt.Elem())
			err = json.Unmarshal(data, (*[]string)(p.UnsafePointer()))
			return p.Interface().(T), err
		},
	}
	if change != nil {
		change(&f)
	}
	c, wrong := usercodec.New(f)
	if wrong != "" {
		t.Fatal(wrong)
	}
	s := new(usercodec.Set)
	s.Add(c)
	return NewScope(s)
}

func encoded(t *testing.T, typ *Type, p unsafe.Pointer) []byte {
	t.Helper()
	b, err := typ.Append(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The name and the schema of a codec are in the fingerprint, and so is the type that it is for, with its tags.
func TestUserFingerprints(t *testing.T) {
	type tagged struct {
		N int `json:"n"`
		h []string
	}
	type retagged struct {
		N int `json:"m"`
		h []string
	}
	_, _ = tagged{}.h, retagged{}.h
	of := func(s *Scope) uint64 { return s.Of(reflect.TypeFor[[]*sealedBox]()).Fingerprint() }
	first := of(scopeOf[*sealedBox](t, nil))
	for name, test := range map[string]struct {
		scope *Scope
		same  bool
	}{
		"the same":         {scopeOf[*sealedBox](t, nil), true},
		"of an interface":  {scopeOf[describer](t, nil), true},
		"another name":     {scopeOf(t, func(f *usercodec.Funcs[*sealedBox]) { f.Name = "box 2" }), false},
		"a schema":         {scopeOf(t, func(f *usercodec.Funcs[*sealedBox]) { f.Schema = func(reflect.Type) (string, error) { return "", nil } }), false},
		"no codec":         {program, false},
		"another Key, say": {scopeOf(t, func(f *usercodec.Funcs[*sealedBox]) { f.Key = func(*sealedBox) (string, error) { return "", nil } }), true},
	} {
		if got := of(test.scope) == first; got != test.same {
			t.Errorf("%s: the same fingerprint: %t, want %t", name, got, test.same)
		}
	}
	structures := make(map[string]reflect.Type)
	for _, rt := range []reflect.Type{
		reflect.TypeFor[*sealedBox](), reflect.TypeFor[*other](), reflect.TypeFor[tagged](), reflect.TypeFor[retagged](),
		reflect.TypeFor[struct{ A []tagged }](), reflect.TypeFor[struct{ A []retagged }](), reflect.TypeFor[struct{ B []tagged }](),
	} {
		text := string(structure(nil, rt, make(map[reflect.Type]bool)))
		if before, ok := structures[text]; ok {
			t.Errorf("%v and %v are described alike: %s", before, rt, text)
		}
		structures[text] = rt
	}
}

// Bytes that somebody else has written never have more decoded than was said, and nothing of a type that an interface can't hold.
func TestUserDecode_Hostile(t *testing.T) {
	decodes := 0
	scope := scopeOf(t, func(f *usercodec.Funcs[describer]) {
		decode := f.Decode
		f.Decode = func(data []byte, rt reflect.Type) (describer, error) {
			decodes++
			switch string(data) {
			case `["panic"]`:
				panic("hostile")
			case `["nil"]`:
				return nil, nil
			case `["other"]`:
				return &other{}, nil
			}
			return decode(data, rt)
		}
		f.Memory = func(data []byte, _ reflect.Type) int {
			if strings.Contains(string(data), "bomb") {
				return math.MaxInt
			}
			return len(data)
		}
	})
	typ := scope.Of(reflect.TypeFor[*sealedBox]())
	for _, word := range []string{"panic", "nil", "other", "bombs"} {
		box := &sealedBox{[]string{"right"}}
		data := encoded(t, typ, unsafe.Pointer(&box))
		data = []byte(strings.Replace(string(data), "right", word, 1))
		data[1] += byte(len(word) - len("right"))
		decodes = 0
		var back *sealedBox
		err := typ.DecodeWithin(data, unsafe.Pointer(&back), &Limits{Memory: 1 << 20})
		if !errors.Is(err, cacheutils.ErrUndecodable) || back != nil {
			t.Errorf("%s: got %v, %v", word, back, err)
		}
		if word == "bombs" && (decodes > 0 || !errors.Is(err, ErrTooMuch)) {
			t.Errorf("%s: %d decoded, %v", word, decodes, err)
		}
	}

	// A type that doesn't implement the interface stands behind it.
	iface := scope.Of(reflect.TypeFor[describer]())
	var d describer = &sealedBox{[]string{"a"}}
	data := encoded(t, iface, unsafe.Pointer(&d))
	for _, forged := range []any{struct{ A int }{1}, 1, "x", []byte("x")} {
		v := reflect.New(reflect.TypeFor[any]())
		v.Elem().Set(reflect.ValueOf(forged))
		as := encoded(t, scope.Of(reflect.TypeFor[any]()), v.UnsafePointer())
		var back describer
		if err := iface.Decode(as, unsafe.Pointer(&back)); !errors.Is(err, cacheutils.ErrUndecodable) || back != nil {
			t.Errorf("%T behind a describer: got %v, %v", forged, back, err)
		}
	}
	var back describer
	if err := iface.Decode(data, unsafe.Pointer(&back)); err != nil || back.describe() != "a" {
		t.Errorf("got %v, %v", back, err)
	}
}

// Any bytes in the place of an encoding are an error, or a value that can be encoded again.
func FuzzUserDecode(f *testing.F) {
	f.Add([]byte{1, 2, '[', ']'})
	f.Add([]byte{0})
	scope := scopeOf[describer](f, nil)
	types := []*Type{
		scope.Of(reflect.TypeFor[*sealedBox]()), scope.Of(reflect.TypeFor[describer]()), scope.Of(reflect.TypeFor[[]describer]()),
	}
	var box describer = &sealedBox{[]string{"a"}}
	for range 2 {
		data, err := types[1].Append(nil, unsafe.Pointer(&box))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(append([]byte{3}, append(data, data...)...))
		box = (*sealedBox)(nil)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, typ := range types {
			p := reflect.New(typ.Type())
			if err := typ.DecodeWithin(data, p.UnsafePointer(), &Limits{Memory: 1 << 20}); err != nil {
				if !errors.Is(err, cacheutils.ErrUndecodable) {
					t.Errorf("%v: %v", typ.Type(), err)
				}
				continue
			}
			if _, err := typ.Append(nil, p.UnsafePointer()); err != nil {
				t.Errorf("%v: %q gives %v, which can't be encoded: %v", typ.Type(), data, p.Elem(), err)
			}
		}
	})
}

// Two functions may have two codecs for one type: what one has written is nothing to the other.
func TestScopes(t *testing.T) {
	one := scopeOf[*sealedBox](t, nil)
	two := scopeOf(t, func(f *usercodec.Funcs[*sealedBox]) { f.Name = "box 2" })
	for _, rt := range []reflect.Type{reflect.TypeFor[any](), reflect.TypeFor[[]any]()} {
		v := reflect.New(rt)
		box := any(&sealedBox{[]string{"a"}})
		if rt.Kind() == reflect.Slice {
			box = []any{box, box}
		}
		v.Elem().Set(reflect.ValueOf(box))
		data := encoded(t, one.Of(rt), v.UnsafePointer())
		back := reflect.New(rt)
		if err := one.Of(rt).Decode(data, back.UnsafePointer()); err != nil || !reflect.DeepEqual(v.Elem().Interface(), back.Elem().Interface()) {
			t.Errorf("%v: got %v, %v", rt, back.Elem(), err)
		}
		for _, scope := range []*Scope{two, program} {
			if err := scope.Of(rt).Decode(data, reflect.New(rt).UnsafePointer()); !errors.Is(err, ErrUnknownType) {
				t.Errorf("%v in another scope: %v", rt, err)
			}
		}
	}
	if NewScope(nil) != program || NewScope(new(usercodec.Set)) != program {
		t.Error("a scope without codecs is not the program's")
	}
}

// A pointer as a map's key is refused, whatever its codec does.
func TestUser_MapKey(t *testing.T) {
	scope := scopeOf[*sealedBox](t, nil)
	if err := scope.Of(reflect.TypeFor[map[*sealedBox]int]()).Err(); err == nil || !strings.Contains(err.Error(), "a pointer in a map's key") {
		t.Errorf("got %v", err)
	}
	m := map[any]int{&sealedBox{}: 1}
	if _, err := scope.Of(reflect.TypeFor[map[any]int]()).Append(nil, unsafe.Pointer(&m)); !errors.Is(err, cacheutils.ErrUnsupportedValue) {
		t.Errorf("behind an interface: %v", err)
	}
}
