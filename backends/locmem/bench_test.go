package locmem_test

import (
	"fmt"
	"testing"

	"github.com/cacheutils/cacheutils"
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
