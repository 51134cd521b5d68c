package memcached_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/memcachedtest"
)

// together runs f n times at once.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// pool makes the engine keep at least n connections, by as many operations that wait for a
// server that hangs.
func pool(t *testing.T, e engine.Engine, server *memcachedtest.Server, n int) {
	t.Helper()
	var now int
	for wait := 20 * time.Millisecond; wait < time.Second; wait *= 2 {
		server.Pause()
		var waiting sync.WaitGroup
		for range n {
			waiting.Go(func() { e.Get(ctx, "k") })
		}
		time.Sleep(wait) // time to dial, which nobody but the server can see
		server.Resume()
		waiting.Wait()
		if now = sum(t, "curr_connections", server); now > n { // one is ours
			return
		}
	}
	t.Fatalf("%d connections, want more than %d", now, n)
}

// F3: no operation after a quick restart sees the connections that died with the server.
func TestRestart(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, map[string]any{"operation_timeout": "2s"}, server.Addr())
	operations := map[string]func(i int) error{
		"get": func(int) error { _, err := e.Get(ctx, "k"); return err },
		"get many": func(int) error {
			got, err := e.GetMany(ctx, []string{"k", "none"})
			if err == nil && len(got) == 0 {
				return cacheutils.ErrCacheMiss
			}
			return err
		},
		"set":    func(int) error { return e.Set(ctx, "k", text("v"), time.Minute) },
		"add":    func(i int) error { _, err := e.Add(ctx, fmt.Sprint("a", i), text("v"), time.Minute); return err },
		"cas":    func(int) error { _, err := e.CompareAndSwap(ctx, "k", text("v"), time.Minute); return err },
		"delete": func(int) error { _, err := e.Delete(ctx, "none"); return err },
		"incr":   func(int) error { _, err := e.Incr(ctx, "n", 1); return err },
	}
	for name, operation := range operations {
		t.Run(name, func(t *testing.T) {
			pool(t, e, server, 16)
			server.Restart()
			failed := 0
			for i := range 400 {
				if err := operation(i); err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) {
					failed++
					t.Log(err)
				}
			}
			if failed > 0 {
				t.Errorf("%d of 400 failed", failed)
			}
		})
	}
}

// F1, C98: opening needs no server, and an operation without one is an error that names it.
func TestDown(t *testing.T) {
	server := memcachedtest.Start(t)
	server.Stop()
	e := open(t, nil, server.Addr(), "no-such-host.invalid:11211")
	seen := map[string]bool{}
	for i := range 20 {
		_, err := e.Get(ctx, fmt.Sprint("k", i))
		if err == nil || errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Fatalf("get: %v", err)
		}
		for _, address := range []string{server.Addr(), "no-such-host.invalid:11211"} { // C97
			if strings.HasPrefix(err.Error(), "memcached: get on "+address+": ") {
				seen[address] = true
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("errors name %v", seen)
	}
	server.Restart()
	awaitUp(t, e, server.Addr())
	worked := 0
	for i := range 20 {
		if e.Set(ctx, fmt.Sprint("k", i), text("v"), time.Minute) == nil {
			worked++
		}
	}
	if worked == 0 || worked == 20 {
		t.Errorf("%d of 20 worked with one of two servers", worked)
	}
}

// awaitUp waits until a probe has found out that the server is up again.
func awaitUp(t *testing.T, e engine.Engine, addr string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); describe(t, e, addr).Down; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s is still down: %v", addr, describe(t, e, addr).LastError)
		}
	}
}

// describe returns what the engine knows of a server.
func describe(t *testing.T, e engine.Engine, addr string) engine.Server {
	t.Helper()
	for _, s := range e.(engine.ServerEngine).Servers() {
		if s.Address == addr {
			return s
		}
	}
	t.Fatalf("the engine knows no %s", addr)
	return engine.Server{}
}

// A server that hangs costs a call its timeout and no more.
func TestHang(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, map[string]any{"operation_timeout": 0.1, "read_timeout": 0.1}, server.Addr())
	mustSet(t, e, "k", text("v"))
	server.Pause()
	start := time.Now()
	_, err := e.Get(ctx, "k")
	if took := time.Since(start); err == nil || took < 80*time.Millisecond || took > 400*time.Millisecond {
		t.Errorf("get: %v after %v", err, took)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the engine's own timeout passes for a context's: %v", err)
	}
	server.Resume()
	if got := value(e, "k"); got != "v" {
		t.Errorf("after that: %s", got)
	}
}

