//go:build linux

package faults_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// One server of four is lost, and comes back with what it had: the keys of the others are hits as
// ever, and their invalidations meet no fault. After it is back, nothing is served that was
// invalidated: an Invalidate that returned nil holds. One that returned an error has promised
// nothing, unless invalidation_replay is on: then those hold too.
func TestFault_OneOfFour(t *testing.T) {
	for name, fault := range map[string]func(*faultproxy.Proxy){
		"refused": (*faultproxy.Proxy).Refuse, "black hole": (*faultproxy.Proxy).BlackHole,
	} {
		for _, replay := range []int{0, 1000} {
			t.Run(fmt.Sprint(name, "/replay ", replay), func(t *testing.T) {
				var proxies []*faultproxy.Proxy
				var addrs []string
				for range 4 {
					p := faultproxy.Start(t, memcachedtest.Start(t).Addr())
					proxies, addrs = append(proxies, p), append(addrs, p.Addr())
				}
				configure(t, map[string]any{"invalidation_replay": replay}, addrs...)
				f := decorate(t)
				f.warm(t, keysOfFour)
				fault(proxies[1])
				oneLost(t, f, replay > 0, proxies[1].Pass)
			})
		}
	}
}

const keysOfFour = 200

// oneLost goes through the time in which a server is lost, until after heal.
func oneLost(t *testing.T, f *function, replay bool, heal func()) {
	f.hits()
	hit := f.hits()
	lost := keysOfFour - count(hit, true)
	if lost == 0 || lost > keysOfFour/2 {
		t.Errorf("%d of %d keys were on the server that is lost", lost, keysOfFour)
	}
	for n, again := range f.hits() {
		if again != hit[n] {
			t.Errorf("%d: a hit: %v, then: %v", n, hit[n], again)
		}
	}
	f.right(t, "one of four lost", notRun)

	f.version.Add(1)
	promised := make([]bool, keysOfFour) // that no older value is served
	faults, silent := 0, 0
	for n := range promised {
		err := f.Invalidate(ctx, n)
		promised[n] = err == nil || errors.Is(err, cacheutils.ErrQueued)
		if hit[n] && err != nil {
			faults++
		}
		if !hit[n] && (err == nil || replay != errors.Is(err, cacheutils.ErrQueued)) {
			silent++
			t.Log(err)
		}
	}
	exactly(t, "one of four lost: faults of the others' invalidations", 0, faults, notRun)
	exactly(t, "one of four lost: its own invalidations that don't say so", 0, silent, notRun)
	f.hits()
	for n := range promised { // as in an application that goes on to change and to delete
		if n%2 == 0 {
			promised[n] = f.Invalidate(ctx, n) == nil || promised[n]
		}
	}
	f.right(t, "one of four lost, after a change", notRun)

	heal()
	served := make([]bool, keysOfFour) // of the version that was invalidated
	eventually(t, "all keys are hits again", func() bool {
		f.served(served)
		return count(f.hits(), true) == keysOfFour
	})
	broken, kept := 0, 0
	for n := range served {
		switch {
		case served[n] && promised[n]:
			broken++
		case served[n]:
			kept++
		}
	}
	exactly(t, "one of four back: invalidated values served", 0, broken, notRun)
	figure(t, "one of four back: values whose invalidation had failed", "allowed without replay", kept, notRun)
}

// hits calls the function for each key and returns which calls didn't run it.
func (f *function) hits() []bool {
	hits := make([]bool, keysOfFour)
	for n := range hits {
		before := f.runs.Load()
		f.get(n)
		hits[n] = f.runs.Load() == before
	}
	return hits
}

// served marks the keys for which an older version is returned.
func (f *function) served(old []bool) {
	for n := range old {
		if got, _ := f.call(ctx, n); got != f.value(n) {
			old[n] = true
		}
	}
}

func count(list []bool, what bool) (n int) {
	for _, one := range list {
		if one == what {
			n++
		}
	}
	return n
}
