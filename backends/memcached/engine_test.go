package memcached_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

var ctx = context.Background()

func open(tb testing.TB, options map[string]any, locations ...string) engine.Engine {
	tb.Helper()
	all := map[string]any{"clear": "flush_all"}
	maps.Copy(all, options)
	e, err := memcached.Open(engine.Settings{Location: locations, Options: all})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

func text(s string) engine.Item { return engine.Item{Value: []byte(s), Cost: len(s)} }

func number(n int64) engine.Item {
	return engine.Item{Value: fmt.Append(nil, n), Flags: 2}
}

func mustSet(tb testing.TB, e engine.Engine, key string, item engine.Item) {
	tb.Helper()
	if err := e.Set(ctx, key, item, time.Minute); err != nil {
		tb.Fatal(err)
	}
}

// value is the text under key, or the error.
func value(e engine.Engine, key string) string {
	item, err := e.Get(ctx, key)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(item.Value)
}

const miss = "error: cacheutils: cache miss"

func TestOneKey(t *testing.T) {
	e := open(t, nil, memcachedtest.Start(t).Addr())

	if got := value(e, "k"); got != miss {
		t.Errorf("get of nothing: %s", got)
	}
	mustSet(t, e, "k", engine.Item{Value: []byte("a\x00\r\nb"), Flags: 16})
	item, err := e.Get(ctx, "k")
	if err != nil || string(item.Value) != "a\x00\r\nb" || item.Flags != 16 || item.CAS == 0 {
		t.Errorf("get: %+v, %v", item, err)
	}

	if ok, err := e.Add(ctx, "k", text("other"), time.Minute); ok || err != nil {
		t.Errorf("add to what is there: %v, %v", ok, err)
	}
	if ok, err := e.Add(ctx, "й", text("added"), time.Minute); !ok || err != nil {
		t.Errorf("add: %v, %v", ok, err)
	}

	if ok, err := e.CompareAndSwap(ctx, "k", engine.Item{Value: []byte("swapped"), CAS: item.CAS}, time.Minute); !ok || err != nil {
		t.Errorf("swap: %v, %v", ok, err)
	}
	if ok, err := e.CompareAndSwap(ctx, "k", engine.Item{Value: []byte("late"), CAS: item.CAS}, time.Minute); ok || err != nil {
		t.Errorf("late swap: %v, %v", ok, err)
	}
	if ok, err := e.CompareAndSwap(ctx, "gone", engine.Item{Value: []byte("late"), CAS: item.CAS}, time.Minute); ok || err != nil {
		t.Errorf("swap of nothing: %v, %v", ok, err)
	}
	if got := value(e, "k"); got != "swapped" {
		t.Errorf("after the swaps: %s", got)
	}

	if ok, err := e.Delete(ctx, "k"); !ok || err != nil {
		t.Errorf("delete: %v, %v", ok, err)
	}
	if ok, err := e.Delete(ctx, "k"); ok || err != nil {
		t.Errorf("delete of nothing: %v, %v", ok, err)
	}
	if err := e.Clear(ctx, ""); err != nil {
		t.Error(err)
	}
	if got := value(e, "й"); got != miss {
		t.Errorf("after clear: %s", got)
	}
}

func TestNumbers(t *testing.T) {
	e := open(t, nil, memcachedtest.Start(t).Addr())
	tests := []struct {
		name   string
		stored string
		delta  int64
		want   int64
		after  string
		err    error
	}{
		{name: "up", stored: "5", delta: 2, want: 7, after: "7"},
		{name: "negative delta", stored: "5", delta: -2, want: 3, after: "3"},
		{name: "fewer digits", stored: "10", delta: -1, want: 9, after: "9"},
		{name: "stops at 0", stored: "5", delta: -7, want: 0, after: "0"},
		{name: "smallest delta", stored: "5", delta: math.MinInt64, want: 0, after: "0"},
		{name: "text", stored: "abc", delta: 1, err: cacheutils.ErrNotNumber, after: "abc"},
		{name: "text, down", stored: "abc", delta: -1, err: cacheutils.ErrNotNumber, after: "abc"},
		{name: "empty", stored: "", delta: 1, err: cacheutils.ErrNotNumber, after: ""},
		{name: "negative", stored: "-5", delta: 1, err: cacheutils.ErrNotNumber, after: "-5"},
		{name: "above int64", stored: "9223372036854775807", delta: 1, err: cacheutils.ErrNotNumber, after: "9223372036854775808"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mustSet(t, e, "n", engine.Item{Value: []byte(test.stored), Flags: 2})
			got, err := e.Incr(ctx, "n", test.delta)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("Incr: got %d, %v, want %d, %v", got, err, test.want, test.err)
			}
			if got := value(e, "n"); got != test.after {
				t.Errorf("stored: got %q, want %q", got, test.after)
			}
		})
	}
	for _, delta := range []int64{1, -1} {
		if _, err := e.Incr(ctx, "gone", delta); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("Incr of nothing by %d: %v", delta, err)
		}
	}
}

