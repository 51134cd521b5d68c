package memcached_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// No operation after a quick restart sees the connections that died with the server.
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

// Opening needs no server, and an operation without one is an error that names it.
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
		for _, address := range []string{server.Addr(), "no-such-host.invalid:11211"} {
			if strings.HasPrefix(err.Error(), "cacheutils: get on memcached "+address+": ") {
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
