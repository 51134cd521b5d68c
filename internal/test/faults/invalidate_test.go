//go:build linux

package faults_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// An invalidation while the server is down returns an error that says so, never nil, and at once.
func TestFault_InvalidateWhileDown(t *testing.T) {
	for name, fault := range map[string]func(*faultproxy.Proxy){
		"refused": (*faultproxy.Proxy).Refuse, "black hole": (*faultproxy.Proxy).BlackHole, "SYN black hole": (*faultproxy.Proxy).SYNBlackHole,
	} {
		t.Run(name, func(t *testing.T) {
			proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
			c := configure(t, nil, proxy.Addr())
			f := decorate(t)
			f.warm(t, 10)
			client := newRaw(t, proxy.Addr())
			fault(proxy)
			invalidations := map[string]func() error{
				"Invalidate":      func() error { return f.Invalidate(ctx, 1) },
				"InvalidateGroup": func() error { return c.InvalidateGroup(ctx, "g") },
				"Delete":          func() error { _, err := c.Delete(ctx, "k"); return err },
				"DeleteMany":      func() error { return c.DeleteMany(ctx, []string{"k", "l"}) },
				"Clear":           func() error { return c.Clear(ctx) },
			}
			for what, invalidate := range invalidations { // it isn't known to be down
				if err := invalidate(); err == nil {
					t.Errorf("%s returns nil", what)
				}
			}
			start := time.Now()
			rawErr := client.Delete("k")
			rawTook := shown(time.Since(start))
			if rawErr == nil || errors.Is(rawErr, memcache.ErrCacheMiss) {
				rawTook += fmt.Sprint(", and it returned ", rawErr)
			}
			p := newPlain(t)
			silent, worst, worstPlain := 0, time.Duration(0), time.Duration(0)
			for range 20 {
				for what, invalidate := range invalidations {
					worstPlain = max(worstPlain, p.get(t, 1))
					start := time.Now()
					err := invalidate()
					worst = max(worst, time.Since(start))
					if !errors.Is(err, cacheutils.ErrServerDown) {
						silent++
						t.Logf("%s: %v", what, err)
					}
				}
			}
			exactly(t, "invalidation, "+name+": not told that the server is down", 0, silent, notRun)
			ratio(t, "invalidation, "+name+": slowest of 100", 10, worst, worstPlain, rawTook)
		})
	}
}

// With invalidation_replay: the error says that the invalidation waits; it is carried out at most
// 1 s after the server is back, and before this process is served anything from there.
func TestFault_Replay(t *testing.T) {
	for name, fault := range map[string]func(*faultproxy.Proxy){
		"refused": (*faultproxy.Proxy).Refuse, "black hole": (*faultproxy.Proxy).BlackHole,
	} {
		t.Run(name, func(t *testing.T) {
			const keys = 20
			behind := memcachedtest.Start(t)
			proxy := faultproxy.Start(t, behind.Addr())
			c := configure(t, map[string]any{"invalidation_replay": 1000}, proxy.Addr())
			f := decorate(t)
			g := decorate(t, decorators.Group("g"), decorators.Key(t.Name()+"g"))
			f.warm(t, keys)
			g.warm(t, keys)
			if left := leftOn(t, behind, f, keys); left != keys {
				t.Fatalf("%d of %d values are found on the server: not a test", left, keys)
			}

			fault(proxy)
			f.version.Add(1)
			g.version.Add(1)
			for n := range keys {
				if err := f.Invalidate(ctx, n); !errors.Is(err, cacheutils.ErrQueued) {
					t.Errorf("Invalidate: %v, want ErrQueued", err)
				}
			}
			if err := c.InvalidateGroup(ctx, "g"); !errors.Is(err, cacheutils.ErrQueued) {
				t.Errorf("InvalidateGroup: %v, want ErrQueued", err)
			}

			var done atomic.Bool
			var callers sync.WaitGroup
			for i := range 8 {
				callers.Go(func() {
					pace(&done, func(n int) {
						f.get((n + i) % keys)
						g.get((n + i) % keys)
					})
				})
			}
			time.Sleep(300 * time.Millisecond)
			proxy.Pass()
			took := eventually(t, "nothing waits", func() bool { return server(t, c, proxy.Addr()).Queued == 0 })
			back := took + eventually(t, "a hit", func() bool {
				before := f.Stats().Hits
				f.get(1)
				return f.Stats().Hits > before
			})
			time.Sleep(200 * time.Millisecond)
			done.Store(true)
			callers.Wait()
			strictly(t, "replay, "+name+": carried out after the server is back", time.Second, took, "nothing is")
			strictly(t, "replay, "+name+": first hit", 2*time.Second, back, notRun)
			exactly(t, "replay, "+name+": invalidated values served", 0, int(f.wrong.Load()), notRun)
			exactly(t, "replay, "+name+": values of an invalidated group served", 0, int(g.wrong.Load()), notRun)
			f.right(t, "replay, "+name, notRun)
			exactly(t, "replay, "+name+": invalidated values on the server", 0, leftOn(t, behind, f, keys), notRun)
		})
	}
}

// leftOn returns how many entries of the first version a server still has.
func leftOn(t *testing.T, s *memcachedtest.Server, f *function, keys int) (left int) {
	t.Helper()
	client := newRaw(t, s.Addr())
	for n := range keys {
		key, err := f.CacheKey(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		item, err := client.Get(":1:" + key)
		if err == nil && strings.Contains(string(item.Value), "in version 0") {
			left++
		}
	}
	return left
}
