//go:build linux

package faults_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A name with several addresses, which come in another order each time: of all reads by 16 callers in two
// processes (two sets of backends, with connections of their own) after an Invalidate or InvalidateGroup in one of
// them, none gets an older value, and none waits for a lease that is on another server.
func TestFault_NameWithSeveralAddresses(t *testing.T) {
	servers := memcachedtest.StartTogether(t, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	_, port, _ := net.SplitHostPort(servers[0].Addr())
	resolver.Answer("127.0.0.1", "127.0.0.2", "127.0.0.3")
	const keys, rounds, callers = 60, 20, 16 // so many keys that each server has one, whatever its port
	var row atomic.Int64
	load := func(context.Context, int) (int64, error) { return row.Load(), nil }
	type process struct {
		load       func(context.Context, int) (int64, error)
		invalidate func(key int) error
	}
	var processes []process
	for range 2 {
		caches, err := backends.New(backends.Config{"default": {
			Backend: "memcached", Location: []string{"cache.faults.test.:" + port}, Options: map[string]any{"operation_timeout": "10s"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { caches.Close() })
		F, f := decorators.Cached1(load, decorators.Key("several addresses"), decorators.Group("several"), decorators.On(caches))
		c, err := caches.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		processes = append(processes, process{F, func(key int) error {
			if key%2 == 0 {
				return f.Invalidate(ctx, key)
			}
			return c.InvalidateGroup(ctx, "several")
		}})
	}
	read := func(each func(key int, value int64)) {
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				for n := range keys {
					key := (n + i) % keys
					v, err := processes[i%2].load(ctx, key)
					if err != nil {
						t.Error(err)
					}
					each(key, v)
				}
			})
		}
		all.Wait()
	}
	var outdated, reads atomic.Int64
	began := time.Now()
	for round := range rounds {
		read(func(int, int64) {})
		row.Add(1)
		key := round % keys
		if err := processes[round/2%2].invalidate(key); err != nil {
			t.Fatal(err)
		}
		read(func(read int, v int64) {
			if read == key || key%2 == 1 {
				reads.Add(1)
				if v < row.Load() {
					outdated.Add(1)
				}
			}
		})
	}
	atMost(t, "a name with 3 addresses: outdated values after Invalidate", 0, int(outdated.Load()), notRun)
	if n := reads.Load(); n < rounds*callers {
		t.Errorf("%d reads, want at least %d", n, rounds*callers)
	}
	if took := time.Since(began); took > 20*time.Second { // it waits for no lease, which would take 6 s each
		t.Errorf("it took %v", took)
	}
	for _, s := range servers {
		if n := s.Stats(t)["cmd_set"]; n == "0" {
			t.Errorf("%s has no keys", s.Addr())
		}
	}
}
