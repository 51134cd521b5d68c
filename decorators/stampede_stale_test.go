package decorators_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// While the function fails all callers get the stale value, and the function is tried again after a second,
// then two, and so on.
func TestStampede_FailingRefresh(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := newSource(t, 50*time.Millisecond)
	workers := startWorkers(t, pick(3, 8))
	o := order{Do: "call", Callers: 2, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: "fails", Version: "v1.", Group: "cities",
		Timeout: 300 * time.Millisecond, Stale: time.Minute,
	}}
	sendAll(workers, o)()
	s.set(50*time.Millisecond, true)
	time.Sleep(o.Setup.Timeout + tick)
	o.For, o.Pause = pick(1500*time.Millisecond, 8*time.Second), 10*time.Millisecond
	calls, _ := callsOf(t, sendAll(workers, o)())
	for _, c := range calls {
		if c.Run != 1 {
			t.Errorf("while the function fails a caller got run %d, want the stale value's", c.Run)
		}
	}
	failed, _ := s.seen()
	s.set(50*time.Millisecond, false)
	s.check(o.Setup.Timeout)
	for i, backOff := 2, time.Second; i < len(failed); i, backOff = i+1, 2*backOff {
		if gap := failed[i].begin.Sub(failed[i-1].end); gap < backOff-tick {
			t.Errorf("failure %d came %v after the one before, want %v", i, gap, backOff)
		}
	}
	t.Logf("%d calls, %d failures", len(calls), len(failed)-1)
	if n := len(failed) - 1; n < 2 {
		t.Errorf("%d failures: it was not tried again", n)
	}
	o.For = 0
	eventually(t, "a new value once the function works again", func() bool {
		calls, _ := callsOf(t, []report{workers[0].send(o)()})
		return calls[0].Run > len(failed)
	})
}

// A stale value is served for as long as Stale says and no longer, though memcached, which counts in seconds,
// may hold it a little longer.
func TestStampede_StaleEnds(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := newSource(t, 0)
	w := startWorkers(t, 1)[0]
	o := order{Do: "call", Callers: 1, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: "ends", Version: "v1.", Group: "cities",
		Timeout: 100 * time.Millisecond, Stale: 950 * time.Millisecond,
	}}
	w.send(o)()
	s.set(0, true)
	time.Sleep(o.Setup.Timeout + o.Setup.Stale + tick)
	if c := w.send(o)().Calls[0]; c.Err == "" {
		t.Errorf("got run %d, past the time that it may be served", c.Run)
	}
}

// deleteDuringRefresh has the first worker refresh a stale value, which takes a while, and the second
// delete that meanwhile. It returns the order to call, and what waits until the refresh has ended,
// whether its caller waits for that or not.
func deleteDuringRefresh(t *testing.T, server *memcachedtest.Server, workers []worker, takes time.Duration, fails bool) (o order, refreshed func()) {
	t.Helper()
	s := newSource(t, 20*time.Millisecond)
	o = order{Do: "call", Callers: 1, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: t.Name(), Version: "v1.", Group: "cities",
		Timeout: 100 * time.Millisecond, Stale: time.Minute,
	}}
	sendAll(workers, o)()
	time.Sleep(o.Setup.Timeout + tick)
	s.set(takes, fails)
	receive := workers[0].send(o)
	s.awaitRun(2)
	s.set(20*time.Millisecond, false)
	remove := o
	remove.Do = "invalidate"
	workers[1].send(remove)()
	return o, func() {
		t.Helper()
		callsOf(t, []report{receive()})
		stats := o
		stats.Do = "stats"
		eventually(t, "the refresh has ended", func() bool {
			s := workers[0].send(stats)().Stats
			return s.Refusals+s.Errors > 0 // its result was refused, or it had none
		})
	}
}

// What is deleted while it is recomputed stays deleted, whether that succeeds or fails.
func TestStampede_DeleteDuringRefresh(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	workers := startWorkers(t, 3)
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("fails=%v", fails), func(t *testing.T) {
			o, refreshed := deleteDuringRefresh(t, server, workers, 600*time.Millisecond, fails)
			// The refresh ends later. This one starts now.
			if calls, _ := callsOf(t, []report{workers[2].send(o)()}); calls[0].Run != 3 {
				t.Errorf("during the refresh a caller got run %d after the delete, want 3", calls[0].Run)
			}
			refreshed()
			for i, w := range workers {
				if calls, _ := callsOf(t, []report{w.send(o)()}); calls[0].Run < 3 {
					t.Errorf("after the refresh worker %d got run %d, from before the delete", i, calls[0].Run)
				}
			}
		})
	}
}

// The same without a computation between the delete and the end of the refresh.
func TestStampede_DeleteDuringRefreshAlone(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	workers := startWorkers(t, 2)
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("fails=%v", fails), func(t *testing.T) {
			o, refreshed := deleteDuringRefresh(t, server, workers, 200*time.Millisecond, fails)
			refreshed()
			for i, w := range workers {
				if calls, _ := callsOf(t, []report{w.send(o)()}); calls[0].Run < 3 {
					t.Errorf("worker %d got run %d, from before the delete", i, calls[0].Run)
				}
			}
		})
	}
}

// Add treats a stale entry as a miss.
func TestStampede_AddOnStale(t *testing.T) {
	t.Parallel()
	server := memcachedtest.Start(t)
	s := newSource(t, 0)
	workers := startWorkers(t, 2)
	o := order{Do: "call", Callers: 1, Setup: setup{
		Memcached: server.Addr(), Source: s.addr, Key: "add", Version: "v1.", Group: "cities",
		Timeout: 100 * time.Millisecond, Stale: time.Minute,
	}}
	workers[0].send(o)()
	time.Sleep(o.Setup.Timeout + tick)
	add := o
	add.Do = "add"
	if !workers[1].send(add)().Added {
		t.Error("add on a stale entry is refused")
	}
	if workers[0].send(add)().Added {
		t.Error("a second add succeeds, over the first one's value")
	}
	if calls, _ := callsOf(t, []report{workers[0].send(o)()}); calls[0].Run != addedRun {
		t.Errorf("a call after the add got run %d, want the added %d", calls[0].Run, addedRun)
	}
}
