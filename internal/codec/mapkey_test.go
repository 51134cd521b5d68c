package codec

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unique"

	"pgregory.net/rapid"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/test/codectest"
)

type (
	// decimal is as most packages have it: comparable, with an address in it.
	decimal struct {
		value *big.Int
		exp   int32
	}

	// currency has an address in it, but its unmarshaler always returns the same one.
	currency struct{ info *currencyInfo }

	currencyInfo struct{ code string }

	// memo is equal by its own method to what == tells it apart from.
	memo struct{ n, cached int }

	// brand wraps what is unique.
	brand struct{ name unique.Handle[string] }
)

func newDecimal(n int64, exp int32) decimal { return decimal{big.NewInt(n), exp} }

func (d decimal) MarshalText() ([]byte, error) {
	if d.value == nil {
		return []byte("0 0"), nil
	}
	return fmt.Appendf(nil, "%s %d", d.value, d.exp), nil
}

func (d *decimal) UnmarshalText(b []byte) error {
	d.value = new(big.Int)
	_, err := fmt.Sscan(string(b), d.value, &d.exp)
	return err
}

func (d decimal) Equal(other decimal) bool {
	a, _ := d.MarshalText()
	b, _ := other.MarshalText()
	return bytes.Equal(a, b)
}

var currencies = map[string]*currencyInfo{"": {""}, "EUR": {"EUR"}, "JPY": {"JPY"}}

func (c currency) MarshalText() ([]byte, error) {
	if c.info == nil {
		return nil, nil
	}
	return []byte(c.info.code), nil
}

func (c *currency) UnmarshalText(b []byte) error {
	c.info = currencies[string(b)]
	if c.info == nil {
		return errors.New("no such currency")
	}
	return nil
}

func (c currency) Equal(other currency) bool {
	return c.info == other.info || c.info == nil && other.info.code == ""
}

func (m memo) MarshalText() ([]byte, error)  { return fmt.Append(nil, m.n), nil }
func (m *memo) UnmarshalText(b []byte) error { _, err := fmt.Sscan(string(b), &m.n); return err }
func (m memo) Equal(other memo) bool         { return m.n == other.n }

func (b brand) MarshalText() ([]byte, error)  { return []byte(b.name.Value()), nil }
func (b *brand) UnmarshalText(t []byte) error { b.name = unique.Make(string(t)); return nil }

// requireKeys decodes b, the encoding of the map m, and requires that each key of m is found in what comes out.
func requireKeys(t interface{ Fatalf(string, ...any) }, m reflect.Value, b []byte) {
	back := reflect.New(m.Type())
	if err := Of(m.Type()).Decode(b, back.UnsafePointer()); err != nil {
		t.Fatalf("%v: %v", m.Type(), err)
	}
	if got, want := back.Elem().Len(), m.Len(); got != want {
		t.Fatalf("%v: %d of %d entries came back", m.Type(), got, want)
	}
	for iter := m.MapRange(); iter.Next(); {
		key := iter.Key()
		if !m.MapIndex(key).IsValid() {
			continue // the function's own caller doesn't find it either: a NaN
		}
		if got := back.Elem().MapIndex(key); !got.IsValid() || codectest.Diff(iter.Value().Interface(), got.Interface()) != "" {
			t.Fatalf("%v: under key %#v there is %v, not %v", m.Type(), key, got, iter.Value())
		}
	}
}

