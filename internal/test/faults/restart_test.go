//go:build linux

package faults_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A server that is killed and started again at once, with 16 connections to it in the pool: none
// of the next 400 calls meets a fault, let alone fails.
func TestFault_QuickRestart(t *testing.T) {
	const pooled, calls = 16, 400
	server := memcachedtest.Start(t)
	patient := map[string]any{"operation_timeout": "5s", "read_timeout": "5s"} // pool makes the server hang
	configure(t, patient, server.Addr())
	f := decorate(t)
	f.warm(t, pooled)
	pool(t, server, pooled, func(i int) { f.get(i) })
	client := newRaw(t, server.Addr())
	client.MaxIdleConns, client.Timeout = pooled, 5*time.Second
	client.store(t, 10, rawKey)
	pool(t, server, 2*pooled, func(i int) { client.gets(1, rawKey) })
	server.Restart()

	rawFailed, _ := client.gets(calls, rawKey)
	before := f.Stats().Errors
	f.calls.Store(0)
	for i := range calls {
		f.get(i % 50)
	}
	f.right(t, "quick restart", calls-rawFailed)
	exactly(t, "quick restart: faults that calls met", 0, int(f.Stats().Errors-before), rawFailed)
	if again := int(f.runs.Load()); again != pooled+50 {
		t.Errorf("%d results were computed, want %d before and 50 after", again, pooled)
	}
}

// pool makes the server have at least n connections, by calls that wait for it at the same time.
func pool(t *testing.T, server *memcachedtest.Server, n int, call func(i int)) {
	t.Helper()
	for wait := 20 * time.Millisecond; wait < 2*time.Second; wait *= 2 {
		server.Pause()
		done := make(chan struct{})
		go func() {
			defer close(done)
			together(16, call)
		}()
		time.Sleep(wait) // time to dial, which nobody but the server can see
		server.Resume()
		<-done
		if connections(t, server) >= n {
			return
		}
	}
	t.Fatalf("%d connections, want %d", connections(t, server), n)
}

// connections returns how many connections others than this function have to the server.
func connections(t *testing.T, server *memcachedtest.Server) int {
	t.Helper()
	now, err := strconv.Atoi(server.Stats(t)["curr_connections"])
	if err != nil {
		t.Fatal(fmt.Errorf("curr_connections: %w", err))
	}
	return now - 1
}
