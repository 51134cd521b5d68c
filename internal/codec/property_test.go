package codec

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"reflect"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/test/budget"
	"github.com/cacheutils/cacheutils/internal/test/codectest"
)

type (
	nest   []nest
	padded struct {
		A int8
		_ [100]int64
	}
	everything struct {
		B    bool
		I    int
		I8   int8
		I16  int16
		I32  int32
		I64  int64
		U    uint
		U8   uint8
		U16  uint16
		U32  uint32
		U64  uint64
		Up   uintptr
		F32  float32
		F64  float64
		C64  complex64
		C128 complex128
		S    string
		Bs   []byte
		Ss   []string
		M    map[string]int
		Mm   map[int8]map[any]any
		P    **int
		Any  any
		T    time.Time
		Arr  [3]uint16
		ID   codectest.ID
		Tree *codectest.Tree
		Big  *big.Int
		URL  *url.URL
		IP   netip.Addr
		Self []everything
	}
)

// fixed are the types that the fuzz targets decode into.
var fixed = []reflect.Type{
	reflect.TypeFor[everything](),
	reflect.TypeFor[any](),
	reflect.TypeFor[codectest.Tree](),
	reflect.TypeFor[nest](),
	reflect.TypeFor[[]padded](),
	reflect.TypeFor[[]*padded](),
	reflect.TypeFor[[]struct{}](),
	reflect.TypeFor[map[string]any](),
	reflect.TypeFor[[]map[int8][5][]int](),
	reflect.TypeFor[map[any]any](),
	reflect.TypeFor[map[float64]struct{}](),
	reflect.TypeFor[[]time.Time](),
	reflect.TypeFor[[]int8](),
	reflect.TypeFor[[]*bool](),
	reflect.TypeFor[[]string](),
	reflect.TypeFor[map[struct{}]*int](),
	reflect.TypeFor[[4]map[codectest.Money]big.Float](),
}

var scalars = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](),
	reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](),
	reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[uintptr](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[complex64](), reflect.TypeFor[complex128](),
	reflect.TypeFor[string](), reflect.TypeFor[codectest.Celsius](), reflect.TypeFor[codectest.Name](),
	reflect.TypeFor[codectest.ID](), reflect.TypeFor[struct{}](), reflect.TypeFor[codectest.Money](),
}

var others = []reflect.Type{
	reflect.TypeFor[time.Time](), reflect.TypeFor[any](), reflect.TypeFor[codectest.Tagged](),
	reflect.TypeFor[codectest.Tree](), reflect.TypeFor[codectest.Conflict](), reflect.TypeFor[codectest.EmbedsHidden](),
	reflect.TypeFor[big.Int](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[nest](), reflect.TypeFor[padded](),
}

// drawType makes a type of up to depth levels.
func drawType(t *rapid.T, depth int) reflect.Type {
	if depth == 0 {
		return rapid.SampledFrom(scalars).Draw(t, "scalar")
	}
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom(others).Draw(t, "type")
	case 1, 2:
		fields := make([]reflect.StructField, rapid.IntRange(0, 5).Draw(t, "fields"))
		for i := range fields {
			fields[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: drawType(t, depth-1)}
			if rapid.Bool().Draw(t, "tagged") {
				fields[i].Tag = `json:"x,omitempty"`
			}
		}
		return reflect.StructOf(fields)
	case 3:
		return reflect.SliceOf(drawType(t, depth-1))
	case 4:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "len"), drawType(t, depth-1))
	case 5:
		key := rapid.SampledFrom(scalars).Draw(t, "key")
		if rapid.Bool().Draw(t, "compound key") {
			key = reflect.StructOf([]reflect.StructField{
				{Name: "K", Type: key}, {Name: "L", Type: reflect.ArrayOf(2, reflect.TypeFor[float32]())},
			})
		}
		return reflect.MapOf(key, drawType(t, depth-1))
	case 6:
		return reflect.PointerTo(drawType(t, depth-1))
	default:
		return rapid.SampledFrom(scalars).Draw(t, "scalar")
	}
}

