package backendtest

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/engine"
)

// Compare-and-swap is what leases and refreshes stand on, so each way in which an item may
// have been replaced or have gone since it was read is tried.

func compareAndSwap(t *testing.T, e engine.Engine) {
	set := func(key, value string) engine.Item {
		t.Helper()
		must(t, e.Set(ctx, key, text(value), time.Hour))
		return wantItem(t, e, key, text(value))
	}
	newer := func(old engine.Item) engine.Item {
		return engine.Item{Value: []byte("newer"), Flags: 5, CAS: old.CAS}
	}
	want := engine.Item{Value: []byte("newer"), Flags: 5}

	old := set(":1:unchanged", "old")
	if again := wantItem(t, e, ":1:unchanged", old); again.CAS != old.CAS {
		t.Errorf("two reads of one item: CAS %d and %d, want them equal", old.CAS, again.CAS)
	}
	swapWith(t, e, ":1:unchanged", newer(old), time.Hour, true)
	wantItem(t, e, ":1:unchanged", want)

	swapWith(t, e, ":1:unchanged", engine.Item{Value: []byte("late"), CAS: old.CAS}, time.Hour, false)
	wantItem(t, e, ":1:unchanged", want)

	old = set(":1:set", "same")
	set(":1:set", "same")
	swapWith(t, e, ":1:set", newer(old), time.Hour, false)
	wantItem(t, e, ":1:set", text("same"))

	old = set(":1:deleted", "old")
	_, err := e.Delete(ctx, ":1:deleted")
	must(t, err)
	swapWith(t, e, ":1:deleted", newer(old), time.Hour, false)
	wantNone(t, e, ":1:deleted")

	old = set(":1:added", "same")
	_, err = e.Delete(ctx, ":1:added")
	must(t, err)
	_, err = e.Add(ctx, ":1:added", text("same"), time.Hour)
	must(t, err)
	swapWith(t, e, ":1:added", newer(old), time.Hour, false)
	wantItem(t, e, ":1:added", text("same"))

	old = set(":1:not-added", "old")
	_, err = e.Add(ctx, ":1:not-added", text("other"), time.Hour)
	must(t, err)
	swapWith(t, e, ":1:not-added", newer(old), time.Hour, true)

	old = set(":1:counted", "1")
	_, err = e.Incr(ctx, ":1:counted", 1)
	must(t, err)
	swapWith(t, e, ":1:counted", newer(old), time.Hour, false)
	wantItem(t, e, ":1:counted", text("2"))

	old = set(":1:cleared", "old")
	must(t, e.Clear(ctx, ""))
	swapWith(t, e, ":1:cleared", newer(old), time.Hour, false)
	wantNone(t, e, ":1:cleared")
}

// swapIsExclusive counts by compare-and-swap: none of the sums may get lost.
func swapIsExclusive(t *testing.T, e engine.Engine) {
	const key, goroutines, each = ":1:sum", 8, 50
	must(t, e.Set(ctx, key, number(0), time.Hour))
	together(goroutines, func(int) {
		for done := 0; done < each; {
			item, err := e.Get(ctx, key)
			if err != nil {
				t.Error(err)
				return
			}
			n, _ := strconv.ParseInt(string(item.Value), 10, 64)
			next := number(n + 1)
			next.CAS = item.CAS
			runtime.Gosched() // so that others come in between
			swapped, err := e.CompareAndSwap(ctx, key, next, time.Hour)
			if err != nil {
				t.Error(err)
				return
			}
			if swapped {
				done++
			}
		}
	})
	wantItem(t, e, key, number(goroutines*each))
}

// swap replaces the item under key by a compare-and-swap on what is there, and wants it to
// be swapped or not.
func swap(t *testing.T, e engine.Engine, key string, item engine.Item, timeout time.Duration, want bool) {
	t.Helper()
	read, err := e.Get(ctx, key)
	must(t, err)
	item.CAS = read.CAS
	swapWith(t, e, key, item, timeout, want)
}

func swapWith(t *testing.T, e engine.Engine, key string, item engine.Item, timeout time.Duration, want bool) {
	t.Helper()
	swapped, err := e.CompareAndSwap(ctx, key, item, timeout)
	if err != nil || swapped != want {
		t.Fatalf("CompareAndSwap %q: got %v, %v, want %v", key, swapped, err, want)
	}
}
