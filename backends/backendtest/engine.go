package backendtest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// testEngine is about the methods of the engine itself, with keys and items as the layers
// above make them.
func (s *suite) testEngine(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, engine.Engine)
	}{
		{"Engine_NothingThere", nothingThere},
		{"Engine_ItemsAreKept", itemsAreKept},
		{"Engine_GetMany", getMany},
		{"Engine_KeysAreOnlyBorrowed", keysAreOnlyBorrowed},
		{"Engine_AddIsExclusive", addIsExclusive},
		{"Engine_CompareAndSwap", compareAndSwap},
		{"Engine_CompareAndSwapIsExclusive", swapIsExclusive},
		{"Engine_Incr", incr},
		{"Engine_Clear", clearAll},
		{"Engine_ClearPrefix", clearPrefix},
		{"Engine_EndedContext", endedContext},
		{"Engine_LiveItems", liveItems},
		{"Engine_CheckKey", checksKeys},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s.emptied(t)) })
	}
	t.Run("Engine_TwoOfOneStore", func(t *testing.T) {
		one, two := s.emptied(t), s.engine(t)
		must(t, one.Set(ctx, ":1:key", text("shared"), time.Hour))
		wantItem(t, two, ":1:key", text("shared"))
	})
	t.Run("Engine_UseAfterClose", s.useAfterClose)
	t.Run("Engine_CloseWhileInUse", s.closeWhileInUse)
}

// operations are the methods of an engine that every engine has, Close not. They
// use key, and Add the key ":1:new".
func operations(e engine.Engine, key string) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get":     func(ctx context.Context) error { _, err := e.Get(ctx, key); return err },
		"GetMany": func(ctx context.Context) error { _, err := e.GetMany(ctx, []string{key, ":1:new"}); return err },
		"Set":     func(ctx context.Context) error { return e.Set(ctx, key, number(2), time.Hour) },
		"Add":     func(ctx context.Context) error { _, err := e.Add(ctx, ":1:new", number(2), time.Hour); return err },
		"CompareAndSwap": func(ctx context.Context) error {
			_, err := e.CompareAndSwap(ctx, key, number(2), time.Hour)
			return err
		},
		"Delete": func(ctx context.Context) error { _, err := e.Delete(ctx, key); return err },
		"Incr":   func(ctx context.Context) error { _, err := e.Incr(ctx, key, 1); return err },
		"Clear":  func(ctx context.Context) error { return e.Clear(ctx, "") },
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func text(value string) engine.Item {
	return engine.Item{Value: []byte(value), Cost: len(value)}
}

// number is an item that Incr works on, as the layers above make it.
func number(n int64) engine.Item {
	item := text(strconv.FormatInt(n, 10))
	item.Flags = 2
	return item
}

// wantItem compares bytes and flags.
func wantItem(t *testing.T, e engine.Engine, key string, want engine.Item) engine.Item {
	t.Helper()
	got, err := e.Get(ctx, key)
	if err != nil {
		t.Fatalf("Get %q: %v", key, err)
	}
	if !bytes.Equal(got.Value, want.Value) || got.Flags != want.Flags || got.Live != nil {
		t.Fatalf("Get %q: got %.60q flags %d live %v, want %.60q flags %d", key, got.Value, got.Flags, got.Live, want.Value, want.Flags)
	}
	return got
}

func wantNone(t *testing.T, e engine.Engine, key string) {
	t.Helper()
	if item, err := e.Get(ctx, key); !errors.Is(err, cacheutils.ErrCacheMiss) {
		t.Fatalf("Get %q: got %.60q, %v, want ErrCacheMiss", key, item.Value, err)
	}
}

func nothingThere(t *testing.T, e engine.Engine) {
	const key = ":1:nothing"
	wantNone(t, e, key)
	if found, err := e.GetMany(ctx, []string{key}); len(found) != 0 || err != nil {
		t.Errorf("GetMany: got %v, %v, want nothing", found, err)
	}
	if found, err := e.GetMany(ctx, nil); len(found) != 0 || err != nil {
		t.Errorf("GetMany of no keys: got %v, %v, want nothing", found, err)
	}
	if had, err := e.Delete(ctx, key); had || err != nil {
		t.Errorf("Delete: got %v, %v, want false", had, err)
	}
	if n, err := e.Incr(ctx, key, 1); !errors.Is(err, cacheutils.ErrCacheMiss) {
		t.Errorf("Incr: got %d, %v, want ErrCacheMiss", n, err)
	}
	swapWith(t, e, key, engine.Item{Value: []byte("x"), CAS: 1}, time.Hour, false)
	wantNone(t, e, key)
}