// A context that ends frees its caller at once, and nobody gets the reply that it left
// behind (C120).
func TestCancel(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, map[string]any{"operation_timeout": "5s"}, server.Addr())
	for name, call := range map[string]func(context.Context) error{
		"get":      func(ctx context.Context) error { _, err := e.Get(ctx, "k0"); return err },
		"get many": func(ctx context.Context) error { _, err := e.GetMany(ctx, []string{"k1", "k2"}); return err },
		"set":      func(ctx context.Context) error { return e.Set(ctx, "k3", text("v3"), time.Minute) },
		"incr":     func(ctx context.Context) error { _, err := e.Incr(ctx, "k4", 1); return err },
		"clear":    func(ctx context.Context) error { return e.Clear(ctx, "") },
	} {
		for i := range 20 { // clear leaves none of them
			mustSet(t, e, fmt.Sprint("k", i), text(fmt.Sprint("v", i)))
		}
		server.Pause()
		cancelled, cancel := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- call(cancelled) }()
		time.Sleep(20 * time.Millisecond)
		start := time.Now()
		cancel()
		err := <-done
		if took := time.Since(start); !errors.Is(err, context.Canceled) || took > 100*time.Millisecond {
			t.Errorf("%s: %v, %v after the cancellation", name, err, took)
		}
		server.Resume()
		if err := call(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, already cancelled: %v", name, err)
		}
		for i := range 20 {
			if got, want := value(e, fmt.Sprint("k", i)), fmt.Sprint("v", i); got != want && got != miss {
				t.Fatalf("%s: k%d is %s", name, i, got)
			}
		}
	}
}

// Cancelling all the time mixes up no replies.
func TestCancelTogether(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, map[string]any{"max_conns": 4, "operation_timeout": "5s"}, server.Addr())
	for i := range 16 {
		mustSet(t, e, fmt.Sprint("k", i), text(fmt.Sprint("v", i)))
	}
	var answered, cancelled atomic.Int64
	together(16, func(g int) {
		key, want := fmt.Sprint("k", g), fmt.Sprint("v", g)
		for i := range 300 {
			c, cancel := context.WithTimeout(ctx, time.Duration(i)*10*time.Microsecond)
			item, err := e.Get(c, key)
			cancel()
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				cancelled.Add(1)
			case err != nil:
				t.Error(err)
			case string(item.Value) != want:
				t.Errorf("%s is %q", key, item.Value)
			default:
				answered.Add(1)
			}
		}
	})
	t.Logf("%d were answered, %d cancelled", answered.Load(), cancelled.Load())
	if answered.Load() == 0 || cancelled.Load() == 0 {
		t.Error("none was, of one of them: not a test")
	}
	if n := sum(t, "curr_connections", server); n > 4+4 { // the engine's, the server's own and ours
		t.Errorf("%d connections are open", n)
	}
}

// V3, C75: what the server wouldn't take isn't sent, the old value is gone, and no
// connection is lost.
func TestTooLarge(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, nil, server.Addr())
	large := engine.Item{Value: make([]byte, 2<<20), Flags: 16}
	mustSet(t, e, "k", text("old"))
	connections := sum(t, "total_connections", server)
	for range 100 {
		if err := e.Set(ctx, "k", large, time.Minute); !errors.Is(err, cacheutils.ErrTooLarge) {
			t.Fatalf("set: %v", err)
		}
		if got := value(e, "k"); got != miss {
			t.Fatalf("after set: %s", got)
		}
	}
	if n := sum(t, "total_connections", server) - connections; n > 1 { // that of the second Stats
		t.Errorf("%d new connections", n-1)
	}

	if ok, err := e.Add(ctx, "k", large, time.Minute); ok || !errors.Is(err, cacheutils.ErrTooLarge) {
		t.Errorf("add: %v, %v", ok, err)
	}
	mustSet(t, e, "k", text("there"))
	if ok, err := e.Add(ctx, "k", large, time.Minute); ok || err != nil || value(e, "k") != "there" {
		t.Errorf("add to what is there: %v, %v", ok, err)
	}
	item, _ := e.Get(ctx, "k")
	large.CAS = item.CAS + 1
	if ok, err := e.CompareAndSwap(ctx, "k", large, time.Minute); ok || err != nil || value(e, "k") != "there" {
		t.Errorf("late swap: %v, %v", ok, err)
	}
	large.CAS = item.CAS
	if ok, err := e.CompareAndSwap(ctx, "k", large, time.Minute); ok || !errors.Is(err, cacheutils.ErrTooLarge) || value(e, "k") != miss {
		t.Errorf("swap: %v, %v; then %s", ok, err, value(e, "k"))
	}
}

