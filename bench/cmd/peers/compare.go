package main

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cacheutils/cacheutils/bench/internal/measure"
)

// Our own and a peer's cost are measured in turn, round after round, each round in the other
// order. What disturbs the machine for longer than a round disturbs both, and so hardly changes
// the ratio of a round; what disturbs it for less is an outlier that the median leaves out.

// A benchmark measures one thing. A call that fails ends the program.
type benchmark = func(b *testing.B)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A way is a way of calling a cached function.
type way[V any] struct {
	name  string
	bench func(cached load[V]) benchmark
}

// hit is lookups of one key that is cached, by one goroutine.
func hit[V any](cached load[V]) benchmark {
	ctx := context.Background()
	return func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := cached(ctx, hotID, "it")
			must(err)
		}
	}
}

// hits is lookups of that key by so many goroutines, rounded up to a multiple of GOMAXPROCS.
func hits[V any](goroutines int) func(cached load[V]) benchmark {
	ctx := context.Background()
	return func(cached load[V]) benchmark {
		return func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism((goroutines + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, err := cached(ctx, hotID, "it")
					must(err)
				}
			})
		}
	}
}

// mixed is every hundredth call for a key that is new, by GOMAXPROCS goroutines.
func mixed[V any](cached load[V]) benchmark {
	ctx := context.Background()
	return func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			next := newIDs()
			for n := 1; pb.Next(); n++ {
				id := int64(hotID)
				if n%100 == 0 {
					id = next
					next++
				}
				_, err := cached(ctx, id, "it")
				must(err)
			}
		})
	}
}

// miss is a new key each time, by one goroutine.
func miss[V any](cached load[V]) benchmark {
	ctx := context.Background()
	return func(b *testing.B) {
		b.ReportAllocs()
		for id := newIDs(); b.Loop(); id++ {
			_, err := cached(ctx, id, "it")
			must(err)
		}
	}
}

const hotID = 42

var ranges atomic.Int64

// newIDs returns the first of many ids that no call has used.
func newIDs() int64 { return ranges.Add(1) << 32 }

// A subject is a cache and the calls that are measured.
type subject struct {
	name  string
	bench benchmark
}

// A row is what became of a peer. ours has the costs of ours in the same measurement, and ratios how many times
// the peer's cost in time that is.
type row struct {
	peer   string
	cost   measure.Cost
	ours   []measure.Cost
	ratios []measure.Spread
}

// compare measures ours and the peer in each of the rounds.
func compare(ours []subject, peer subject, rounds int) row {
	all := append(slices.Clone(ours), peer)
	costs := make([][]measure.Cost, len(all))
	for round := range rounds {
		for i := range all {
			if round%2 == 1 {
				i = len(all) - 1 - i
			}
			costs[i] = append(costs[i], measure.Run(all[i].bench))
		}
	}
	theirs := costs[len(ours)]
	r := row{peer: peer.name, cost: measure.Median(theirs)}
	for _, mine := range costs[:len(ours)] {
		ratios := make([]float64, rounds)
		for i := range ratios {
			ratios[i] = mine[i].NS / theirs[i].NS
		}
		r.ours = append(r.ours, measure.Median(mine))
		r.ratios = append(r.ratios, measure.SpreadOf(ratios))
	}
	return r
}
