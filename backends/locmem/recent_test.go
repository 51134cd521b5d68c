package locmem

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// openFull opens a store that is full of entries that were used often, so that it drops others at
// once.
func openFull(tb testing.TB, name string, entries int) *memory {
	tb.Helper()
	e, err := Open(engine.Settings{Location: []string{name}, Options: map[string]any{"max_entries": entries, "max_cost": 1 << 30}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	m := e.(*memory)
	for range 3 {
		for i := range entries {
			m.Set(ctx, fmt.Sprint("popular", i), live(i), cacheutils.Forever)
			for range 10 {
				m.Get(ctx, fmt.Sprint("popular", i))
			}
			m.opened.Load().cache().CleanUp()
		}
	}
	return m
}

// openDropping opens a store in which otter drops every entry at once.
func openDropping(tb testing.TB, name string) *memory {
	tb.Helper()
	e, err := Open(engine.Settings{Location: []string{name}, Options: map[string]any{"max_entries": 100, "max_cost": 1 << 30}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	m := e.(*memory)
	m.opened.Load().cache().SetMaximum(1)
	return m
}

// swapSame gives the item under key another timeout, as a swap for itself.
func swapSame(m *memory, key string, timeout time.Duration) bool {
	item, err := m.Get(ctx, key)
	if err != nil {
		return false
	}
	swapped, _ := m.CompareAndSwap(ctx, key, item, timeout)
	return swapped
}

// setRecent stores what otter drops, and returns it as it is read.
func setRecent(t *testing.T, m *memory, key string) engine.Item {
	t.Helper()
	m.Set(ctx, key, engine.Item{Value: []byte("5"), Cost: 1}, time.Minute)
	m.opened.Load().cache().CleanUp()
	if _, there := m.opened.Load().cache().GetEntryQuietly(key); there {
		t.Fatal("otter has not dropped it")
	}
	item, err := m.Get(ctx, key)
	if err != nil || string(item.Value) != "5" {
		t.Fatalf("get: %+v, %v", item, err)
	}
	return item
}

// An entry that otter has dropped is there for every operation while it is one of the recent writes, and
// for none afterwards, also not when the key is written again.
func TestRecentWrites(t *testing.T) {
	get := func(m *memory) string {
		item, err := m.Get(ctx, "k")
		if err != nil {
			return "nothing"
		}
		return string(item.Value)
	}
	text := func(s string, cas uint64) engine.Item { return engine.Item{Value: []byte(s), CAS: cas} }
	tests := []struct {
		name  string
		do    func(m *memory, item engine.Item) bool
		after string
	}{
		{"GetMany", func(m *memory, _ engine.Item) bool {
			got, _ := m.GetMany(ctx, []string{"k", "other"})
			return len(got) == 1 && string(got["k"].Value) == "5"
		}, "5"},
		{"Set", func(m *memory, _ engine.Item) bool { return m.Set(ctx, "k", text("6", 0), time.Minute) == nil }, "6"},
		{"Set a marker", func(m *memory, _ engine.Item) bool {
			return m.Set(ctx, "k", engine.Item{Value: []byte("m"), Ephemeral: true}, time.Minute) == nil
		}, "m"},
		{"Set too much", func(m *memory, _ engine.Item) bool {
			return m.Set(ctx, "k", engine.Item{Live: 1, Cost: math.MaxInt}, time.Minute) != nil
		}, "nothing"},
		{"Add", func(m *memory, _ engine.Item) bool { ok, _ := m.Add(ctx, "k", text("6", 0), time.Minute); return !ok }, "5"},
		{"CompareAndSwap", func(m *memory, item engine.Item) bool {
			ok, _ := m.CompareAndSwap(ctx, "k", text("6", item.CAS), time.Minute)
			return ok
		}, "6"},
		{"CompareAndSwap with a marker", func(m *memory, item engine.Item) bool {
			ok, _ := m.CompareAndSwap(ctx, "k", engine.Item{Value: []byte("m"), Ephemeral: true, CAS: item.CAS}, time.Minute)
			return ok
		}, "m"},
		{"late CompareAndSwap", func(m *memory, item engine.Item) bool {
			ok, _ := m.CompareAndSwap(ctx, "k", text("6", item.CAS-1), time.Minute)
			return !ok
		}, "5"},
		{"Delete", func(m *memory, _ engine.Item) bool { ok, _ := m.Delete(ctx, "k"); return ok }, "nothing"},
		{"Incr", func(m *memory, _ engine.Item) bool { n, _ := m.Incr(ctx, "k", 2); return n == 7 }, "7"},
		{"Clear", func(m *memory, _ engine.Item) bool { return m.Clear(ctx, "") == nil }, "nothing"},
		{"Clear of its prefix", func(m *memory, _ engine.Item) bool { return m.Clear(ctx, "k") == nil }, "nothing"},
		{"Clear of another prefix", func(m *memory, _ engine.Item) bool { return m.Clear(ctx, "kk") == nil }, "5"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := openDropping(t, t.Name())
			if !test.do(m, setRecent(t, m, "k")) {
				t.Error("it did something else")
			}
			m.opened.Load().cache().CleanUp()
			if got := get(m); got != test.after {
				t.Fatalf("then: %s, want %s", got, test.after)
			}
			m.Delete(ctx, "k")
			if got := get(m); got != "nothing" {
				t.Errorf("after it was deleted: %s", got)
			}
			if ok, _ := m.Delete(ctx, "k"); ok {
				t.Error("it was deleted twice")
			}
		})
	}
}

// Recent writes expire as the others do, and exactly so.
func TestRecentWrites_Expires(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(m *memory)
		ends   time.Duration
	}{
		{"set", func(m *memory) {}, time.Minute},
		{"swap", func(m *memory) { swapSame(m, "k", time.Hour) }, time.Hour},
		{"incr", func(m *memory) { m.Incr(ctx, "k", 1) }, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := openDropping(t, "recent writes that expire")
				setRecent(t, m, "k")
				test.before(m)
				synctest.Wait()
				time.Sleep(test.ends - 1)
				if _, err := m.Get(ctx, "k"); err != nil {
					t.Error("it is gone too early")
				}
				time.Sleep(time.Nanosecond)
				if _, err := m.Get(ctx, "k"); !errors.Is(err, cacheutils.ErrCacheMiss) {
					t.Error("it stays too long")
				}
				if ok, _ := m.Delete(ctx, "k"); ok {
					t.Error("it could be deleted")
				}
			})
		})
	}
}

