package decorators_test

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// A shape is a function of some signature with calls that a handle must serve like the
// function itself.
type shape struct {
	name string
	fn   any   // counts its runs in *runs
	runs *int  // how often fn ran
	args []any // of one call
	want []any // its results, a nil trailing error included
	key  string
}

func shapes() []shape {
	var list []shape
	add := func(name string, fn func(runs *int) any, args, want []any, key string) {
		runs := new(int)
		list = append(list, shape{name, fn(runs), runs, args, want, key})
	}
	ctx := context.Background()
	add("no parameters", func(runs *int) any {
		return func() int { *runs++; return 7 }
	}, nil, []any{7}, "")
	add("many parameters", func(runs *int) any {
		return func(a int, b string, c bool, d float64, e []byte, f []int, g map[string]int, h *int, i uint8) string {
			*runs++
			return fmt.Sprint(a, b, c, d, e, f, g, h == nil, i)
		}
	}, []any{1, "two", true, 4.5, []byte("5"), []int{6}, map[string]int{"seven": 7}, nil, uint8(9)},
		[]any{"1twotrue 4.5 [53] [6] map[seven:7] true 9"},
		"(1,'two',True,4.5,b'5',[6],{'seven':7},None,9)")
	add("variadic", func(runs *int) any {
		return func(first string, rest ...int) string { *runs++; return fmt.Sprint(first, rest) }
	}, []any{"a", 1, 2, 3}, []any{"a[1 2 3]"}, "('a',1,2,3)")
	add("variadic with none", func(runs *int) any {
		return func(rest ...int) int { *runs++; return len(rest) + 1 }
	}, nil, []any{1}, "")
	add("several results and an error", func(runs *int) any {
		return func(ctx context.Context, id int64) (string, []string, error) {
			*runs++
			return "a", []string{"b", "c"}, nil
		}
	}, []any{ctx, int64(3)}, []any{"a", []string{"b", "c"}, nil}, "(3,)")
	add("several results without an error", func(runs *int) any {
		return func() (int, string, map[string]bool) { *runs++; return 1, "x", map[string]bool{"y": true} }
	}, nil, []any{1, "x", map[string]bool{"y": true}}, "")
	add("context not first", func(runs *int) any {
		return func(n int, ctx context.Context) (int, error) {
			*runs++
			return n + 1, ctx.Err()
		}
	}, []any{1, ctx}, []any{2, nil}, "(1,)")
	add("interface parameter and result", func(runs *int) any {
		return func(v any) any { *runs++; return v }
	}, []any{int64(5)}, []any{int64(5)}, "(int64(5),)")
	add("kwargs", func(runs *int) any {
		return func(n int, kw cachekey.Kwargs) string { *runs++; return fmt.Sprint(n, kw["foo"]) }
	}, []any{2, cachekey.Kwargs{"foo": "hello"}}, []any{"2hello"}, "(2,){'foo':'hello'}")
	return list
}

func TestShapes(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		for _, s := range shapes() {
			t.Run(s.name, func(t *testing.T) { testShape(t, s) })
		}
	})
}

