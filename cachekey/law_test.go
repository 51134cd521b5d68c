package cachekey

import (
	"bytes"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/cacheutils/cacheutils/internal/keyenc"
	"github.com/cacheutils/cacheutils/internal/test/workers"
)

// Law 3: two argument lists that differ never share a key, equal ones always do, in every process.

type rapidSource struct{ t *rapid.T }

func (s rapidSource) intn(n int) int { return rapid.IntRange(0, n-1).Draw(s.t, "n") }

// render returns the key of v as a statically known type and as behind an interface.
func render(t interface{ Fatalf(string, ...any) }, v reflect.Value) (static, dynamic string) {
	e, err := keyenc.EncoderOf(v.Type(), nil)
	if err != nil {
		t.Fatalf("EncoderOf(%s): %v", v.Type(), err)
	}
	key, err := e.Append(nil, v)
	if err != nil {
		t.Fatalf("Append of %#v: %v", v, err)
	}
	dynamic, err = Repr(v.Interface())
	if err != nil {
		t.Fatalf("Repr of %#v: %v", v, err)
	}
	for _, s := range []string{string(key), dynamic} {
		if !isLegal(s) || !utf8.ValidString(s) {
			t.Fatalf("%q of %#v is not legal in memcached", s, v)
		}
	}
	return string(key), dynamic
}

// compare fails if the keys of a and b are equal and the values aren't, or the other way round.
func compare(t interface{ Fatalf(string, ...any) }, a, b reflect.Value) {
	static, dynamic := render(t, a)
	otherStatic, otherDynamic := render(t, b)
	if a.Type() == b.Type() {
		if eq := same(a, b); eq != (static == otherStatic) {
			t.Fatalf("same %t, but the keys are\n%s\n%s", eq, static, otherStatic)
		}
	}
	x, y := a, b
	if a.Kind() == reflect.Interface {
		x = a.Elem()
	}
	if b.Kind() == reflect.Interface {
		y = b.Elem()
	}
	if eq := same(x, y); eq != (dynamic == otherDynamic) {
		t.Fatalf("same %t, but behind an interface the keys are\n%s\n%s", eq, dynamic, otherDynamic)
	}
}

func TestLaw3_DifferentValuesDifferentKeys(t *testing.T) {
	t.Run("one type", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			s := rapidSource{t}
			typ := randomType(s, 2)
			compare(t, randomValue(s, typ, 3), randomValue(s, typ, 3))
		})
	})
	t.Run("any types", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			s := rapidSource{t}
			compare(t, randomValue(s, randomType(s, 2), 3), randomValue(s, randomType(s, 2), 3))
		})
	})
	t.Run("any strings", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
			compare(t, reflect.ValueOf(ptr(text.Draw(t, "a"))).Elem(), reflect.ValueOf(ptr(text.Draw(t, "b"))).Elem())
		})
	})
	t.Run("floats", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			a, b := rapid.Float64().Draw(t, "a"), rapid.Float64().Draw(t, "b")
			compare(t, reflect.ValueOf(ptr(a)).Elem(), reflect.ValueOf(ptr(b)).Elem())
			c, d := float32(a), rapid.Float32().Draw(t, "d")
			compare(t, reflect.ValueOf(ptr(c)).Elem(), reflect.ValueOf(ptr(d)).Elem())
		})
	})
}

// A change in one place of a value must show. Pairs of unrelated values seldom differ so little.
func TestLaw3_OneChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapidSource{t}
		a := randomValue(s, randomType(s, 2), 3)
		b := clone(a)
		compare(t, a, b)
		change(s, b)
		compare(t, a, b)
	})
}

// change gives one part of v another random value.
func change(s source, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Struct && v.NumField() > 0 && v.Type() != reflect.TypeFor[time.Time]() && v.Type() != reflect.TypeFor[big.Int]() && v.Type() != reflect.TypeFor[stamp]():
		change(s, settable(v.Field(s.intn(v.NumField()))))
	case (v.Kind() == reflect.Slice || v.Kind() == reflect.Array) && v.Len() > 0 && s.intn(4) > 0:
		change(s, v.Index(s.intn(v.Len())))
	case v.Kind() == reflect.Pointer && !v.IsNil() && s.intn(4) > 0:
		change(s, v.Elem())
	default:
		fill(s, v, 2)
	}
}

