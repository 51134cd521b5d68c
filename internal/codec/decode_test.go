package codec

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/test/codectest"
)

func TestUndecodable(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	named := func(name string) []byte {
		return append(appendString(appendString([]byte{0, 0, inNamed, 0}, "X"), name), 0)
	}
	for _, test := range []struct {
		name string
		into any
		data []byte
	}{
		{"nothing", 0, nil},
		{"trailing byte", true, []byte{1, 0}},
		{"bool", true, []byte{2}},
		{"presence", new(int), []byte{2, 0}},
		{"int16 out of range", int16(0), []byte{0x80, 0x80, 0x04}},
		{"uint16 out of range", uint16(0), []byte{0x80, 0x80, 0x04}},
		{"number without end", uint64(0), bytes.Repeat([]byte{0xff}, 20)},
		{"float cut off", 1.0, []byte{1, 2, 3}},
		{"array cut off", [3]int{}, []byte{1, 2}},
		{"bytes in an array cut off", [3]byte{}, []byte{1, 2}},
		{"string longer than the rest", "", []byte{5, 'a'}},
		{"huge string", "", huge},
		{"huge bytes", []byte{}, huge},
		{"huge slice", []string{}, huge},
		{"huge slice of nothing, then more", []struct{}{}, append(huge, 1)},
		{"huge slice of blank fields", []struct{ _ [100]byte }{}, huge},
		{"huge map", map[string]int{}, huge},
		{"map with one key", map[struct{}]int{}, []byte{3, 0, 0}},
		{"map with equal keys", map[int]int{}, []byte{3, 2, 0, 2, 0}},
		{"unhashable key", map[any]int{}, []byte{2, tagBytes, 1, 0}},
		{"unknown tag", struct{ V any }{}, []byte{200}},
		{"unknown fingerprint", struct{ V any }{}, []byte{tagOther, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"nanoseconds", time.Time{}, []byte{0, 0x80, 0x94, 0xeb, 0xdc, 0x03, 0}},
		{"kind of location", time.Time{}, []byte{0, 0, 9}},
		{"path for a location, and a trailing byte", time.Time{}, named("../../etc/passwd")},
		{"what a marshaler refuses", codectest.Money{}, []byte{1, 'x'}},
		{"nested too deep", nest{}, bytes.Repeat([]byte{2}, maxDepth+1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := decode(reflect.TypeOf(test.into), test.data); !errors.Is(err, cacheutils.ErrUndecodable) {
				t.Errorf("want ErrUndecodable, got %v", err)
			}
		})
	}
}

// Every prefix of an encoding is an error, and so is every encoding with something behind it.
func TestUndecodable_Prefixes(t *testing.T) {
	for _, row := range codectest.Rows() {
		b, err := encode(row.Value)
		if err != nil {
			continue
		}
		rt := reflect.TypeOf(row.Value)
		for n := range b {
			if _, err := decode(rt, b[:n]); !errors.Is(err, cacheutils.ErrUndecodable) {
				t.Errorf("%s: %d of %d bytes: want ErrUndecodable, got %v", row.Name, n, len(b), err)
			}
		}
		for _, more := range []byte{0, 1} {
			if _, err := decode(rt, append(b[:len(b):len(b)], more)); !errors.Is(err, cacheutils.ErrUndecodable) {
				t.Errorf("%s: with %d behind: want ErrUndecodable, got %v", row.Name, more, err)
			}
		}
	}
}

// Values that take much memory for few bytes are decoded within the bound as well.
func TestDecodeAllocatesInProportion(t *testing.T) {
	maps := make([]map[int8][5][]int, 1000)
	for i := range maps {
		maps[i] = map[int8][5][]int{1: {}}
	}
	small, large := make(map[int16]struct{}), make(map[int16][5][]int)
	for i := range int16(1790) {
		small[i], large[i] = struct{}{}, [5][]int{}
	}
	for _, v := range []any{
		small, large,
		make([][]int, 10_000), make([]padded, 1000), maps, make([]string, 10_000), make([]time.Time, 1000),
		[]*padded{{}, {}, {}}, make([]struct{ _ [100]int }, 100), make([]struct{}, 1<<30),
	} {
		b, err := encode(v)
		if err != nil {
			t.Fatal(err)
		}
		rt := reflect.TypeOf(v)
		if n := allocated(func() {
			if _, err := decode(rt, b); err != nil {
				t.Error(err)
			}
		}); n > uint64(32*len(b)+8<<10) {
			t.Errorf("%v: %d bytes allocate %d", rt, len(b), n)
		}
	}
	hostile := [][]byte{
		bytes.Repeat([]byte{0xff, 0x9f, 0x06}, 30_000), // each slice asks for 100,000 elements
		bytes.Repeat([]byte{0xff, 0x01}, 30_000),
		append(bytes.Repeat([]byte{0x80}, 8), 1),
	}
	for _, rt := range fixed {
		for _, b := range hostile {
			if n := allocated(func() { _, _ = decode(rt, b) }); n > uint64(32*len(b)+64<<10) {
				t.Errorf("%v: %d hostile bytes allocate %d", rt, len(b), n)
			}
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

type moody struct{ mood string }

func (m moody) MarshalText() ([]byte, error) {
	switch m.mood {
	case "panic":
		panic("in a bad mood")
	case "error":
		return nil, errors.New("in a bad mood")
	}
	return []byte(m.mood), nil
}

func (m *moody) UnmarshalText(b []byte) error {
	if m.mood = string(b); m.mood == "panic later" {
		panic("in a bad mood")
	}
	return nil
}

func TestMarshalersThatFail(t *testing.T) {
	for _, mood := range []string{"panic", "error", "panic later"} {
		before := []byte("before")
		v := moody{mood}
		got, err := Of(reflect.TypeOf(v)).Append(before, reflect.ValueOf(&v).UnsafePointer())
		if !errors.Is(err, cacheutils.ErrUnsupportedValue) || !strings.Contains(err.Error(), "moody") {
			t.Errorf("%s: want ErrUnsupportedValue that names the type, got %v", mood, err)
		}
		if string(got) != "before" {
			t.Errorf("%s: what there was before became %q", mood, got)
		}
	}
	if _, err := decode(reflect.TypeFor[moody](), appendString(nil, "panic later")); !errors.Is(err, cacheutils.ErrUndecodable) {
		t.Errorf("want ErrUndecodable, got %v", err)
	}
}

// A talker says at length what it was given, in errors and when it panics.
type talker struct{ text string }

func (v talker) MarshalText() ([]byte, error) {
	if strings.HasPrefix(v.text, "marshal") {
		return nil, errors.New(v.text)
	}
	return []byte(v.text), nil
}

func (v *talker) UnmarshalText(b []byte) error {
	switch {
	case strings.HasPrefix(string(b), "panic"):
		panic(string(b))
	case strings.HasPrefix(string(b), "unmarshal"):
		return errors.New(string(b))
	}
	v.text = string(b)
	return nil
}

// What code of others says about a value, which it may repeat, is cut and quoted, when it is stored and when it is read.
func TestMarshalersThatTalk(t *testing.T) {
	const hidden = "what nobody is to read"
	for _, how := range []string{"marshal", "unmarshal", "panic"} {
		v := talker{how + "\x1b" + strings.Repeat(" ", 40) + hidden}
		typ := Of(reflect.TypeOf(v))
		_, stored := typ.Append(nil, reflect.ValueOf(&v).UnsafePointer())
		errs := []error{stored}
		if how != "marshal" {
			_, read := decode(typ.Type(), appendString(nil, v.text))
			errs = append(errs, read)
		}
		for _, err := range errs {
			if err == nil || !strings.Contains(err.Error(), how) || strings.Contains(err.Error(), hidden) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%s: got %q", how, err)
			}
		}
	}
}

func TestDepth(t *testing.T) {
	list := func(n int) *codectest.Tree {
		var first *codectest.Tree
		for range n {
			first = &codectest.Tree{Left: first}
		}
		return first
	}
	b, err := encode(list(maxDepth))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(reflect.TypeFor[*codectest.Tree](), b); err != nil {
		t.Error(err)
	}
	if _, err := encode(list(maxDepth + 1)); !errors.Is(err, cacheutils.ErrUnsupportedValue) {
		t.Errorf("want ErrUnsupportedValue, got %v", err)
	}
}

func TestTinyInMemoryEndlessWhenEncoded(t *testing.T) {
	shared := &codectest.Tree{}
	for range 100 {
		shared = &codectest.Tree{Left: shared, Right: shared}
	}
	text := strings.Repeat("x", 1<<16)
	texts := slices.Repeat([]string{text}, 100)
	numbers := slices.Repeat([]*[1 << 10]uint64{new([1 << 10]uint64)}, 1000)
	for _, v := range []any{shared, texts, numbers} {
		p := reflect.New(reflect.TypeOf(v))
		p.Elem().Set(reflect.ValueOf(v))
		e := encoder{start: 1<<18 - maxEncoded} // as if there was much in it already
		if err := Of(reflect.TypeOf(v)).encode(&e, p.UnsafePointer()); !errors.Is(err, cacheutils.ErrUnsupportedValue) {
			t.Errorf("want ErrUnsupportedValue, got %v", err)
		}
		if len(e.buf) > 1<<19 {
			t.Errorf("%v: noticed after %d bytes", p.Type(), len(e.buf))
		}
	}
}

func TestTimeOfAnotherMachine(t *testing.T) {
	instant := time.Unix(1_700_000_000, 5)
	for _, test := range []struct {
		name                       string
		where                      byte
		offset                     int64
		abbreviation, location     string
		wantLocation, wantFormated string
	}{
		{"its local zone", inLocal, 12345, "THERE", "", "THERE", "2023-11-15 01:39:05.000000005 +0325 THERE"},
		{"a location with other rules", inNamed, 7200, "RT", "Europe/Rome", "RT", "2023-11-15 00:13:20.000000005 +0200 RT"},
		{"a location with the same rules", inNamed, 3600, "CET", "Europe/Rome", "Europe/Rome", "2023-11-14 23:13:20.000000005 +0100 CET"},
		{"an unknown location", inNamed, 3600, "CET", "Moon/Base", "CET", "2023-11-14 23:13:20.000000005 +0100 CET"},
		{"a path", inNamed, 3600, "CET", "../Europe/Rome", "CET", "2023-11-14 23:13:20.000000005 +0100 CET"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var e encoder
			e.buf = append(e.buf, 0x80, 0xc4, 0x9f, 0xd5, 0x0c, 5, test.where)
			zone := int32(test.offset)
			_ = encodeInt[int32](&e, ptr(&zone))
			e.buf = appendString(e.buf, test.abbreviation)
			if test.where == inNamed {
				e.buf = appendString(e.buf, test.location)
			}
			v, err := decode(timeType, e.buf)
			if err != nil {
				t.Fatal(err)
			}
			got := v.(time.Time)
			if !got.Equal(instant) || got.Location().String() != test.wantLocation ||
				fmt.Sprint(got) != test.wantFormated {
				t.Errorf("got %v in %v", got, got.Location())
			}
		})
	}
	custom, err := time.LoadLocationFromTZData("Custom/Place", romeData(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := encode(instant.In(custom)); !errors.Is(err, cacheutils.ErrUnsupportedValue) {
		t.Errorf("a location that has no name: want ErrUnsupportedValue, got %v", err)
	}
}
