package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

var (
	setRuns                 atomic.Int64
	onSets                  = decorators.Key("sets.load")
	loadOfSets, handleOfSet = decorators.Cached1(func(_ context.Context, owner string) (string, error) {
		return fmt.Sprint(owner, setRuns.Add(1)), nil
	}, onSets, decorators.Group("sets"))
)

// Tests that run at the same time, each with a set of its own, don't see each other's values, of package-level
// functions and of package cache.
func TestWith_ParallelTests(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			ctx := backends.With(context.Background(), newSet(t, nil))
			seen := map[string]bool{}
			for range 50 {
				first, err := loadOfSets(ctx, "x")
				if err != nil || seen[first] {
					t.Errorf("got %s, %v, want one that is new: it was invalidated", first, err)
				}
				seen[first] = true
				for range 5 {
					if again, err := loadOfSets(ctx, "x"); again != first || err != nil {
						t.Errorf("got %s, %v, want %s", again, err, first)
					}
				}
				if _, err := cache.Get[int](ctx, "k"); !errors.Is(err, cacheutils.ErrCacheMiss) {
					t.Errorf("cache.Get of nothing: got %v, want ErrCacheMiss", err)
				}
				if err := cache.Set(ctx, "k", i); err != nil {
					t.Error(err)
				}
				if n, err := cache.Get[int](ctx, "k"); n != i || err != nil {
					t.Errorf("cache.Get: got %d, %v, want %d", n, err, i)
				}
				if _, err := cache.Delete(ctx, "k"); err != nil {
					t.Error(err)
				}
				if err := handleOfSet.Invalidate(ctx, "x"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// every calls each kind of decorated function and each method of a handle that takes a context.
func every(t *testing.T, opts ...decorators.Option) func(ctx context.Context) map[string]int64 {
	t.Helper()
	var runs atomic.Int64
	one := func(context.Context, int) (int64, error) { return runs.Add(1), nil }
	with := func(name string, more ...decorators.Option) []decorators.Option {
		return append(append([]decorators.Option{decorators.Key(t.Name() + name)}, opts...), more...)
	}
	reflected, h := decorators.Cached(one, with("reflected")...)
	grouped, _ := decorators.Cached(one, with("grouped", decorators.Group("every"))...)
	zero, _ := decorators.Cached0(func(context.Context) (int64, error) { return runs.Add(1), nil }, with("zero")...)
	typed, h1 := decorators.Cached1(one, with("typed")...)
	two, _ := decorators.Cached2(func(context.Context, int, int) (int64, error) { return runs.Add(1), nil }, with("two")...)
	three, _ := decorators.Cached3(func(context.Context, int, int, int) (int64, error) { return runs.Add(1), nil }, with("three")...)
	many, hm := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int64, error) {
		found := map[int]int64{}
		for _, key := range keys {
			found[key] = runs.Add(1)
		}
		return found, nil
	}, with("many")...)
	return func(ctx context.Context) map[string]int64 {
		t.Helper()
		got := map[string]int64{}
		note := func(what string, n int64, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			got[what] = n
		}
		n, err := reflected(ctx, 1)
		note("Cached", n, err)
		n, err = h.RequireCache(ctx, 1)
		note("RequireCache", n, err)
		n, err = grouped(ctx, 1)
		note("Group", n, err)
		n, err = zero(ctx)
		note("Cached0", n, err)
		n, err = typed(ctx, 1)
		note("Cached1", n, err)
		n, err = h1.RequireCache(ctx, 1)
		note("RequireCache of Cached1", n, err)
		n, err = two(ctx, 1, 2)
		note("Cached2", n, err)
		n, err = three(ctx, 1, 2, 3)
		note("Cached3", n, err)
		found, err := many(ctx, []int{1, 2})
		note("CachedMany", found[2], err)
		found, err = hm.RequireCache(ctx, []int{1, 2})
		note("RequireCache of CachedMany", found[2], err)
		n, err = cache.GetOrSet(ctx, t.Name(), func(context.Context) (int64, error) { return runs.Add(1), nil })
		note("cache.GetOrSet", n, err)
		return got
	}
}

// All kinds of functions and their handles use the set of the context before all others. Without one they use
// that of On, or the program's.
func TestWith_AllKinds(t *testing.T) {
	cachetest.Locmem(t)
	for name, opts := range map[string][]decorators.Option{
		"the program's set": nil,
		"On":                {decorators.On(newSet(t, nil))},
	} {
		t.Run(name, func(t *testing.T) {
			call := every(t, opts...)
			bg := context.Background()
			plain := call(bg)
			var contexts []context.Context
			var firsts []map[string]int64
			for range 12 {
				ctx := backends.With(bg, newSet(t, nil))
				contexts, firsts = append(contexts, ctx), append(firsts, call(ctx))
			}
			for i, ctx := range contexts {
				if again := call(ctx); fmt.Sprint(again) != fmt.Sprint(firsts[i]) {
					t.Errorf("set %d: got %v, want what it had: %v", i, again, firsts[i])
				}
				for what, n := range firsts[i] {
					if n == plain[what] {
						t.Errorf("set %d: %s has the value of another set", i, what)
					}
				}
			}
			if again := call(bg); fmt.Sprint(again) != fmt.Sprint(plain) {
				t.Errorf("without With: got %v, want %v", again, plain)
			}
			inner := backends.With(contexts[0], newSet(t, nil))
			if call(inner)["Cached1"] == firsts[0]["Cached1"] {
				t.Error("With in With: the outer set is used")
			}
			if again := call(backends.With(contexts[0], backends.Default())); opts == nil && fmt.Sprint(again) != fmt.Sprint(plain) {
				t.Errorf("With the program's set in another: got %v, want %v", again, plain)
			}
		})
	}
}

// Explicit operations are for the context's set alone.
func TestWith_Handles(t *testing.T) {
	cachetest.Locmem(t)
	a, b := newSet(t, nil), newSet(t, nil)
	bg := context.Background()
	inA, inB := backends.With(bg, a), backends.With(bg, b)
	var runs atomic.Int64
	F, f := decorators.Cached1(func(context.Context, int) (int64, error) { return runs.Add(1), nil },
		decorators.Key("sets.handles"), decorators.Group("handles"))
	get := func(ctx context.Context) int64 {
		t.Helper()
		n, err := F(ctx, 1)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	for name, change := range map[string]func() error{
		"Invalidate":      func() error { return f.Invalidate(inA, 1) },
		"ForceRecalc":     func() error { _, err := f.ForceRecalc(inA, 1); return err },
		"Set":             func() error { return f.Set(inA, 1, -runs.Add(1)) },
		"InvalidateGroup": func() error { return cache.InvalidateGroup(inA, "handles") },
		"cache.On":        func() error { return cache.InvalidateGroup(bg, "handles", cache.On(a)) },
		"With before On":  func() error { return cache.InvalidateGroup(inA, "handles", cache.On(b)) },
	} {
		beforeA, beforeB, before := get(inA), get(inB), get(bg)
		if err := change(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if get(inA) == beforeA {
			t.Errorf("%s does nothing in its set", name)
		}
		if get(inB) != beforeB || get(bg) != before {
			t.Errorf("%s changes another set", name)
		}
	}
}

// What a computation calls uses the set that the call uses which computes, whatever context it is given, also in the
// background and in a function without a context.
func TestWith_Nested(t *testing.T) {
	cachetest.Locmem(t)
	tenants := newSet(t, nil)
	key := func(name string) decorators.Option { return decorators.Key("sets.nested." + name) }
	var runs atomic.Int64
	leaf, _ := decorators.Cached(func(int) int64 { return runs.Add(1) }, key("leaf"))
	middle, _ := decorators.Cached(func(n int) int64 { return leaf(n) }, key("middle"))
	passes, _ := decorators.Cached1(func(ctx context.Context, n int) (int64, error) { return middle(n), nil }, key("passes"))
	forgets, _ := decorators.Cached1(func(_ context.Context, n int) (int64, error) { return passes(context.Background(), n) }, key("forgets"))
	reflected, _ := decorators.Cached(func(_ context.Context, n int) (int64, error) { return passes(context.Background(), n) }, key("reflected"))
	many, _ := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int64, error) {
		found := map[int]int64{}
		for _, n := range keys {
			found[n] = middle(n)
		}
		return found, nil
	}, key("many"))
	bg := context.Background()
	for i, call := range []func(context.Context, int) (int64, error){
		passes, forgets, reflected,
		func(ctx context.Context, n int) (int64, error) {
			found, err := many(ctx, []int{n})
			return found[n], err
		},
		func(ctx context.Context, n int) (int64, error) {
			return cache.GetOrSet(ctx, n, func(context.Context) (int64, error) { return middle(n), nil })
		},
	} {
		for _, cancellable := range []bool{false, true} {
			n := 2 * i
			ctx := backends.With(bg, tenants)
			if cancellable {
				n++
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				defer cancel()
			}
			plain := leaf(n)
			got, err := call(ctx, n)
			if err != nil || got == plain {
				t.Errorf("call %d: got %d, %v, want another value than that of the program's set", i, got, err)
			}
			if after := leaf(n); after != plain {
				t.Errorf("call %d: the program's set has changed", i)
			}
			same, err := passes(ctx, n)
			if same != got || err != nil {
				t.Errorf("call %d: got %d, %v, want %d: what is nested was stored in the set", i, same, err, got)
			}
		}
	}
}

// A refresh in the background uses the set of the caller that started it, nested calls too.
func TestWith_Refresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caches, err := backends.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer caches.Close()
		var runs, leaves atomic.Int64
		leaf, _ := decorators.Cached(func() int64 { return leaves.Add(1) }, decorators.Key("sets.refresh.leaf"), decorators.On(caches))
		other, err := backends.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		F, _ := decorators.Cached0(func(context.Context) (int64, error) { leaf(); return runs.Add(1), nil },
			decorators.Key("sets.refresh"), decorators.On(caches), decorators.Timeout(time.Second), decorators.Stale(time.Hour))
		ctx := backends.With(context.Background(), other)
		leaf() // in its own set
		F(ctx)
		time.Sleep(2 * time.Second)
		if n, err := F(ctx); n != 1 || err != nil {
			t.Errorf("got %d, %v, want the stale 1", n, err)
		}
		synctest.Wait()
		if n, err := F(ctx); n != 2 || err != nil {
			t.Errorf("after the refresh: got %d, %v, want 2", n, err)
		}
		if n := leaves.Load(); n != 2 {
			t.Errorf("the nested function ran %d times, want once in each set", n)
		}
		if n, err := F(context.Background()); n != 3 || err != nil {
			t.Errorf("in its own set: got %d, %v, want 3", n, err)
		}
	})
}

