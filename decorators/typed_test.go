package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/logging"
)

// Cached0 to Cached3 do what Cached does: the same function has the same keys, options mean the same, and each
// finds what the other has stored.

type query struct {
	Text  string
	Limit int
	Tags  []string
}

type page struct {
	Lines []string
	Next  *int
}

// pager counts its runs.
type pager struct{ runs int }

func (p *pager) find(_ context.Context, q query, lang string) (page, error) {
	p.runs++
	return page{Lines: []string{q.Text, lang}}, nil
}

func TestTyped_OptionsAsCached(t *testing.T) {
	ctx := context.Background()
	type opts = []decorators.Option
	for _, c := range []struct {
		name string
		opts opts
		runs int // for two calls with equal arguments
	}{
		{"none", nil, 1},
		{"Timeout", opts{decorators.Timeout(time.Hour)}, 1},
		{"Timeout zero", opts{decorators.Timeout(0)}, 2},
		{"TimeoutOf", opts{decorators.TimeoutOf(func(p page) time.Duration { return time.Duration(len(p.Lines)) * time.Hour })}, 1},
		{"TimeoutOf with the error", opts{decorators.TimeoutOf(func(p page, err error) time.Duration { return -1 })}, 2},
		{"Jitter", opts{decorators.Jitter(0.5)}, 1},
		{"KeyOf one value", opts{decorators.KeyOf(func(_ context.Context, q query, _ string) string { return q.Text })}, 1},
		{"KeyOf several", opts{decorators.KeyOf(func(_ context.Context, q query, lang string) (string, int) { return lang, q.Limit })}, 1},
		{"KeyOf a tuple", opts{decorators.KeyOf(func(_ context.Context, q query, lang string) cachekey.Tuple { return cachekey.Tuple{lang, q.Tags} })}, 1},
		{"Ignore", opts{decorators.Ignore[query]()}, 1},
		{"ObjectAttrs", opts{decorators.ObjectAttrs(query{}, "Text")}, 1},
		{"Hashed", opts{decorators.Hashed()}, 1},
		{"Unless true", opts{decorators.Unless(func(p page) bool { return len(p.Lines) == 2 })}, 2},
		{"Unless false", opts{decorators.Unless(func(p page, err error) bool { return err != nil })}, 1},
		{"Shared", opts{decorators.Shared()}, 1},
		{"Stale", opts{decorators.Stale(time.Hour)}, 1},
		{"Group", opts{decorators.Group("pages", "finds")}, 1},
		{"GroupsOf", opts{decorators.Group("pages"), decorators.GroupsOf(func(_ context.Context, q query, lang string) []string { return q.Tags })}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			cachetest.Each(t, func(t *testing.T) {
				p := new(pager)
				all := append(opts{decorators.Key("find")}, c.opts...)
				find := p.find
				Find, h := decorators.Cached(find, all...)
				Find2, h2 := decorators.Cached2(find, all...)
				q := query{"a 'text'", 10, []string{"x", "y"}}

				want := key(t, h, ctx, q, "it")
				if got, err := h2.CacheKey(q, "it"); got != want || err != nil {
					t.Errorf("CacheKey: %s, %v, want %s", got, err, want)
				}
				for name, pair := range map[string][2]func(context.Context, query, string) (page, error){
					"Cached first": {Find, Find2}, "Cached2 first": {Find2, Find},
				} {
					p.runs = 0
					first, err1 := pair[0](ctx, q, "it")
					second, err2 := pair[1](ctx, q, "it")
					if diff := cmp.Diff(first, second); diff != "" || err1 != nil || err2 != nil {
						t.Errorf("%s: %v, %v, %s", name, err1, err2, diff)
					}
					if p.runs != c.runs {
						t.Errorf("%s: %d runs, want %d", name, p.runs, c.runs)
					}
					if err := h2.Invalidate(ctx, q, "it"); err != nil {
						t.Error(err)
					}
					if _, err := h.RequireCache(ctx, q, "it"); !errors.Is(err, cacheutils.ErrNoCachedValue) {
						t.Errorf("%s: after Invalidate: %v", name, err)
					}
				}
			})
		})
	}
}

