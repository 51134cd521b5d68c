package decorators

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// A hit in groups ends in the hot table with each of them, and with itself.
func TestLaw2_HotTableOfGroups(t *testing.T) {
	ctx := context.Background()
	cache := func() *backends.Cache {
		c, _ := backends.Get("default")
		return c
	}
	ends := map[string]func(f versioned) error{
		"one group":     func(versioned) error { return cache().InvalidateGroup(ctx, "a") },
		"another group": func(versioned) error { return cache().InvalidateGroup(ctx, "b") },
		"both":          func(versioned) error { return cache().InvalidateGroup(ctx, "a", "b") },
		"Invalidate":    func(f versioned) error { return f.invalidate(ctx, 1, "it") },
		"ForceRecalc":   func(f versioned) error { _, err := f.force(ctx, 1, "it"); return err },
		"Clear":         func(versioned) error { return cache().Clear(ctx) },
		"many entries": func(versioned) error { // which evict the groups' keys, or the entry
			for i := range 5000 {
				if err := cache().Set(ctx, "other", i); err != nil {
					return err
				}
			}
			return cache().InvalidateGroup(ctx, "b")
		},
	}
	for end, do := range ends {
		version := int64(0)
		fn := func(context.Context, int, string) (int64, error) { return version, nil }
		for kind, f := range eachKind(fn, Group("b", "a"), Stale(time.Hour)) {
			t.Run(end+"/"+kind, func(t *testing.T) {
				cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}}})
				for round := range 3 {
					version++
					if err := cache().InvalidateGroup(ctx, "a"); err != nil {
						t.Fatal(err)
					}
					for range 5 {
						if v, err := f.call(ctx, 1, "it"); v != version || err != nil {
							t.Fatalf("got %d, %v, want %d", v, err, version)
						}
					}
					if n := f.plan.hotHits(); n != 1 {
						t.Fatalf("the table has %d hits", n)
					}
					version++
					if err := do(f); err != nil {
						t.Fatal(err)
					}
					for range 5 {
						if v, err := f.call(ctx, 1, "it"); v != version || err != nil {
							t.Fatalf("round %d: got %d, %v, want %d", round, v, err, version)
						}
					}
				}
			})
		}
	}
}

// What is past its timeout is stale in the hot table too: it is refreshed.
func TestHotTable_Stale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cachetest.Locmem(t)
		runs := 0
		fn := func(context.Context, int, string) (int64, error) { runs++; return int64(runs), nil }
		F, h := Cached2(fn, Key("hot.stale"), Timeout(time.Second), Stale(time.Hour))
		for range 5 {
			F(t.Context(), 1, "it")
		}
		if n := h.typed.plan.hotHits(); n != 1 {
			t.Fatalf("the table has %d hits", n)
		}
		time.Sleep(time.Second)
		if v, _ := F(t.Context(), 1, "it"); v != 1 {
			t.Errorf("got %d, want the stale value", v)
		}
		synctest.Wait()
		if v, _ := F(t.Context(), 1, "it"); v != 2 {
			t.Errorf("after the refresh: got %d, want 2", v)
		}
		if s := h.Stats(); s.Stale != 1 || s.Hits != 5 || s.Computations != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// An invalidation of a group is one of all its rows.
func TestLaw2_HotTableUnderInvalidationOfGroups(t *testing.T) {
	cachetest.Locmem(t)
	c, _ := backends.Get("default")
	var v versions
	for kind, f := range eachKind(v.load, Group("a", "b")) {
		t.Run(kind, func(t *testing.T) {
			rounds := 3000
			if testing.Short() {
				rounds = 500
			}
			v.underInvalidation(t, f, rounds, func(int) []int { return []int{0, 1} }, func(i int) error {
				return c.InvalidateGroup(context.Background(), []string{"a", "b"}[i%2])
			})
		})
	}
}
