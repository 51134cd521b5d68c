//go:build unix

package stress_test

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/internal/test/workers"
)

var operationsFlag = flag.Int64("stress.ops", 12_000, "how many operations TestStress does, over all its backends; TestStress_Faults does as many, but not less than some thousands")

// share returns the number of operations of a run that has a part of all, and at least that many.
func share(part float64, least int64) int64 { return max(int64(float64(*operationsFlag)*part), least) }

// A run is some processes that work on one store at random.
type run struct {
	job
	processes int
	memory    memory
	workers   []*workers.Worker
	ended     chan *workers.Worker // each, when it has ended
}

// A summary is what came of it.
type summary struct {
	history      []record
	stats        decorators.Stats
	computations int64
	broken       []string
	took         time.Duration
}

// start starts the workers.
func start(t *testing.T, processes int, j job) *run {
	t.Helper()
	r := &run{job: j, processes: processes, ended: make(chan *workers.Worker, processes)}
	r.memory, r.Memory = newMemory(t)
	r.Round = int64(20 * processes * j.Clients)
	if r.Seed == 0 {
		r.Seed = rand.Uint64()
	}
	dir := t.TempDir()
	for n := range processes {
		own := r.job
		own.Process, own.History = n, filepath.Join(dir, fmt.Sprint(n))
		w := workers.Start(t, "^TestStress_Worker$", own)
		r.workers = append(r.workers, w)
		go func() {
			<-w.Done()
			r.ended <- w
		}()
	}
	r.History = dir
	return r
}

// wait waits until all have ended. Meanwhile it calls disturb, if there is one, again and again.
func (r *run) wait(t *testing.T, disturb func()) (s summary) {
	t.Helper()
	begun := time.Now()
	for running := r.processes; running > 0; {
		if disturb == nil {
			if err := (<-r.ended).Wait(); err != nil {
				t.Fatal(err)
			}
			running--
			continue
		}
		select {
		case w := <-r.ended:
			if err := w.Wait(); err != nil {
				t.Fatal(err)
			}
			running--
		default:
			disturb()
		}
	}
	s.took = time.Since(begun)
	for n, w := range r.workers {
		report, err := workers.Receive[report](w)
		if err != nil {
			t.Fatal(err)
		}
		addStats(&s.stats, report.Stats)
		s.broken = append(s.broken, report.Broken...)
		history, err := loadHistory(filepath.Join(r.History, fmt.Sprint(n)))
		if err != nil {
			t.Fatal(err)
		}
		s.history = append(s.history, history...)
	}
	s.computations = r.memory.cell(cellComputations).Load()
	return s
}

// hanging is a time after which it isn't the machine that is slow: computations take some
// milliseconds, and a lease lasts for five seconds.
const hanging = 4 * time.Second

// check reports outdated values, and errors that no caller should have got. excused, if not nil, reports which
// reads may be outdated.
func (s *summary) check(t *testing.T, excused func(record) bool) {
	t.Helper()
	for _, text := range s.broken {
		t.Errorf("an error came out: %s", text)
	}
	var outdated, excusable []violation
	for _, v := range findOutdated(s.history) {
		if excused != nil && excused(v.read) {
			excusable = append(excusable, v)
		} else {
			outdated = append(outdated, v)
		}
	}
	for _, v := range outdated[:min(len(outdated), 5)] {
		t.Errorf("outdated: %v", v)
	}
	verdict := linearize(slices.DeleteFunc(slices.Clone(s.history), func(r record) bool {
		return r.reads() && excused != nil && excused(r)
	}), 30*time.Second)
	if verdict.result != porcupine.Ok {
		t.Errorf("porcupine says %s; that segment has %d, which begin with %v", verdict, len(verdict.bad), verdict.bad[:min(len(verdict.bad), 100)])
	}
	if verdict.segments < entries {
		t.Errorf("%d segments for %d entries: not a test", verdict.segments, entries)
	}
	slowest := time.Duration(slices.MaxFunc(s.history, func(a, b record) int { return cmp.Compare(a.Took, b.Took) }).Took)
	if slowest > hanging {
		t.Errorf("an operation took %v: something was waited for that nobody did", slowest)
	}
	t.Logf("%s; slowest %v; %d outdated reads, and %d excused; porcupine: %s", s, slowest, len(outdated), len(excusable), verdict)
}

