package codec

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"errors"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/test/codectest"
	"github.com/cacheutils/cacheutils/internal/test/workers"
)

type (
	city struct {
		Name string
		conn net.Conn
	}
	country struct {
		Cities map[string][]*city
	}
	ping struct {
		Pong *pong
		F    func()
	}
	pong struct{ Ping *ping }

	// saved has a part that holds saved: its own marshaler makes both encodable.
	saved struct {
		next *holder
		note string
	}
	holder struct{ Saved []saved }
)

func (s saved) MarshalBinary() ([]byte, error)     { return []byte(s.note), nil }
func (s *saved) UnmarshalBinary(data []byte) error { s.note = string(data); return nil }

// onlyOneWay can be marshaled but not unmarshaled.
type onlyOneWay struct{ n int }

func (onlyOneWay) MarshalText() ([]byte, error) { return nil, nil }

// overrides has a marshaler of its own and embeds one.
type overrides struct {
	url.URL
	note string
}

func (o overrides) MarshalBinary() ([]byte, error) {
	return []byte(o.note + "\n" + o.URL.String()), nil
}

func (o *overrides) UnmarshalBinary(data []byte) error {
	note, rest, _ := strings.Cut(string(data), "\n")
	o.note = note
	return o.URL.UnmarshalBinary([]byte(rest))
}

type (
	URL struct {
		url.URL
		note string
	}
	stampedPointer struct {
		*url.URL
		note string
	}
	stampedTime struct {
		time.Time
		note string
	}
)