// fill sets v, which is addressable and zero, to some value.
func fill(t *rapid.T, v reflect.Value, depth int) {
	if fillOwn(t, v) || fillScalar(t, v) {
		return
	}
	switch v.Kind() {
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), depth-1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(t, f, depth-1)
			}
		}
	case reflect.Slice:
		if n := drawLen(t, depth); n >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i), depth-1)
			}
		}
	case reflect.Map:
		n := drawLen(t, depth)
		if n >= 0 {
			v.Set(reflect.MakeMap(v.Type()))
		}
		for range n {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key, 0)
			fill(t, elem, depth-1)
			v.SetMapIndex(key, elem)
		}
	case reflect.Pointer:
		if drawLen(t, depth) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), depth-1)
		}
	case reflect.Interface:
		if drawLen(t, depth) >= 0 {
			x := reflect.New(rapid.SampledFrom(scalars).Draw(t, "dynamic"))
			if depth > 0 {
				x = reflect.New(rapid.SampledFrom(others).Draw(t, "dynamic"))
			}
			fill(t, x.Elem(), depth-1)
			v.Set(x.Elem())
		}
	}
}

// fillOwn sets v if its type has values that its kind doesn't show, and reports whether it has.
func fillOwn(t *rapid.T, v reflect.Value) bool {
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = drawTime(t)
	case *big.Int:
		p.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "big"))
		if rapid.Bool().Draw(t, "negative") {
			p.Neg(p)
		}
	case *big.Float:
		p.SetFloat64(rapid.Float64Range(-1e300, 1e300).Draw(t, "big"))
	case *netip.Addr:
		*p, _ = netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip"))
	case *url.URL:
		*p = url.URL{Scheme: "http", Host: "h", Path: "/" + rapid.StringMatching("[a-z %/]*").Draw(t, "path")}
	case *codectest.Money:
		_ = p.UnmarshalText(fmt.Append(nil, rapid.Int64().Draw(t, "cents")))
	default:
		return false
	}
	return true
}

// fillScalar sets v if it is a bool, a number or a string, and reports whether it is.
func fillScalar(t *rapid.T, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int"))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(rapid.Uint64().Draw(t, "uint"))
	case reflect.Float32:
		*v.Addr().Convert(reflect.TypeFor[*float32]()).Interface().(*float32) =
			math.Float32frombits(rapid.Uint32().Draw(t, "float32"))
	case reflect.Float64:
		v.SetFloat(math.Float64frombits(rapid.Uint64().Draw(t, "float64")))
	case reflect.Complex64:
		v.SetComplex(complex(float64(rapid.Float32().Draw(t, "real")), float64(rapid.Float32().Draw(t, "imag"))))
	case reflect.Complex128:
		v.SetComplex(complex(math.Float64frombits(rapid.Uint64().Draw(t, "real")), rapid.Float64().Draw(t, "imag")))
	case reflect.String:
		v.SetString(string(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "string")))
	default:
		return false
	}
	return true
}

// drawLen returns -1 for nil, or a length; nothing long when depth runs out.
func drawLen(t *rapid.T, depth int) int {
	if depth <= 0 {
		return rapid.IntRange(-1, 0).Draw(t, "len")
	}
	return rapid.IntRange(-1, 4).Draw(t, "len")
}

func drawTime(t *rapid.T) time.Time {
	x := time.Unix(rapid.Int64Range(-1e12, 1e12).Draw(t, "sec"), rapid.Int64Range(0, 999_999_999).Draw(t, "nsec"))
	switch rapid.IntRange(0, 3).Draw(t, "location") {
	case 0:
		return x.UTC()
	case 1:
		return x
	case 2:
		name := rapid.StringMatching("[A-Z]{0,4}").Draw(t, "zone")
		return x.In(time.FixedZone(name, rapid.IntRange(-50_000, 50_000).Draw(t, "offset")))
	default:
		name := rapid.SampledFrom([]string{"Europe/Rome", "America/New_York", "Asia/Kathmandu", "CET", "Etc/GMT+3"}).Draw(t, "name")
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return x.In(loc)
	}
}