// What a refresh calls without a context uses that set, too.
func TestWith_RefreshOfCallsWithoutContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own, err := backends.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		tenants, err := backends.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tenants.Close()
		on, name := decorators.On(own), decorators.Key("sets.refresh.plain")
		leaf, handle := decorators.Cached(func(n int) int { return n }, name, on)
		one, _ := decorators.Cached1(func(_ context.Context, n int) (int, error) { return leaf(n), nil },
			decorators.Key("sets.refresh.one"), on, decorators.Timeout(time.Second), decorators.Stale(time.Hour))
		many, _ := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) {
			found := make(map[int]int)
			for _, n := range keys {
				found[n] = leaf(n)
			}
			return found, nil
		}, decorators.Key("sets.refresh.many"), on, decorators.Timeout(time.Second), decorators.Stale(time.Hour))
		for _, parent := range []context.Context{t.Context(), context.Background()} {
			ctx := backends.With(parent, tenants)
			call := func() {
				got[int](t, "Cached1", 1)(one(ctx, 1))
				got[map[int]int](t, "CachedMany", map[int]int{2: 2, 3: 3})(many(ctx, []int{2, 3}))
				synctest.Wait()
			}
			call()
			time.Sleep(2 * time.Second)
			c, err := tenants.Get("default")
			if err != nil {
				t.Fatal(err)
			}
			mine, err := own.Get("default")
			if err != nil {
				t.Fatal(err)
			}
			for n := 1; n <= 3; n++ {
				if had, err := c.Delete(ctx, key(t, handle, n)); !had || err != nil {
					t.Errorf("the first call for %d was not stored in the set of the context: %v", n, err)
				}
			}
			call() // and refreshes
			for n := 1; n <= 3; n++ {
				in, err := c.Has(ctx, key(t, handle, n))
				out, err2 := mine.Has(ctx, key(t, handle, n))
				if !in || out || err != nil || err2 != nil {
					t.Errorf("leaf(%d) in a refresh: in the set of the context: %v, in its own: %v; %v, %v", n, in, out, err, err2)
				}
			}
			time.Sleep(2 * time.Hour)
		}
	})
}

