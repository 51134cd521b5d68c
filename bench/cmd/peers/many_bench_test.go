package main

import (
	"context"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/bench/internal/measure"
	"github.com/cacheutils/cacheutils/bench/internal/memcached"
)

// BenchmarkMany is the rows of CachedMany alone, each side by itself for a profile, and the two in turn:
//
//	go test -run xxx -bench Many/pair ./cmd/peers
func BenchmarkMany(b *testing.B) {
	addr, stop, err := memcached.Start()
	if err != nil {
		b.Skip(err)
	}
	defer stop()
	must(backends.Configure(backends.Config{
		"memcached": {Backend: "memcached", Location: []string{addr}, Timeout: timeout},
	}))
	pairs, err := manyPairs(newRawClient(addr))
	must(err)
	p := pairs[0]
	b.Run("ours", hit(p.mine))
	b.Run("theirs", hit(p.theirs))
	b.Run("pair", func(b *testing.B) {
		var ratios []float64
		for b.Loop() {
			mine, theirs := spent(p.mine), spent(p.theirs)
			ratios = append(ratios, mine/theirs)
		}
		b.ReportMetric(measure.SpreadOf(ratios).Median, "times")
	})
}

// spent is how long 100 calls take.
func spent(call load[place]) float64 {
	ctx := context.Background()
	began := time.Now()
	for range 100 {
		_, err := call(ctx, hotID, "it")
		must(err)
	}
	return float64(time.Since(began))
}
