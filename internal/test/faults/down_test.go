//go:build linux

package faults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A server that is down at start: 1000 calls have 1000 right results and no error, at most 3
// dials a second, and p99 of a call is at most 5 times that of a plain Get.
func TestFault_DownAtStart(t *testing.T) {
	proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	proxy.Refuse()

	r := newRaw(t, proxy.Addr())
	lasts := pick(200*time.Millisecond, time.Second)
	for start := time.Now(); time.Since(start) < lasts; {
		r.gets(1, rawKey)
	}
	rawDials := fmt.Sprintf("%.0f a second", float64(r.dials.Load())/lasts.Seconds())

	c := configure(t, nil, proxy.Addr())
	f, p := decorate(t), newPlain(t)
	start := time.Now()
	var times, plain []time.Duration
	for i := range 1000 {
		times, plain = append(times, f.get(i)), append(plain, p.get(t, i))
	}
	f.right(t, "down at start", notRun)
	f.met(t, "down at start")
	ratio(t, "down at start: p99 of a call", 5, percentile(t, times, 99), percentile(t, plain, 99), notRun)
	for lasts := pick(2*time.Second, 10*time.Second); time.Since(start) < lasts; {
		f.get(1)
	}
	seconds := time.Since(start).Seconds()
	dials := float64(server(t, c, proxy.Addr()).Dials) / seconds
	figure(t, "down at start: dials a second", "<= 3", fmt.Sprintf("%.1f", dials), rawDials)
	if dials == 0 || dials > 3 {
		t.Errorf("%.1f dials a second, want some and at most 3", dials)
	}
}

// A name that can't be resolved: the error names the host, no caller sees it, and the other server
// works. Once the name can be resolved, its server does too, within 2 s.
func TestFault_UnresolvableName(t *testing.T) {
	resolver.Forget()
	good := memcachedtest.Start(t)
	_, port, _ := strings.Cut(memcachedtest.Start(t).Addr(), ":")
	bad := "cache.faults.invalid:" + port
	c := configure(t, nil, good.Addr(), bad)
	f := decorate(t)
	const keys = 200
	for range 3 {
		for n := range keys {
			f.get(n)
		}
	}
	f.right(t, "unresolvable name", rawUnresolvable(t, good.Addr(), bad))

	broken := 0
	for n := range keys {
		err := c.Get(ctx, fmt.Sprint("k", n), new(string))
		switch {
		case err == nil || strings.Contains(err.Error(), "cache miss"):
		case strings.Contains(err.Error(), "cache.faults.invalid"):
			broken++
		default:
			t.Errorf("an error that doesn't name the host: %v", err)
		}
	}
	figure(t, "unresolvable name: keys without a server", "some of 200", broken, notRun)
	if broken == 0 || broken == keys {
		t.Errorf("%d of %d keys are without a server", broken, keys)
	}
	before := f.runs.Load()
	for n := range keys {
		f.get(n)
	}
	if again := f.runs.Load() - before; again == 0 || again == keys {
		t.Errorf("%d of %d results are recomputed", again, keys)
	}

	resolver.Answer("127.0.0.1")
	strictly(t, "unresolvable name: first hit after it is resolved", 2*time.Second, eventually(t, "all keys are hits", func() bool {
		before := f.runs.Load()
		for n := range keys {
			f.get(n)
		}
		return f.runs.Load() == before
	}), "never")
}

func rawUnresolvable(t *testing.T, addrs ...string) string {
	r := newRaw(t, addrs...)
	failed, _ := r.gets(100, rawKey)
	return fmt.Sprint(100-failed, " of 100")
}
