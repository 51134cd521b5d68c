//go:build linux

package faults_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A lease that couldn't be given back, since the server of a group was lost while the function ran,
// and is back: the next call waits at most 2 s for the holder of the lease, which is gone.
func TestFault_LeaseWhenGroupIsLost(t *testing.T) {
	a := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	b := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	c := configure(t, nil, a.Addr(), b.Addr())
	b.Refuse()
	group := firstOf("group", func(name string) bool { return c.InvalidateGroup(ctx, name) != nil })
	b.Pass()
	awaitUp(t, c)

	var lose func()
	f := decorate(t, decorators.Group(group), decorators.TimeoutOf(func(string) time.Duration {
		lose() // as soon as the function has run
		return time.Minute
	}))
	n, runs := 0, int64(0)
	for lose = func() {}; ; n++ { // a key on the other server
		b.Refuse()
		if f.Invalidate(ctx, n) == nil {
			break
		}
	}
	b.Pass()
	awaitUp(t, c)

	lose = b.Refuse
	f.get(n)
	lose = func() {}
	b.Pass()
	awaitUp(t, c)
	runs = f.runs.Load()
	strictly(t, "lease left when a group's server is lost: the next call", 2*time.Second, f.get(n), notRun)
	f.right(t, "lease left when a group's server is lost", notRun)
	if f.runs.Load() != runs+1 {
		t.Error("the result was not computed")
	}
}

// The answer to taking a lease is lost, and nothing is answered for 2 s after that: the next call after the
// server is back waits at most 2 s.
func TestFault_LeaseWhenAnswerIsLost(t *testing.T) {
	proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	c := configure(t, nil, proxy.Addr())
	f := decorate(t)
	f.warm(t, 1)
	var replies atomic.Int64
	proxy.Rewrite(func(reply []byte) []byte {
		if replies.Add(1) > 1 { // the first is the miss
			return nil
		}
		return reply
	})
	f.get(1)
	time.Sleep(2 * time.Second)
	proxy.Pass()
	awaitUp(t, c)
	strictly(t, "lease left when its answer is lost: the next call", 2*time.Second, f.get(1), notRun)
	f.right(t, "lease left when its answer is lost", notRun)
}

// awaitUp waits until no server counts as down.
func awaitUp(t *testing.T, c *backends.Cache) {
	t.Helper()
	eventually(t, "the servers are up", func() bool {
		for _, s := range c.Servers() {
			if s.Down {
				return false
			}
		}
		return true
	})
}

// firstOf returns the first name that begins with prefix for which is holds.
func firstOf(prefix string, is func(name string) bool) string {
	for n := 0; ; n++ {
		if name := fmt.Sprint(prefix, n); is(name) {
			return name
		}
	}
}
