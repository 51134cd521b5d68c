package decorators_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/race"
)

// The store keeps what is used as well as it does without the table.
func TestHotTable_HitRatio(t *testing.T) {
	const many, calls, runs = 100_000, 150_000, 5
	if testing.Short() || race.Enabled {
		t.Skip("makes more than a million calls")
	}
	ratios := make(map[bool]float64)
	for run := range runs {
		settings := func(name string) backends.Settings {
			return backends.Settings{Backend: "locmem", Location: []string{t.Name() + name}, Options: map[string]any{"max_entries": 1000}}
		}
		cachetest.Configure(t, backends.Config{"default": settings(""), "with": settings("with"), "without": settings("without")})
		type number struct{ N uint64 } // a struct's bytes aren't its key
		with, w := decorators.Cached1(func(_ context.Context, id uint64) (uint64, error) { return id, nil },
			decorators.Key("ratio"), decorators.Backend("with"))
		without, wo := decorators.Cached1(func(_ context.Context, id number) (uint64, error) { return id.N, nil },
			decorators.Key("ratio.struct"), decorators.Backend("without"))
		zipf := rand.NewZipf(rand.New(rand.NewPCG(uint64(run), 1)), 1.2, 1, many-1)
		for range calls {
			id := zipf.Uint64()
			with(context.Background(), id)
			without(context.Background(), number{id})
		}
		ratios[true] += float64(w.Stats().Hits) / calls / runs
		ratios[false] += float64(wo.Stats().Hits) / calls / runs
	}
	t.Logf("with the table %.2f %%, without %.2f %%", 100*ratios[true], 100*ratios[false])
	if ratios[false] < 0.5 {
		t.Error("few are hits: not a test")
	}
	if ratios[true] < ratios[false]-0.03 { // either varies by more than one hundredth
		t.Errorf("hit ratio is %.4f with the table and %.4f without", ratios[true], ratios[false])
	}
}

// What is used all the time stays in the store while many other results are called for once.
func TestHotTable_Scan(t *testing.T) {
	cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}, Options: map[string]any{"max_entries": 1000}}})
	runs := make(map[int]int)
	F, h := decorators.Cached1(func(_ context.Context, id int) (int, error) { runs[id]++; return id, nil }, decorators.Key("scan"))
	const hot = 10
	others := 50_000
	if race.Enabled {
		others = 5000
	}
	for other := range others {
		F(context.Background(), hot+other)
		F(context.Background(), other%hot)
	}
	again := 0
	for id := range hot {
		again += runs[id] - 1
	}
	t.Logf("%d computations of what is used all the time, %+v", again, h.Stats())
	if again > 3*hot {
		t.Errorf("what is used all the time was computed %d times again", again)
	}
}
