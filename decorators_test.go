package cacheutils_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

type city struct {
	ID   int64
	Name string
	Tags []string
}

func TestTour(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		calls := 0
		load := func(ctx context.Context, id int64, lang string) (city, error) {
			calls++
			return city{ID: id, Name: "Rome-" + lang, Tags: []string{"old"}}, nil
		}
		Load, handle := decorators.Cached(load, decorators.Key("load"))
		ctx := context.Background()

		if _, err := handle.RequireCache(ctx, 1, "it"); !errors.Is(err, cacheutils.ErrNoCachedValue) {
			t.Fatalf("RequireCache before the first call: got %v, want ErrNoCachedValue", err)
		}
		for range 3 {
			c, err := Load(ctx, 1, "it")
			if err != nil || c.Name != "Rome-it" || c.Tags[0] != "old" {
				t.Fatalf("got %v, %v", c, err)
			}
			c.Tags[0] = "changed"
		}
		if calls != 1 {
			t.Fatalf("three calls ran the function %d times, want 1", calls)
		}
		if key, err := handle.CacheKey(ctx, 1, "it"); err != nil || key != "[cached]load((1,'it'))" {
			t.Fatalf("got key %q, %v", key, err)
		}
		if err := handle.Invalidate(ctx, 1, "it"); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(ctx, 1, "it"); err != nil || calls != 2 {
			t.Fatalf("after Invalidate: %d runs, %v, want 2", calls, err)
		}
		if _, err := handle.ForceRecalc(ctx, 1, "it"); err != nil || calls != 3 {
			t.Fatalf("after ForceRecalc: %d runs, %v, want 3", calls, err)
		}
		if c, err := handle.RequireCache(ctx, 1, "it"); err != nil || c.ID != 1 {
			t.Fatalf("RequireCache: got %v, %v", c, err)
		}
	})
}
