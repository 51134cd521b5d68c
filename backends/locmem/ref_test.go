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

// liveOf returns the live value that a ref still has, or nil.
func liveOf(ref engine.Ref) any {
	if item := ref.Item(); item != nil {
		return item.Live
	}
	return nil
}

// refTo fails the test when there is no ref to the key's item, or it has another live value.
func refTo(t *testing.T, e engine.Engine, key string, want any) engine.Ref {
	t.Helper()
	ref := e.(engine.Referrer).Ref(key)
	if ref == nil {
		t.Fatalf("no ref to %s", key)
	}
	if got := liveOf(ref); got != want {
		t.Fatalf("ref to %s: %v, want %v", key, got, want)
	}
	return ref
}

// A ref ends with everything that changes or removes the item, and with that only.
func TestRef(t *testing.T) {
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
			first, second := refTo(t, e, "k", 1), refTo(t, e, "k", 1)
			e.Add(ctx, "k", live(3), time.Hour)
			e.CompareAndSwap(ctx, "k", engine.Item{Live: 3, CAS: 1 << 60}, time.Hour)
			e.Incr(ctx, "k", 1)
			e.Delete(ctx, "other")
			if got := liveOf(first); got != 1 {
				t.Fatalf("what changes nothing ended the ref: %v", got)
			}
			change(e)
			for range 2 {
				if got := liveOf(first); got != nil || liveOf(second) != nil {
					t.Errorf("the ref still has %v", got)
				}
			}
		})
	}
}

func TestRef_OfNothing(t *testing.T) {
	e := open(t, nil)
	mustSet(t, e, "text", text("v"), time.Hour)
	if ref := e.(engine.Referrer).Ref("nothing"); ref != nil {
		t.Errorf("a ref to nothing: %v", ref.Item())
	}
	if item := e.(engine.Referrer).Ref("text").Item(); string(item.Value) != "v" {
		t.Errorf("a ref to text has %v", item)
	}
}

func TestRef_Expires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, nil)
		const timeout = 1500 * time.Millisecond // otter tidies up every second
		mustSet(t, e, "k", live(1), timeout)
		time.Sleep(time.Millisecond)
		ref := refTo(t, e, "k", 1)
		time.Sleep(timeout - time.Millisecond - 1)
		if liveOf(ref) == nil {
			t.Error("it ended too early")
		}
		time.Sleep(time.Nanosecond)
		if got := liveOf(ref); got != nil {
			t.Errorf("it still shows %v", got)
		}
	})
}

// A ref keeps no item in memory that the store has dropped.
func TestRef_HoldsNothing(t *testing.T) {
	e := open(t, nil)
	large := new([1 << 20]byte)
	freed := make(chan struct{})
	runtime.AddCleanup(large, func(int) { close(freed) }, 0)
	mustSet(t, e, "k", live(large), time.Hour)
	ref := refTo(t, e, "k", large)
	large = nil
	e.Delete(ctx, "k")
	e.Close() // otter's buffers
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			runtime.KeepAlive(ref)
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("the value is still in memory")
}

// A reader that has seen a newer item, under its key or by a ref, sees none that is older.
func TestRef_NeverGoesBack(t *testing.T) {
	e := open(t, map[string]any{"max_entries": 100})
	s := e.(engine.Referrer)
	const last = 20_000
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			newest := 0
			var ref engine.Ref
			for newest < last {
				if ref != nil {
					if v, ok := liveOf(ref).(int); ok && v < newest {
						t.Errorf("by a ref: %d after %d", v, newest)
						return
					}
				}
				if ref == nil || liveOf(ref) == nil {
					ref = s.Ref("k")
				}
				item, _ := e.Get(ctx, "k")
				v := item.Live
				if v, ok := v.(int); ok {
					if v < newest {
						t.Errorf("by a lookup: %d after %d", v, newest)
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

// That an entry is used by its ref keeps it in a full store, as lookups do.
func TestRef_Use(t *testing.T) {
	e := open(t, map[string]any{"max_entries": 1000})
	mustSet(t, e, "used", live(1), time.Hour)
	mustSet(t, e, "unused", live(1), time.Hour)
	used, unused := refTo(t, e, "used", 1), refTo(t, e, "unused", 1)
	for i := range 20_000 {
		mustSet(t, e, fmt.Sprint("other", i), live(i), time.Hour)
		for range 4 {
			if liveOf(used) == nil { // also when it is written once more, with its weight
				used = e.(engine.Referrer).Ref("used")
			}
			if used == nil {
				t.Fatalf("it left the store after %d others", i)
			}
		}
	}
	if liveOf(unused) != nil || e.(engine.Referrer).Ref("unused") != nil {
		t.Error("nothing leaves the store")
	}
}
