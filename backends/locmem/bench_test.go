package locmem_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

func BenchmarkGet(b *testing.B) {
	b.Run("locmem", func(b *testing.B) {
		e := open(b, nil)
		mustSet(b, e, "k", text("v"), cacheutils.Forever)
		b.ReportAllocs()
		for b.Loop() {
			e.Get(ctx, "k")
		}
	})
	b.Run("locmem/together", func(b *testing.B) {
		e := open(b, nil)
		mustSet(b, e, "k", text("v"), cacheutils.Forever)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				e.Get(ctx, "k")
			}
		})
	})
}

func BenchmarkSet(b *testing.B) {
	e := open(b, map[string]any{"max_entries": 1000})
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	item := text("v")
	for name, n := range map[string]int{"locmem/fits": 500, "locmem/full": len(keys)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e.Set(ctx, keys[i%n], item, cacheutils.Forever)
			}
		})
	}
}

// What a miss costs, compared with one of an otter cache of the same size: a lookup, the marker, a lookup of
// that, and the value in its place.
func BenchmarkMiss(b *testing.B) {
	keys := make([]string, 1<<20)
	for i := range keys {
		keys[i] = fmt.Sprint("place:", i)
	}
	b.Run("locmem", func(b *testing.B) {
		e := open(b, nil)
		value, marker := engine.Item{Live: new(int), Cost: 8}, engine.Item{Live: new(int), Ephemeral: true}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			key := keys[i%len(keys)]
			e.Get(ctx, key)
			e.Add(ctx, key, marker, time.Minute)
			held, _ := e.Get(ctx, key)
			value.CAS = held.CAS
			e.CompareAndSwap(ctx, key, value, time.Hour)
		}
	})
	b.Run("otter", func(b *testing.B) {
		cache := otter.Must(&otter.Options[string, *int]{
			MaximumSize:      100_000,
			ExpiryCalculator: otter.ExpiryWriting[string, *int](time.Hour),
		})
		b.Cleanup(func() { cache.StopAllGoroutines() })
		value := new(int)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			key := keys[i%len(keys)]
			cache.GetIfPresent(key)
			cache.Set(key, value)
		}
	})
}