func itemsAreKept(t *testing.T, e engine.Engine) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, test := range []struct {
		name string
		item engine.Item
	}{
		{"text", text("value")},
		{"empty", text("")},
		{"every-byte", engine.Item{Value: every, Flags: 0xCA << 16}},
		{"lines", engine.Item{Value: []byte("END\r\nSTORED\r\n\x00\r\n"), Flags: 16}},
		{"all-flags", engine.Item{Value: []byte("x"), Flags: 1<<32 - 1}},
		{"64KiB", engine.Item{Value: bytes.Repeat(every, 256), Flags: 1}},
	} {
		set, added, swapped := ":1:set-"+test.name, ":1:add-"+test.name, ":1:cas-"+test.name
		must(t, e.Set(ctx, set, test.item, time.Hour))
		if ok, err := e.Add(ctx, added, test.item, time.Hour); !ok || err != nil {
			t.Fatalf("Add %q: got %v, %v, want true", added, ok, err)
		}
		must(t, e.Set(ctx, swapped, text("other"), time.Hour))
		swap(t, e, swapped, test.item, time.Hour, true)
		for _, key := range []string{set, added, swapped} {
			wantItem(t, e, key, test.item)
		}
	}
}

func getMany(t *testing.T, e engine.Engine) {
	want := map[string]string{}
	var keys []string
	for _, key := range numbered(":1:many", 1100) {
		keys = append(keys, key, key+"-nothing")
		want[key] = key
		must(t, e.Set(ctx, key, engine.Item{Value: []byte(key), Flags: 3}, time.Hour))
	}
	keys = append(keys, keys[0], keys[1])
	found, err := e.GetMany(ctx, keys)
	must(t, err)
	got := map[string]string{}
	for key, item := range found {
		got[key] = string(item.Value)
		if item.Flags != 3 {
			t.Fatalf("GetMany: %q has flags %d, want 3", key, item.Flags)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("GetMany: (-want +got)\n%s", diff)
	}
	item := found[keys[0]]
	item.Value = []byte("swapped")
	swapWith(t, e, keys[0], item, time.Hour, true)
	swapWith(t, e, keys[0], item, time.Hour, false)
}

// keysAreOnlyBorrowed overwrites the bytes of a key once a method has returned that may not
// keep it, as a caller does that makes its keys in one buffer.
func keysAreOnlyBorrowed(t *testing.T, e engine.Engine) {
	const key = ":1:borrowed"
	must(t, e.Set(ctx, key, number(1), time.Hour))
	buffer := make([]byte, len(key))
	lend := func(method string, f func(key string) error) {
		t.Helper()
		copy(buffer, key)
		if err := f(unsafe.String(&buffer[0], len(buffer))); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		copy(buffer, ":1:other-key")
	}
	var found map[string]engine.Item
	lend("Get", func(key string) error { _, err := e.Get(ctx, key); return err })
	lend("GetMany", func(key string) (err error) { found, err = e.GetMany(ctx, []string{key}); return err })
	lend("Incr", func(key string) error { _, err := e.Incr(ctx, key, 1); return err })
	if len(found) != 1 || string(found[key].Value) != "1" {
		t.Errorf("GetMany: got %v once the key's bytes have changed, want the item under %q", found, key)
	}
	wantItem(t, e, key, number(2))
	lend("Delete", func(key string) error { _, err := e.Delete(ctx, key); return err })
	wantNone(t, e, key)
}

// together runs f on n goroutines that start at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

func addIsExclusive(t *testing.T, e engine.Engine) {
	for _, key := range numbered(":1:add", 10) {
		var added atomic.Int64
		winner := make([]bool, 16)
		together(len(winner), func(i int) {
			ok, err := e.Add(ctx, key, number(int64(i)), time.Hour)
			if err != nil {
				t.Error(err)
			}
			if ok {
				added.Add(1)
				winner[i] = true
			}
		})
		if n := added.Load(); n != 1 {
			t.Fatalf("%d goroutines added %q: %d were told that they did, want 1", len(winner), key, n)
		}
		for i, won := range winner {
			if won {
				wantItem(t, e, key, number(int64(i)))
			}
		}
	}
}

func incr(t *testing.T, e engine.Engine) {
	const key = ":1:n"
	must(t, e.Set(ctx, key, number(98), time.Hour))
	for _, test := range []struct{ delta, want int64 }{{0, 98}, {1, 99}, {1, 100}, {-91, 9}, {-9, 0}, {1 << 40, 1 << 40}} {
		if n, err := e.Incr(ctx, key, test.delta); n != test.want || err != nil {
			t.Fatalf("Incr by %d: got %d, %v, want %d", test.delta, n, err, test.want)
		}
		wantItem(t, e, key, number(test.want))
	}
	for _, value := range []string{"", "a", "1.5", "\xca\x01"} {
		must(t, e.Set(ctx, key, text(value), time.Hour))
		for _, delta := range []int64{1, -1} {
			if n, err := e.Incr(ctx, key, delta); !errors.Is(err, cacheutils.ErrNotNumber) {
				t.Errorf("Incr of %q: got %d, %v, want ErrNotNumber", value, n, err)
			}
		}
		wantItem(t, e, key, text(value))
	}
}

func clearAll(t *testing.T, e engine.Engine) {
	keys := []string{":1:a", ":1:b", "other:2:c"}
	for _, key := range keys {
		must(t, e.Set(ctx, key, text("x"), cacheutils.Forever))
	}
	must(t, e.Clear(ctx, ""))
	for _, key := range keys {
		wantNone(t, e, key)
	}
	must(t, e.Clear(ctx, ""))
	must(t, e.Set(ctx, keys[0], text("y"), time.Hour))
	wantItem(t, e, keys[0], text("y"))
}

// clearPrefix clears what begins with a prefix. An engine that can't distinguish them says so in its traits,
// and clears all.
func clearPrefix(t *testing.T, e engine.Engine) {
	gone := []string{"p:1:key", "p:2:key", "p:", "p:1:" + strings.Repeat("k", 200)}
	others := []string{":1:key", "pq:1:key", "P:1:key", "q:1:p:key", "_group::p:", "p"}
	gone, others = append(gone, numbered("p:1:many", 100)...), append(others, numbered("q:1:many", 100)...)
	for i, key := range append(slices.Clone(gone), others...) {
		item := text(key)
		item.Ephemeral = i%3 == 0
		must(t, e.Set(ctx, key, item, time.Hour))
	}
	must(t, e.Clear(ctx, "nothing begins like this"))
	if !e.Traits().ClearsAll {
		for _, key := range gone {
			wantItem(t, e, key, text(key))
		}
	}
	must(t, e.Clear(ctx, "p:"))
	for _, key := range gone {
		wantNone(t, e, key)
	}
	for _, key := range others {
		if e.Traits().ClearsAll {
			wantNone(t, e, key)
		} else {
			wantItem(t, e, key, text(key))
		}
	}
	for _, key := range gone {
		if added, err := e.Add(ctx, key, text("added"), time.Hour); !added || err != nil {
			t.Fatalf("Add %q after Clear: got %v, %v, want true", key, added, err)
		}
	}
}

func endedContext(t *testing.T, e engine.Engine) {
	const key = ":1:key"
	must(t, e.Set(ctx, key, number(1), time.Hour))
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	late, cancelLate := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancelLate()
	for _, ended := range []struct {
		ctx  context.Context
		want error
	}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
		for name, call := range operations(e, key) {
			if err := call(ended.ctx); !errors.Is(err, ended.want) {
				t.Errorf("%s: got error %v, want %v", name, err, ended.want)
			}
		}
	}
	wantItem(t, e, key, number(1))
	wantNone(t, e, ":1:new")
}