// What a caller looks up in a map that is cached is there, or the map is not cached.
func TestLaw8_MapKeys(t *testing.T) {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	type night struct {
		Day  time.Time
		Room int
	}
	type priced struct{ Of decimal }
	type pair [2]any
	for _, test := range []struct {
		name string
		m    any
		keep bool
	}{
		{"UTC", map[time.Time]int{day: 1}, true},
		{"zero time", map[time.Time]int{{}: 1}, true},
		{"Local", map[time.Time]int{time.Date(2026, 5, 1, 0, 0, 0, 0, time.Local): 1}, true},
		{"now in UTC", map[time.Time]int{time.Now().UTC().Round(0): 1}, true},
		{"monotonic", map[time.Time]int{time.Now(): 1}, false},
		{"named zone", map[time.Time]int{day.In(rome): 1}, false},
		{"fixed zone", map[time.Time]int{day.In(time.FixedZone("X", 3600)): 1}, false},
		{"fixed zone of one address, as time.Parse makes it", map[time.Time]int{day.In(time.FixedZone("", 3600)): 1}, true},
		{"one instant twice", map[time.Time]int{day: 1, day.In(rome): 2}, false},
		{"time in a struct", map[night]int{{day.In(rome), 1}: 1}, false},
		{"UTC in a struct", map[night]int{{day, 1}: 1}, true},
		{"time in an array", map[[1]time.Time]int{{day.In(rome)}: 1}, false},
		{"time behind an interface", map[any]int{day.In(rome): 1}, false},
		{"UTC behind an interface", map[any]int{day: 1}, true},
		{"struct with a time behind an interface", map[any]int{night{day.In(rome), 1}: 1}, false},
		{"interface in an array behind an interface", map[any]int{pair{1, pair{day.In(rome)}}: 1}, false},
		{"UTC in an array behind an interface", map[any]int{pair{1, pair{day}}: 1}, true},
		{"map in a slice in a map", map[string][]map[time.Time]int{"a": {{day.In(rome): 1}}}, false},
		{"time as a value beside a key", map[time.Time]time.Time{day: day.In(rome)}, true},
		{"decimal", map[decimal]int{newDecimal(5, -1): 1}, false},
		{"decimal, but none", map[decimal]int{}, false}, // no key could be kept
		{"decimal in a struct", map[priced]int{{newDecimal(5, -1)}: 1}, false},
		{"decimal behind an interface", map[any]int{newDecimal(5, -1): 1}, false},
		{"decimal beside a plain key", map[any]int{1: 1, newDecimal(5, -1): 1}, false},
		{"decimal as a value", map[int]decimal{1: newDecimal(5, -1)}, true},
		{"address that the unmarshaler knows", map[currency]int{{currencies["EUR"]}: 1}, true},
		{"the same behind an interface", map[any]int{currency{currencies["EUR"]}: 1}, true},
		{"address that it doesn't know", map[currency]int{{&currencyInfo{"EUR"}}: 1}, false},
		{"marshaler that keeps all", map[memo]int{{1, 0}: 1}, true},
		{"marshaler that leaves out what == compares", map[memo]int{{1, 7}: 1}, false},
		{"unique", map[brand]int{{unique.Make("a")}: 1}, true},
		{"netip.Addr with a zone", map[netip.Addr]int{netip.MustParseAddr("fe80::1%eth0"): 1}, true},
		{"netip behind interfaces", map[any]int{netip.MustParsePrefix("10.0.0.0/8"): 1, netip.MustParseAddrPort("[fe80::1%eth0]:1"): 2}, true},
		{"pointer behind an interface", map[any]int{new(int): 1}, false},
		{"nil pointer behind an interface", map[any]int{(*int)(nil): 1}, false},
		{"struct with a pointer behind an interface", map[any]int{struct{ P *int }{}: 1}, false},
		{"nil behind an interface", map[any]int{nil: 1}, true},
		{"minus zero", map[float64]int{math.Copysign(0, -1): 1}, true},
		{"minus zero behind an interface", map[any]int{math.Copysign(0, -1): 1, float32(0): 2}, true},
		{"NaN", map[float64]int{math.NaN(): 1, math.NaN(): 2}, true},
		{"NaN beside a time", map[struct {
			F float64
			T time.Time
		}]int{{math.NaN(), day}: 1}, true},
		{"blank field", map[struct {
			A int
			_ int
		}]int{{A: 1}: 1}, true},
		{"complex with NaN", map[complex128]int{complex(1, math.NaN()): 1, complex(1, math.Copysign(0, -1)): 2}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := encode(test.m)
			if test.keep {
				if err != nil {
					t.Fatal(err)
				}
				requireKeys(t, reflect.ValueOf(test.m), b)
				return
			}
			if refused := Of(reflect.TypeOf(test.m)).Err(); refused == nil && !errors.Is(err, cacheutils.ErrUnsupportedValue) {
				t.Errorf("want ErrUnsupportedValue, got %v", err)
			}
		})
	}
}

// A key that is equal in one process is not in one with another local time zone: there it can't be read.
func TestLaw8_LocalTimeInAKeyElsewhere(t *testing.T) {
	defer func(was *time.Location) { time.Local = was }(time.Local)
	load := func(name string) *time.Location {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return zone
	}
	time.Local = load("Europe/Rome")
	m := map[time.Time]int{time.Date(2026, 5, 1, 0, 0, 0, 0, time.Local): 1}
	b, err := encode(m)
	if err != nil {
		t.Fatal(err)
	}
	requireKeys(t, reflect.ValueOf(m), b)
	time.Local = load("America/New_York")
	if _, err := decode(reflect.TypeOf(m), b); !errors.Is(err, cacheutils.ErrUndecodable) || !errors.Is(err, ErrUnknownType) {
		t.Errorf("want ErrUndecodable and ErrUnknownType, got %v", err)
	}
	time.Local = time.UTC // as programs do that want no local time
	for _, m := range []map[time.Time]int{{time.Now().Round(0): 1}, {time.Unix(1, 0): 1}, {time.Unix(1, 0).UTC(): 1}} {
		if b, err := encode(m); err == nil {
			requireKeys(t, reflect.ValueOf(m), b)
		} else if !errors.Is(err, cacheutils.ErrUnsupportedValue) {
			t.Error(err)
		}
	}
}

