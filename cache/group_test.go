package cache_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

func mustInvalidate(t *testing.T, groups ...string) {
	t.Helper()
	if err := cache.InvalidateGroups(ctx, groups); err != nil {
		t.Fatalf("invalidate %q: %v", groups, err)
	}
}

func TestGroup(t *testing.T) {
	eachBackend(t, func(t *testing.T) {
		a, b, both := cache.Group("a"), cache.Group("b"), cache.Group("a", "b")
		mustSet(t, "in a", 1, a)
		mustSet(t, "in b", 2, b)
		mustSet(t, "in both", 3, a, b)
		mustSet(t, "in none", 4)
		wantValue(t, "in a", 1, a)
		wantValue(t, "in a", 1)
		wantMiss(t, "in a", b)
		wantMiss(t, "in none", a)
		wantValue(t, "in both", 3, both)

		if err := cache.InvalidateGroup(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		wantMiss(t, "in a", a)
		wantMiss(t, "in a")
		wantMiss(t, "in both", both)
		wantMiss(t, "in both", b)
		wantValue(t, "in b", 2, b)
		wantValue(t, "in none", 4)

		mustSet(t, "in a", 5, a)
		mustInvalidate(t, "b", "c")
		wantMiss(t, "in b")
		wantValue(t, "in a", 5, a)
		mustInvalidate(t)
		wantValue(t, "in a", 5, a)
	})
}

// What names a key and what names a group are never taken for one another.
func TestGroup_AnyNameAnyKey(t *testing.T) {
	eachBackend(t, func(t *testing.T) {
		names := []string{" ", "a b\n", "città", "_group::a", "a:b", "a", strings.Repeat("x", 1000)}
		for i, name := range names {
			mustSet(t, cachekey.Tuple{"key", i}, i, cache.Group(name))
			mustSet(t, name, name, cache.Group("names"))
		}
		for i, name := range names {
			wantValue(t, cachekey.Tuple{"key", i}, i, cache.Group(name))
			mustInvalidate(t, name)
			wantMiss(t, cachekey.Tuple{"key", i}, cache.Group(name))
			wantValue(t, name, name, cache.Group("names"))
		}
	})
}

// Backends of one server and one version share groups, whatever their prefixes.
func TestGroup_AcrossBackends(t *testing.T) {
	eachBackend(t, func(t *testing.T) {
		mustSet(t, "key", 1, cache.Group("g"), cache.Backend("other"))
		mustInvalidate(t, "g")
		wantMiss(t, "key", cache.Backend("other"))
	})
}

func TestGroup_GetOrSet(t *testing.T) {
	eachBackend(t, func(t *testing.T) {
		runs := 0
		get := func() int {
			t.Helper()
			n, err := cache.GetOrSet(ctx, "key", func(context.Context) (int, error) { runs++; return runs, nil }, cache.Group("g"))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if a, b := get(), get(); a != 1 || b != 1 {
			t.Errorf("got %d and %d, want 1 and 1", a, b)
		}
		mustInvalidate(t, "g")
		if n := get(); n != 2 {
			t.Errorf("after the invalidation: got %d, want 2", n)
		}
		wantMiss(t, "key", cache.Group("other"))

		// Invalidated while it is computed: the caller, which called before, gets it, and no other caller.
		n, err := cache.GetOrSet(ctx, "slow", func(context.Context) (int, error) {
			mustInvalidate(t, "g")
			return 1, nil
		}, cache.Group("g"))
		if n != 1 || err != nil {
			t.Errorf("got %d, %v, want 1", n, err)
		}
		wantMiss(t, "slow", cache.Group("g"))
	})
}

func TestInvalidateGroup_Fails(t *testing.T) {
	if err := cache.InvalidateGroup(ctx, "g", cache.Backend("nowhere")); err == nil {
		t.Error("an unknown backend: got no error")
	}
	server := memcachedtest.Start(t)
	configure(t, backends.Settings{Backend: "memcached", Location: []string{server.Addr()}})
	server.Stop()
	err := cache.InvalidateGroups(ctx, []string{"cities", "countries"})
	for _, want := range []string{`"cities"`, `"countries"`, server.Addr()} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the server is down: got %v, want an error that names %s", err, want)
		}
	}
	if err := cache.Set(ctx, "key", 1, cache.Group("g"), cache.Timeout(time.Hour)); err == nil {
		t.Error("Set: got no error")
	}
}
