package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils"
)

type bombPart struct {
	P *[8]int64
	M map[int8]*[200]byte
	S []string
}

func manyOf[T any](n int, one func(i int) T) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = one(i)
	}
	return all
}

func mapOf[K comparable, V any](n int, key func(i int) K, value V) map[K]V {
	m := make(map[K]V)
	for i := range n {
		m[key(i)] = value
	}
	return m
}

// bombs are values that take much more memory than bytes.
func bombs() map[string]any {
	const n = 20_000
	rome := time.Unix(1, 0).In(time.FixedZone("x", 60))
	var nested any
	for range 2000 {
		nested = []any{nested, []any{}}
	}
	big1 := new(big.Int).Lsh(big.NewInt(1), 8*n)
	bytes := make([]byte, 33)
	return map[string]any{
		"nil slices":          make([][]int, n),
		"empty slices":        manyOf(n, func(int) []int { return []int{} }),
		"empty byte slices":   manyOf(n, func(int) []byte { return []byte{} }),
		"empty maps":          manyOf(n, func(int) map[int]int { return map[int]int{} }),
		"empty lists":         manyOf(n, func(int) any { return []any{} }),
		"slices in slices":    manyOf(n/10, func(int) [][][]string { return make([][][]string, 10) }),
		"small maps":          manyOf(n/10, func(i int) map[int]string { return map[int]string{i: ""} }),
		"maps of large parts": manyOf(n/10, func(i int) map[int8][200]byte { return map[int8][200]byte{1: {}} }),
		"one map":             mapOf(n, func(i int) int { return i }, []int(nil)),
		"a map of nothing":    mapOf(n, func(i int) uint32 { return uint32(i) }, struct{}{}),
		"pointers":            manyOf(n, func(int) **int64 { return new(*int64) }),
		"pointers to structs": manyOf(n/10, func(int) *bombPart {
			return &bombPart{P: new([8]int64), M: map[int8]*[200]byte{1: new([200]byte)}, S: make([]string, 9)}
		}),
		"interfaces":         manyOf(n, func(i int) any { return i%2 == 0 }),
		"strings behind any": manyOf(n, func(i int) any { return "x" }),
		"structs behind any": manyOf(n/10, func(i int) any { return bombPart{} }),
		"nested lists":       nested,
		"maps behind any":    manyOf(n/10, func(i int) any { return map[string]any{"": nil} }),
		"strings":            manyOf(n, func(i int) string { return "seventeen letters"[:i%17] }),
		"byte slices":        manyOf(n, func(i int) []byte { return bytes }),
		"times":              manyOf(n, func(i int) time.Time { return rome }),
		"big numbers":        manyOf(20, func(i int) *big.Int { return big1 }),
		"addresses":          manyOf(n, func(i int) netip.Addr { return netip.IPv6Loopback() }),
		"nothing":            make([]struct{}, n),
		"arrays of nothing":  make([][0]int, n),
		"one string":         string(make([]byte, 1<<20)),
	}
}

// What a value takes when it is decoded is known before, and nothing is allocated beyond its limit.
func TestLimits_Memory(t *testing.T) {
	type box struct{ V any }
	for name, value := range bombs() {
		t.Run(name, func(t *testing.T) {
			rt := reflect.TypeOf(value)
			if name == "nested lists" {
				value, rt = box{value}, reflect.TypeFor[box]()
			}
			typ, p := Of(rt), reflect.New(rt)
			p.Elem().Set(reflect.ValueOf(value))
			data, needs, err := typ.Encode(nil, p.UnsafePointer())
			if err != nil {
				t.Fatal(err)
			}
			if err := typ.Decode(data, reflect.New(rt).UnsafePointer()); err != nil { // which has types compiled
				t.Fatal(err)
			}
			const slack = 64 << 10
			decode := func(limits Limits) (left, taken uint64, err error) {
				into := reflect.New(rt).UnsafePointer()
				taken = allocated(func() { err = typ.DecodeWithin(data, into, &limits) })
				return limits.Memory, taken, err
			}
			left, taken, err := decode(Limits{Memory: needs.Memory})
			if err != nil || left != 1 {
				t.Errorf("%d bytes of memory: got %v, and %d bytes left", needs.Memory, err, left)
			}
			if taken > needs.Memory*4/3+slack {
				t.Errorf("it takes %d bytes, and is said to take %d", taken, needs.Memory)
			}
			for _, most := range []uint64{1, needs.Memory / 10, needs.Memory / 2, needs.Memory - 1} {
				if _, taken, err = decode(Limits{Memory: most}); !errors.Is(err, ErrTooMuch) || !errors.Is(err, cacheutils.ErrUndecodable) {
					t.Errorf("%d of %d bytes: got %v, want ErrTooMuch", most, needs.Memory, err)
				}
				if taken > most*4/3+slack {
					t.Errorf("with a limit of %d bytes, it took %d", most, taken)
				}
			}
			if left, _, err := decode(Limits{Memory: needs.Memory + 100}); err != nil || left != 100 {
				t.Errorf("100 bytes more: got %v, and %d bytes left", err, left)
			}
		})
	}
}