func (s *summary) String() string {
	var did [kinds]int
	var came [broken + 1]int
	for _, r := range s.history {
		did[r.Kind]++
		came[r.Outcome]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d operations in %.1fs:", len(s.history), s.took.Seconds())
	for k := range kinds {
		fmt.Fprintf(&b, " %d %s", did[k], k)
	}
	fmt.Fprintf(&b, "; %d done, %d without a value, %d left early, %d failed, %d forged, %d broken; %d computations; %+v",
		came[done], came[nothing], came[left], came[failed], came[forged], came[broken], s.computations, s.stats)
	return b.String()
}

// count returns how many operations had that outcome.
func (s *summary) count(o outcome) (n int) {
	for _, r := range s.history {
		if r.Outcome == o {
			n++
		}
	}
	return n
}

// No call gets an outdated value, on any backend, with groups and without.
func TestStress(t *testing.T) {
	var all decorators.Stats
	for _, c := range []struct {
		backend   string
		processes int
		clients   int
		later     bool
		part      float64
	}{
		{"memcached", 4, 6, false, 0.1},
		{"memcached", 4, 6, true, 0.08},
		{"group", 4, 6, false, 0.1},
		{"group+" + slow, 5, 12, false, 0.08},
		{"group+" + slow, 5, 12, true, 0.06},
		{"locmem", 1, 24, false, 0.08},
	} {
		for _, groups := range []bool{false, true} {
			name := c.backend
			if c.later {
				name += "/later"
			}
			if groups {
				name += "/groups"
			}
			t.Run(name, func(t *testing.T) {
				j := job{Backend: c.backend, StoreLater: c.later, Groups: groups, Operations: share(c.part, 1000), Clients: c.clients}
				if c.processes > 1 {
					j.Location = []string{memcachedtest.Start(t).Addr()}
					j.SocketTimeout = "10s" // the machine may be busy
				} else {
					j.Location = []string{t.Name()}
				}
				s := start(t, c.processes, j).wait(t, nil)
				s.check(t, nil)
				if c.processes > 1 && s.stats.Errors > uint64(len(s.history)/10) {
					t.Errorf("%d faults", s.stats.Errors)
				}
				addStats(&all, s.stats)
			})
		}
	}
	t.Logf("over all: %+v", all)
	for what, n := range map[string]uint64{
		"hits": all.Hits, "stale values served": all.Stale, "joins": all.Joins, "waits for another process": all.Waits,
		"refusals": all.Refusals, "invalidations": all.Invalidations,
	} {
		if n == 0 {
			t.Errorf("there were no %s", what)
		}
	}
}

// The checkers find the bugs that are there on purpose, and only those.
func TestStress_Mutants(t *testing.T) {
	for _, c := range []struct {
		engine   string
		groups   bool
		outdated bool
	}{
		{slow, false, false},
		{slow, true, false},
		{blindSwap, false, true},
		{blindSwap, true, true},
		{constantGroups, true, true},
	} {
		name := c.engine
		if c.groups {
			name += "/groups"
		}
		t.Run(name, func(t *testing.T) {
			j := job{
				Backend: c.engine, Groups: c.groups, Operations: 4000, Clients: 6,
				Location: []string{memcachedtest.Start(t).Addr()}, SocketTimeout: "10s",
			}
			s := start(t, 4, j).wait(t, nil)
			found := findOutdated(s.history)
			verdict := linearize(s.history, 30*time.Second)
			t.Logf("%d outdated reads in %d operations; porcupine: %s", len(found), len(s.history), verdict)
			want := porcupine.Ok
			if c.outdated {
				want = porcupine.Illegal
			}
			if len(found) > 0 != c.outdated {
				t.Errorf("there are %d outdated reads: %v", len(found), found[:min(len(found), 3)])
			}
			if verdict.result != want {
				t.Errorf("porcupine says %s, want %s", verdict.result, want)
			}
		})
	}
}
