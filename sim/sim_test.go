package sim

import (
	"flag"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	seedsFlag = flag.Uint64("sim.seeds", 1000, "how many histories TestSeeds runs")
	fromFlag  = flag.Uint64("sim.from", 1, "the seed of the first of them")
	showFlag  = flag.Bool("sim.show", false, "print each history's trace")
)

// The laws hold in each history.
func TestSeeds(t *testing.T) {
	began := time.Now()
	met := make(map[string]int)
	steps, bad := 0, 0
	for seed := *fromFlag; seed < *fromFlag+*seedsFlag; seed++ {
		r := run(t, planFor(seed), *showFlag)
		steps += r.steps
		for what, n := range r.met {
			met[what] += n
		}
		if *showFlag {
			t.Logf("seed %d:\n%s", seed, r.trace.all.String())
		}
		if len(r.broken) > 0 {
			if bad++; bad <= 5 {
				t.Errorf("seed %d:\n\t%s", seed, strings.Join(r.broken[:min(len(r.broken), 5)], "\n\t"))
			}
		}
	}
	t.Logf("%d histories, %d events, %v, %d bad", *seedsFlag, steps, time.Since(began).Round(time.Millisecond), bad)
	for _, what := range slices.Sorted(maps.Keys(met)) {
		t.Logf("%10d %s", met[what], what)
	}
}

// One seed is one history, byte for byte, however many processors there are.
func TestDeterminism(t *testing.T) {
	had := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(had)
	different := 0
	const seeds = 300
	for seed := range uint64(seeds) {
		var sums []uint64
		for _, processors := range []int{1, 2} {
			runtime.GOMAXPROCS(processors)
			sums = append(sums, run(t, planFor(seed), false).trace.sum)
		}
		if sums[0] != sums[1] {
			different++
			t.Logf("seed %d has different traces", seed)
		}
	}
	if different > 0 {
		t.Errorf("%d of %d seeds have different traces", different, seeds)
	}
}
