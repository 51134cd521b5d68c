//go:build linux

package faults_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A new configuration while operations wait for a server that hangs: a Set on another server
// takes at most 50 times what it took before.
func TestFault_ConfigureWhileHanging(t *testing.T) {
	hanging := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	good := memcachedtest.Start(t).Addr()
	patient := map[string]any{"operation_timeout": "2s", "read_timeout": "2s"}
	config := backends.Config{"hanging": settings(patient, hanging.Addr()), "good": settings(nil, good)}
	cachetest.Configure(t, config)
	set := func() { // as a caller that always uses the backend in force
		err := backend(t, "good").Set(ctx, "k", "v")
		if errors.Is(err, cacheutils.ErrClosed) { // Configure has replaced that meanwhile
			err = backend(t, "good").Set(ctx, "k", "v")
		}
		if err != nil {
			t.Error(err)
		}
	}
	hanging.BlackHole()
	var waiting sync.WaitGroup
	var ended atomic.Int64
	hang := backend(t, "hanging")
	for range 8 {
		waiting.Go(func() { hang.Get(ctx, "k", new(string)); ended.Add(1) })
		waiting.Go(func() { hang.Clear(ctx); ended.Add(1) })
	}
	stop := watchSlowest(set)
	time.Sleep(100 * time.Millisecond)
	before := stop()

	stop = watchSlowest(set)
	start := time.Now()
	if err := backends.Configure(config); err != nil {
		t.Log(err) // functions that other tests decorated have no backend
	}
	configured := time.Since(start)
	if n := ended.Load(); n == 16 {
		t.Error("no operation waits for the server that hangs: not a test")
	}
	time.Sleep(100 * time.Millisecond)
	ratio(t, "configured while a server hangs: slowest of the others", 50, stop(), before, rawSetServers(t, hanging.Addr(), good))
	figure(t, "configured while a server hangs: Configure itself", "at once", configured, notRun)
	waiting.Wait()
}

// A configuration that replaces one whose operations wait for a server that hangs, for good: when
// they have ended, no goroutine is left of it, and the server is not dialled any more.
func TestFault_ReplacedWhileHanging(t *testing.T) {
	proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	proxy.Refuse() // without the proxy's own
	goroutines := runtime.NumGoroutine()
	c := configure(t, map[string]any{"probe_interval": "50ms"}, proxy.Addr())
	proxy.BlackHole()
	var waiting sync.WaitGroup
	var ended atomic.Int64
	for range 8 {
		waiting.Go(func() { c.Get(ctx, "k", new(string)); ended.Add(1) })
	}
	time.Sleep(50 * time.Millisecond)
	if ended.Load() == 8 {
		t.Error("no operation waits for the server that hangs: not a test")
	}
	cachetest.Locmem(t)
	waiting.Wait()
	before := proxy.Accepted()
	time.Sleep(500 * time.Millisecond)
	dials := proxy.Accepted() - before
	proxy.Refuse()
	time.Sleep(100 * time.Millisecond)
	exactly(t, "replaced while a server hangs: dials in the next 500 ms", 0, dials, notRun)
	exactly(t, "replaced while a server hangs: goroutines left", 0, max(0, runtime.NumGoroutine()-goroutines), notRun)
}

// watchSlowest calls f again and again until the function it returns is called, which returns the
// time of the slowest call.
func watchSlowest(f func()) (slowest func() time.Duration) {
	var done atomic.Bool
	result := make(chan time.Duration)
	go func() {
		var worst time.Duration
		for !done.Load() {
			start := time.Now()
			f()
			worst = max(worst, time.Since(start))
			time.Sleep(time.Millisecond)
		}
		result <- worst
	}()
	return func() time.Duration {
		done.Store(true)
		return <-result
	}
}

// rawSetServers does the same with gomemcache's list of servers.
func rawSetServers(t *testing.T, hanging, good string) string {
	list := new(memcache.ServerList)
	if err := list.SetServers(hanging, good); err != nil {
		t.Fatal(err)
	}
	client := memcache.NewFromSelector(list)
	client.Timeout = 2 * time.Second
	t.Cleanup(func() { client.Close() })
	goodKey := keyOn(t, list, good)
	var all sync.WaitGroup
	all.Go(func() { client.Ping() })
	time.Sleep(50 * time.Millisecond)
	all.Go(func() { list.SetServers(hanging, good) })
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	client.Get(goodKey)
	took := time.Since(start)
	all.Wait()
	return shown(took)
}

func keyOn(t *testing.T, list *memcache.ServerList, addr string) string {
	t.Helper()
	for n := range 1000 {
		key := fmt.Sprint("k", n)
		on, err := list.PickServer(key)
		if err == nil && on.String() == addr {
			return key
		}
	}
	t.Fatalf("no key on %s", addr)
	return ""
}

// A server that was down when Configure replaced its backend is probed no more, though operations
// were under way.
func TestFault_ConfigureWhileDown(t *testing.T) {
	server := memcachedtest.Start(t)
	server.Stop()
	configure(t, nil, server.Addr())
	var done atomic.Bool
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for !done.Load() {
				if c, err := backends.Get("default"); err == nil {
					c.Delete(ctx, "k")
				}
			}
		})
	}
	for range 100 {
		configure(t, nil, server.Addr())
		time.Sleep(time.Millisecond)
	}
	probes := func() bool {
		stacks := make([]byte, 1<<20)
		return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), ".probeUntilUp(")
	}
	eventually(t, "the server is probed", probes)
	done.Store(true)
	callers.Wait()
	backends.Configure(nil)
	backends.Get("default")
	eventually(t, "nobody probes", func() bool {
		runtime.GC()
		return !probes()
	})
}
