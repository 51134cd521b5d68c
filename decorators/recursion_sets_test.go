package decorators_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Two sets may have one store. A computation in one that asks for its own result in the other would wait for its own
// lease.
func TestRecursion_SetsOfOneStore(t *testing.T) {
	for name, settings := range map[string]func(t *testing.T) backends.Settings{
		"locmem": func(t *testing.T) backends.Settings {
			return backends.Settings{Backend: "locmem", Location: []string{t.Name()}}
		},
		"memcached": func(t *testing.T) backends.Settings {
			return backends.Settings{Backend: "memcached", Location: []string{memcachedtest.Start(t).Addr()}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings(t)
			a, b := newSet(t, backends.Config{"default": s}), newSet(t, backends.Config{"default": s})
			inB := func(ctx context.Context) context.Context { return backends.With(ctx, b) }
			on := decorators.On(a)
			var one, middle func(context.Context, int) (int, error)
			var many func(context.Context, []int) (map[int]int, error)
			one, _ = decorators.Cached1(func(ctx context.Context, n int) (int, error) { return middle(ctx, n) },
				decorators.Key("recursion.sets.one"), on)
			middle, _ = decorators.Cached1(func(ctx context.Context, n int) (int, error) { return one(inB(ctx), n) },
				decorators.Key("recursion.sets.middle"), on)
			many, _ = decorators.CachedMany(func(ctx context.Context, keys []int) (map[int]int, error) { return many(inB(ctx), keys) },
				decorators.Key("recursion.sets.many"), on)
			for name, call := range map[string]func() error{
				"Cached1":    func() error { _, err := one(cancellable(t), 1); return err },
				"no end":     func() error { _, err := one(context.Background(), 2); return err },
				"CachedMany": func() error { _, err := many(cancellable(t), []int{1, 2}); return err },
			} {
				done := make(chan error, 1)
				go func() { done <- call() }()
				select {
				case err := <-done:
					if !errors.Is(err, cacheutils.ErrRecursion) {
						t.Errorf("%s: got %v, want ErrRecursion", name, err)
					}
				case <-time.After(15 * time.Second):
					t.Fatalf("%s waits for itself", name)
				}
			}
		})
	}
}
