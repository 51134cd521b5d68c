package memcached_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A server where nobody listens is down at the first fault; the dials after that are probes.
func TestBreaker_Refused(t *testing.T) {
	server := memcachedtest.Start(t)
	server.Stop()
	e := open(t, map[string]any{"probe_interval": "100ms"}, server.Addr())
	for i := range 1000 {
		_, err := e.Get(ctx, "k")
		if err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), server.Addr()) {
			t.Fatalf("get %d: %v, want one that says why and where", i, err)
		}
		if i > 0 && !errors.Is(err, cacheutils.ErrServerDown) {
			t.Fatalf("get %d: %v, want ErrServerDown", i, err)
		}
	}
	s := describe(t, e, server.Addr())
	if !s.Down || s.Trips != 1 || s.Errors["connect"] < 1 || s.Errors["down"] != 999 || s.Operations != 1000 || s.Since.IsZero() || s.LastError == nil {
		t.Errorf("after 1000 operations: %+v", s)
	}
	if s.Dials > 3 {
		t.Errorf("%d dials", s.Dials)
	}
	server.Restart()
	awaitUp(t, e, server.Addr())
	mustSet(t, e, "k", text("v"))
	if s := describe(t, e, server.Addr()); s.Down || s.Trips != 1 || s.Open != 1 || s.Idle != 1 {
		t.Errorf("after it is back: %+v", s)
	}
}

// A server that is silent is down after breaker_failures operations, one after the other; those
// that are under way together count as one.
func TestBreaker_Silent(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, map[string]any{"operation_timeout": "100ms", "probe_interval": "100ms"}, server.Addr())
	mustSet(t, e, "k", text("v"))
	server.Pause()
	together(50, func(int) { e.Get(ctx, "k") })
	if s := describe(t, e, server.Addr()); s.Down || s.Errors["timeout"] != 50 {
		t.Errorf("after 50 operations at once: %+v", s)
	}
	tries := 0
	for !describe(t, e, server.Addr()).Down && tries < 10 {
		e.Get(ctx, "k")
		tries++
	}
	if tries != 2 {
		t.Errorf("down after %d more, want 2", tries)
	}
	server.Resume()
	awaitUp(t, e, server.Addr())
	if got := value(e, "k"); got != "v" {
		t.Errorf("after it is back: %s", got)
	}
}

// Neither a caller that gives up nor a crowd of callers says that a server is down.
func TestBreaker_NotItsFault(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, map[string]any{"max_conns": 1, "max_waiting": 1, "operation_timeout": "2s"}, server.Addr())
	mustSet(t, e, "k", text("v"))
	server.Pause()
	for range 10 {
		c, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		if _, err := e.Get(c, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("get: %v", err)
		}
		cancel()
	}
	server.Resume()
	together(20, func(int) { e.Get(ctx, "k") })
	s := describe(t, e, server.Addr())
	if s.Down || s.Errors["cancelled"] != 10 || s.Waits == 0 || s.Errors["busy"] == 0 {
		t.Errorf("got %+v", s)
	}
}

// A server is found to be down also by callers whose deadlines are always shorter than the timeouts.
func TestBreaker_ShortDeadlines(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, map[string]any{"operation_timeout": "250ms"}, server.Addr())
	mustSet(t, e, "k", text("v"))
	server.Pause()
	for range 3 {
		c, cancel := context.WithTimeout(ctx, 80*time.Millisecond)
		if _, err := e.Get(c, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("get: %v", err)
		}
		cancel()
	}
	if s := describe(t, e, server.Addr()); !s.Down {
		t.Errorf("still up after 3 deadlines: %+v", s)
	}
	server.Resume()
}

func TestPing(t *testing.T) {
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	e := open(t, nil, a.Addr(), b.Addr(), "no-such-host.invalid").(engine.ServerEngine)
	b.Stop()
	got := e.Ping(ctx)
	if len(got) != 3 || got[a.Addr()] != nil || got[b.Addr()] == nil {
		t.Errorf("got %v", got)
	}
	if err := got["no-such-host.invalid:11211"]; err == nil || !strings.Contains(err.Error(), "no-such-host.invalid") {
		t.Errorf("got %v, want an error that names the host", err)
	}
	b.Restart()
	if got := e.Ping(ctx); got[b.Addr()] != nil {
		t.Errorf("after the restart: %v", got)
	}
}

