package decorators_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

type place struct {
	ID       int64
	Name     string
	Lat, Lon float64
}

func loadPlace(ctx context.Context, id int64, lang string) (place, error) {
	return place{ID: id, Name: lang}, nil
}

// A caller calls loadPlace by way of some cache.
type caller func(ctx context.Context, id int64, lang string) (place, error)

// What a call costs by what happens in it, compared with code written by hand.
//
//   - BareMakeFunc is a wrapper by reflection that does nothing but return results made before: no
//     decorator of this kind can be faster.
//   - handwritten is a key by fmt.Sprintf and an otter cache of the values, with the same timeout.
//   - loading is that with otter's Get, which shares a computation among callers.
//   - wide looks up one of very many values, log is with the logger at its first level and with none, and paced
//     is misses with time between the calls.
func BenchmarkCall(b *testing.B) {
	b.Run("hit/BareMakeFunc", func(b *testing.B) {
		onLocmem(b, cached)(context.Background(), 42, "it") // the garbage collector has as much to scan
		benchmarkHit(b, bareMakeFunc())
	})
	b.Run("hit/handwritten", func(b *testing.B) { benchmarkHit(b, handwritten(b)) })
	b.Run("hit/loading", func(b *testing.B) { benchmarkHit(b, loading(b)) })
	b.Run("hit/locmem/Cached", func(b *testing.B) { benchmarkHit(b, onLocmem(b, cached)) })
	b.Run("hit/locmem/Cached2", func(b *testing.B) { benchmarkHit(b, onLocmem(b, cached2)) })
	b.Run("hit/locmem/Cached2/group", func(b *testing.B) { benchmarkHit(b, onLocmem(b, cached2, decorators.Group("g"))) })
	b.Run("hit/locmem/Cached2/stale", func(b *testing.B) { benchmarkHit(b, onLocmem(b, cached2, decorators.Stale(time.Hour))) })
	for name, sink := range map[string]logging.Sink{"default": nil, "none": noLog{}} {
		b.Run("hit/log/"+name+"/locmem/Cached2", func(b *testing.B) {
			logging.SetSink(sink)
			defer logging.SetSink(nil)
			benchmarkHit(b, onLocmem(b, cached2))
		})
	}
	b.Run("hit/memcached/Cached", func(b *testing.B) { benchmarkHit(b, onMemcached(b, cached)) })
	b.Run("hit/memcached/Cached2", func(b *testing.B) { benchmarkHit(b, onMemcached(b, cached2)) })

	b.Run("hit/wide/handwritten", func(b *testing.B) { benchmarkWide(b, handwritten(b)) })
	b.Run("hit/wide/locmem/Cached2", func(b *testing.B) { benchmarkWide(b, onLocmem(b, cached2)) })

	b.Run("parallel/handwritten", func(b *testing.B) { benchmarkParallel(b, handwritten(b)) })
	b.Run("parallel/loading", func(b *testing.B) { benchmarkParallel(b, loading(b)) })
	b.Run("parallel/locmem/Cached", func(b *testing.B) { benchmarkParallel(b, onLocmem(b, cached)) })
	b.Run("parallel/locmem/Cached2", func(b *testing.B) { benchmarkParallel(b, onLocmem(b, cached2)) })

	b.Run("miss1%/loading", func(b *testing.B) { benchmarkMisses(b, loading(b), 100) })
	b.Run("miss1%/locmem/Cached2", func(b *testing.B) { benchmarkMisses(b, onLocmem(b, cached2), 100) })

	b.Run("miss/handwritten", func(b *testing.B) { benchmarkMisses(b, handwritten(b), 1) })
	b.Run("miss/loading", func(b *testing.B) { benchmarkMisses(b, loading(b), 1) })
	b.Run("miss/locmem/Cached", func(b *testing.B) { benchmarkMisses(b, onLocmem(b, cached), 1) })
	b.Run("miss/locmem/Cached2", func(b *testing.B) { benchmarkMisses(b, onLocmem(b, cached2), 1) })
	b.Run("miss/dummy/Cached2", func(b *testing.B) {
		cachetest.Configure(b, backends.Config{"default": {Backend: "dummy"}})
		benchmarkMisses(b, cached2(), 1)
	})
	b.Run("miss/memcached/Cached2", func(b *testing.B) { benchmarkMisses(b, onMemcached(b, cached2), 1) })
	for name, later := range map[string]bool{"stored": false, "later": true} {
		b.Run("paced/memcached/Cached2/"+name, func(b *testing.B) {
			cachetest.Configure(b, backends.Config{"default": {
				Backend: "memcached", Location: []string{memcachedtest.Start(b).Addr()}, Options: map[string]any{"store_later": later},
			}})
			benchmarkPacedMisses(b, cached2())
		})
	}
}

// A noLog is the sink that costs least.
type noLog struct{}

func (noLog) Enabled(logging.Level) bool       { return false }
func (noLog) Log(logging.Level, logging.Event) {}

