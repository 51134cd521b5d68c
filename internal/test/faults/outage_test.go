//go:build linux

package faults_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// An outage is a way in which a server is gone for a while.
type outage struct {
	name       string
	addr       string
	begin, end func()
}

// outages starts a server for each way.
func outages(t *testing.T) []outage {
	t.Helper()
	proxies := func() *faultproxy.Proxy { return faultproxy.Start(t, memcachedtest.Start(t).Addr()) }
	refused, hole, syn := proxies(), proxies(), proxies()
	stopped, killed := memcachedtest.Start(t), memcachedtest.Start(t)
	return []outage{
		{"refused", refused.Addr(), refused.Refuse, refused.Pass},
		{"black hole", hole.Addr(), hole.BlackHole, hole.Pass},
		{"SYN black hole", syn.Addr(), syn.SYNBlackHole, syn.Pass},
		{"SIGSTOP", stopped.Addr(), stopped.Pause, stopped.Resume},
		{"killed", killed.Addr(), killed.Stop, killed.Restart},
	}
}

// The figures for a server that is gone for 12 s.
const (
	outageLasts = 12 * time.Second
	outageCosts = outageLasts * 5 / 100
	slow        = 75 * time.Millisecond // half the shortest timeout: a call that has waited for the server
)

// A run is what one sequential caller sees of an outage.
type run struct {
	mu       sync.Mutex
	times    []time.Duration // of the calls that began within it
	back     time.Time       // when it ended
	firstHit time.Duration   // after that
}

// note takes one call, from begin on, within an outage or after it.
func (r *run) note(begin time.Time, hit bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.back.IsZero():
		r.times = append(r.times, time.Since(begin))
	case hit && r.firstHit == 0:
		r.firstHit = time.Since(r.back)
	}
}

func (r *run) over() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.back = time.Now()
}

func (r *run) isBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.firstHit > 0
}

// summary returns how many calls were slow, what they took, and what each of the others took.
func (r *run) summary() (slowCalls int, cost time.Duration, others []time.Duration) {
	for _, took := range r.times {
		if took > slow {
			slowCalls++
			cost += took
		} else {
			others = append(others, took)
		}
	}
	return slowCalls, cost, others
}

// A server that is gone for 12 s, in any way: no call fails; a sequential caller has at most 5 slow
// calls, and loses at most 5 % of the time to them, 600 ms; p99 of the others is at most 5 times that
// of plain Gets; the first hit is at most 2 s after the server is back. The normal form has 3 s,
// and the same 600 ms.
func TestFault_Outage(t *testing.T) {
	all := outages(t)
	config := backends.Config{}
	for _, o := range all {
		config[o.name] = settings(nil, o.addr)
	}
	cachetest.Configure(t, config)

	functions, ours, raws := make([]*function, len(all)), make([]run, len(all)), make([]run, len(all))
	p, plain := newPlain(t), run{}
	var done atomic.Bool
	var callers sync.WaitGroup
	for i, o := range all {
		f := decorate(t, decorators.Backend(o.name), decorators.Key(t.Name()+o.name))
		f.warm(t, 10)
		functions[i] = f
		client := newRaw(t, o.addr)
		client.store(t, 10, rawKey)
		o.begin()
		callers.Go(func() { pace(&done, func(n int) { f.observe(&ours[i], n) }) })
		callers.Go(func() { pace(&done, func(n int) { client.observe(&raws[i], n) }) })
	}
	callers.Go(func() {
		pace(&done, func(n int) {
			begin := time.Now()
			p.get(t, n)
			plain.note(begin, true)
		})
	})
	time.Sleep(pick(outageLasts/4, outageLasts))
	plain.over()
	for i, o := range all {
		o.end()
		ours[i].over()
		raws[i].over()
	}
	for i, o := range all {
		eventually(t, o.name+": a hit", ours[i].isBack)
	}
	done.Store(true)
	callers.Wait()

	for i, o := range all {
		slowCalls, cost, others := ours[i].summary()
		rawSlow, rawCost, _ := raws[i].summary()
		functions[i].right(t, o.name, notRun)
		functions[i].met(t, o.name)
		atMost(t, o.name+": slow calls", 5, slowCalls, rawSlow)
		strictly(t, o.name+": time lost to slow calls", outageCosts, cost, shown(rawCost)+of(raws[i].times))
		ratio(t, o.name+": p99 of other calls", 5, percentile(t, others, 99), percentile(t, plain.times, 99), notRun)
		strictly(t, o.name+": first hit after it", 2*time.Second, ours[i].firstHit, raws[i].firstHit)
	}
}

func of(times []time.Duration) string { return fmt.Sprintf(" in %d calls", len(times)) }

// pace calls f again and again, a millisecond after the last call.
func pace(done *atomic.Bool, f func(n int)) {
	for n := 0; !done.Load(); n++ {
		f(n % 10)
		time.Sleep(time.Millisecond)
	}
}

func (f *function) observe(r *run, n int) {
	begin, before := time.Now(), f.runs.Load()
	f.get(n)
	r.note(begin, f.runs.Load() == before)
}

func (r *raw) observe(to *run, n int) {
	begin := time.Now()
	_, err := r.Get(rawKey(n))
	to.note(begin, err == nil || errors.Is(err, memcache.ErrCacheMiss))
}

// 1000 callers at once of a server that is gone: no more sockets than max_conns, and all are
// done within twice the budget of an operation, which is 250 ms.
func TestFault_ManyCallersOfAnOutage(t *testing.T) {
	const budget, maxConns, callers = 250 * time.Millisecond, 64, 1000
	for _, o := range outages(t) {
		t.Run(o.name, func(t *testing.T) {
			configure(t, nil, o.addr)
			f := decorate(t)
			f.warm(t, 10)
			o.begin()

			most, start := watchSockets(t, o.addr), time.Now()
			together(callers, func(i int) { f.get(i) })
			took, open := time.Since(start), most()

			client := newRaw(t, o.addr)
			rawMost, start := watchSockets(t, o.addr), time.Now()
			together(callers, func(i int) { client.gets(1, func(int) string { return fmt.Sprint("raw", i) }) })
			rawTook, rawOpen := time.Since(start), rawMost()

			f.right(t, o.name, notRun)
			f.met(t, o.name)
			atMost(t, o.name+": sockets of 1000 callers", maxConns, open, rawOpen)
			within(t, o.name+": 1000 callers are done", 2*budget, took, rawTook)
			o.end()
		})
	}
}