// As many entries as are kept are there, and no more.
func TestRecentWrites_HowMany(t *testing.T) {
	m := openDropping(t, t.Name())
	there := 0
	for i := range 20 {
		setRecent(t, m, fmt.Sprint("k", i))
	}
	for i := range 20 {
		if _, err := m.Get(ctx, fmt.Sprint("k", i)); err == nil {
			if there++; i < 20-maxRecent {
				t.Errorf("k%d is still there", i)
			}
		}
	}
	if there != maxRecent {
		t.Errorf("%d of the recent writes are there", there)
	}
	m.Set(ctx, "large", engine.Item{Live: 1, Cost: 1<<30/100 + 1}, time.Minute)
	m.opened.Load().cache().CleanUp()
	if _, err := m.Get(ctx, "large"); err == nil {
		t.Error("a large entry is kept")
	}
	smaller, err := Open(engine.Settings{Location: []string{t.Name()}, Options: map[string]any{"max_entries": 9}})
	if err != nil {
		t.Fatal(err)
	}
	defer smaller.Close()
	if entries, _ := held(m.opened.Load()); entries > 9 {
		t.Errorf("%d entries are there after max_entries became 9", entries)
	}
}

// A full store holds hardly more than it may while it is written, whenever otter tidies up.
func TestBounds_Meanwhile(t *testing.T) {
	m := openFull(t, t.Name(), 1000)
	for i := range 100_000 {
		m.Set(ctx, fmt.Sprint("k", i), live(i), time.Minute)
		if n := m.opened.Load().cache().EstimatedSize(); n > 1000+1000/8 {
			t.Fatalf("%d entries after %d writes", n, i)
		}
	}
}

// A reader that has seen an item sees none that is older, in a store that drops entries as soon as they
// are written.
func TestRecentWrites_NeverGoesBack(t *testing.T) {
	m := openFull(t, t.Name(), 40)
	const keys, last = 3, 20_000
	var done [keys]atomic.Bool
	var seen [keys]atomic.Int64
	var all sync.WaitGroup
	for k := range keys {
		key := fmt.Sprint("k", k)
		all.Go(func() {
			defer done[k].Store(true)
			for i := 1; i <= last || i <= 100*last && seen[k].Load() < 10; i++ { // a busy machine runs readers late
				item := live(i)
				switch i % 5 {
				case 0:
					m.Set(ctx, key, item, time.Minute)
				case 1:
					m.Delete(ctx, key)
					if ok, _ := m.Add(ctx, key, item, time.Minute); !ok {
						t.Errorf("%d: add to nothing", i)
					}
				case 2:
					swapSame(m, key, time.Hour)
					m.Set(ctx, key, item, time.Minute)
				case 3:
					old, err := m.Get(ctx, key)
					item.CAS, item.Ephemeral = old.CAS, true
					if ok, _ := m.CompareAndSwap(ctx, key, item, time.Minute); !ok && err == nil {
						m.Set(ctx, key, item, time.Minute) // it was dropped meanwhile
					}
				default:
					old, _ := m.Get(ctx, key)
					item.CAS = old.CAS
					m.CompareAndSwap(ctx, key, item, time.Minute)
				}
			}
		})
		all.Go(func() {
			newest := 0
			for !done[k].Load() {
				item, err := m.Get(ctx, key)
				if err != nil {
					continue
				}
				if v := item.Live.(int); v < newest {
					t.Errorf("%s: %d after %d", key, v, newest)
					return
				} else if v > newest {
					seen[k].Add(1)
					newest = v
				}
			}
		})
	}
	all.Wait()
	for k := range seen {
		if n := seen[k].Load(); n < 10 {
			t.Errorf("%d items of key %d were seen: not a test", n, k)
		}
	}
}
