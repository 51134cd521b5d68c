package cachekey

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"math"
	"math/big"
	"reflect"
	"time"
)

// A source makes the choices that a random value is made of; rapid and fuzzed bytes are two.
type source interface {
	// intn returns a number from 0 to n-1. Small numbers make small values.
	intn(n int) int
}

type pair struct {
	a, b any
}

type inner struct {
	Name string
	ptr  *int
	m    map[string]int8
}

type outer struct {
	inner
	list  []inner
	any   any
	Tuple Tuple
	t     time.Time
}

var (
	someTypes = []reflect.Type{
		reflect.TypeFor[int](), reflect.TypeFor[string](), reflect.TypeFor[any](), reflect.TypeFor[[]any](),
		reflect.TypeFor[map[string]any](), reflect.TypeFor[bool](), reflect.TypeFor[float64](), reflect.TypeFor[[]byte](),
		reflect.TypeFor[Tuple](), reflect.TypeFor[Kwargs](), reflect.TypeFor[*big.Int](), reflect.TypeFor[map[any]any](),
		reflect.TypeFor[int8](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](), reflect.TypeFor[complex128](),
		reflect.TypeFor[lang](), reflect.TypeFor[city](), reflect.TypeFor[hash](), reflect.TypeFor[keyed](), reflect.TypeFor[keyedByPointer](),
		reflect.TypeFor[pair](), reflect.TypeFor[outer](), reflect.TypeFor[struct{}](), reflect.TypeFor[box[string]](),
		reflect.TypeFor[time.Time](), reflect.TypeFor[stamp](), reflect.TypeFor[Keyer](), reflect.TypeFor[list](), reflect.TypeFor[struct{ a, b string }](),
		reflect.TypeFor[big.Int](), reflect.TypeFor[map[float64]string](), reflect.TypeFor[map[[2]string]bool](), reflect.TypeFor[map[*string]int](),
	}
	someTexts = []string{
		"", "a", "b", "ab", " ", "  ", `\`, `\x20`, `\\`, "'", `"`, `'"`, "','", `',"`, ",", ":", "(", ")", "[", "]", "{", "}", "=", "&", "1", "None", "nan", "int(1)",
		"\x00", "\n", "\x7f", "\x80", "\u0080", "\xff", `\udc80`, `\udced`, "\xed\xb2\x80", "é", "e\u0301", "\u00a0", "\u3000", "\ufffd", "😀", "\U000e0001", "x20", "\xc3",
	}
	someFloats = []float64{0, 1, -1, 1.5, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1e15, 1e16, 1e17, 1e-4, 1e-5, math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 53, math.Float64frombits(0x7ff8000000000005)}
	someZones  = []*time.Location{time.UTC, time.FixedZone("", 3600), time.FixedZone("", -1), time.Local}
)

// randomType returns a type of values that a key can hold.
func randomType(s source, depth int) reflect.Type {
	kind := s.intn(8)
	if depth <= 0 || kind < 3 {
		return someTypes[s.intn(len(someTypes))]
	}
	elem := randomType(s, depth-1)
	switch kind {
	case 3:
		return reflect.SliceOf(elem)
	case 4:
		return reflect.ArrayOf(s.intn(3), elem)
	case 5:
		return reflect.PointerTo(elem)
	case 6:
		if key := someTypes[s.intn(len(someTypes))]; key.Comparable() {
			return reflect.MapOf(key, elem)
		}
		return reflect.MapOf(reflect.TypeFor[string](), elem)
	}
	return reflect.StructOf([]reflect.StructField{{Name: "A", Type: elem}, {Name: "B", Type: randomType(s, depth-1)}})
}

// randomValue returns an addressable value of type t.
func randomValue(s source, t reflect.Type, depth int) reflect.Value {
	v := reflect.New(t).Elem()
	fill(s, v, depth)
	return v
}

func fill(s source, v reflect.Value, depth int) {
	switch v.Type() {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[stamp]():
		at := time.Unix(int64(s.intn(3))*1e9, int64(s.intn(2))).In(someZones[s.intn(len(someZones))])
		v.Set(reflect.ValueOf(at).Convert(v.Type()))
		return
	case reflect.TypeFor[big.Int]():
		n := big.NewInt(int64(s.intn(3) - 1))
		n.Lsh(n, uint(s.intn(3)*32))
		v.Set(reflect.ValueOf(*n))
		return
	}
	if fillScalar(s, v) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if s.intn(3) > 0 {
			v.Set(randomValue(s, v.Type().Elem(), depth-1).Addr())
		}
	case reflect.Interface:
		fillInterface(s, v, depth)
	case reflect.Slice:
		if n := s.intn(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), size(n-1, depth), size(n-1, depth)))
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(s, v.Index(i), depth-1)
		}
	case reflect.Map:
		if n := s.intn(5); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range size(n-1, depth) {
				put(v, randomValue(s, v.Type().Key(), depth-1), randomValue(s, v.Type().Elem(), depth-1))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(s, settable(v.Field(i)), depth-1)
		}
	}
}

// fillScalar sets v if it is a bool, a number or a string, and reports whether it is.
func fillScalar(s source, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(s.intn(2) == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n := []int64{0, 1, -1, 2, math.MaxInt64, math.MinInt64, 127}[s.intn(7)]
		if v.OverflowInt(n) {
			n = -128
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		n := []uint64{0, 1, 39, 92, 32, 255, math.MaxUint64}[s.intn(7)]
		if v.OverflowUint(n) {
			n = 97
		}
		v.SetUint(n)
	case reflect.Float32:
		v.SetFloat(float64(float32(someFloats[s.intn(len(someFloats))])))
	case reflect.Float64:
		v.SetFloat(someFloats[s.intn(len(someFloats))])
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(someFloats[s.intn(6)], someFloats[s.intn(6)]))
	case reflect.String:
		v.SetString(randomText(s))
	default:
		return false
	}
	return true
}

// put sets an entry unless the key is a value that can't be one.
func put(m, key, value reflect.Value) {
	defer func() { _ = recover() }()
	m.SetMapIndex(key, value)
}

// size is n, or 0 where a value gets too deep.
func size(n, depth int) int {
	if depth < 0 {
		return 0
	}
	return n
}

func fillInterface(s source, v reflect.Value, depth int) {
	if depth < 0 || s.intn(5) == 4 {
		return
	}
	if v.NumMethod() == 0 {
		v.Set(randomValue(s, randomType(s, min(depth, 2)), depth-1))
		return
	}
	keyers := []Keyer{keyed{randomText(s)}, &keyed{randomText(s)}, &keyedByPointer{randomText(s)}}
	v.Set(reflect.ValueOf(keyers[s.intn(len(keyers))]))
}

func randomText(s source) string {
	text := ""
	for range s.intn(3) {
		text += someTexts[s.intn(len(someTexts))]
	}
	return text
}