// The largest value that is sent is the largest that the server takes.
func TestLargest(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, nil, server.Addr())
	for _, key := range []string{"k", strings.Repeat("k", 250)} {
		most := 1<<20 - 63 - len(key)
		item := engine.Item{Value: make([]byte, most), Flags: 16}
		if err := e.Set(ctx, key, item, time.Minute); err != nil {
			t.Errorf("%d bytes: %v", most, err)
		}
		if got, err := e.Get(ctx, key); err != nil || len(got.Value) != most {
			t.Errorf("get: %d bytes, %v", len(got.Value), err)
		}
		item.Value = make([]byte, most+1)
		if err := e.Set(ctx, key, item, time.Minute); !errors.Is(err, cacheutils.ErrTooLarge) {
			t.Errorf("%d bytes: %v", most+1, err)
		}
		// With a larger max_item_size it's the server that refuses.
		other := open(t, map[string]any{"max_item_size": 2 << 20}, server.Addr())
		if err := other.Set(ctx, key, item, time.Minute); !errors.Is(err, cacheutils.ErrTooLarge) {
			t.Errorf("%d bytes, sent: %v", most+1, err)
		}
	}
}

// A server that takes less than max_item_size is asked once.
func TestServerTakesLess(t *testing.T) {
	server := memcachedtest.Start(t, "-I", "512k")
	e := open(t, nil, server.Addr())
	mustSet(t, e, "k", text("old"))
	item := engine.Item{Value: make([]byte, 600<<10)}
	if err := e.Set(ctx, "k", item, time.Minute); !errors.Is(err, cacheutils.ErrTooLarge) {
		t.Errorf("set: %v", err)
	}
	if got := value(e, "k"); got != miss {
		t.Errorf("after set: %s", got)
	}
	sets := sum(t, "bytes_read", server)
	for range 10 {
		if err := e.Set(ctx, "k", item, time.Minute); !errors.Is(err, cacheutils.ErrTooLarge) {
			t.Errorf("set again: %v", err)
		}
	}
	if n := sum(t, "bytes_read", server) - sets; n > 10_000 {
		t.Errorf("%d bytes were sent", n)
	}
	mustSet(t, e, "k", engine.Item{Value: make([]byte, 300<<10)})
}

// Each caller waits for one of max_conns connections; nobody opens more.
func TestManyCallers(t *testing.T) {
	server := memcachedtest.Start(t, "-c", "100")
	e := open(t, map[string]any{"operation_timeout": "10s"}, server.Addr())
	mustSet(t, e, "k", text("v"))
	together(2000, func(int) {
		for range 5 {
			if got := value(e, "k"); got != "v" {
				t.Errorf("get: %s", got)
			}
		}
	})
	if n := sum(t, "total_connections", server); n > 64+10 {
		t.Errorf("%d connections were opened", n)
	}
}

// script is a server that answers each line it reads with reply.
func script(t *testing.T, reply string) string {
	t.Helper()
	return memcachedtest.Serve(t, func(nc net.Conn) {
		for lines := bufio.NewScanner(nc); lines.Scan(); {
			io.WriteString(nc, reply)
		}
	})
}

// No reply makes an operation panic or return what was not asked for.
func TestUnreadableReplies(t *testing.T) {
	replies := []string{
		"\n", "\r\n", "CLIENT_ERROR \n", "CLIENT_ERROR\r\n", "ERROR\r\n", "SERVER_ERROR out of memory\r\n", "9", "VALUE \r\n",
		"VALUE other 0 1 5\r\nx\r\nEND\r\n", "VALUE k 0 3 5\r\nxEND\r\n", "VALUE k 0 -1\r\n\r\nEND\r\n", "END\r\nEND", "99999999999999999999\r\n",
	}
	for _, reply := range replies {
		t.Run(fmt.Sprintf("%q", reply), func(t *testing.T) {
			e := open(t, map[string]any{"operation_timeout": "50ms", "breaker_failures": 1000}, script(t, reply))
			for range 2 {
				if item, err := e.Get(ctx, "k"); err == nil {
					t.Errorf("get: %q", item.Value)
				}
				if items, _ := e.GetMany(ctx, []string{"k", "l"}); len(items) > 0 {
					t.Errorf("get many: %v", items)
				}
				if n, err := e.Incr(ctx, "k", 1); err == nil {
					t.Errorf("incr: %d", n)
				}
				if err := e.Set(ctx, "k", text("v"), time.Minute); err == nil {
					t.Error("set succeeds")
				}
				e.Delete(ctx, "k")
				e.Clear(ctx, "")
			}
		})
	}
}

