package sealed_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A hit on memcached with a secret, compared with one without in the same run, in turn: the metrics are the medians of
// their times, and the ratio of these. The values are random, and are not compressed.
func BenchmarkHit(b *testing.B) {
	server := memcachedtest.Start(b)
	for _, size := range []int{64, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			plain, sealed := benchmarked(b, server, size, nil), benchmarked(b, server, size, map[string]any{"secret": one})
			var took [2][]time.Duration
			ctx := context.Background()
			for b.Loop() {
				for i, hit := range []func(context.Context) ([]byte, error){plain, sealed} {
					began := time.Now()
					got, err := hit(ctx)
					took[i] = append(took[i], time.Since(began))
					if len(got) != size || err != nil {
						b.Fatal(len(got), err)
					}
				}
			}
			var median [2]float64
			for i, all := range took {
				slices.Sort(all)
				median[i] = float64(all[len(all)/2].Nanoseconds()) / 1000
			}
			b.ReportMetric(median[1]/median[0], "ratio")
			b.ReportMetric(median[0], "us-plain")
			b.ReportMetric(median[1], "us-sealed")
		})
	}
}

// benchmarked returns a function whose result of that size is stored, by a process with these options.
func benchmarked(b *testing.B, server *memcachedtest.Server, size int, options map[string]any) func(context.Context) ([]byte, error) {
	all := map[string]any{"compress_above": -1, "operation_timeout": "5s"}
	for name, value := range options {
		all[name] = value
	}
	caches, err := backends.New(backends.Config{"default": {
		Backend: "memcached", Location: []string{server.Addr()}, KeyPrefix: fmt.Sprintf("%d-%d", size, len(options)), Options: all,
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { caches.Close() })
	value := make([]byte, size)
	rand.Read(value)
	load, handle := decorators.Cached0(func(context.Context) ([]byte, error) { return value, nil }, decorators.Key("load"), decorators.On(caches))
	if _, err := load(context.Background()); err != nil {
		b.Fatal(err)
	}
	if n := handle.Stats().Stores + handle.Stats().Hits; n != 1 {
		b.Fatalf("%d results are there", n)
	}
	return load
}
