package flight_test

import (
	"context"
	"testing"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// A caller alone: start, lead, finish.
func BenchmarkLead(b *testing.B) {
	ending, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, bench := range []struct {
		name   string
		ctx    context.Context
		remote bool
	}{
		{"endless", context.Background(), false},
		{"ending", ending, false},
		{"ending,remote", ending, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			g := flight.Group{Lease: lease, Remote: bench.remote}
			b.ReportAllocs()
			for b.Loop() {
				c := new(computation)
				f, _ := g.Join(bench.ctx, flight.Start{Key: "k", Tick: g.Now()}, c.maker())
				if f.Lead(bench.ctx, func(ctx context.Context) { c.compute(ctx, returns(1)) }); c.result != 1 {
					b.Fatal("no result")
				}
			}
		})
	}
}

// A caller who joins a flight that has its outcome: join, wait, and see whether it is for it.
func BenchmarkJoin(b *testing.B) {
	var g flight.Group
	ctx := context.Background()
	first, next := new(computation), new(computation)
	last, _ := g.Join(ctx, flight.Start{Key: "k"}, first.maker())
	f, _ := g.Join(ctx, flight.Start{Key: "k", After: last}, next.maker())
	if f != last {
		b.Fatal("the flight is not there")
	}
	last.Finish()
	f, _ = g.Join(ctx, flight.Start{Key: "k", After: last}, next.maker())
	f.Valid = flight.Always
	f.Finish()
	b.ReportAllocs()
	for b.Loop() {
		started := g.Now()
		f, _ := g.Join(ctx, flight.Start{Key: "k", Tick: started, After: last}, next.maker())
		w := flight.NewWait(f, started, nil)
		if w.Wait(ctx) != nil || !w.IsForCaller() {
			b.Fatal("it is not for the caller")
		}
	}
}

// Many callers at once for one key.
func BenchmarkJoin_Parallel(b *testing.B) {
	g := newGroup()
	g.stored = g.Tick
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.get(context.Background(), "k", returns(1)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