// A reply that arrives in drops takes the caller no longer than one that doesn't arrive.
func TestTrickle(t *testing.T) {
	addr := memcachedtest.Serve(t, func(nc net.Conn) {
		for err := error(nil); err == nil; time.Sleep(30 * time.Millisecond) {
			_, err = io.WriteString(nc, "VALUE k 0 1 5\r\nx\r\n")
		}
	})
	e := open(t, map[string]any{"operation_timeout": "100ms"}, addr)
	start := time.Now()
	_, err := e.Get(ctx, "k")
	if took := time.Since(start); err == nil || took > 300*time.Millisecond {
		t.Errorf("get: %v after %v", err, took)
	}
}

// A server, or something between, that answers twice gives no operation another one's value. A
// second answer that comes while the next operation is under way makes that one fail.
func TestAnswersTwice(t *testing.T) {
	for _, delay := range []time.Duration{0, 2 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			addr := memcachedtest.Serve(t, func(nc net.Conn) {
				for lines := bufio.NewScanner(nc); lines.Scan(); {
					key := strings.TrimPrefix(lines.Text(), "gets ")
					reply := fmt.Sprintf("VALUE %s 0 %d 1\r\n%s\r\nEND\r\n", key, len(key), key)
					if delay == 0 {
						io.WriteString(nc, reply+reply)
						continue
					}
					io.WriteString(nc, reply)
					time.Sleep(delay)
					io.WriteString(nc, reply)
				}
			})
			e := open(t, nil, addr)
			for i := range 50 {
				got, want := value(e, fmt.Sprint("k", i)), fmt.Sprint("k", i)
				if failed := strings.HasPrefix(got, "error: "); got != want && (!failed || delay == 0) {
					t.Fatalf("got %s, want %s", got, want)
				}
				time.Sleep(2 * delay)
			}
		})
	}
}

// Every method from 64 goroutines, for the race detector, and nothing left after Close (C85, C122).
func TestTogether(t *testing.T) {
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	before := runtime.NumGoroutine()
	e := open(t, map[string]any{"operation_timeout": "5s", "max_conns": 20, "max_idle_conns": 10}, a.Addr(), b.Addr())
	together(64, func(g int) {
		for i := range 20 {
			key := fmt.Sprint("k", (g+i)%30)
			c, cancel := context.WithTimeout(ctx, time.Duration(g*i)*10*time.Microsecond)
			e.Set(ctx, key, number(int64(i)), time.Minute)
			e.Add(c, key, text("a"), time.Minute)
			item, err := e.Get(ctx, key)
			if err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) {
				t.Error(err)
			}
			e.CompareAndSwap(ctx, key, engine.Item{Value: []byte("7"), CAS: item.CAS}, time.Minute)
			e.Incr(c, key, 1)
			if _, err := e.GetMany(ctx, []string{key, "k1", "k2", "k3"}); err != nil {
				t.Error(err)
			}
			e.GetMany(c, []string{key, "k1", "k2", "k3"})
			e.Delete(c, key)
			cancel()
			if i == 10 && g%16 == 0 {
				e.Clear(ctx, "")
			}
		}
	})
	e.Close()
	leavesNothing(t, before, e, a, b)
}

// A set whose answer is lost may have been carried out. It isn't sent again: what others have stored
// or invalidated since would be overwritten with what was there before that.
func TestSet_IsSentOnce(t *testing.T) {
	var sets atomic.Int64
	addr := memcachedtest.Serve(t, func(nc net.Conn) {
		for lines := bufio.NewScanner(nc); lines.Scan(); {
			switch {
			case strings.HasPrefix(lines.Text(), "gets "):
				io.WriteString(nc, "END\r\n")
			case strings.HasPrefix(lines.Text(), "set "):
				lines.Scan()
				if sets.Add(1) == 1 {
					return
				}
				io.WriteString(nc, "STORED\r\n")
			}
		}
	})
	e := open(t, nil, addr)
	e.Get(ctx, "k") // so that the connection has been used before
	if err := e.Set(ctx, "k", text("v"), time.Minute); err == nil || sets.Load() != 1 {
		t.Errorf("got %v after %d sets, want an error after one", err, sets.Load())
	}
}
