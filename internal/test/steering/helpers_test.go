//go:build linux

package steering

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// each runs test on a set of each engine that stores something, empty and of its own.
func each(t *testing.T, test func(t *testing.T, caches *backends.Caches)) {
	t.Helper()
	t.Run("locmem", func(t *testing.T) {
		test(t, open(t, backends.Settings{Backend: "locmem", Location: []string{t.Name()}}))
	})
	t.Run("memcached", func(t *testing.T) {
		test(t, open(t, backends.Settings{Backend: "memcached", Location: []string{memcachedtest.Start(t).Addr()}}))
	})
}

func open(t testing.TB, settings backends.Settings) *backends.Caches {
	t.Helper()
	caches, err := backends.New(backends.Config{"default": settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caches.Close() })
	return caches
}

// A counted is a function that returns how often it has run, by its argument.
type counted struct{ runs [10]atomic.Int64 }

func (c *counted) run(_ context.Context, n int) (int, error) { return int(c.runs[n].Add(1)), nil }

func (c *counted) runMany(ctx context.Context, keys []int) (map[int]int, error) {
	answers := make(map[int]int)
	for _, n := range keys {
		answers[n], _ = c.run(ctx, n)
	}
	return answers, nil
}

// A form is one way of decorating counted.run, with a handle.
type form struct {
	call, force, require func(context.Context, int) (int, error)
	invalidate           func(context.Context, int) error
	stats                func() decorators.Stats
}

// forms returns counted.run decorated in each way, with a function of its own each.
func forms(opts ...decorators.Option) map[string]func() (form, *counted) {
	key := func(name string) []decorators.Option {
		return append([]decorators.Option{decorators.Key(name)}, opts...)
	}
	return map[string]func() (form, *counted){
		"typed": func() (form, *counted) {
			c := new(counted)
			call, h := decorators.Cached1(c.run, key("typed")...)
			return form{call: call, force: h.ForceRecalc, require: h.RequireCache, invalidate: h.Invalidate, stats: h.Stats}, c
		},
		"reflected": func() (form, *counted) {
			c := new(counted)
			call, h := decorators.Cached(c.run, key("reflected")...)
			invalidate := func(ctx context.Context, n int) error { return h.Invalidate(ctx, n) }
			return form{call: call, force: h.ForceRecalc, require: h.RequireCache, invalidate: invalidate, stats: h.Stats}, c
		},
		"many": func() (form, *counted) {
			c := new(counted)
			call, h := decorators.CachedMany(c.runMany, key("many")...)
			one := func(f func(context.Context, []int) (map[int]int, error)) func(context.Context, int) (int, error) {
				return func(ctx context.Context, n int) (int, error) {
					got, err := f(ctx, []int{n})
					return got[n], err
				}
			}
			invalidate := func(ctx context.Context, n int) error { return h.Invalidate(ctx, []int{n}) }
			return form{call: one(call), force: one(h.ForceRecalc), require: one(h.RequireCache), invalidate: invalidate, stats: h.Stats}, c
		},
	}
}
