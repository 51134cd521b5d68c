package decorators_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
)

// The text of an error has one prefix, whatever it has come through, and errors.Is finds what it is.
func TestErrors_OnePrefix(t *testing.T) {
	set, closed := newSet(t, nil), newSet(t, nil)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	type ring struct{ next *ring }
	around := &ring{}
	around.next = around
	load := func(context.Context, any) (int, error) { return 0, nil }
	loadMany := func(context.Context, []any) (map[any]int, error) { return nil, nil }
	for _, keyed := range []struct {
		name string
		key  any
		set  *backends.Caches
		want error
	}{
		{"a channel as key", make(chan int), set, cacheutils.ErrInvalidKey},
		{"a channel inside", struct{ c chan int }{}, set, cacheutils.ErrInvalidKey},
		{"a ring as key", around, set, cacheutils.ErrInvalidKey},
		{"a closed set", 1, closed, cacheutils.ErrClosed},
	} {
		_, h := decorators.Cached1(load, decorators.Key("errors"), decorators.On(keyed.set))
		_, hm := decorators.CachedMany(loadMany, decorators.Key("errors"), decorators.On(keyed.set))
		_, keyErr := h.CacheKey(keyed.key)
		_, required := h.RequireCache(ctx, keyed.key)
		_, manyRequired := hm.RequireCache(ctx, []any{keyed.key})
		_, got := cache.Get[int](ctx, keyed.key, cache.On(keyed.set))
		_, deleted := cache.Delete(ctx, keyed.key, cache.On(keyed.set))
		errs := map[string]error{
			"CacheKey":                   keyErr,
			"RequireCache":               required,
			"Invalidate":                 h.Invalidate(ctx, keyed.key),
			"Set":                        h.Set(ctx, keyed.key, 1),
			"RequireCache of CachedMany": manyRequired,
			"Invalidate of CachedMany":   hm.Invalidate(ctx, []any{keyed.key}),
			"Set of CachedMany":          hm.Set(ctx, map[any]int{keyed.key: 1}),
			"cache.Get":                  got,
			"cache.Set":                  cache.Set(ctx, keyed.key, 1, cache.On(keyed.set)),
			"cache.Delete":               deleted,
		}
		if keyed.want == cacheutils.ErrInvalidKey {
			_, errs["cachekey.Repr"] = cachekey.Repr(keyed.key)
			_, errs["cachekey.Args"] = cachekey.Args([]any{keyed.key}, nil)
			_, errs["cachekey.FuncName"] = cachekey.FuncName(keyed.key)
		}
		for name, err := range errs {
			if !errors.Is(err, keyed.want) || !hasOnePrefix(err) {
				t.Errorf("%s: %s: got %v, want %v with one prefix", keyed.name, name, err, keyed.want)
			}
		}
	}
	square, _ := decorators.Cached(func(n int) int { return n * n }, decorators.Key("errors.square")) // made by reflection: it has no name
	mustPanicOnce(t, func() { decorators.Cached(func(chan int) int { return 0 }, decorators.Key("errors")) })
	mustPanicOnce(t, func() { decorators.Cached(square) })
	mustPanicOnce(t, func() {
		decorators.Cached1(func(context.Context, int) (chan int, error) { return nil, nil }, decorators.Key("errors"))
	})
}

func hasOnePrefix(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "cacheutils: ") && strings.Count(text, "cacheutils: ")+strings.Count(text, "cachekey: ") == 1
}

// mustPanicOnce calls f, which has to panic with a text of one prefix.
func mustPanicOnce(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		text, _ := recover().(string)
		if !strings.HasPrefix(text, "decorators: ") || strings.Contains(text, "cachekey: ") || strings.Contains(text, "cacheutils: ") {
			t.Errorf("panicked with %q, want a text with one prefix", text)
		}
	}()
	f()
}