// Tenants by With, many at once, with a function whose hits are found in its table otherwise.
func TestWith_Tenants(t *testing.T) {
	cachetest.Locmem(t)
	var runs atomic.Int64
	F, _ := decorators.Cached1(func(context.Context, int) (int64, error) { return runs.Add(1), nil }, decorators.Key("sets.tenants"))
	var all sync.WaitGroup
	for range 20 {
		caches := newSet(t, nil)
		all.Go(func() {
			ctx := backends.With(context.Background(), caches)
			var first [10]int64
			for round := range 100 {
				for n := range first {
					got, err := F(ctx, n)
					if err != nil || round > 0 && got != first[n] {
						t.Errorf("got %d, %v, want %d", got, err, first[n])
					}
					first[n] = got
					F(context.Background(), n)
				}
			}
		})
	}
	all.Wait()
	if n := runs.Load(); n != 210 {
		t.Errorf("%d computations, want one in each set for each argument: 210", n)
	}
}

// What a function calls that runs without the cache uses the set of its caller's context too, also where it is not
// given the context; and so does what runs for a caller whose context has ended.
func TestWith_NestedInCallsWithoutTheCache(t *testing.T) {
	cachetest.Locmem(t)
	inner, handle := decorators.Cached(func() string { return "value" }, decorators.Key("with.inner"))
	missing := decorators.Backend("missing")
	outer, outerHandle := decorators.Cached(func(_ context.Context, n int) string { return inner() }, decorators.Key("with.outer"), missing)
	typed, typedHandle := decorators.Cached1(func(_ context.Context, n int) (string, error) { return inner(), nil }, decorators.Key("with.typed"), missing)
	many, manyHandle := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]string, error) {
		return map[int]string{1: inner()}, nil
	}, decorators.Key("with.many"), missing)
	there, _ := decorators.Cached(func(context.Context, int) string { return inner() }, decorators.Key("with.there"))
	between, _ := decorators.Cached(func() string { return outer(context.Background(), 1) }, decorators.Key("with.between"))
	outermost, _ := decorators.Cached(func(context.Context) string { return between() }, decorators.Key("with.outermost"))
	for name, call := range map[string]func(context.Context){
		"Cached":                     func(ctx context.Context) { outer(ctx, 1) },
		"Cached1":                    func(ctx context.Context) { typed(ctx, 1) },
		"CachedMany":                 func(ctx context.Context) { many(ctx, []int{1}) },
		"ForceRecalc":                func(ctx context.Context) { outerHandle.ForceRecalc(ctx, 1) },
		"ForceRecalc of Cached1":     func(ctx context.Context) { typedHandle.ForceRecalc(ctx, 1) },
		"ForceRecalc of CachedMany":  func(ctx context.Context) { manyHandle.ForceRecalc(ctx, []int{1}) },
		"within another computation": func(ctx context.Context) { outermost(ctx) },
		"a context that has ended": func(ctx context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			there(ctx, 1)
		},
	} {
		set := newSet(t, nil)
		ctx := backends.With(context.Background(), set)
		call(ctx)
		c, err := set.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		key, err := handle.CacheKey()
		if err != nil {
			t.Fatal(err)
		}
		if stored, err := c.Has(context.Background(), key); !stored || err != nil {
			t.Errorf("%s: the inner result is not in the set of the context: %v, %v", name, stored, err)
		}
		def, err := backends.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		if stored, err := def.Has(context.Background(), key); stored || err != nil {
			t.Errorf("%s: the inner result is in the program's set: %v, %v", name, stored, err)
		}
	}
}
