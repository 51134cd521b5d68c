package decorators

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// echo has arguments of all kinds that the table takes.
func echo(a, b string, c int8, d uint16, e duration, f float32, g float64, h bool) string {
	return fmt.Sprintf("%q %q %d %d %d %v %v %v", a, b, c, d, e, f, g, h)
}

type duration int64

// pick returns arguments for echo: of each there are few, and those that are easily confused.
func pick(intn func(int) int) []reflect.Value {
	texts := []string{"", "a", "b", "ab", "bc", "abc", "\x00", "\x01a", "a\x01", "\xff", "\xfe", "\ufffd", "é"}
	for _, n := range []int{11, 12, 13, 14, 15, 63, 64, 255, 256, 257, 300} {
		texts = append(texts, strings.Repeat("x", n))
	}
	floats := []float64{0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Float64frombits(math.Float64bits(math.NaN()) ^ 2), math.Inf(1)}
	number := func() int { return []int{0, 0, 0, 1, -1, 127, -128}[intn(7)] }
	text := func() string { return texts[intn([]int{6, len(texts)}[intn(2)])] }
	return []reflect.Value{
		reflect.ValueOf(text()), reflect.ValueOf(text()), reflect.ValueOf(int8(number())), reflect.ValueOf(uint16(number())),
		reflect.ValueOf(duration(number())), reflect.ValueOf(float32(floats[intn(7)])), reflect.ValueOf(floats[intn(7)]),
		reflect.ValueOf(intn(2) == 0),
	}
}

// laidOut returns the values as the fields of a struct, and a plan that knows where.
func laidOut(h *hotPlan, values []reflect.Value) (*hotPlan, unsafe.Pointer) {
	var fields []reflect.StructField
	for i, v := range values {
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: v.Type()})
	}
	s := reflect.New(reflect.StructOf(fields)).Elem()
	typed := &hotPlan{arguments: slices.Clone(h.arguments)}
	for i, v := range values {
		s.Field(i).Set(v)
		typed.arguments[i].offset, typed.arguments[i].size = s.Type().Field(i).Offset, v.Type().Size()
	}
	return typed, s.Addr().UnsafePointer()
}

// Arguments with the same bytes have the same key, the same arguments have the same bytes, and
// there is room for all but long texts.
func TestLaw3_Raw(t *testing.T) {
	_, h := Cached(echo, Key("law3.raw"))
	plan := &h.plan.hot
	read := func(values []reflect.Value, typed bool) (r raw, ok bool) {
		if typed {
			plan, pointer := laidOut(plan, values)
			return r, plan.read(&r, nil, pointer)
		}
		ok = plan.read(&r, values, nil)
		return r, ok
	}
	key := func(values []reflect.Value) string {
		text, err := h.plan.appendKey(nil, &arguments{values: values}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	equal := 0
	check := func(t *rapid.T) {
		intn := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
		typed := rapid.Bool().Draw(t, "typed")
		x := pick(intn)
		y := slices.Clone(x)
		for i, v := range pick(intn) {
			if rapid.IntRange(0, 4).Draw(t, "other") == 0 {
				y[i] = v
			}
		}
		if rapid.Bool().Draw(t, "split") { // the same text, parted elsewhere
			text := string(rapid.SliceOfN(rapid.SampledFrom([]byte("\x00\x01\x02\x03a")), 0, 8).Draw(t, "text"))
			for _, args := range [][]reflect.Value{x, y} {
				i := intn(len(text) + 1)
				args[0], args[1] = reflect.ValueOf(text[:i]), reflect.ValueOf(text[i:])
			}
		}
		rx, okx := read(x, typed)
		ry, oky := read(y, typed)
		if again, ok := read(slices.Clone(x), typed); ok != okx || ok && again != rx {
			t.Fatalf("the arguments of %s have other bytes when they come again", key(x))
		}
		if okx && oky && string(rx.text()) == string(ry.text()) {
			equal++
			if key(x) != key(y) {
				t.Fatalf("%s and %s have the same bytes", key(x), key(y))
			}
		}
		if n := 6*8 + 1 + x[0].Len() + 1 + x[1].Len(); okx != (n <= maxRaw) {
			t.Fatalf("room for %d bytes: %v", n, okx)
		}
	}
	for range 30 { // of a hundred each
		rapid.Check(quiet{t}, check)
	}
	if equal == 0 {
		t.Error("no two arguments were the same")
	}
}

// quiet is a test whose log is not needed.
type quiet struct{ *testing.T }

func (quiet) Logf(string, ...any) {}

// Whatever calls were made before, a call gets the result for its own arguments.
func TestLaw3_HotTable(t *testing.T) {
	cachetest.Locmem(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var lists [][]reflect.Value
	for range 2000 {
		lists = append(lists, pick(rng.IntN))
	}
	calls := 50_000
	if testing.Short() {
		calls = 20_000
	}
	t.Run("Cached", func(t *testing.T) {
		F, h := Cached(echo, Key("law3.echo"))
		for range calls {
			x := lists[rng.IntN(len(lists))]
			if got, want := reflect.ValueOf(F).Call(x)[0].String(), reflect.ValueOf(echo).Call(x)[0].String(); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
		if s := h.Stats(); h.plan.hotHits() < hotSlots/2 || s.Hits < uint64(calls/2) {
			t.Errorf("%d in the table, %+v", h.plan.hotHits(), s)
		}
	})
	t.Run("Cached3", func(t *testing.T) {
		fn := func(_ context.Context, a, b string, n int16) (string, error) {
			return fmt.Sprintf("%q %q %d", a, b, n), nil
		}
		F, h := Cached3(fn, Key("law3.typed"))
		for range calls {
			x := lists[rng.IntN(len(lists))]
			a, b, n := x[0].String(), x[1].String(), int16(x[2].Int())
			got, _ := F(context.Background(), a, b, n)
			if want, _ := fn(context.Background(), a, b, n); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
		if h.typed.plan.hotHits() < hotSlots/2 {
			t.Errorf("%d in the table", h.typed.plan.hotHits())
		}
	})
}