// Every two of some thousand small values, alone and nested, have different keys.
func TestLaw3_SmallValues(t *testing.T) {
	var values []any
	for _, text := range someTexts {
		values = append(values, text, []byte(text), lang(text), keyed{text}, &keyed{text}, &keyedByPointer{text}, texted{text}, []string{text}, [1]string{text}, &text)
	}
	for _, f := range someFloats[:len(someFloats)-1] {
		values = append(values, f, &f, float32(f), []float64{f}, complex(f, 1), complex(1, f), complex64(complex(f, 1)))
	}
	for n := range 3 {
		values = append(values, n, int8(n), int16(n), int32(n), int64(n), uint(n), uint8(n), uint16(n), uint32(n), uint64(n), uintptr(n))
	}
	values = append(values, nil, true, false, []any(nil), []any{}, Tuple(nil), Tuple{}, map[string]any(nil), map[string]any{}, map[any]any{}, Kwargs{}, Kwargs(nil), (*int)(nil), (**int)(nil),
		struct{}{}, [0]int{}, []int{}, []int(nil), [0]byte{}, city{}, &city{}, (*city)(nil), map[string]any{"a": 1}, map[string]int{"a": 1},
		ptr((*int)(nil)), ptr([]int(nil)), (*[]int)(nil), ptr(any(nil)), (*any)(nil), ptr(map[string]any(nil)), (*map[string]any)(nil),
		box[**int]{}, box[**int]{ptr((*int)(nil))}, box[*any]{}, box[*any]{ptr(any(nil))}, box[*[]byte]{}, box[*[]byte]{ptr([]byte(nil))}, box[*[]byte]{&[]byte{}},
		big.NewInt(0), *big.NewInt(0), (*big.Int)(nil), new(big.Int).Lsh(big.NewInt(1), 63), new(big.Int).Lsh(big.NewInt(1), 62), math.MaxInt, uint64(1<<63),
		list(nil), list{}, list{nil}, list{{}})
	if len(values) < 300 {
		t.Fatalf("only %d values", len(values))
	}
	values = dedupe(values)
	leaves := values
	for _, x := range leaves[:120] {
		values = append(values, []any{x}, []any{x, x}, Tuple{x}, map[string]any{"a": x}, pair{x, nil}, pair{nil, x}, &x, box[any]{x}, Kwargs{"a": x})
		if reflect.TypeOf(x) == nil || reflect.TypeOf(x).Comparable() {
			values = append(values, map[any]any{x: 1})
		}
	}
	keys := make(map[string]any, len(values))
	for _, x := range values {
		key, err := Repr(x)
		if err != nil {
			t.Fatalf("Repr(%#v): %v", x, err)
		}
		if other, ok := keys[key]; ok && !same(reflect.ValueOf(other), reflect.ValueOf(x)) {
			t.Errorf("%#v and %#v both have the key %s", other, x, key)
		}
		keys[key] = x
	}
	if len(keys) != len(values) {
		t.Errorf("%d keys for %d different values", len(keys), len(values))
	}
}

// dedupe drops values that are the same as an earlier one.
func dedupe(values []any) []any {
	var kept []any
next:
	for _, x := range values {
		for _, k := range kept {
			if same(reflect.ValueOf(k), reflect.ValueOf(x)) {
				continue next
			}
		}
		kept = append(kept, x)
	}
	return kept
}

func TestLaw3_SameKeyEachTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapidSource{t}
		v := randomValue(s, randomType(s, 2), 3)
		static, dynamic := render(t, v)
		for i := range 1000 {
			c := v
			if i%10 == 0 {
				c = clone(v)
			}
			e, err := keyenc.EncoderOf(v.Type(), nil)
			if err != nil {
				t.Fatalf("EncoderOf: %v", err)
			}
			key, err := e.Append(nil, c)
			if err != nil || string(key) != static {
				t.Fatalf("repetition %d: %s, %v; before: %s", i, key, err, static)
			}
			if i%10 == 0 {
				if again, err := Repr(c.Interface()); err != nil || again != dynamic {
					t.Fatalf("repetition %d: %s, %v; before: %s", i, again, err, dynamic)
				}
			}
		}
	})
}

// sampleKeys returns the keys of values that are the same in each process, and the names of some functions.
func sampleKeys(t testing.TB) []byte {
	var b bytes.Buffer
	generator := rapid.Custom(func(t *rapid.T) reflect.Value {
		s := rapidSource{t}
		return randomValue(s, randomType(s, 2), 4)
	})
	for seed := range 500 {
		static, dynamic := render(t, generator.Example(seed))
		b.WriteString(static + "\n" + dynamic + "\n")
	}
	for _, fn := range []any{FuncName, (*keyedByPointer).CacheKey, Keyer.CacheKey, ptr[int], func() {}} {
		name, err := FuncName(fn)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(name + "\n")
	}
	return b.Bytes()
}

func TestLaw3_SameKeyInAnotherProcess(t *testing.T) {
	if workers.Job(nil) {
		workers.Reply(sampleKeys(t))
		return
	}
	want := strings.Split(string(sampleKeys(t)), "\n")
	for range 2 {
		keys, err := workers.Receive[[]byte](workers.Start(t, workers.Pattern(t.Name()), nil))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Split(string(keys), "\n")
		if len(got) != len(want) {
			t.Fatalf("%d keys in the other process, %d here", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("key %d: %s in the other process, %s here", i, got[i], want[i])
			}
		}
	}
}