// A time zone that isn't kept for others is looked up a few times for one value, whether there is such a zone or not.
func TestLimits_Locations(t *testing.T) {
	had := locations.n.Load()
	locations.n.Store(maxLocations) // as after names of which a file system that ignores case knows many
	defer locations.n.Store(had)
	names := []string{"Africa/Accra", "Africa/Cairo", "America/Adak", "America/Belem", "America/Cancun", "America/Lima", "Asia/Aden", "Asia/Dili",
		"Asia/Hebron", "Asia/Kabul", "Asia/Karachi", "Asia/Macau", "Asia/Manila", "Asia/Omsk", "Asia/Oral", "Asia/Seoul", "Asia/Tokyo", "Europe/Riga", "Europe/Sofia"}
	var times []time.Time
	for _, name := range names {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Skip("no zone database")
		}
		times = append(times, time.Unix(1e9, 0).In(loc))
	}
	rt := reflect.TypeOf(times)
	decode := func(times []time.Time) error {
		p := reflect.New(rt)
		p.Elem().Set(reflect.ValueOf(times))
		data, err := Of(rt).Append(nil, p.UnsafePointer())
		if err != nil {
			t.Fatal(err)
		}
		back := reflect.New(rt)
		err = Of(rt).Decode(data, back.UnsafePointer())
		for i, got := range back.Elem().Interface().([]time.Time) {
			if err == nil && (!got.Equal(times[i]) || got.Location().String() != times[i].Location().String()) {
				t.Errorf("got %v, want %v", got, times[i])
			}
		}
		return err
	}
	few := times[:maxLookups]
	if err := decode(append(few[:maxLookups:maxLookups], few...)); err != nil {
		t.Errorf("%d locations that aren't kept: got %v", len(few), err)
	}
	if err := decode(times); !errors.Is(err, cacheutils.ErrUndecodable) {
		t.Errorf("%d locations that aren't kept: got %v, want ErrUndecodable", len(times), err)
	}
}

// What is no name of a time zone is looked up nowhere, and no path to another place is one.
func TestPlausible(t *testing.T) {
	for name, want := range map[string]bool{
		"Europe/Rome": true, "America/Argentina/Ushuaia": true, "Etc/GMT+3": true, "GMT-0": true, "EST5EDT": true, "Asia/Ho_Chi_Minh": true,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "": false, "Local": false, "/etc/passwd": false, "../passwd": false,
		"a/../b": false, `a\b`: false, "a:b": false, "a b": false, "a\x00b": false, "Città": false,
	} {
		if got := plausible(name); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
}

type (
	limitsA struct{ N int }
	limitsB struct{ V any }
)

// Behind interfaces there are the types that were named, and others show.
func TestLimits_Types(t *testing.T) {
	type result struct {
		V    any
		Many map[any]any
	}
	rt := reflect.TypeFor[result]()
	types := Types{reflect.TypeFor[limitsA](): true, reflect.TypeFor[limitsB](): true, reflect.TypeFor[string](): true, reflect.TypeFor[[]any](): true}
	only := Of(rt).Only(types)
	if only.Fingerprint() != Of(rt).Fingerprint() || only.Type() != rt || only.Err() != nil {
		t.Error("it is another type")
	}
	for _, test := range []struct {
		value   result
		foreign any
	}{
		{result{}, nil},
		{result{V: "text"}, nil},
		{result{V: 1}, 1},
		{result{V: true}, true},
		{result{V: limitsA{1}, Many: map[any]any{"a": limitsB{limitsA{2}}, limitsA{3}: nil}}, nil},
		{result{V: []any{nil, "a", limitsB{}}}, nil},
		{result{V: []any{nil, "a", limitsB{1.5}}}, 1.5},
		{result{V: &limitsA{}}, &limitsA{}},
		{result{Many: map[any]any{1: "a"}}, 1},
		{result{Many: map[any]any{"a": time.Time{}}}, time.Time{}},
		{result{V: [1]limitsA{}}, [1]limitsA{}},
	} {
		data, needs, err := only.Encode(nil, reflect.ValueOf(&test.value).UnsafePointer())
		if err != nil {
			t.Fatal(err)
		}
		if needs.Foreign != reflect.TypeOf(test.foreign) {
			t.Errorf("%#v: got %v, want %T", test.value, needs.Foreign, test.foreign)
		}
		var back result
		if err := only.Decode(data, reflect.ValueOf(&back).UnsafePointer()); err != nil {
			t.Errorf("%#v: %v", test.value, err)
		}
		err = Of(rt).DecodeWithin(data, reflect.ValueOf(new(result)).UnsafePointer(), &Limits{Types: types})
		if refused := errors.Is(err, cacheutils.ErrUndecodable); refused != (test.foreign != nil) || err != nil && !refused {
			t.Errorf("%#v: got %v", test.value, err)
		}
	}
	var found []string
	for it := range Of(reflect.TypeFor[map[any]struct {
		E error
		R []result
	}]()).Interfaces {
		found = append(found, it.String())
	}
	if fmt.Sprint(found) != "[interface {} error]" {
		t.Errorf("got %v", found)
	}
}

// A slice whose elements take nothing can't be longer than its limit either: a caller who ranges over it would not end.
func TestLimits_Nothing(t *testing.T) {
	var into []struct{}
	data := binary.AppendUvarint(nil, 1<<62)
	for _, limits := range []Limits{{}, {Memory: 64 << 20}} {
		if err := Of(reflect.TypeOf(into)).DecodeWithin(data, unsafe.Pointer(&into), &limits); !errors.Is(err, cacheutils.ErrUndecodable) || len(into) != 0 {
			t.Errorf("%d bytes of memory: got %v, and %d elements", limits.Memory, err, len(into))
		}
	}
}