func TestErr(t *testing.T) {
	const hidden = "an unexported field of a type that has no marshaler; export it, give the type MarshalBinary and UnmarshalBinary, " +
		"or have a codec encode it: codecs.Register, or the option Codec"
	for _, test := range []struct {
		name string
		of   any
		want string
	}{
		{"unexported interface field", city{}, "field codec.city.conn of type net.Conn: an interface with methods; have a concrete type in its place, or a codec for it: codecs.Register, or the option Codec"},
		{"path", country{}, "field codec.country.Cities[][].conn of type net.Conn: an interface with methods; have a concrete type in its place, or a codec for it: codecs.Register, or the option Codec"},
		{"path from a slice", []country{}, "field codec.country.Cities[][].conn of type net.Conn: an interface with methods; have a concrete type in its place, or a codec for it: codecs.Register, or the option Codec"},
		{"unexported field", codectest.Hidden{}, "field codectest.Hidden.unseen of type int: " + hidden},
		{"mutex", codectest.Locked{}, "field codectest.Locked.Mutex of type sync.Mutex: a copy of it guards nothing; leave it out"},
		{"channel", make(chan int), "type chan int: a channel; leave it out"},
		{"slice of funcs", []func(){}, "type func(): a function; leave it out"},
		{"interface", struct{ E error }{}, "field struct { E error }.E of type error: an interface with methods; have a concrete type in its place, or a codec for it: codecs.Register, or the option Codec"},
		{"map key", map[*int]bool{}, "type *int: a pointer in a map's key, of which a copy is another; have what it points at in its place"},
		{"circle, entered at its bad type", ping{}, "field codec.ping.F of type func(): a function; leave it out"},
		{"circle, entered before it", pong{}, "field codec.pong.Ping.F of type func(): a function; leave it out"},
		{"marshaler without unmarshaler", onlyOneWay{}, "field codec.onlyOneWay.n of type int: " + hidden},
		{"marshaler of an embedded field", codectest.Stamped{}, "field codectest.Stamped.note of type string: " + hidden},
		{"marshaler of an embedded field of that name", URL{}, "field codec.URL.note of type string: " + hidden},
		{"marshaler of an embedded pointer", stampedPointer{}, "field codec.stampedPointer.note of type string: " + hidden},
		{"marshaler of an embedded value", stampedTime{}, "field codec.stampedTime.note of type string: " + hidden},
		{"marshaler in a circle", holder{}, ""},
		{"own marshaler over an embedded one", overrides{}, ""},
		{"blank fields", struct {
			_ func()
			A int
		}{}, ""},
		{"unexported field that takes no memory", struct {
			noCompare [0]func()
			noCopy    struct{}
			A         int
			nothing   struct{ none [0]codectest.Locked }
		}{}, ""},
		{"array of no funcs", [0]func(){}, ""},
		{"named empty interface", struct{ A interface{} }{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			typ := Of(reflect.TypeOf(test.of))
			got := ""
			if err := typ.Err(); err != nil {
				got = err.Error()
				if !errors.Is(err, cacheutils.ErrUnsupportedValue) {
					t.Error("it doesn't match ErrUnsupportedValue")
				}
				if _, err := encode(test.of); !errors.Is(err, cacheutils.ErrUnsupportedValue) {
					t.Errorf("Append: want ErrUnsupportedValue, got %v", err)
				}
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestOwnMarshalerOverEmbedded(t *testing.T) {
	want := overrides{note: "note"}
	want.URL.Path = "/p"
	b, err := encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(reflect.TypeOf(want), b)
	if err != nil {
		t.Fatal(err)
	}
	if d := codectest.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestShareable(t *testing.T) {
	for _, test := range []struct {
		name string
		of   any
		want bool
	}{
		{"int", 1, true},
		{"string", "", true},
		{"time.Time", time.Time{}, true},
		{"netip.Prefix", netip.Prefix{}, true},
		{"struct with unexported fields", codectest.Hidden{}, true},
		{"array of structs", [2]struct {
			A string
			T time.Time
		}{}, true},
		{"empty array of slices", [0][]int{}, true},
		{"slice", []int{}, false},
		{"struct with a slice", struct{ s []int }{}, false},
		{"map", map[int]int{}, false},
		{"pointer", new(int), false},
		{"interface in a struct", struct{ A any }{}, false},
		{"big.Int", big.Int{}, false},
		{"regexp", regexp.Regexp{}, false},
		{"func", func() {}, false},
		{"chan", make(chan int), false},
	} {
		if got := Of(reflect.TypeOf(test.of)).Shareable(); got != test.want {
			t.Errorf("%s: want %v, got %v", test.name, test.want, got)
		}
	}
}

func TestFingerprintTellsApart(t *testing.T) {
	type recursive struct{ Next *recursive }
	type named struct{ A, B int }
	type Named struct{ A, B int }
	seen := make(map[uint64]reflect.Type)
	for _, v := range []any{
		int(0), int64(0), uint8(0), "", []int{}, [1]int{}, [2]int{}, new(int), map[string]int{}, map[int]string{},
		struct{ A, B int }{}, struct{ B, A int }{}, struct{ A, C int }{}, struct{ A int }{}, struct{ A, B int8 }{},
		struct {
			A int
			B int64
		}{},
		struct {
			A struct{ B int }
			C int
		}{},
		struct{ A struct{ B, C int } }{},
		named{}, Named{}, codectest.Base{}, codectest.Other{}, struct{ codectest.Base }{}, struct{ Base codectest.Base }{},
		recursive{}, []recursive{}, codectest.Tree{}, nest{}, []nest{}, time.Time{}, time.Duration(0),
		struct{ A int }{}, struct {
			A int `json:"a"`
		}{},
		error(nil) == nil, func() {}, func(int) {}, make(chan int), make(<-chan int), struct{ E error }{}, struct{ E any }{},
	} {
		rt := reflect.TypeOf(v)
		f := Of(rt).Fingerprint()
		if other, ok := seen[f]; ok && other != rt {
			t.Errorf("%v and %v have one fingerprint", other, rt)
		}
		seen[f] = rt
	}
}

func TestFingerprintOfAnotherProcess(t *testing.T) {
	print := func() string {
		var s strings.Builder
		for _, rt := range fixed {
			s.WriteString(rt.String() + " ")
			s.WriteString(time.Duration(Of(rt).Fingerprint()).String() + "\n")
		}
		return s.String()
	}
	if workers.Job(nil) {
		workers.Reply(print())
		return
	}
	// Another order of meeting types, too.
	got, err := workers.Receive[string](workers.Start(t, workers.Pattern(t.Name()), nil))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(print(), got); d != "" {
		t.Error(d)
	}
}

// The value is part of entries that outlive the program: a change here makes every stored entry
// a miss, and has to come with another wireVersion.
func TestFingerprintIsStable(t *testing.T) {
	if got, want := Of(reflect.TypeFor[map[string][]codectest.Base]()).Fingerprint(), uint64(0xb641247cfe5c17c1); got != want {
		t.Errorf("want %#x, got %#x", want, got)
	}
}

func oneLocal() any {
	type local struct{ A int }
	return local{1}
}

func otherLocal() any {
	type local struct{ A int }
	return local{2}
}

// lookupRan says that the two types are known already, as they are with -count=2.
var lookupRan bool

func TestLookup(t *testing.T) {
	base := Of(reflect.TypeFor[codectest.Base]())
	if got, ok := Lookup(base.Fingerprint()); !ok || got != base {
		t.Errorf("want %v, got %v, %v", base.Type(), got, ok)
	}
	if _, ok := Lookup(0); ok {
		t.Error("there is a type of fingerprint 0")
	}
	one, other := struct{ V any }{oneLocal()}, struct{ V any }{otherLocal()}
	if _, err := encode(one); err != nil && !lookupRan {
		t.Error(err)
	}
	lookupRan = true
	for _, v := range []any{other, one} {
		if _, err := encode(v); !errors.Is(err, cacheutils.ErrUnsupportedValue) {
			t.Errorf("two types of one name: want ErrUnsupportedValue, got %v", err)
		}
	}
	if _, ok := Lookup(Of(reflect.TypeOf(oneLocal())).Fingerprint()); ok {
		t.Error("Lookup chooses between two types")
	}
}

func TestOfConcurrently(t *testing.T) {
	type inner struct{ Next *inner }
	type outer struct{ A, B inner }
	types := []reflect.Type{reflect.TypeFor[outer](), reflect.TypeFor[[]inner](), reflect.TypeFor[map[string]outer]()}
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			rt := types[i%len(types)]
			v := reflect.New(rt)
			b, err := Of(rt).Append(nil, v.UnsafePointer())
			if err == nil {
				err = Of(rt).Decode(b, reflect.New(rt).UnsafePointer())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}