func testShape(t *testing.T, s shape) {
	F, h := decorators.Cached(s.fn, decorators.Key("shape"+reflect.TypeOf(s.fn).String()))
	defer h.Invalidate(s.args...)
	if got, want := reflect.TypeOf(F), reflect.TypeOf(s.fn); got != want {
		t.Fatalf("got a %v, want a %v", got, want)
	}
	wantRuns := func(after string, want int) {
		t.Helper()
		if *s.runs != want {
			t.Fatalf("after %s: %d runs, want %d", after, *s.runs, want)
		}
	}
	check := func(what string, fn any) {
		t.Helper()
		if diff := cmp.Diff(s.want, callAny(fn, s.args)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
	}
	if got, want := key(t, h, s.args...), "[cached]"+h.Name()+"("+s.key+")"; got != want {
		t.Errorf("key is %s, want %s", got, want)
	}
	if err := requireError(h.RequireCache, s.args); !errors.Is(err, cacheutils.ErrNoCachedValue) {
		t.Errorf("RequireCache before the first call: %v, want ErrNoCachedValue", err)
	}
	wantRuns("RequireCache", 0)
	check("first call", F)
	check("second call", F)
	wantRuns("two calls", 1)
	check("RequireCache", h.RequireCache)
	if err := h.Invalidate(s.args...); err != nil {
		t.Fatal(err)
	}
	check("call after Invalidate", F)
	wantRuns("Invalidate", 2)
	check("ForceRecalc", h.ForceRecalc)
	wantRuns("ForceRecalc", 3)
	check("call after ForceRecalc", F)
	wantRuns("a call after ForceRecalc", 3)
	check("Original", h.Original)
	wantRuns("Original", 4)
	if err := h.Invalidate(s.args...); err != nil {
		t.Fatal(err)
	}
	values := s.want
	if n := len(values); n > 0 && values[n-1] == nil {
		values = values[:n-1]
	}
	if err := h.Set(s.args, values...); err != nil {
		t.Fatal(err)
	}
	check("call after Set", F)
	wantRuns("Set", 4)
}

type shop struct{ name string }

func (s shop) Offers(n int) string { return fmt.Sprint(s.name, n) }
func (s *shop) Stock(n int) string { return fmt.Sprint(s.name, n) }
func loadShop(n int) string        { return fmt.Sprint(n) }
func pair[T any](v T) string       { return fmt.Sprintf("%T", v) }
func (b *box[T]) Get(n int) (v T)  { return b.v }
func (c circle) Area(n int) string { return "circle" }
func (s square) Area(n int) string { return "square" }
func adder(n int) func(int) int    { return func(m int) int { return n + m } }
func nothing()                     {}
func takesChan(c chan int) int     { return 0 }
func returnsFunc() func()          { return nil }

type (
	box[T any] struct{ v T }
	circle     struct{}
	square     struct{}
	figure     interface{ Area(int) string }
)

// The line of a function is in its name, so that an edit above drops its entries; Key is the way
// around that.
func TestNames(t *testing.T) {
	cachetest.Locmem(t)
	const pkg = "[cached]github.com/cacheutils/cacheutils/decorators_test."
	_, plain := decorators.Cached(loadShop)
	_, value := decorators.Cached(shop.Offers)
	_, pointer := decorators.Cached((*shop).Stock)
	_, viaPointer := decorators.Cached((*shop).Offers)
	_, methodValue := decorators.Cached(shop{"x"}.Offers, decorators.Instance("x"))
	_, ofInt := decorators.Cached(pair[int])
	_, ofString := decorators.Cached(pair[string])
	_, literal := decorators.Cached(func(n int) int { return n })
	for _, c := range []struct{ name, got, head, tail string }{
		{"function", key(t, plain, 1), pkg + "loadShop:", "((1,))"},
		{"value receiver", key(t, value, shop{}, 1), pkg + "shop.Offers:", "((1,))"},
		{"pointer receiver", key(t, pointer, &shop{}, 1), pkg + "shop.Stock:", "((1,))"},
		{"value receiver through a pointer", key(t, viaPointer, &shop{}, 1), pkg + "shop.Offers:", "((1,))"},
		{"method value", key(t, methodValue, 1), pkg + "shop.Offers['x']", "((1,))"},
		{"generic of int", key(t, ofInt, 1), pkg + "pair[func(int)string]:", "((1,))"},
		{"generic of string", key(t, ofString, "1"), pkg + "pair[func(string)string]:", "(('1',))"},
		{"literal", key(t, literal, 1), pkg + "shape_test.go:", "((1,))"},
	} {
		if !strings.HasPrefix(c.got, c.head) || !strings.HasSuffix(c.got, c.tail) {
			t.Errorf("%s: key is %s, want %s...%s", c.name, c.got, c.head, c.tail)
		}
	}
	if a, b := key(t, value, shop{}, 1), key(t, viaPointer, &shop{}, 1); a != b {
		t.Errorf("(*shop).Offers has the key %s, shop.Offers %s", b, a)
	}
}

func TestReceivers(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		t.Run("ignored by default", func(t *testing.T) {
			Offers, _ := decorators.Cached(shop.Offers, decorators.Key("offers"))
			if a, b := Offers(shop{"ann"}, 1), Offers(shop{"bob"}, 1); a != "ann1" || b != "ann1" {
				t.Errorf("got %s, %s, want the first receiver's twice", a, b)
			}
		})
		t.Run("WithReceiver", func(t *testing.T) {
			Offers, h := decorators.Cached(shop.Offers, decorators.Key("offers2"), decorators.WithReceiver())
			if a, b := Offers(shop{"ann"}, 1), Offers(shop{"bob"}, 1); a != "ann1" || b != "bob1" {
				t.Errorf("got %s, %s", a, b)
			}
			if got, want := key(t, h, shop{"ann"}, 1), "[cached]offers2((shop{name='ann'},1))"; got != want {
				t.Errorf("key is %s, want %s", got, want)
			}
		})
		t.Run("ObjectAttrs", func(t *testing.T) {
			type user struct {
				ID    int
				cache map[string]int
			}
			Name, h := decorators.Cached(func(u *user, others []user) string { return fmt.Sprint(u.ID, len(others)) },
				decorators.Key("user"), decorators.ObjectAttrs(user{}, "ID"))
			Name(&user{ID: 1, cache: map[string]int{"a": 1}}, nil)
			Name(&user{ID: 1, cache: map[string]int{"b": 1}}, nil)
			if n := h.Stats().Computations; n != 1 {
				t.Errorf("%d computations, want 1", n)
			}
			if got, want := key(t, h, &user{ID: 1}, []user{{ID: 2}}), "[cached]user((user{ID=1},[user{ID=2}]))"; got != want {
				t.Errorf("key is %s, want %s", got, want)
			}
		})
		t.Run("dynamic type through an interface", func(t *testing.T) {
			Area, h := decorators.Cached(figure.Area, decorators.Key("area"))
			if a, b := Area(circle{}, 1), Area(square{}, 1); a != "circle" || b != "square" {
				t.Errorf("got %s, %s", a, b)
			}
			if err := h.Invalidate(circle{}, 1); err != nil {
				t.Error(err)
			}
			Area(circle{}, 1)
			Area(square{}, 1)
			if n := h.Stats().Computations; n != 3 {
				t.Errorf("%d computations, want 3: an invalidation for one type is for that type alone", n)
			}
		})
		t.Run("closures with names of their own", func(t *testing.T) {
			One, _ := decorators.Cached(adder(1), decorators.Key("add 1"))
			Two, _ := decorators.Cached(adder(2), decorators.Key("add 2"))
			if a, b := One(10), Two(10); a != 11 || b != 12 {
				t.Errorf("got %d, %d", a, b)
			}
		})
		t.Run("generic receivers", func(t *testing.T) {
			Int, _ := decorators.Cached((*box[int]).Get)
			String, _ := decorators.Cached((*box[string]).Get)
			if a, b := Int(&box[int]{1}, 0), String(&box[string]{"x"}, 0); a != 1 || b != "x" {
				t.Errorf("got %v, %v", a, b)
			}
		})
	})
}

