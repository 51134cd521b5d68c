package memcached_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// operations are all that return an error.
var operations = map[string]func(context.Context, engine.Engine) error{
	"Get": func(ctx context.Context, e engine.Engine) error { _, err := e.Get(ctx, "k"); return err },
	"GetMany": func(ctx context.Context, e engine.Engine) error {
		_, err := e.GetMany(ctx, []string{"k", "l"})
		return err
	},
	"GetEach": func(ctx context.Context, e engine.Engine) error {
		return e.(engine.EachGetter).GetEach(ctx, []string{"k", "l"}, func(int, engine.Item) {})
	},
	"Set": func(ctx context.Context, e engine.Engine) error { return e.Set(ctx, "k", number(1), time.Hour) },
	"SetMuch": func(ctx context.Context, e engine.Engine) error {
		return e.Set(ctx, "k", engine.Item{Value: make([]byte, 2<<20)}, time.Hour)
	},
	"Add": func(ctx context.Context, e engine.Engine) error {
		_, err := e.Add(ctx, "l", number(1), time.Hour)
		return err
	},
	"CompareAndSwap": func(ctx context.Context, e engine.Engine) error {
		_, err := e.CompareAndSwap(ctx, "k", engine.Item{Value: []byte("7"), CAS: 1}, time.Hour)
		return err
	},
	"Delete": func(ctx context.Context, e engine.Engine) error { _, err := e.Delete(ctx, "k"); return err },
	"Incr":   func(ctx context.Context, e engine.Engine) error { _, err := e.Incr(ctx, "k", 1); return err },
	"Clear":  func(ctx context.Context, e engine.Engine) error { return e.Clear(ctx, "") },
	"Ping": func(ctx context.Context, e engine.Engine) error {
		var errs []error
		for _, err := range e.(engine.ServerEngine).Ping(ctx) {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	},
}

// leavesNothing fails unless a closed engine has no goroutine and no connection left within a while.
func leavesNothing(t *testing.T, before int, e engine.Engine, servers ...*memcachedtest.Server) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
	for _, server := range servers {
		if s := describe(t, e, server.Addr()); s.Open != 0 || s.Idle != 0 || s.Queued != 0 {
			t.Fatalf("after Close: %+v", s)
		}
	}
	// The servers see the connections end a moment later. Each has some of its own, and that which asks.
	for end := time.Now().Add(5 * time.Second); sum(t, "curr_connections", servers...) > 3*len(servers); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections to %d servers after Close", sum(t, "curr_connections", servers...), len(servers))
		}
	}
}

// A closed engine stays closed: it sends nothing to its servers, and still says what it knows of them.
func TestClose(t *testing.T) {
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	before := runtime.NumGoroutine()
	e := open(t, map[string]any{"invalidation_replay": 10, "operation_timeout": "5s"}, a.Addr(), b.Addr())
	for _, key := range []string{"k", "l", "m", "n"} {
		mustSet(t, e, key, text("v"))
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	known := e.(engine.ServerEngine).Servers()
	for name, operation := range operations {
		if err := operation(ctx, e); !errors.Is(err, cacheutils.ErrClosed) || errors.Is(err, cacheutils.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if err := e.Set(ctx, "", text("v"), time.Hour); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("set of a wrong key: %v, want ErrClosed", err)
	}
	if _, err := e.GetMany(ctx, nil); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("get of no keys: %v, want ErrClosed", err)
	}
	if e.(engine.Replayer).ReplayDelete("k") {
		t.Error("an invalidation is queued")
	}
	for i, s := range e.(engine.ServerEngine).Servers() {
		if s.Operations != known[i].Operations || s.Dials != known[i].Dials || len(s.Errors) > 0 || s.LastError != nil || s.Down {
			t.Errorf("got %+v, was %+v when it was closed", s, known[i])
		}
	}
	leavesNothing(t, before, e, a, b)
	other := open(t, nil, a.Addr(), b.Addr())
	if got := value(other, "k"); got != "v" {
		t.Errorf("another engine finds %s", got)
	}
}

// Operations and Close at once: each ends as if there were no Close, or with ErrClosed, and leaves no
// connection and no goroutine.
func TestClose_Together(t *testing.T) {
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	before := runtime.NumGoroutine()
	for range 30 {
		e := open(t, map[string]any{"operation_timeout": "10s", "max_conns": 20, "max_idle_conns": 10, "invalidation_replay": 10}, a.Addr(), b.Addr())
		delay := time.Duration(rand.IntN(5000)) * time.Microsecond
		together(65, func(g int) {
			if g == 64 {
				time.Sleep(delay)
				e.Close()
				return
			}
			for {
				for name, operation := range operations {
					if name == "SetMuch" {
						continue
					}
					switch err := operation(ctx, e); {
					case errors.Is(err, cacheutils.ErrClosed):
						return
					case err != nil && !errors.Is(err, cacheutils.ErrCacheMiss):
						t.Errorf("%s: %v", name, err)
						return
					}
				}
			}
		})
		leavesNothing(t, before, e, a, b)
	}
}

// Close and the fault of a server at once: no probe follows.
func TestClose_WhileItFails(t *testing.T) {
	server := memcachedtest.Start(t)
	server.Stop()
	before := runtime.NumGoroutine()
	for range 100 {
		e := open(t, map[string]any{"probe_interval": "1ms", "invalidation_replay": 10}, server.Addr())
		together(8, func(g int) {
			if g == 7 {
				time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
				e.Close()
				return
			}
			for {
				_, err := e.Delete(ctx, "k")
				if errors.Is(err, cacheutils.ErrClosed) {
					return
				}
				e.(engine.Replayer).ReplayDelete("k")
			}
		})
		dials := describe(t, e, server.Addr()).Dials
		for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			}
		}
		if s := describe(t, e, server.Addr()); s.Dials != dials || s.Open != 0 || s.Queued != 0 {
			t.Fatalf("after Close: %+v, and %d dials right after it", s, dials)
		}
	}
}

// A caller that waits for a connection isn't kept waiting, and one that has a connection keeps it until the
// server answers.
func TestClose_WhileTheyWait(t *testing.T) {
	server := memcachedtest.Start(t)
	before := runtime.NumGoroutine()
	e := open(t, map[string]any{"operation_timeout": "20s", "max_conns": 1}, server.Addr())
	mustSet(t, e, "k", text("v"))
	server.Pause()
	const callers = 10
	ended := make(chan string, callers)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			item, err := e.Get(ctx, "k")
			switch {
			case err == nil:
				ended <- string(item.Value)
			case errors.Is(err, cacheutils.ErrClosed):
				ended <- "closed"
			default:
				ended <- err.Error()
			}
		})
	}
	for describe(t, e, server.Addr()).Waiting < callers-1 {
		time.Sleep(time.Millisecond)
	}
	e.Close()
	for range callers - 1 {
		if got := <-ended; got != "closed" {
			t.Errorf("one that waits: %s", got)
		}
	}
	server.Resume()
	if got := <-ended; got != "v" {
		t.Errorf("the one with the connection: %s", got)
	}
	all.Wait()
	leavesNothing(t, before, e, server)
}
