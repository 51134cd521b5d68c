package memcached_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
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

// A server that hangs costs a call its timeout and no more.
func TestHang(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, map[string]any{"operation_timeout": "100ms", "read_timeout": "100ms"}, server.Addr())
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

// A context that ends frees its caller at once, and no caller gets the reply that it left behind.
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

// Each caller waits for one of max_conns connections; no more are opened.
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

// Every method from 64 goroutines, for the race detector, and nothing left after Close.
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
