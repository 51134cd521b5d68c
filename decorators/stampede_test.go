package decorators_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Law 4 among processes. The test binary starts itself again, several times: those are the workers. They share
// one memcached and call a cached function that reads from a source in the test's own process. The source
// counts, independently of the cache, how often it is read and whether ever twice at once.
//
// Counts don't depend on how fast the machine is: a run may not begin while another is under
// way, nor before the last one's result has expired. Times are compared with plain Gets that
// the same processes did in between. CACHEUTILS_LONG=1 makes more processes and waves, which
// take a minute and a half instead of 20 seconds, and allows less beyond the plain Gets.

// How many times what a plain Get takes, at p99, a call may take. The short form has few calls, and
// the race detector.
var (
	waitRatio  = pick(500, 50) // for a caller that waits, beyond the function's own time and the longest poll
	staleRatio = pick(50, 10)  // at p99, for a caller that is served a stale value
)

// longestPoll is the longest pause of a process between two lookups of another's result.
const longestPoll = 60 * time.Millisecond

func TestStampede(t *testing.T) {
	server := memcachedtest.Start(t)
	workers := startWorkers(t, pick(8, 16))
	for _, test := range []struct {
		name           string
		version, group string
		processes      int
		callers        int
		pause          time.Duration // 256 callers without one measure the processor
		waves          int
	}{
		{"default configuration", "", "", len(workers), 1, 10 * time.Millisecond, pick(1, 8)},
		{"with a group", "", "cities", len(workers), 1, 10 * time.Millisecond, pick(1, 8)},
		{"with a version", "v1.", "", len(workers), 1, 10 * time.Millisecond, pick(1, 8)},
		{"with a group and a version", "v1.", "cities", len(workers), 1, 10 * time.Millisecond, pick(3, 8)},
		{"64 goroutines in each of 4 processes", "v1.", "cities", 4, 64, 60 * time.Millisecond, pick(1, 8)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSource(t, 300*time.Millisecond)
			w := &stampede{
				source:  s,
				workers: workers[:test.processes],
				order: order{Do: "call", Callers: test.callers, Pause: test.pause, Setup: setup{
					Memcached: server.Addr(), Source: s.addr, Key: test.name,
					Version: test.version, Group: test.group,
					Timeout: pick(500*time.Millisecond, time.Second),
				}},
			}
			w.cold(t)
			for range test.waves {
				w.expiry(t)
			}
			s.check(w.order.Setup.Timeout)
			t.Logf("%d waves: stale serves %s; plain Gets %s", test.waves, spread(t, w.stale), spread(t, w.plain))
			plain := quantile(t, w.plain, 0.99)
			if p99, most := quantile(t, w.stale, 0.99), time.Duration(staleRatio)*plain; p99 > most {
				t.Errorf("the p99 of stale serves is %v, more than %v, which is %d times that of plain Gets", p99, most, staleRatio)
			}
			if most := s.takes + longestPoll + time.Duration(waitRatio)*plain; w.waited > most {
				t.Errorf("cold: a caller waited %v, more than %v, which is %d plain Gets beyond the function and a poll", w.waited, most, waitRatio)
			}
		})
	}
}

// A stampede is a function and the callers that call it all at once.
type stampede struct {
	source  *source
	workers []worker
	order   order
	waited  time.Duration   // in the first wave, at most
	stale   []time.Duration // what calls took that were served a stale value
	plain   []time.Duration
}

// cold is the first wave: nothing is there, one computes, all others wait for it.
func (w *stampede) cold(t *testing.T) {
	t.Helper()
	calls, _ := callsOf(t, sendAll(w.workers, w.order)())
	var took []time.Duration
	for _, c := range calls {
		if took = append(took, c.Took); c.Run != 1 {
			t.Errorf("cold: a caller got run %d", c.Run)
		}
	}
	runs, _ := w.source.seen()
	t.Logf("cold: %d callers, %d computation; callers waited %s", len(calls), len(runs), spread(t, took))
	if len(runs) != 1 {
		t.Errorf("cold: %d computations, want 1", len(runs))
	}
	w.waited = slices.Max(took)
}

// expiry is a wave of calls that find a stale value: all callers get that until there is a new one, which is
// computed once, and for which no caller waits.
func (w *stampede) expiry(t *testing.T) {
	t.Helper()
	timeout := w.order.Setup.Timeout
	before, _ := w.source.seen()
	time.Sleep(timeout + tick) // the last wave was over when a caller had the value
	o := w.order
	o.For = w.source.takes - 60*time.Millisecond
	begin := time.Now()
	calls, plain := callsOf(t, sendAll(w.workers, o)())
	o.For, o.Callers = 0, 1
	eventually(t, "a caller gets the new value", func() bool {
		last, _ := callsOf(t, []report{w.workers[0].send(o)()})
		return last[0].Run > len(before)
	})
	took := time.Since(begin)

	after, _ := w.source.seen()
	n := len(after) - len(before)
	switch {
	case n > 1 && took > w.source.takes+timeout:
		t.Logf("the wave took %v, in which a value expires more than once: %d computations", took, n)
	case n != 1:
		t.Errorf("%d computations in a wave, want 1", n)
	}
	stale, waited := 0, 0
	for _, c := range calls {
		switch c.Run {
		case len(before):
			stale++
			w.stale = append(w.stale, c.Took)
		case len(before) + 1:
			// A call that began before the computation and has its result was not served at once.
			if c.Began.Before(after[len(before)].begin) {
				waited++
			}
		default:
			t.Errorf("a caller got run %d, when there had been %d", c.Run, len(before))
		}
	}
	w.plain = append(w.plain, plain...)
	if stale == 0 {
		t.Errorf("none of %d calls was served a stale value", len(calls))
	}
	if waited > 0 {
		t.Errorf("%d of %d calls waited for the new value, want 0: the stale one was there", waited, len(calls))
	}
}

// However many callers in a process wait for another process's result, one of them looks it up.
func TestStampede_OneOfManyPolls(t *testing.T) {
	server := memcachedtest.Start(t)
	s := newSource(t, pick(time.Second, 3*time.Second))
	workers := startWorkers(t, 2)
	o := order{Do: "call", Callers: 1, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: "many", Version: "v1.", Group: "cities", Timeout: time.Minute,
	}}
	computes := workers[0].send(o)
	s.awaitRun(1)
	o.Callers = 500
	wait := workers[1].send(o)()
	computes()
	calls, _ := callsOf(t, []report{wait})
	var took []time.Duration
	for _, c := range calls {
		if took = append(took, c.Took); c.Run != 1 {
			t.Errorf("a caller got run %d", c.Run)
		}
	}
	// Six lookups are closer together than 20 ms, the others are not.
	most := 6 + uint64(slices.Max(took)/(20*time.Millisecond)) + 1
	t.Logf("%d callers made %d lookups, at most %d are one poller's; they waited %s", len(calls), wait.Stats.Waits, most, spread(t, took))
	if n := wait.Stats.Waits; n == 0 || n > most {
		t.Errorf("the process made %d lookups, want 1 to %d", n, most)
	}
	if wait.Stats.Joins < 499 {
		t.Errorf("%d callers have joined, want 499", wait.Stats.Joins)
	}
	s.check(o.Setup.Timeout)
}