func roundTrips(t *rapid.T, rt reflect.Type) {
	p := reflect.New(rt)
	fill(t, p.Elem(), 4)
	typ := Of(rt)
	b, err := typ.Append([]byte("before"), p.UnsafePointer())
	if err != nil {
		t.Fatalf("%v: %v", rt, err)
	}
	got := reflect.New(rt)
	if err := typ.Decode(b[len("before"):], got.UnsafePointer()); err != nil {
		t.Fatalf("%v: %v", rt, err)
	}
	if d := codectest.Diff(p.Elem().Interface(), got.Elem().Interface()); d != "" {
		t.Fatalf("%v: %s", rt, d)
	}
	if n, _ := typ.Size(p.UnsafePointer()); n < int(rt.Size()) {
		t.Fatalf("%v: Size is %d, less than that of the type", rt, n)
	}
}

func TestLaw8_RandomTypesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { roundTrips(t, drawType(t, 3)) })
}

func FuzzRoundTrip(f *testing.F) {
	random := rand.NewChaCha8([32]byte{})
	for n := 64; n <= 16<<10; n *= 2 { // each draw takes eight bytes
		b := make([]byte, n)
		_, _ = random.Read(b)
		f.Add(b)
	}
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		roundTrips(t, rapid.SampledFrom(fixed).Draw(t, "type"))
	}))
}

// FuzzDecode decodes hostile bytes: into an error, or into a value that can be encoded again. No input costs more than the
// budget.
func FuzzDecode(f *testing.F) {
	for i, rt := range fixed {
		b, err := Of(rt).Append(nil, reflect.New(rt).UnsafePointer())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
	}
	for _, row := range codectest.Rows() {
		if !row.Keep {
			continue
		}
		v := struct{ V any }{row.Value}
		if b, err := encode(v); err == nil {
			f.Add(uint8(1), b)
		}
	}
	f.Add(uint8(3), bytes.Repeat([]byte{2}, 2*maxDepth))
	f.Add(uint8(3), bytes.Repeat([]byte{0xff, 0xff, 0x01}, 1000))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		rt := fixed[int(which)%len(fixed)]
		typ := Of(rt)
		const most = 1 << 20
		var (
			p            reflect.Value
			limits       Limits
			err, limited error
			taken        uint64
		)
		budget.Within(t, func() {
			p = reflect.New(rt)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = typ.Decode(data, p.UnsafePointer())
			runtime.ReadMemStats(&after)
			taken = after.TotalAlloc - before.TotalAlloc
			limits = Limits{Memory: most}
			limited = typ.DecodeWithin(data, reflect.New(rt).UnsafePointer(), &limits)
		})
		switch {
		case limited != nil && !errors.Is(limited, ErrTooMuch) && err == nil, limited == nil && err != nil:
			t.Errorf("within %d bytes: got %v, without a limit %v", most, limited, err)
		case limits.Memory > most || limits.Memory == 0:
			t.Errorf("%d bytes are left of %d", limits.Memory, most)
		}
		// The slack is for errors, zones that are loaded and what the fuzzer itself does.
		if taken > uint64(32*len(data))+1<<19 {
			t.Errorf("%d bytes into %v allocate %d", len(data), rt, taken)
		}
		if err != nil {
			if !errors.Is(err, cacheutils.ErrUndecodable) {
				t.Errorf("want ErrUndecodable, got %v", err)
			}
			return
		}
		var b []byte
		budget.Within(t, func() { b, err = typ.Append(nil, p.UnsafePointer()) })
		if errors.Is(err, cacheutils.ErrUnsupportedValue) && bytes.Contains([]byte(err.Error()), []byte("marshaler of type")) {
			return // unmarshalers take more than marshalers make
		}
		if err != nil {
			t.Fatal(err)
		}
		again := reflect.New(rt)
		if err := typ.Decode(b, again.UnsafePointer()); err != nil {
			t.Fatal(err)
		}
		if d := codectest.Diff(p.Elem().Interface(), again.Elem().Interface()); d != "" {
			t.Error(d)
		}
	})
}
