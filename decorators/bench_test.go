package decorators_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/cachetest"
)

type place struct {
	ID       int64
	Name     string
	Lat, Lon float64
}

func loadPlace(ctx context.Context, id int64, lang string) (place, error) {
	return place{ID: id, Name: lang}, nil
}

// What a call costs by what happens in it. BareMakeFunc is a wrapper by reflection that does
// nothing but return results made before: no decorator of this kind can be faster.
func BenchmarkCall(b *testing.B) {
	ctx := context.Background()
	b.Run("BareMakeFunc", func(b *testing.B) {
		results := []reflect.Value{reflect.ValueOf(place{}), reflect.Zero(reflect.TypeFor[error]())}
		load := reflect.MakeFunc(reflect.TypeOf(loadPlace), func([]reflect.Value) []reflect.Value { return results }).
			Interface().(func(context.Context, int64, string) (place, error))
		b.ReportAllocs()
		for b.Loop() {
			load(ctx, 42, "it")
		}
	})
	b.Run("locmem/hit", func(b *testing.B) {
		cachetest.Locmem(b)
		Load, _ := decorators.Cached(loadPlace)
		b.ReportAllocs()
		for b.Loop() {
			Load(ctx, 42, "it")
		}
	})
	b.Run("locmem/hit/parallel", func(b *testing.B) {
		cachetest.Locmem(b)
		Load, _ := decorators.Cached(loadPlace)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				Load(ctx, 42, "it")
			}
		})
	})
	b.Run("locmem/miss", func(b *testing.B) {
		cachetest.Locmem(b)
		Load, _ := decorators.Cached(loadPlace)
		b.ReportAllocs()
		for id := int64(0); b.Loop(); id++ {
			Load(ctx, id, "it")
		}
	})
	b.Run("dummy/miss", func(b *testing.B) {
		cachetest.Configure(b, backends.Config{"default": {Backend: "dummy"}})
		Load, _ := decorators.Cached(loadPlace)
		b.ReportAllocs()
		for b.Loop() {
			Load(ctx, 42, "it")
		}
	})
	b.Run("memcached/hit", func(b *testing.B) {
		cachetest.Memcached(b)
		Load, _ := decorators.Cached(loadPlace)
		b.ReportAllocs()
		for b.Loop() {
			Load(ctx, 42, "it")
		}
	})
	b.Run("memcached/miss", func(b *testing.B) {
		cachetest.Memcached(b)
		Load, _ := decorators.Cached(loadPlace)
		b.ReportAllocs()
		for id := int64(0); b.Loop(); id++ {
			Load(ctx, id, "it")
		}
	})
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
