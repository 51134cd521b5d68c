package decorators_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A function is slower than the lease's life and than the time that a value is stale for.
func TestStampede_SlowerThanLease(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := newSource(t, pick(1500*time.Millisecond, 2500*time.Millisecond))
	workers := startWorkers(t, pick(3, 8))
	o := order{Do: "call", Callers: 2, For: pick(5*time.Second, 20*time.Second), Pause: 10 * time.Millisecond, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: "slow", Version: "v1.", Group: "cities",
		Lease: time.Second, Timeout: 500 * time.Millisecond, Stale: time.Second,
	}}
	calls, _ := callsOf(t, sendAll(workers, o)())
	s.check(o.Setup.Timeout)
	runs, most := s.seen()
	t.Logf("%d calls, %d runs, %d at once", len(calls), len(runs), most)
	if len(runs) < 2 {
		t.Errorf("%d runs: no value has expired", len(runs))
	}
	got := map[int]int{}
	for _, c := range calls {
		if got[c.Run]++; c.Run < 1 || c.Run > len(runs) {
			t.Errorf("a caller got run %d of %d", c.Run, len(runs))
		}
	}
	if got[1] == 0 || got[2] == 0 {
		t.Errorf("calls by the run that they got: %v, want some for 1 and for 2", got)
	}
}

// A holder that is killed delays the next computation by no more than its lease's life and
// one tick of memcached's clock.
func TestStampede_KilledHolder(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	const lease = time.Second
	// kill has worker 0 compute, until it is killed, while the others call again and again. It
	// returns how long after that run n began.
	kill := func(t *testing.T, s *source, workers []worker, o order, n int) time.Duration {
		t.Helper()
		s.set(time.Minute, false)
		workers[0].send(o)
		s.awaitRun(n - 1)
		s.set(20*time.Millisecond, false)
		o.For, o.Pause = lease+2*time.Second, 10*time.Millisecond
		receive := sendAll(workers[1:], o)
		time.Sleep(lease / 2)
		killed := time.Now()
		workers[0].Kill()
		callsOf(t, receive())
		return s.awaitRun(n).begin.Sub(killed)
	}
	setup := setup{Memcached: server.Addr(), Version: "v1.", Group: "cities", Lease: lease, Timeout: time.Minute}
	for _, test := range []struct {
		name string
		old  bool
		most time.Duration
	}{
		{"nothing there", false, lease + time.Second},
		{"a stale value there", true, lease},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t, 0)
			workers := startWorkers(t, 3)
			o := order{Do: "call", Callers: 1, Setup: setup}
			o.Setup.Source, o.Setup.Key = s.addr, strings.ReplaceAll(test.name, " ", "_")
			next := 2
			if test.old {
				o.Setup.Timeout = 500 * time.Millisecond
				workers[0].send(o)()
				time.Sleep(o.Setup.Timeout + tick)
				next++
			}
			delay := kill(t, s, workers, o, next)
			t.Logf("the next computation began %v after the kill", delay)
			if most := test.most + pick(2*time.Second, 100*time.Millisecond); delay > most {
				t.Errorf("the next computation began %v after the kill, more than %v", delay, most)
			}
			if _, most := s.seen(); most > 1 {
				t.Errorf("%d computations at once", most)
			}
		})
	}
}