func liveItems(t *testing.T, e engine.Engine) {
	if !e.Traits().HoldsLive {
		t.Skip("the engine holds no live items")
	}
	value := &struct{ n int }{1}
	must(t, e.Set(ctx, ":1:live", engine.Item{Live: value, Cost: 8}, time.Hour))
	item, err := e.Get(ctx, ":1:live")
	must(t, err)
	if item.Live != any(value) || item.Value != nil {
		t.Errorf("got live %v and value %q, want the pointer that was stored", item.Live, item.Value)
	}
	if _, err := e.Incr(ctx, ":1:live", 1); !errors.Is(err, cacheutils.ErrNotNumber) {
		t.Errorf("Incr: got error %v, want ErrNotNumber", err)
	}
	swap(t, e, ":1:live", text("bytes"), time.Hour, true)
	wantItem(t, e, ":1:live", text("bytes"))
}

func checksKeys(t *testing.T, e engine.Engine) {
	if _, ok := engine.As[engine.KeyChecker](e); !ok {
		t.Skip("the engine takes any key")
	}
	for _, key := range []string{":1:key", "shop:2:" + strings.Repeat("k", 243), ":1:ключ"} {
		if err := checkKey(e, key); err != nil {
			t.Errorf("CheckKey: %v; keys like this one are used all the time", err)
		}
	}
	for _, key := range oddKeys {
		stored := ":1:" + key
		err := checkKey(e, stored)
		switch {
		case err == nil:
			must(t, e.Set(ctx, stored, text("x"), time.Hour))
			wantItem(t, e, stored, text("x"))
		case !errors.Is(err, cacheutils.ErrInvalidKey):
			t.Errorf("CheckKey %q: got error %v, want one that matches ErrInvalidKey", stored, err)
		}
	}
}