// What can't be decorated is refused when it is decorated, with what to change.
func TestRefusals(t *testing.T) {
	var nilFunc func() int
	decorated, _ := decorators.Cached(loadShop, decorators.Key("decorated"))
	type opaque struct{ c chan int }
	for name, c := range map[string]struct {
		want string
		do   func()
	}{
		"nil":                     {"takes a function", func() { decorators.Cached[any](nil) }},
		"nil func":                {"takes a function", func() { decorators.Cached(nilFunc) }},
		"not a func":              {"got a value of type int", func() { decorators.Cached(3) }},
		"no results":              {"returns nothing", func() { decorators.Cached(nothing) }},
		"decorated function":      {"give it one with Key", func() { decorators.Cached(decorated) }},
		"chan parameter":          {"KeyOf", func() { decorators.Cached(takesChan) }},
		"chan among others":       {"Ignore[chan int]", func() { decorators.Cached(func(int, chan int) int { return 0 }) }},
		"func result":             {"can't be cached", func() { decorators.Cached(returnsFunc) }},
		"chan field":              {"opaque", func() { decorators.Cached(func(o opaque) int { return 0 }) }},
		"empty key":               {"empty name", func() { decorators.Cached(loadShop, decorators.Key("")) }},
		"empty backend":           {"empty name", func() { decorators.Cached(loadShop, decorators.Backend("")) }},
		"jitter":                  {"Jitter(2)", func() { decorators.Cached(loadShop, decorators.Jitter(2)) }},
		"receiver of no method":   {"WithReceiver", func() { decorators.Cached(loadShop, decorators.WithReceiver()) }},
		"ignored type not there":  {"Ignore[bool]", func() { decorators.Cached(loadShop, decorators.Ignore[bool]()) }},
		"attrs of no struct":      {"ObjectAttrs", func() { decorators.Cached(loadShop, decorators.ObjectAttrs(3, "x")) }},
		"attrs without fields":    {"ObjectAttrs names no field of decorators_test.shop", func() { decorators.Cached(loadShop, decorators.ObjectAttrs(shop{})) }},
		"attrs without the field": {"no field Nope", func() { decorators.Cached(loadShop, decorators.ObjectAttrs(shop{}, "Nope")) }},
		"KeyOf":                   {"KeyOf takes a func(int)", func() { decorators.Cached(loadShop, decorators.KeyOf(func(string) int { return 1 })) }},
		"Unless":                  {"Unless takes a func(string) bool", func() { decorators.Cached(loadShop, decorators.Unless(func(int) bool { return true })) }},
		"TimeoutOf":               {"TimeoutOf takes a func(string) time.Duration", func() { decorators.Cached(loadShop, decorators.TimeoutOf(3)) }},
	} {
		t.Run(name, func(t *testing.T) { mustPanic(t, c.want, c.do) })
	}
}

