package locmem_test

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

func live(v any) engine.Item { return engine.Item{Live: v, Cost: 8} }

// sightOf fails the test when there is no sight of the key, or it shows something else.
func sightOf(t *testing.T, e engine.Engine, key string, want any) engine.Sight {
	t.Helper()
	sight := e.(engine.Sighter).Sight(key)
	if sight == nil {
		t.Fatalf("no sight of %s", key)
	}
	if got := sight.Live(); got != want {
		t.Fatalf("sight of %s: %v, want %v", key, got, want)
	}
	return sight
}

// A sight ends with everything that changes or removes the item, and with that only.
func TestSight(t *testing.T) {
	cas := func(e engine.Engine, key string) engine.Item {
		item, _ := e.Get(ctx, key)
		return item
	}
	tests := map[string]func(e engine.Engine){
		"set":               func(e engine.Engine) { e.Set(ctx, "k", live(2), time.Hour) },
		"set to what it is": func(e engine.Engine) { e.Set(ctx, "k", cas(e, "k"), time.Hour) },
		"swap":              func(e engine.Engine) { e.CompareAndSwap(ctx, "k", cas(e, "k"), time.Hour) },
		"delete":            func(e engine.Engine) { e.Delete(ctx, "k") },
		"delete and add": func(e engine.Engine) {
			e.Delete(ctx, "k")
			e.Add(ctx, "k", live(1), time.Hour)
		},
		"clear":        func(e engine.Engine) { e.Clear(ctx, "") },
		"clear prefix": func(e engine.Engine) { e.Clear(ctx, "k") },
		"close":        func(e engine.Engine) { e.Close() },
		"too large": func(e engine.Engine) {
			e.Set(ctx, "k", engine.Item{Live: 1, Cost: math.MaxInt}, time.Hour)
		},
		"eviction": func(e engine.Engine) {
			for i := range 200_000 {
				e.Set(ctx, fmt.Sprint("other", i), live(i), time.Hour)
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			e := open(t, map[string]any{"max_entries": 1000})
			mustSet(t, e, "k", live(1), cacheutils.Forever)
			mustSet(t, e, "other", live(1), cacheutils.Forever)
			first, second := sightOf(t, e, "k", 1), sightOf(t, e, "k", 1)
			e.Add(ctx, "k", live(3), time.Hour)
			e.CompareAndSwap(ctx, "k", engine.Item{Live: 3, CAS: 1 << 60}, time.Hour)
			e.Incr(ctx, "k", 1)
			e.Delete(ctx, "other")
			if got := first.Live(); got != 1 {
				t.Fatalf("what changes nothing ended the sight: %v", got)
			}
			change(e)
			for range 2 {
				if got := first.Live(); got != nil || second.Live() != nil {
					t.Errorf("the sight still shows %v", got)
				}
			}
		})
	}
}

func TestSight_OfNothing(t *testing.T) {
	e := open(t, nil)
	mustSet(t, e, "text", text("v"), time.Hour)
	for _, key := range []string{"text", "nothing"} {
		if sight := e.(engine.Sighter).Sight(key); sight != nil {
			t.Errorf("a sight of %s: %v", key, sight.Live())
		}
	}
}

func TestSight_Expires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, nil)
		const timeout = 1500 * time.Millisecond // otter tidies up every second
		mustSet(t, e, "k", live(1), timeout)
		time.Sleep(time.Millisecond)
		sight := sightOf(t, e, "k", 1)
		time.Sleep(timeout - time.Millisecond - 1)
		if sight.Live() == nil {
			t.Error("it ended too early")
		}
		time.Sleep(time.Nanosecond)
		if got := sight.Live(); got != nil {
			t.Errorf("it still shows %v", got)
		}
	})
}

// A sight keeps no item in memory that the store has dropped.
func TestSight_HoldsNothing(t *testing.T) {
	e := open(t, nil)
	large := new([1 << 20]byte)
	freed := make(chan struct{})
	runtime.AddCleanup(large, func(int) { close(freed) }, 0)
	mustSet(t, e, "k", live(large), time.Hour)
	sight := sightOf(t, e, "k", large)
	large = nil
	e.Delete(ctx, "k")
	e.Close() // otter's buffers
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			runtime.KeepAlive(sight)
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("the value is still in memory")
}

// A reader that has seen a newer item, under its key or in sight, sees none that is older.
func TestSight_NeverGoesBack(t *testing.T) {
	e := open(t, map[string]any{"max_entries": 100})
	s := e.(engine.Sighter)
	const last = 20_000
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			newest := 0
			var sight engine.Sight
			for newest < last {
				if sight != nil {
					if v, ok := sight.Live().(int); ok && v < newest {
						t.Errorf("in sight: %d after %d", v, newest)
						return
					}
				}
				if sight == nil || sight.Live() == nil {
					sight = s.Sight("k")
				}
				v, _ := s.GetLive("k")
				if v, ok := v.(int); ok {
					if v < newest {
						t.Errorf("a look: %d after %d", v, newest)
						return
					}
					newest = v
				}
			}
		})
	}
	for i := range last + 1 {
		switch i % 3 {
		case 0:
			e.Set(ctx, "k", live(i), time.Hour)
		case 1:
			e.Delete(ctx, "k")
			e.Add(ctx, "k", live(i), time.Hour)
		default:
			item, _ := e.Get(ctx, "k")
			e.CompareAndSwap(ctx, "k", engine.Item{Live: i, Cost: 8, CAS: item.CAS}, time.Hour)
		}
	}
	mustSet(t, e, "k", live(last), time.Hour)
	readers.Wait()
}

// That an entry is used in sight keeps it in a full store, as looks do.
func TestSight_Use(t *testing.T) {
	e := open(t, map[string]any{"max_entries": 1000})
	mustSet(t, e, "used", live(1), time.Hour)
	mustSet(t, e, "unused", live(1), time.Hour)
	used, unused := sightOf(t, e, "used", 1), sightOf(t, e, "unused", 1)
	for i := range 20_000 {
		mustSet(t, e, fmt.Sprint("other", i), live(i), time.Hour)
		for range 4 {
			if used.Live() == nil { // also when it is written once more, with its weight
				used = e.(engine.Sighter).Sight("used")
			}
			if used == nil {
				t.Fatalf("it left the store after %d others", i)
			}
		}
	}
	if unused.Live() != nil || e.(engine.Sighter).Sight("unused") != nil {
		t.Error("nothing leaves the store")
	}
}
