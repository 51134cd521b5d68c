package decorators_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A requests is a way to a server that notes the commands that pass.
type requests struct {
	addr string

	mu       sync.Mutex
	commands []string
}

func countRequests(t *testing.T, server string) *requests {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &requests{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(conn, server)
		}
	}()
	return c
}

func (c *requests) serve(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	go io.Copy(client, server)
	in := bufio.NewReader(client)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		fields := strings.Fields(line)
		c.mu.Lock()
		c.commands = append(c.commands, fields[0])
		c.mu.Unlock()
		if _, err := io.WriteString(server, line); err != nil {
			return
		}
		if slices.Contains([]string{"set", "add", "cas", "replace"}, fields[0]) {
			size, err := strconv.ParseInt(fields[4], 10, 64)
			if err != nil {
				return
			}
			if _, err := io.CopyN(server, in, size+2); err != nil {
				return
			}
		}
	}
}

// take returns the commands since the last take.
func (c *requests) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	commands := c.commands
	c.commands = nil
	return commands
}

func groupNames(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("group-%d", i))
	}
	return names
}

// A hit is one request and no write, whatever the number of groups.
func TestLaw7_GroupedHit(t *testing.T) {
	const hits = 50
	ctx := context.Background()
	for _, backend := range []string{"memcached", "group"} {
		for _, groups := range []int{0, 1, 3, 16} {
			t.Run(fmt.Sprintf("%s/%d groups", backend, groups), func(t *testing.T) {
				server := memcachedtest.Start(t)
				way := countRequests(t, server.Addr())
				cachetest.Configure(t, backends.Config{"default": {Backend: backend, Location: []string{way.addr}, Timeout: time.Hour}})
				F, h := decorators.Cached(numbering(), append(inGroups(groupNames(groups)), decorators.Key("law7"))...)
				got(t, "the miss", "a1")(F(ctx, "a"))
				way.take()
				before := server.Stats(t)
				for range hits {
					got(t, "a hit", "a1")(F(ctx, "a"))
				}
				commands, after := way.take(), server.Stats(t)
				if n := h.Stats().Hits; n != hits {
					t.Fatalf("%d hits, want %d", n, hits)
				}
				for name, want := range map[string]int{
					"cmd_get": hits * (1 + groups), "get_hits": hits * (1 + groups), "cmd_set": 0, "cmd_touch": 0, "cmd_meta": 0,
				} {
					a, _ := strconv.Atoi(after[name])
					b, _ := strconv.Atoi(before[name])
					if a-b != want {
						t.Errorf("%s grew by %d, want %d", name, a-b, want)
					}
				}
				if len(commands) != hits {
					t.Errorf("%d hits were %d requests: %q", hits, len(commands), slices.Compact(commands))
				}
			})
		}
	}
	t.Run("two servers", func(t *testing.T) {
		one, two := countRequests(t, memcachedtest.Start(t).Addr()), countRequests(t, memcachedtest.Start(t).Addr())
		cachetest.Configure(t, backends.Config{"default": {Backend: "group", Location: []string{one.addr, two.addr}, Timeout: time.Hour}})
		F, _ := decorators.Cached(numbering(), decorators.Key("law7.two"), decorators.Group(groupNames(16)...))
		got(t, "the miss", "a1")(F(ctx, "a"))
		one.take()
		two.take()
		for range hits {
			got(t, "a hit", "a1")(F(ctx, "a"))
		}
		for _, way := range []*requests{one, two} {
			if commands := way.take(); len(commands) != hits {
				t.Errorf("%d hits were %d requests to one of two servers: %q", hits, len(commands), slices.Compact(commands))
			}
		}
	})
}

// A miss that no other call wants is four round trips: the lookup, taking the lease, the lookup whether that is
// still there, and the store.
func TestLaw4_MissCost(t *testing.T) {
	server := memcachedtest.Start(t)
	way := countRequests(t, server.Addr())
	cachetest.Configure(t, backends.Config{"default": {Backend: "group", Location: []string{way.addr}, Timeout: time.Hour}})
	ctx := context.Background()
	want := func(what string, want ...string) {
		t.Helper()
		commands := way.take()
		for i, c := range commands {
			if c == "gets" {
				commands[i] = "get"
			}
		}
		if diff := cmp.Diff(want, commands); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", what, diff)
		}
	}
	call := func(f func(context.Context, string) (string, error), arg, result string) {
		t.Helper()
		got(t, arg, result)(f(ctx, arg))
	}
	Plain, plain := decorators.Cached(numbering(), decorators.Key("cost"))
	call(Plain, "a", "a1")
	want("a miss without groups", "get", "add", "get", "cas")

	Grouped, grouped := decorators.Cached(numbering(), decorators.Key("cost.groups"), decorators.Group(groupNames(3)...))
	call(Grouped, "a", "a1")
	want("a miss with three new groups", "get", "add", "add", "add", "add", "get", "cas")
	call(Grouped, "b", "b1")
	want("a miss with three groups", "get", "add", "get", "cas")
	invalidateGroup(t, "default", "group-1")
	want("InvalidateGroup", "set")
	call(Grouped, "a", "a2")
	want("a miss on an outdated entry", "get", "cas", "get", "cas")
	call(grouped.ForceRecalc, "a", "a3")
	want("ForceRecalc", "get", "cas", "get", "cas")
	if err := plain.Invalidate(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	want("Invalidate", "delete")

	Brief, brief := decorators.Cached(numbering(), decorators.Key("cost.stale"), decorators.Group("group-1"), decorators.Timeout(time.Millisecond))
	call(Brief, "a", "a1")
	want("a miss with a group and stale values", "get", "add", "get", "cas")
	time.Sleep(3 * time.Millisecond)
	call(Brief, "a", "a1")
	eventually(t, "the refresh", func() bool { return brief.Stats().Stores == 2 })
	want("a refresh", "get", "cas", "get", "cas")
}
