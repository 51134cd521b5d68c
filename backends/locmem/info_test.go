package locmem

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

func infoOf(t *testing.T, e engine.Engine) engine.Info {
	t.Helper()
	info, err := e.(engine.InfoEngine).Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// sumOf returns what the entries of the engine's store cost, one by one.
func sumOf(e engine.Engine) (n int, bytes int64) {
	for _, entry := range e.(*memory).opened.Load().cache().All() {
		n++
		bytes += int64(entry.cost())
	}
	return n, bytes
}

// What comes and goes is counted once, however it does.
func TestInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		e, err := Open(engine.Settings{Location: []string{t.Name()}, Options: map[string]any{"max_entries": 100, "max_cost": 1 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := infoOf(t, e), (engine.Info{MaxEntries: 100, MaxBytes: 1 << 20}); got != want {
			t.Errorf("of an empty store: got %+v, want %+v", got, want)
		}
		check := func(when string, n int, size int) {
			t.Helper()
			e.(*memory).opened.Load().cache().CleanUp()
			got := infoOf(t, e)
			if want := int64(n*(overhead+len("k0")) + size); got.Entries != n || got.Bytes != want || got.Evictions != 0 {
				t.Errorf("%s: got %+v, want %d entries of %d bytes", when, got, n, want)
			}
		}
		item := engine.Item{Value: []byte("four")}
		for i := range 10 {
			if err := e.Set(ctx, fmt.Sprint("k", i), item, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		check("ten entries", 10, 40)
		_ = e.Set(ctx, "k0", engine.Item{Value: []byte("seventh")}, time.Second)
		check("one replaced", 10, 43)
		_, _ = e.Add(ctx, "k0", item, time.Hour)
		check("one not added", 10, 43)
		_, _ = e.Delete(ctx, "k1")
		check("one deleted", 9, 39)
		_, _ = e.Add(ctx, "k1", engine.Item{Value: item.Value, Ephemeral: true}, time.Hour)
		check("a marker", 9, 39)
		time.Sleep(3 * time.Second)
		check("one has ended", 8, 32)

		other, err := Open(engine.Settings{Location: []string{t.Name()}, Options: map[string]any{"max_entries": 50}})
		if err != nil {
			t.Fatal(err)
		}
		check("other bounds", 8, 32)
		if got := infoOf(t, other); got != infoOf(t, e) || got.MaxEntries != 50 {
			t.Errorf("by another engine: got %+v, want %+v", got, infoOf(t, e))
		}
		if err := e.Clear(ctx, "k2"); err != nil {
			t.Fatal(err)
		}
		check("those of a prefix removed", 7, 28)
		if err := e.Clear(ctx, ""); err != nil {
			t.Fatal(err)
		}
		check("all removed", 0, 0)
		if err := errors.Join(e.Close(), other.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := e.(engine.InfoEngine).Info(ctx); !errors.Is(err, cacheutils.ErrClosed) {
			t.Errorf("closed: got %v", err)
		}
	})
}

// To peek at an item finds what Get does, and doesn't keep it in a full store, as to get it does.
func TestPeek(t *testing.T) {
	ctx := context.Background()
	e, err := Open(engine.Settings{Location: []string{t.Name()}, Options: map[string]any{"max_entries": 100}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	peek := e.(engine.Peeker).Peek
	if _, err := peek(ctx, "k"); err != cacheutils.ErrCacheMiss {
		t.Errorf("of nothing: got %v", err)
	}
	if _, err := e.Add(ctx, "k", engine.Item{Value: []byte("v"), Ephemeral: true}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if item, err := peek(ctx, "k"); err != nil || string(item.Value) != "v" || !item.Ephemeral {
		t.Errorf("of a marker: got %v, %v", item, err)
	}
	const n = 10
	name := func(how string, i int) string { return fmt.Sprint(how, i) }
	for i := range n {
		for _, how := range []string{"got", "peeked"} {
			if err := e.Set(ctx, name(how, i), engine.Item{Value: []byte(how)}, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 5000 { // others, while these are looked up all the time
		for j := range n {
			_, _ = e.Get(ctx, name("got", j))
			if item, err := peek(ctx, name("peeked", j)); err == nil && string(item.Value) != "peeked" {
				t.Fatalf("got %v", item)
			}
		}
		if err := e.Set(ctx, fmt.Sprint("other", i%500), engine.Item{}, time.Hour); err != nil {
			t.Fatal(err)
		}
		_, _ = e.Get(ctx, fmt.Sprint("other", i%500))
	}
	left := map[string]int{}
	for i := range n {
		for _, how := range []string{"got", "peeked"} {
			if _, err := peek(ctx, name(how, i)); err == nil {
				left[how]++
			}
		}
	}
	if left["got"] < n-2 || left["peeked"] > 2 {
		t.Errorf("%d of %d are left that were got, and %d that were peeked at, want nearly all and nearly none", left["got"], n, left["peeked"])
	}
}

// A store that is full counts what it drops, and no more than it has written at the same time.
func TestInfo_Full(t *testing.T) {
	ctx := context.Background()
	e, err := Open(engine.Settings{Location: []string{t.Name()}, Options: map[string]any{"max_entries": 200}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const writers, each = 4, 1000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := e.Set(ctx, fmt.Sprint(w, " ", i), engine.Item{Value: make([]byte, i)}, time.Hour); err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					_, _ = e.Delete(ctx, fmt.Sprint(w, " ", i))
				}
				infoOf(t, e)
			}
		})
	}
	wg.Wait()
	e.(*memory).opened.Load().cache().CleanUp()
	n, bytes := sumOf(e)
	got := infoOf(t, e)
	if got.Entries != n || n > 200 || got.Bytes != bytes {
		t.Errorf("got %+v, want %d entries, and %d bytes", got, n, bytes)
	}
	if most := uint64(writers * each * 9 / 10); got.Evictions > most+uint64(writers*each/10) || got.Evictions < most-400 {
		t.Errorf("%d were dropped, of about %d that were written and not deleted", got.Evictions, most)
	}
}