// What couldn't be removed is removed before anything else is read, and only then.
func TestReplay(t *testing.T) {
	server := memcachedtest.Start(t)
	e := open(t, map[string]any{"invalidation_replay": 3, "operation_timeout": "50ms", "probe_interval": "50ms"}, server.Addr())
	r := e.(engine.Replayer)
	for _, key := range []string{"a", "b", "c", "d"} {
		mustSet(t, e, key, text("old"))
	}
	server.Pause()
	if _, err := e.Delete(ctx, "a"); err == nil || !r.ReplayDelete("a") || !r.ReplayDelete("b") || !r.ReplayDelete("c") {
		t.Fatalf("delete: %v, or not queued", err)
	}
	if r.ReplayDelete("d") {
		t.Error("a fourth is queued, though invalidation_replay is 3")
	}
	if !r.ReplayDelete("a") {
		t.Error("one that is queued can't be queued again")
	}
	if _, err := e.Get(ctx, "d"); !errors.Is(err, cacheutils.ErrServerDown) {
		t.Errorf("get while invalidations wait: %v", err)
	}
	if s := describe(t, e, server.Addr()); !s.Down || s.Queued != 3 {
		t.Errorf("got %+v", s)
	}
	server.Resume()
	awaitUp(t, e, server.Addr())
	want := map[string]string{"a": miss, "b": miss, "c": miss, "d": "old"}
	for key, v := range want {
		if got := value(e, key); got != v {
			t.Errorf("%s is %s, want %s", key, got, v)
		}
	}
	if s := describe(t, e, server.Addr()); s.Queued != 0 || s.Replayed < 3 {
		t.Errorf("got %+v", s)
	}
}

// Nothing is queued without the option.
func TestReplay_Off(t *testing.T) {
	e := open(t, nil, memcachedtest.Start(t).Addr())
	if r := e.(engine.Replayer); r.ReplayDelete("a") {
		t.Error("it is queued")
	}
}

// Close ends the probes, and forgets what is queued.
func TestBreaker_Close(t *testing.T) {
	server := memcachedtest.Start(t)
	before := runtime.NumGoroutine()
	e := open(t, map[string]any{"invalidation_replay": 10, "probe_interval": "10ms"}, server.Addr())
	mustSet(t, e, "k", text("v"))
	server.Stop()
	for range 10 {
		e.Get(ctx, "k")
	}
	e.(engine.Replayer).ReplayDelete("k")
	e.Close()
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines after Close, %d before", n, before)
	}
	dials := describe(t, e, server.Addr()).Dials
	time.Sleep(50 * time.Millisecond)
	if s := describe(t, e, server.Addr()); s.Dials != dials || s.Queued != 0 || s.Open != 0 {
		t.Errorf("after Close: %+v, and %d dials right after it", s, dials)
	}
	if _, err := e.Get(ctx, "k"); !errors.Is(err, cacheutils.ErrClosed) || errors.Is(err, cacheutils.ErrServerDown) {
		t.Errorf("get from a server that was down: %v, want ErrClosed", err)
	}
}

func TestTLS(t *testing.T) {
	server, ca := memcachedtest.StartTLS(t)
	e := open(t, map[string]any{"tls_ca": ca, "operation_timeout": "5s"}, server.Addr())
	for i := range 100 {
		key := fmt.Sprint("k", i)
		mustSet(t, e, key, text(strings.Repeat("v", i*1000)))
		if got := value(e, key); len(got) != i*1000 {
			t.Errorf("%s: %d bytes", key, len(got))
		}
	}
	if s := describe(t, e, server.Addr()); s.Dials != 1 {
		t.Errorf("%d dials for 200 operations", s.Dials)
	}
	server.Restart()
	if got := value(e, "k1"); got != miss {
		t.Errorf("after a restart: %s", got)
	}
	for name, options := range map[string]map[string]any{
		"an unknown authority": {"tls": true, "operation_timeout": "5s"},
		"another name":         {"tls_ca": ca, "tls_server_name": "example.com", "operation_timeout": "5s"},
	} {
		if _, err := open(t, options, server.Addr()).Get(ctx, "k"); err == nil || !strings.Contains(err.Error(), "TLS: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := open(t, map[string]any{"operation_timeout": "200ms"}, server.Addr()).Get(ctx, "k"); err == nil {
		t.Error("without TLS: no error")
	}
}

// While only queued invalidations keep a server down, the errors say so, and since when.
func TestReplay_Says(t *testing.T) {
	addr := slow(t, 100*time.Millisecond) // its probes fail, at first for want of time
	e := open(t, map[string]any{"invalidation_replay": 1, "breaker_failures": 1000, "operation_timeout": "50ms"}, addr)
	e.(engine.Replayer).ReplayDelete("k")
	_, err := e.Get(ctx, "k")
	if !errors.Is(err, cacheutils.ErrServerDown) || !strings.Contains(err.Error(), "1 invalidations wait") {
		t.Errorf("get: %v, want one that says what is waited for", err)
	}
	if s := describe(t, e, addr); !s.Down || s.Since.IsZero() {
		t.Errorf("got %+v", s)
	}
}