// benchmarkHit calls for a result that is cached.
func benchmarkHit(b *testing.B, load caller) {
	ctx := context.Background()
	load(ctx, 42, "it")
	b.ReportAllocs()
	for b.Loop() {
		load(ctx, 42, "it")
	}
}

// benchmarkWide calls for one of very many cached results, each time for another.
func benchmarkWide(b *testing.B, load caller) {
	const many = 50_000 // half of what the caches hold
	ctx := context.Background()
	for id := range int64(many) {
		load(ctx, id, "it")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		load(ctx, rng.Int64N(many), "it")
	}
}

// benchmarkParallel calls from all processors at once for a result that is cached.
func benchmarkParallel(b *testing.B, load caller) {
	ctx := context.Background()
	load(ctx, 42, "it")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			load(ctx, 42, "it")
		}
	})
}

// benchmarkMisses calls from all processors at once; one in every calls is a miss. If every is 1, each call is
// a miss, and they come one after the other.
func benchmarkMisses(b *testing.B, load caller, every int64) {
	ctx := context.Background()
	load(ctx, -1, "it")
	b.ReportAllocs()
	if every == 1 {
		for id := int64(0); b.Loop(); id++ {
			load(ctx, id, "it")
		}
		return
	}
	var calls atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for n, first := int64(0), calls.Add(1)<<32; pb.Next(); n++ {
			id := int64(-1)
			if n%every == 0 {
				id = first + n
			}
			load(ctx, id, "it")
		}
	})
}

// benchmarkPacedMisses reports what a caller waits for a miss when there is time between one and the next.
func benchmarkPacedMisses(b *testing.B, load caller) {
	ctx := context.Background()
	var waited time.Duration
	for id := int64(0); b.Loop(); id++ {
		started := time.Now()
		load(ctx, id, "it")
		waited += time.Since(started)
		time.Sleep(500 * time.Microsecond)
	}
	b.ReportMetric(float64(waited.Nanoseconds())/float64(b.N), "ns/call")
}

func bareMakeFunc() caller {
	results := []reflect.Value{reflect.ValueOf(place{}), reflect.Zero(reflect.TypeFor[error]())}
	return reflect.MakeFunc(reflect.TypeOf(loadPlace), func([]reflect.Value) []reflect.Value { return results }).
		Interface().(func(context.Context, int64, string) (place, error))
}

func cached(opts ...decorators.Option) caller {
	load, _ := decorators.Cached(loadPlace, opts...)
	return load
}

func cached2(opts ...decorators.Option) caller {
	load, _ := decorators.Cached2(loadPlace, opts...)
	return load
}

func onLocmem(b *testing.B, decorate func(...decorators.Option) caller, opts ...decorators.Option) caller {
	cachetest.Locmem(b)
	return decorate(opts...)
}

func onMemcached(b *testing.B, decorate func(...decorators.Option) caller, opts ...decorators.Option) caller {
	cachetest.Memcached(b)
	return decorate(opts...)
}

func newOtter(b *testing.B) *otter.Cache[string, place] {
	cache := otter.Must(&otter.Options[string, place]{
		MaximumSize:      100_000,
		ExpiryCalculator: otter.ExpiryWriting[string, place](5 * time.Minute),
	})
	b.Cleanup(func() { cache.StopAllGoroutines() })
	return cache
}

func handwritten(b *testing.B) caller {
	cache := newOtter(b)
	return func(ctx context.Context, id int64, lang string) (place, error) {
		key := fmt.Sprintf("place:%d:%s", id, lang)
		if p, ok := cache.GetIfPresent(key); ok {
			return p, nil
		}
		p, err := loadPlace(ctx, id, lang)
		if err == nil {
			cache.Set(key, p)
		}
		return p, err
	}
}

func loading(b *testing.B) caller {
	cache := newOtter(b)
	return func(ctx context.Context, id int64, lang string) (place, error) {
		key := fmt.Sprintf("place:%d:%s", id, lang)
		return cache.Get(ctx, key, otter.LoaderFunc[string, place](func(ctx context.Context, key string) (place, error) {
			return loadPlace(ctx, id, lang)
		}))
	}
}

// What a hit costs by the type of the argument that its key is made of.
func BenchmarkCacheKey(b *testing.B) {
	cachetest.Locmem(b)
	type query struct {
		Text  string
		Limit int
		Tags  []string
	}
	benchmarkKey(b, 42)
	benchmarkKey(b, "a text of some length")
	benchmarkKey(b, query{"text", 10, []string{"a", "b"}})
	benchmarkKey(b, map[string]int{"a": 1, "b": 2})
}

func benchmarkKey[A any](b *testing.B, arg A) {
	b.Run(fmt.Sprintf("%T", arg), func(b *testing.B) {
		F, _ := decorators.Cached(func(A) int { return 1 })
		b.ReportAllocs()
		for b.Loop() {
			F(arg)
		}
	})
}