func TestTyped_Shapes(t *testing.T) {
	type id int64
	ctx := context.Background()
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	n := 7
	cachetest.Each(t, func(t *testing.T) {
		sameTyped(t, ctx, true)
		sameTyped(t, ctx, int64(42))
		sameTyped(t, ctx, id(42))
		sameTyped(t, ctx, uint8(4))
		sameTyped(t, ctx, 1.5)
		sameTyped(t, ctx, "a text, è")
		sameTyped(t, ctx, strings.Repeat("long ", 100))
		sameTyped(t, ctx, []byte("bytes"))
		sameTyped(t, ctx, now)
		sameTyped(t, ctx, &n)
		sameTyped(t, ctx, (*int)(nil))
		sameTyped(t, ctx, []int{1, 2})
		sameTyped(t, ctx, map[string]int{"b": 2, "a": 1})
		sameTyped(t, ctx, [2]string{"a", "b"})
		sameTyped(t, ctx, query{"text", 1, nil})
		sameTyped(t, ctx, &query{"text", 1, nil})
		sameTyped(t, ctx, struct{}{})
		sameTyped[any](t, ctx, int8(3))
		sameTyped[any](t, ctx, nil)
		sameTyped[fmt.Stringer](t, ctx, now)
		sameTyped(t, ctx, cachekey.Kwargs{"b": 1, "a": "x"})
		sameTyped(t, ctx, cachekey.Kwargs(nil))
		sameTyped(t, ctx, named{"n"})
		sameTyped(t, ctx, context.Background()) // a second context doesn't count either
	})
}

type named struct{ name string }

func (n *named) CacheKey() string { return "I am " + n.name }

// sameTyped compares keys and shares entries for one argument, alone and along with others.
func sameTyped[A any](t *testing.T, ctx context.Context, arg A) {
	t.Helper()
	runs := 0
	one := func(context.Context, A) (int, error) { runs++; return runs, nil }
	three := func(context.Context, int32, string, A) (*int, error) { runs++; return &runs, nil }
	name := fmt.Sprintf("%T", *new(A))
	F, h := decorators.Cached(one, decorators.Key("one "+name))
	F1, h1 := decorators.Cached1(one, decorators.Key("one "+name))
	G, g := decorators.Cached(three, decorators.Key("three "+name))
	G3, g3 := decorators.Cached3(three, decorators.Key("three "+name))
	if got, err := h1.CacheKey(arg); got != key(t, h, ctx, arg) || err != nil {
		t.Errorf("%T: Cached1 has the key %s, %v, Cached %s", arg, got, err, key(t, h, ctx, arg))
	}
	if got, err := g3.CacheKey(1, "a b", arg); got != key(t, g, ctx, int32(1), "a b", arg) || err != nil {
		t.Errorf("%T: Cached3 has the key %s, %v, Cached %s", arg, got, err, key(t, g, ctx, int32(1), "a b", arg))
	}
	if err := errors.Join(h1.Invalidate(ctx, arg), g3.Invalidate(ctx, 1, "a b", arg)); err != nil {
		t.Error(err)
	}
	for range 2 {
		F1(ctx, arg)
		F(ctx, arg)
		G(ctx, 1, "a b", arg)
		G3(ctx, 1, "a b", arg)
	}
	if runs != 2 {
		t.Errorf("%T: %d runs, want 2", arg, runs)
	}
}