func TestTimeouts(t *testing.T) {
	e := open(t, nil, memcachedtest.Start(t).Addr())
	timeouts := map[string]time.Duration{
		"forever":             cacheutils.Forever,
		"30 days":             30 * 24 * time.Hour,
		"30 days and 1 s":     30*24*time.Hour + time.Second,
		"a year":              365 * 24 * time.Hour,
		"50 years":            50 * 365 * 24 * time.Hour,
		"nearly forever":      cacheutils.Forever - 1,
		"half a second":       500 * time.Millisecond,
		"1 ns is not forever": 1,
	}
	for name, timeout := range timeouts {
		key := strings.ReplaceAll(name, " ", "_")
		if err := e.Set(ctx, key, text("v"), timeout); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if ok, err := e.Add(ctx, key+"+", text("v"), timeout); !ok || err != nil {
			t.Errorf("%s: add: %v, %v", name, ok, err)
		}
	}
	end := time.Now().Add(5 * time.Second)
	for name, timeout := range timeouts {
		key := strings.ReplaceAll(name, " ", "_")
		if timeout > time.Minute {
			if got := value(e, key); got != "v" {
				t.Errorf("%s: %s", name, got)
			}
			if got := value(e, key+"+"); got != "v" {
				t.Errorf("%s: added: %s", name, got)
			}
			continue
		}
		for value(e, key) != miss && time.Now().Before(end) {
			time.Sleep(20 * time.Millisecond)
		}
		if got := value(e, key); got != miss {
			t.Errorf("%s: still there: %s", name, got)
		}
		if ok, err := e.Add(ctx, key, text("v"), timeout); !ok || err != nil {
			t.Errorf("%s: add after the end: %v, %v", name, ok, err)
		}
	}
}

func TestGetMany(t *testing.T) {
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	e := open(t, nil, a.Addr(), b.Addr())
	var keys []string
	want := map[string]string{}
	for i := range 2500 {
		key := fmt.Sprint("key", i)
		keys = append(keys, key, key)
		if i%5 > 0 {
			want[key] = fmt.Sprint(i)
			mustSet(t, e, key, text(want[key]))
		}
	}
	before := sum(t, "cmd_get", a, b)
	got, err := e.GetMany(ctx, keys)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, texts(got)); diff != "" {
		t.Errorf("GetMany (-want +got):\n%s", diff)
	}
	if gets := sum(t, "cmd_get", a, b) - before; gets != 2500 {
		t.Errorf("requested %d keys, want 2500", gets)
	}
	for _, none := range [][]string{nil, {"gone"}} {
		if got, err := e.GetMany(ctx, none); len(got) != 0 || got == nil || err != nil {
			t.Errorf("GetMany(%q): %v, %v", none, got, err)
		}
	}

	b.Stop()
	got, err = e.GetMany(ctx, keys)
	if err == nil || !strings.Contains(err.Error(), b.Addr()) || strings.Contains(err.Error(), a.Addr()) {
		t.Errorf("one server down: error %v, want one that names %s", err, b.Addr())
	}
	if len(got) < 500 || len(got) > 1500 {
		t.Errorf("one server down: %d of 2000 items", len(got))
	}
}

func texts(items map[string]engine.Item) map[string]string {
	all := map[string]string{}
	for key, item := range items {
		all[key] = string(item.Value)
	}
	return all
}

func sum(tb testing.TB, stat string, servers ...*memcachedtest.Server) (n int) {
	tb.Helper()
	for _, s := range servers {
		var one int
		if _, err := fmt.Sscan(s.Stats(tb)[stat], &one); err != nil {
			tb.Fatalf("stat %s: %v", stat, err)
		}
		n += one
	}
	return n
}

func TestUnixSocket(t *testing.T) {
	server := memcachedtest.StartUnix(t)
	for _, location := range []string{server.Addr(), "unix:" + server.Addr()} {
		e := open(t, nil, location)
		mustSet(t, e, "k", text(location))
		if got := value(e, "k"); got != location {
			t.Errorf("%s: %s", location, got)
		}
	}
}

// The layout of items is that of gomemcache, so that its users find ours and we theirs.
func TestOtherClients(t *testing.T) {
	server := memcachedtest.Start(t)
	e, other := open(t, nil, server.Addr()), memcache.New(server.Addr())
	defer other.Close()
	mustSet(t, e, "ours", engine.Item{Value: []byte("v"), Flags: 16})
	if it, err := other.Get("ours"); err != nil || string(it.Value) != "v" || it.Flags != 16 {
		t.Errorf("other client: %+v, %v", it, err)
	}
	if err := other.Set(&memcache.Item{Key: "theirs", Value: []byte("v ")}); err != nil {
		t.Fatal(err)
	}
	if got := value(e, "theirs"); got != "v " {
		t.Errorf("theirs: %q", got)
	}
}
