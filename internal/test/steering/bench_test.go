//go:build linux

package steering

import (
	"context"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
)

// BenchmarkHit is of hits in a process in which no context steers a call: they must cost what they did without that.
func BenchmarkHit(b *testing.B) {
	caches, err := backends.New(backends.Config{"default": {Backend: "locmem"}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = caches.Close() }()
	type city struct {
		Name string
		Tags []string
	}
	number, _ := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.Key("number"), decorators.On(caches))
	reflected, _ := decorators.Cached(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.Key("reflected"), decorators.On(caches))
	decoded, _ := decorators.Cached1(func(_ context.Context, n int) (city, error) { return city{"Roma", []string{"a"}}, nil }, decorators.Key("decoded"), decorators.On(caches))
	many, _ := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) {
		answers := make(map[int]int)
		for _, n := range keys {
			answers[n] = n
		}
		return answers, nil
	}, decorators.Key("many"), decorators.On(caches))
	keys := []int{1, 2, 3, 4, 5}
	type key int
	values := context.Background()
	for i := range 10 {
		values = context.WithValue(values, key(i), i)
	}
	for _, c := range []struct {
		name string
		ctx  context.Context
	}{{"background", context.Background()}, {"ten values", values}} {
		for _, f := range []struct {
			name string
			call func(context.Context) error
		}{
			{"typed", func(ctx context.Context) error { _, err := number(ctx, 1); return err }},
			{"reflected", func(ctx context.Context) error { _, err := reflected(ctx, 1); return err }},
			{"decoded", func(ctx context.Context) error { _, err := decoded(ctx, 1); return err }},
			{"many", func(ctx context.Context) error { _, err := many(ctx, keys); return err }},
		} {
			b.Run(f.name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f.call(c.ctx); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