func TestArguments(t *testing.T) {
	cachetest.Locmem(t)
	type id string
	_, h := decorators.Cached(func(ctx context.Context, a int8, p *int, v ...id) (string, error) { return "", nil }, decorators.Key("args"))
	ctx := context.Background()
	for _, c := range []struct {
		name string
		args []any
		want string // "" when they fit
	}{
		{"constants", []any{ctx, 1, nil, "x", "y"}, ""},
		{"no variadic", []any{ctx, int8(1), new(int)}, ""},
		{"variadic as a slice", []any{ctx, int8(1), nil, []id{"x"}}, ""},
		{"nil context", []any{nil, 1, nil}, ""},
		{"too few", []any{ctx, 1}, "takes (context.Context, int8, *int, ...decorators_test.id), got (context.Context, int)"},
		{"wrong type", []any{ctx, "1", nil}, "argument 2 of args has type int8, got string"},
		{"constant too large", []any{ctx, 300, nil}, "argument 2 of args has type int8, got 300, which is out of its range; the function takes"},
		{"constant too small", []any{ctx, -129, nil}, "got -129, which is out of its range"},
		{"nil for a number", []any{ctx, nil, nil}, "argument 2"},
		{"other integer type", []any{ctx, int64(1), nil}, "argument 2"},
		{"wrong variadic", []any{ctx, 1, nil, 5}, "argument 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, keyErr := h.CacheKey(c.args...)
			for what, err := range map[string]error{
				"Invalidate": h.Invalidate(c.args...), "CacheKey": keyErr, "Set": h.Set(c.args, "r"),
			} {
				switch {
				case c.want == "" && err != nil:
					t.Errorf("%s: %v", what, err)
				case c.want != "" && (!errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), c.want)):
					t.Errorf("%s: got %v, want ErrArguments with %q", what, err, c.want)
				}
			}
		})
	}
	for _, results := range [][]any{{}, {"a", "b"}, {5}, {nil}} {
		if err := h.Set([]any{ctx, 1, nil}, results...); !errors.Is(err, cacheutils.ErrArguments) {
			t.Errorf("Set with results %v: got %v, want ErrArguments", results, err)
		}
	}
}

type city struct {
	ID   int64
	Name string
}
