package cachekey

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"errors"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
)

const here = "github.com/cacheutils/cacheutils/cachekey."

type city struct {
	id   int
	lang string
}

type lang string

type hash [3]byte

type stamp time.Time

type keyed struct{ text string }

func (k keyed) CacheKey() string { return k.text }

type keyedByPointer struct{ text string }

func (k *keyedByPointer) CacheKey() string { return k.text }

type texted struct{ text string }

func (x texted) MarshalText() ([]byte, error) {
	switch x.text {
	case "fail":
		return nil, errors.New("no text")
	case "panic":
		panic("boom")
	}
	return []byte(x.text), nil
}

func (x *texted) UnmarshalText(text []byte) error {
	x.text = string(text)
	return nil
}

type both struct{ texted }

func (both) CacheKey() string             { return "key" }
func (both) MarshalText() ([]byte, error) { return []byte("text"), nil }

type event struct {
	time.Time
	name string
}

type keyedEvent struct {
	keyed
	name string
}

type list []list

type box[T any] struct{ value T }

func ptr[T any](v T) *T { return &v }

type reprCase struct {
	name string
	in   any
	want string
}

func testRepr(t *testing.T, cases []reprCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Repr(c.in)
			if err != nil {
				t.Fatalf("Repr: %v", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Repr (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRepr_Numbers(t *testing.T) {
	huge, _ := new(big.Int).SetString("-123456789012345678901234567890", 10)
	testRepr(t, []reprCase{
		{"nil", nil, `None`},
		{"true", true, `True`},
		{"false", false, `False`},
		{"int", -42, `-42`},
		{"int64", int64(1), `int64(1)`},
		{"uint8", uint8(1), `uint8(1)`},
		{"uint64 max", uint64(math.MaxUint64), `uint64(18446744073709551615)`},
		{"big int beyond int", huge, `-123456789012345678901234567890`},
		{"big int that int could hold", big.NewInt(math.MaxInt64), `*math/big.Int(9223372036854775807)`},
		{"big int nil", (*big.Int)(nil), `*math/big.Int(None)`},
		{"big int value", *big.NewInt(5), `math/big.Int(5)`},
	})
}

func TestRepr_Floats(t *testing.T) {
	testRepr(t, []reprCase{
		{"float", 1.5, `1.5`},
		{"float whole", 1.0, `1.0`},
		{"float -0", math.Copysign(0, -1), `-0.0`},
		{"float nan", math.NaN(), `nan`},
		{"float inf", math.Inf(1), `inf`},
		{"float -inf", math.Inf(-1), `-inf`},
		{"float below exponent", 9999999999999998.0, `9999999999999998.0`},
		{"float exponent", 1e16, `1e+16`},
		{"float large", 1.5e300, `1.5e+300`},
		{"float 1e-4", 1e-4, `0.0001`},
		{"float below 1e-4", 9.9e-5, `9.9e-05`},
		{"float32", float32(0.1), `float32(0.1)`},
		{"float32 1e-4", float32(1e-4), `float32(0.0001)`},
		{"float32 below 1e-4", float32(9.9e-5), `float32(9.9e-05)`},
		{"complex", 1 - 2i, `complex128((1.0-2.0j))`},
		{"complex nan", complex(1, math.NaN()), `complex128((1.0+nanj))`},
		{"complex64 -0", complex64(complex(0, math.Copysign(0, -1))), `complex64((0.0-0.0j))`},
	})
}

func TestRepr_Texts(t *testing.T) {
	testRepr(t, []reprCase{
		{"string", "it", `'it'`},
		{"string empty", "", `''`},
		{"string with '", "l'Aquila", `"l'Aquila"`},
		{"string with both quotes", `'"`, `'\'"'`},
		{"string with \"", `a"b`, `'a"b'`},
		{"string escapes", "\\\n\r\t\x00\x1b\x7f", `'\\\n\r\t\x00\x1b\x7f'`},
		{"string printable", "Èßй😀", `'Èßй😀'`},
		{"string not printable", "\u0085\u00a0\u00ad\u2028\u3000\U000e0001", `'\x85\xa0\xad\u2028\u3000\U000e0001'`},
		{"string U+FFFD", "\ufffd", `'` + "\ufffd" + `'`},
		{"space", "a b", `'a\x20b'`},
		{"spaces", "a  b ", `'a\x20\x20b\x20'`},
		{"literal escape", `a\x20b`, `'a\\x20b'`},
		{"space in bytes", []byte("a b"), `b'a\x20b'`},
		{"stray byte", "\x80", `'\udc80'`},
		{"rune of that number", "\u0080", `'\x80'`},
		{"surrogate as bytes", "\xed\xb2\x80", `'\udced\udcb2\udc80'`},
	})
}

func TestRepr_Bytes(t *testing.T) {
	testRepr(t, []reprCase{
		{"bytes", []byte("x'\xff\n"), `b"x'\xff\n"`},
		{"bytes empty", []byte{}, `b''`},
		{"bytes nil", []byte(nil), `[]uint8(None)`},
		{"byte array", [2]byte{'a', 0}, `[2]uint8(b'a\x00')`},
		{"byte array of a name", hash{1, 2, 3}, here + `hash(b'\x01\x02\x03')`},
	})
}

func TestRepr_Lists(t *testing.T) {
	testRepr(t, []reprCase{
		{"list", []any{1, "a", nil}, `[1,'a',None]`},
		{"list empty", []any{}, `[]`},
		{"list nil", []any(nil), `[]any(None)`},
		{"slice", []int{1, 2}, `[]int([1,2])`},
		{"array", [2]string{"a", "b"}, `[2]string(['a','b'])`},
		{"array of none", [0]int{}, `[0]int([])`},
		{"slice of any in a list", []any{[]any{[]string{"x"}}}, `[[[]string(['x'])]]`},
		{"tuple", Tuple{1, "a"}, `(1,'a')`},
		{"tuple of one", Tuple{1}, `(1,)`},
		{"tuple empty", Tuple{}, `()`},
		{"tuple nil", Tuple(nil), here + `Tuple(None)`},
	})
}

func TestRepr_Maps(t *testing.T) {
	testRepr(t, []reprCase{
		{"map as an argument", map[string]any{"a": 1}, `{'a':1}`},
		{"kwargs as a value", Kwargs{"a": 1}, here + `Kwargs({'a':1})`},
		{"map sorted", map[string]any{"b": 2, "a": 1, "c": nil}, `{'a':1,'b':2,'c':None}`},
		{"NaN keys", map[float64]string{math.NaN(): "b", math.Float64frombits(0x7ff8000000000001): "a"}, `map[float64]string({nan:'a',nan:'b'})`},
		{"map empty", map[string]any{}, `{}`},
		{"map nil", map[string]any(nil), `map[string]any(None)`},
		{"map of any", map[any]any{"a": 1, 2: "b"}, `{'a':1,2:'b'}`},
		{"map of any, strings only", map[any]any{"a": 1}, `map[any]any({'a':1})`},
		{"map of any, empty", map[any]any{}, `map[any]any({})`},
		{"map of any, named string", map[any]any{lang("a"): 1}, `{` + here + `lang('a'):1}`},
		{"map of any, nil key", map[any]any{nil: 1}, `{None:1}`},
		{"map of strings", map[string]string{"a": "b"}, `map[string]string({'a':'b'})`},
	})
}

func TestRepr_Structs(t *testing.T) {
	one, nilInt := 1, (*int)(nil)
	pone := &one
	testRepr(t, []reprCase{
		{"struct", city{1, "it"}, here + `city{id=1,lang='it'}`},
		{"struct empty", struct{}{}, `struct{}{}`},
		{"struct without a name", struct {
			A any `x:"y z"`
		}{int8(1)}, `struct{A:any'x:"y\x20z"'}{A=int8(1)}`},
		{"pointer to a struct", &city{1, "it"}, `*` + here + `city{id=1,lang='it'}`},
		{"pointer nil to a struct", (*city)(nil), `*` + here + `city(None)`},
		{"pointer", &one, `*int(1)`},
		{"pointer nil", nilInt, `*int(None)`},
		{"pointer to a pointer", &pone, `**int(&1)`},
		{"pointer to nil", &nilInt, `**int(&None)`},
		{"pointer to a slice", &[]int{1}, `*[]int(&[1])`},
		{"named string", lang("it"), here + `lang('it')`},
	})
}

func TestRepr_TextsOfTheirOwn(t *testing.T) {
	testRepr(t, []reprCase{
		{"Keyer", keyed{"a b"}, here + `keyed('a\x20b')`},
		{"Keyer, pointer", &keyed{"a"}, `*` + here + `keyed('a')`},
		{"Keyer, nil pointer", (*keyed)(nil), `*` + here + `keyed(None)`},
		{"Keyer by pointer receiver", keyedByPointer{"a"}, here + `keyedByPointer('a')`},
		{"Keyer by pointer receiver, pointer", &keyedByPointer{"None"}, `*` + here + `keyedByPointer('None')`},
		{"Keyer before TextMarshaler", both{}, here + `both('key')`},
		{"TextMarshaler", texted{"x"}, here + `texted('x')`},
		{"netip", netip.MustParseAddr("::1"), `net/netip.Addr('::1')`},
		{"promoted text", event{time.Unix(0, 0).UTC(), "x"}, here + `event{Time=time.Time('1970-01-01T00:00:00Z'),name='x'}`},
		{"promoted Keyer", keyedEvent{keyed{"k"}, "x"}, here + `keyedEvent{keyed=cachekey.keyed('k'),name='x'}`},
	})
}

func TestRepr_Time(t *testing.T) {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Skip(err)
	}
	cet, err := time.LoadLocation("CET")
	if err != nil {
		t.Skip(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, rome)
	testRepr(t, []reprCase{
		{"UTC", at.UTC(), `time.Time('2026-01-02T02:04:05Z')`},
		{"zone", at, `time.Time('2026-01-02T03:04:05+01:00[Europe/Rome]')`},
		{"nanoseconds", at.Add(120), `time.Time('2026-01-02T03:04:05.00000012+01:00[Europe/Rome]')`},
		{"fixed zone", at.In(time.FixedZone("CET", 3600)), `time.Time('2026-01-02T03:04:05+01:00<CET>')`},
		{"zone named as its abbreviation", at.In(cet), `time.Time('2026-01-02T03:04:05+01:00[CET]')`},
		{"unnamed zone", at.In(time.FixedZone("", -5400)), `time.Time('2026-01-02T00:34:05-01:30')`},
		{"offset with seconds", at.In(time.FixedZone("", 3601)), `time.Time('2026-01-02T03:04:06+01:00:01')`},
		{"zero offset", at.In(time.FixedZone("UTC", 0)), `time.Time('2026-01-02T02:04:05+00:00<UTC>')`},
		{"year 10000", time.Date(12026, 1, 2, 3, 4, 5, 0, time.UTC), `time.Time('12026-01-02T03:04:05Z')`},
		{"year -1", time.Date(-1, 1, 2, 3, 4, 5, 0, time.UTC), `time.Time('-0001-01-02T03:04:05Z')`},
		{"far off", time.Unix(1<<60, 7).UTC(), `time.Time('@1152921504606846976.7Z')`},
		{"zero", time.Time{}, `time.Time('0001-01-01T00:00:00Z')`},
		{"pointer", &time.Time{}, `*time.Time('0001-01-01T00:00:00Z')`},
		{"type made of a time", stamp(at.UTC()), here + `stamp('2026-01-02T02:04:05Z')`},
		{"location", rome, `*time.Location('Europe/Rome+01:00')`},
	})
	t.Run("monotonic reading", func(t *testing.T) {
		now := time.Now()
		with, _ := Repr(now)
		without, _ := Repr(now.Round(0))
		if with != without {
			t.Errorf("with monotonic reading %s, without %s", with, without)
		}
	})
}

func TestArgs(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []any
		kwargs Kwargs
		want   string
	}{
		{"neither", nil, nil, ``},
		{"neither, empty", []any{}, Kwargs{}, ``},
		{"one", []any{"test"}, nil, `('test',)`},
		{"empty kwargs", []any{"test"}, Kwargs{}, `('test',)`},
		{"with kwargs", []any{2}, Kwargs{"foo": "hello"}, `(2,){'foo':'hello'}`},
		{"kwargs", nil, Kwargs{"foo": "hello"}, `{'foo':'hello'}`},
		{"kwargs sorted", nil, Kwargs{"b": 1, "ab": 2, "a": 3}, `{'a':3,'ab':2,'b':1}`},
		{"map", []any{map[string]any{"a": 1}}, nil, `({'a':1},)`},
		{"bytes and their text", []any{[]byte("1"), "b'1'"}, nil, `(b'1',"b'1'")`},
		{"None and its text", []any{nil, "None"}, nil, `(None,'None')`},
		{"list of one text", []any{[]any{"a, b"}}, nil, `(['a,\x20b'],)`},
		{"list of two texts", []any{[]any{"a", "b"}}, nil, `(['a','b'],)`},
		{"tuple", []any{Tuple{"a", "b"}}, nil, `(('a','b'),)`},
		{"number and text", []any{map[string]any{"a": "1"}}, nil, `({'a':'1'},)`},
		{"text of a joined tuple", []any{"a-b"}, nil, `('a-b',)`},
		{"the original's", []any{1, "a", nil, true, 1.5, []byte("x"), []any{1, 2}, map[string]any{"k": Tuple{1}}}, nil,
			`(1,'a',None,True,1.5,b'x',[1,2],{'k':(1,)})`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Args(c.args, c.kwargs)
			if err != nil {
				t.Fatalf("Args: %v", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Args (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRepr_Errors(t *testing.T) {
	type node struct {
		next *node
		id   int
	}
	ring := &node{id: 1}
	ring.next = &node{next: ring}
	self := []any{1, nil}
	self[1] = self
	loop := map[string]any{}
	loop["a"] = []any{loop}
	tuple := Tuple{nil}
	tuple[0] = tuple
	ownList := list{nil}
	ownList[0] = ownList
	deep := any(nil)
	for range 10_001 {
		deep = []any{deep}
	}
	for _, c := range []struct {
		name string
		in   any
		want string
	}{
		{"chan", []any{make(chan int)}, "chan(int) can't be in a key"},
		{"func", map[string]any{"f": func() {}}, "func() can't be in a key"},
		{"nil func", (func())(nil), "func() can't be in a key"},
		{"type with a chan in it", struct{ C chan int }{}, "C of struct{C:chan(int)} has type chan(int)"},
		{"cycle of pointers", ring, "contains itself"},
		{"cycle of lists", self, "contains itself"},
		{"cycle of maps", loop, "contains itself"},
		{"cycle of tuples", tuple, "contains itself"},
		{"cycle of a type of its own", ownList, "contains itself"},
		{"deep", deep, "deeper than 10000"},
		{"text fails", texted{"fail"}, "texted: no text"},
		{"text panics", &texted{"panic"}, "panic: boom"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Repr(c.in)
			if !errors.Is(err, cacheutils.ErrInvalidKey) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Repr: error %v, want one that wraps ErrInvalidKey and contains %q", err, c.want)
			}
			_, err = Args(nil, Kwargs{"x": c.in})
			if !errors.Is(err, cacheutils.ErrInvalidKey) {
				t.Errorf("Args: error %v, want one that wraps ErrInvalidKey", err)
			}
		})
	}
}

func TestRepr_SharedIsNotACycle(t *testing.T) {
	shared := &city{1, "it"}
	in := any([]any{shared, shared})
	want := "[*" + here + "city{id=1,lang='it'},*" + here + "city{id=1,lang='it'}]"
	for range 100 {
		in, want = []any{in}, "["+want+"]"
	}
	got, err := Repr(in)
	if err != nil || got != want {
		t.Errorf("Repr: %s, %v, want %s", got, err, want)
	}
}
