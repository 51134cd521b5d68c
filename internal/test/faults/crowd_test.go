//go:build linux

package faults_test

import (
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// 10,000 goroutines that call 5 times each, against a server that takes 1024 connections and one
// that takes 100: 50,000 of 50,000 results are right, and each is a hit; at most max_conns
// connections, 64, are opened; it takes at most 5 times as long as gomemcache behind a semaphore of 64
// for the same gets. The race detector takes no
// more than 8128 goroutines, so the normal form has 5000. Waiting for a
// connection counts against the budget of an operation, which is larger here: what is asserted
// is that none is lost, not how fast the machine is.
func TestFault_Crowd(t *testing.T) {
	for _, limit := range []string{"1024", "100"} {
		t.Run("-c "+limit, func(t *testing.T) {
			const maxConns, keys = 64, 100
			goroutines, calls := pick(5000, 10_000), 5
			server := memcachedtest.Start(t, "-c", limit)
			configure(t, map[string]any{"operation_timeout": "20s"}, server.Addr())
			before, most := total(t, server), watchSockets(t, server.Addr())
			f := decorate(t)
			f.warm(t, keys)
			f.calls.Store(0)
			runs, start := f.runs.Load(), time.Now()
			together(goroutines, func(i int) {
				for j := range calls {
					f.get((i + j) % keys)
				}
			})
			took, open := time.Since(start), most()
			opened := total(t, server) - before - 1

			rawGoroutines := pick(1000, goroutines)
			rawFailed := rawCrowd(t, server, rawGoroutines, calls)
			rawOpened := total(t, server) - before - opened - 2
			what := fmt.Sprintf("%d callers, -c %s", goroutines, limit)
			f.right(t, what, fmt.Sprintf("%d of %d", rawGoroutines*calls-rawFailed, rawGoroutines*calls))
			exactly(t, what+": results that were recomputed", 0, int(f.runs.Load()-runs), notRun)
			if open == 0 {
				t.Error("no connection is seen: not a test")
			}
			atMost(t, what+": connections at once", maxConns, open, notRun)
			atMost(t, what+": connections ever", maxConns, opened, rawOpened)
			ratio(t, what+": all done", 5, took, rawInTurn(t, server, goroutines, calls, maxConns), notRun)
		})
	}
}

// total returns how many connections the server has had, this one included.
func total(t *testing.T, server *memcachedtest.Server) int {
	t.Helper()
	n, err := strconv.Atoi(server.Stats(t)["total_connections"])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rawCrowd returns how many gets failed. Where memcached takes no more connections it may not say so, and a get
// waits for its timeout.
func rawCrowd(t *testing.T, server *memcachedtest.Server, goroutines, calls int) int {
	client := newRaw(t, server.Addr())
	client.store(t, 10, rawKey)
	var failed atomic.Int64
	together(goroutines, func(int) {
		n, _ := client.gets(calls, rawKey)
		failed.Add(int64(n))
	})
	return int(failed.Load())
}

// rawInTurn returns how long the gets take if at most that many are under way at a time.
func rawInTurn(t *testing.T, server *memcachedtest.Server, goroutines, calls, most int) time.Duration {
	client := newRaw(t, server.Addr())
	client.MaxIdleConns, client.Timeout = most, 20*time.Second
	slots := make(chan struct{}, most)
	start := time.Now()
	together(goroutines, func(int) {
		for range calls {
			slots <- struct{}{}
			client.gets(1, rawKey)
			<-slots
		}
	})
	return time.Since(start)
}

// A server that takes 100 connections, all of which others have: no call fails, and at most 2 s
// after the others have left there is a hit.
func TestFault_ConnectionLimit(t *testing.T) {
	for name, args := range map[string][]string{
		"turned away":  {"-c", "100"},
		"kept waiting": {"-c", "100", "-o", "no_maxconns_fast"},
	} {
		t.Run(name, func(t *testing.T) {
			server := memcachedtest.Start(t, args...)
			configure(t, nil, server.Addr())
			f := decorate(t)
			var others []net.Conn
			for range 150 {
				conn, err := net.DialTimeout("tcp", server.Addr(), 200*time.Millisecond)
				if err != nil {
					break // the server doesn't even listen any more
				}
				others = append(others, conn)
			}
			time.Sleep(100 * time.Millisecond) // until the server has taken them
			client := newRaw(t, server.Addr())
			rawFailed, _ := client.gets(pick(2, 20), rawKey)
			for i := range 200 {
				f.get(i % 10)
			}
			f.met(t, "100 connections, "+name)
			for _, conn := range others {
				conn.Close()
			}
			back := eventually(t, "a hit", func() bool {
				before := f.runs.Load()
				f.get(1)
				return f.runs.Load() == before
			})
			f.right(t, "100 connections, "+name, fmt.Sprintf("%d of %d failed", rawFailed, pick(2, 20)))
			strictly(t, "100 connections, "+name+": first hit when they are free", 2*time.Second, back, notRun)
		})
	}
}
