//go:build unix

package stress_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// What holds while the server loses what it has, or is lost itself:
//
//   - Decorated calls get no errors, and values that are as new as ever. What was lost is
//     recomputed: an entry, and with the generation of a group all entries of that; a lease that was
//     lost is not stored under.
//   - An invalidation that returned nil holds from then on, whether the server had what it
//     was to drop or not. One that returned an error has promised nothing.
//   - A ForceRecalc that met a fault has promised nothing: it may not have been able to delete
//     what it could not replace.
//   - A call that itself met a fault may get what others of its process are computing, though it may have been
//     invalidated by a process that the server answers: it can't look that up.
//
// A server that hangs may do more: it may carry out an operation later, long after the caller got an error. For
// a Set with an error that is what findOutdated expects.
func TestStress_Faults(t *testing.T) {
	for _, c := range []struct {
		name    string
		servers int
		clients int      // in each of 4 processes
		server  []string // arguments
		disturb func(t *testing.T, server *memcachedtest.Server)
	}{
		{"flush", 1, 6, nil, func(t *testing.T, server *memcachedtest.Server) {
			pause(30)
			server.Flush(t)
		}},
		{"restart", 1, 6, nil, func(t *testing.T, server *memcachedtest.Server) {
			pause(150)
			server.Stop()
			pause(50)
			server.Restart()
		}},
		{"hang", 1, 6, nil, func(t *testing.T, server *memcachedtest.Server) {
			pause(300)
			server.Pause()
			pause(200)
			server.Resume()
		}},
		{"eviction", 1, 6, []string{"-m", "2", "-o", "no_modern"}, func(t *testing.T, server *memcachedtest.Server) {
			crowd(t, server.Addr())
		}},
		{"anything", 3, 16, nil, func(t *testing.T, server *memcachedtest.Server) {
			pause(200)
			switch rand.IntN(4) {
			case 0:
				server.Flush(t)
			case 1:
				server.Stop()
				pause(300)
				server.Restart()
			case 2:
				server.Restart()
			case 3:
				server.Pause()
				pause(300)
				server.Resume()
			}
		}},
	} {
		for _, backend := range []string{watched, "group+" + watched} {
			for _, groups := range []bool{false, true} {
				if groups == (backend == watched) && *operationsFlag < 50_000 {
					continue // the short form has one of each
				}
				name := c.name + "/" + backend
				if groups {
					name += "/groups"
				}
				t.Run(name, func(t *testing.T) {
					var servers []*memcachedtest.Server
					j := job{
						Backend: backend, Groups: groups, Operations: share(1./16, 6000), Clients: c.clients, SocketTimeout: "100ms",
					}
					for range c.servers {
						server := memcachedtest.Start(t, c.server...)
						servers = append(servers, server)
						j.Location = append(j.Location, server.Addr())
					}
					n := 0
					s := start(t, 4, j).wait(t, func() { c.disturb(t, servers[rand.IntN(c.servers)]); n++ })
					s.check(t, func(r record) bool { return r.Kind == read && r.Faulted })
					t.Logf("%d times", n)
					if n == 0 || s.stats.Hits == 0 {
						t.Errorf("%d disturbances and %d hits: not a test", n, s.stats.Hits)
					}
					if c.name == "eviction" && servers[0].Stats(t)["evictions"] == "0" {
						t.Error("the server has not evicted anything")
					}
				})
			}
		}
	}
}

// pause lasts up to that many milliseconds.
func pause(most int) { time.Sleep(time.Duration(rand.IntN(most*1000)) * time.Microsecond) }

// crowd writes so much to a small server that it evicts what others have there.
func crowd(t *testing.T, addr string) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	w := bufio.NewWriterSize(nc, 1<<16)
	filler := bytes.Repeat([]byte("x"), 400)
	for n := range 20_000 {
		size := 1 + n%len(filler)
		fmt.Fprintf(w, "set filler:%d 0 0 %d noreply\r\n%s\r\n", rand.Uint64(), size, filler[:size])
	}
	fmt.Fprint(w, "version\r\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(nc).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}
