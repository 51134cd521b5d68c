package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	seedsFlag = flag.Uint64("sim.seeds", 1000, "how many histories TestSeeds runs")
	fromFlag  = flag.Uint64("sim.from", 1, "the seed of the first of them")
	onFlag    = flag.String("sim.on", "", "store, memcached, locmem or dummy: on which backend the histories of TestSeeds are; empty: any")
	twiceFlag = flag.Uint64("sim.twice", 300, "how many histories TestDeterminism runs twice")
	planFlag  = flag.String("sim.plan", "", "what TestPlan runs and shows: a seed, what is left of one's plan, as a failure prints it, or a file of testdata/kept")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *onFlag != "" && !slices.Contains([]string{simulatedStore, "memcached", "locmem", dummy}, *onFlag) {
		fmt.Fprintf(os.Stderr, "sim.on: there are no histories on %q\n", *onFlag)
		os.Exit(2)
	}
	debug.SetGCPercent(1000) // histories are short, and leave much behind
	os.Exit(m.Run())
}

// runAll runs histories, that many from that seed on, and reports what breaks a law.
func runAll(t *testing.T, from uint64, histories int, on string) *report {
	t.Helper()
	d, began := driver{from: from, histories: histories, on: on}, time.Now()
	show := func(r *report) {
		took := time.Since(began)
		t.Logf("%d histories, %d events, %v, %.0f histories a second, %d bad", r.Histories, r.Steps, took.Round(time.Millisecond), float64(r.Histories)/took.Seconds(), len(r.Bad))
	}
	r, err := d.drive(show)
	if err != nil {
		t.Fatal(err)
	}
	show(r)
	t.Logf("%v of processors, sum of the traces %x\n%s", d.used.Round(time.Millisecond), r.Traces, r.table())
	for i, bad := range r.Bad {
		t.Errorf("seed %d: %s", bad.Seed, bad.What)
		if i == 0 && !bad.Died {
			explain(t, planFor(bad.Seed).reduction(), bad.What)
		}
	}
	return r
}

// explain tells a history that breaks a law, and is as short as can be found.
func explain(t *testing.T, r reduction, broken string) {
	t.Helper()
	less := reduce(t, r, broken)
	res := run(t, less.plan(), true)
	t.Logf("go test -run TestPlan -sim.plan '%s':\n\t%s\n%s%s", less, strings.Join(res.broken, "\n\t"), less.plan(), res.story())
}

// The laws hold in each history, and each kind of operation, fault and fate was in some.
func TestSeeds(t *testing.T) {
	r := runAll(t, *fromFlag, int(*seedsFlag), *onFlag)
	if r.Histories < 500 || *onFlag != "" {
		return
	}
	for _, what := range slices.Concat(allOperations, allModes, []string{named}, slices.DeleteFunc(slices.Clone(allFaults), func(f string) bool { return f == broken }), allFates, allElse) {
		if r.Met[what] == 0 {
			t.Errorf("there was no %s: not a test", what)
		}
	}
}

// TestPlan shows the history of -sim.plan.
func TestPlan(t *testing.T) {
	if *planFlag == "" {
		t.Skip("without -sim.plan there is none to show")
	}
	p, err := givenPlan(*planFlag)
	if err != nil {
		t.Fatal(err)
	}
	res := run(t, p, true)
	t.Logf("%s%s", p, res.story())
	for _, text := range res.broken {
		t.Error(text)
	}
}

// givenPlan returns the plan that the text means.
func givenPlan(text string) (*plan, error) {
	if strings.HasSuffix(text, ".txt") {
		k, err := readKept(text)
		if err != nil {
			return nil, err
		}
		return k.plan, nil
	}
	r, err := parseReduction(text)
	if err != nil {
		return nil, err
	}
	return r.plan(), nil
}

// One seed is one history, byte for byte, however many processors there are.
func TestDeterminism(t *testing.T) {
	had := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(had)
	different := 0
	for seed := *fromFlag; seed < *fromFlag+*twiceFlag; seed++ {
		var sums []sum64
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
		t.Errorf("%d of %d seeds have different traces", different, *twiceFlag)
	}
}

// What is left of a plan is what was printed.
func TestReduction(t *testing.T) {
	for seed := range uint64(100) {
		r := planFor(seed).reduction()
		r.schedule, r.operations = seed/2, r.operations[seed%5:]
		back, err := parseReduction(r.String())
		if err != nil || back.String() != r.String() || len(back.plan().operations) != len(r.operations) {
			t.Fatalf("%s: %v, %v", r, back, err)
		}
	}
	for _, text := range []string{"", "x", "1 schedule", "1 schedule x", "1 faults rain", "1 operations 100", "1 operations -1", "1 colour red"} {
		if r, err := parseReduction(text); err == nil {
			t.Errorf("%q is read as %s", text, r)
		}
	}
}