// keyParts are the types that random keys are made of.
var keyParts = append([]reflect.Type{
	reflect.TypeFor[time.Time](), reflect.TypeFor[any](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[decimal](),
	reflect.TypeFor[currency](), reflect.TypeFor[memo](), reflect.TypeFor[brand](), reflect.TypeFor[*int](),
	reflect.TypeFor[unique.Handle[int]](), reflect.TypeFor[chan int](), reflect.TypeFor[fmt.Stringer](),
	reflect.TypeFor[codectest.Base](), reflect.TypeFor[codectest.EmbedsHidden](), reflect.TypeFor[padded](),
}, scalars...)

// plainParts are those whose keys are always kept.
var plainParts = append([]reflect.Type{reflect.TypeFor[codectest.Base](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[padded]()}, scalars...)

func drawKeyType(t *rapid.T, of []reflect.Type, depth int) reflect.Type {
	if depth == 0 {
		return rapid.SampledFrom(of).Draw(t, "part")
	}
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		fields := make([]reflect.StructField, rapid.IntRange(0, 4).Draw(t, "fields"))
		for i := range fields {
			fields[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: drawKeyType(t, of, depth-1)}
		}
		return reflect.StructOf(fields)
	case 1:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "len"), drawKeyType(t, of, depth-1))
	default:
		return rapid.SampledFrom(of).Draw(t, "part")
	}
}

// fillKey sets v, which is addressable and zero and may be a key, to some value.
func fillKey(t *rapid.T, v reflect.Value, of []reflect.Type, depth int) {
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		switch rapid.IntRange(0, 4).Draw(t, "time") {
		case 0:
			*p = time.Now()
		case 1:
			*p = drawTime(t).UTC()
		default:
			*p = drawTime(t)
		}
		return
	case *netip.Addr:
		raw := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip")
		*p = netip.AddrFrom16([16]byte(raw)).WithZone(rapid.SampledFrom([]string{"", "eth0"}).Draw(t, "zone"))
		return
	case *decimal:
		if rapid.Bool().Draw(t, "some") {
			*p = newDecimal(rapid.Int64().Draw(t, "n"), rapid.Int32().Draw(t, "exp"))
		}
		return
	case *currency:
		p.info = rapid.SampledFrom([]*currencyInfo{nil, currencies["EUR"], currencies["JPY"], {"EUR"}}).Draw(t, "currency")
		return
	case *memo:
		*p = memo{rapid.Int().Draw(t, "n"), rapid.IntRange(0, 1).Draw(t, "cached")}
		return
	case *brand:
		p.name = unique.Make(rapid.String().Draw(t, "brand"))
		return
	case **int:
		*p = rapid.SampledFrom([]*int{nil, new(int)}).Draw(t, "pointer")
		return
	case *unique.Handle[int]:
		*p = unique.Make(rapid.Int().Draw(t, "unique"))
		return
	case *any:
		if depth > 0 && rapid.Bool().Draw(t, "some") {
			x := reflect.New(drawKeyType(t, of, depth-1)).Elem()
			fillKey(t, x, of, depth-1)
			*p = x.Interface()
		}
		return
	}
	if fillOwn(t, v) || fillScalar(t, v) {
		return
	}
	switch v.Kind() {
	case reflect.Array:
		for i := range v.Len() {
			fillKey(t, v.Index(i), of, depth-1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fillKey(t, f, of, depth-1)
			}
		}
	}
}

// keysSurvive encodes a map with random keys of a random type: each is found in the copy, or the map is refused.
func keysSurvive(t *rapid.T) {
	of, depth := keyParts, 3
	plain := rapid.Bool().Draw(t, "plain")
	if plain {
		of = plainParts
	}
	rt := reflect.MapOf(drawKeyType(t, of, depth), reflect.TypeFor[int]())
	m := reflect.New(rt)
	m.Elem().Set(reflect.MakeMap(rt))
	for i := range rapid.IntRange(0, 4).Draw(t, "entries") {
		key := reflect.New(rt.Key()).Elem()
		fillKey(t, key, of, depth)
		m.Elem().SetMapIndex(key, reflect.ValueOf(i))
	}
	typ := Of(rt)
	b, err := typ.Append(nil, m.UnsafePointer())
	if err == nil {
		requireKeys(t, m.Elem(), b)
		return
	}
	if plain || !errors.Is(err, cacheutils.ErrUnsupportedValue) || strings.TrimSpace(err.Error()) == "" {
		t.Fatalf("%v: %v", rt, err)
	}
}

func TestLaw8_RandomMapKeys(t *testing.T) { rapid.Check(t, keysSurvive) }

func FuzzMapKeys(f *testing.F) {
	random := rand.NewChaCha8([32]byte{1})
	for n := 64; n <= 4<<10; n *= 2 { // each draw takes eight bytes
		for range 3 {
			b := make([]byte, n)
			_, _ = random.Read(b)
			f.Add(b)
		}
	}
	f.Fuzz(rapid.MakeFuzz(keysSurvive))
}