func TestTyped_Handle(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		runs := 0
		fn := func(context.Context) (int, error) { runs++; return runs, nil }
		F, h := decorators.Cached0(fn, decorators.Key("handle"))
		ctx := context.Background()
		if _, err := h.RequireCache(ctx); !errors.Is(err, cacheutils.ErrNoCachedValue) {
			t.Errorf("RequireCache of nothing: %v", err)
		}
		expect := func(want int) func(int, error) {
			t.Helper()
			return func(got int, err error) {
				t.Helper()
				if got != want || err != nil {
					t.Errorf("got %d, %v, want %d", got, err, want)
				}
			}
		}
		expect(1)(F(ctx))
		expect(1)(h.RequireCache(ctx))
		expect(2)(h.ForceRecalc(ctx))
		expect(2)(F(ctx))
		expect(3)(h.Original(ctx))
		if err := h.Set(ctx, 10); err != nil {
			t.Error(err)
		}
		expect(10)(F(ctx))
		expect(10)(F(nil)) // a nil counts as no context
		if err := h.Invalidate(ctx); err != nil {
			t.Error(err)
		}
		expect(4)(F(ctx))
		if k, err := h.CacheKey(); k != "[cached]handle()" || err != nil || h.Name() != "handle" {
			t.Errorf("CacheKey: %s, %v; Name: %s", k, err, h.Name())
		}
		s := h.Stats()
		if s.Computations != 3 || s.Invalidations != 1 || s.Hits != 4 || s.Misses != 3 {
			t.Errorf("Stats: %+v", s)
		}
	})
}

// Group and stale options work through package cache and the time.
func TestTyped_GroupAndStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cachetest.Locmem(t)
		ctx := context.Background()
		runs, fails := 0, false
		F, _ := decorators.Cached1(func(context.Context, string) (int, error) {
			if runs++; fails {
				return 0, errors.New("failed")
			}
			return runs, nil
		}, decorators.Key("g"), decorators.Group("g"), decorators.Timeout(time.Minute), decorators.Stale(time.Hour))
		F(ctx, "a")
		if err := cache.InvalidateGroup(ctx, "g"); err != nil {
			t.Fatal(err)
		}
		if n, _ := F(ctx, "a"); n != 2 {
			t.Errorf("after InvalidateGroup: %d, want 2", n)
		}
		time.Sleep(2 * time.Minute)
		fails = true
		n, err := F(ctx, "a")
		if synctest.Wait(); n != 2 || err != nil || runs != 3 {
			t.Errorf("past its timeout, as the function fails: %d, %v after %d runs, want the stale 2 after 3", n, err, runs)
		}
		time.Sleep(time.Hour)
		if _, err := F(ctx, "a"); err == nil {
			t.Error("past the time for stale results it got no error")
		}
	})
}

func TestTyped_Registration(t *testing.T) {
	var sink recorder
	logging.SetSink(&sink)
	defer logging.SetSink(nil)
	fn := func(context.Context, int) (int, error) { return 1, nil }
	decorators.Cached(fn)
	decorators.Cached1(fn)
	decorators.Cached1(fn)
	if n := len(sink.events()); n != 0 {
		t.Errorf("decorating one function both ways logged %d events", n)
	}
	_, h := decorators.Cached2(loadPlace)
	_, same := decorators.Cached(loadPlace)
	if h.Name() != same.Name() || !strings.Contains(h.Name(), "loadPlace:") {
		t.Errorf("names %s and %s", h.Name(), same.Name())
	}
}

func TestTyped_Refusals(t *testing.T) {
	for want, decorate := range map[string]func(){
		"takes a function, got a nil func(context.Context) (int": func() { decorators.Cached0[int](nil) },
		"typed_test.go:": func() { decorators.Cached1[int, int](nil) },
		"parameter 2": func() {
			decorators.Cached1(func(context.Context, chan int) (int, error) { return 0, nil }, decorators.Key("c"))
		},
		"can't be cached": func() {
			decorators.Cached0(func(context.Context) (chan int, error) { return nil, nil }, decorators.Key("r"))
		},
		"KeyOf takes a func(context.Con": func() { decorators.Cached2(loadPlace, decorators.KeyOf(func(int64) int { return 1 })) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
					t.Errorf("panic %q, want %q in it", got, want)
				}
			}()
			decorate()
		}()
	}
}
