package memcached_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// What the server wouldn't take isn't sent, the value from before is gone, and no connection is lost.
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

// A value larger than a server takes, and smaller than max_item_size, is sent once.
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
