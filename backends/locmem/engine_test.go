package locmem_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
)

var ctx = context.Background()

// open opens the store that has the test's name.
func open(tb testing.TB, options map[string]any) engine.Engine {
	tb.Helper()
	e, err := locmem.Open(engine.Settings{Location: []string{tb.Name()}, Options: options})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

func text(s string) engine.Item { return engine.Item{Value: []byte(s), Cost: len(s)} }

func mustSet(tb testing.TB, e engine.Engine, key string, item engine.Item, timeout time.Duration) {
	tb.Helper()
	if err := e.Set(ctx, key, item, timeout); err != nil {
		tb.Fatal(err)
	}
}

// value is what is under key, or the error.
func value(e engine.Engine, key string) string {
	item, err := e.Get(ctx, key)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case item.Live != nil:
		return fmt.Sprint("live: ", item.Live)
	default:
		return string(item.Value)
	}
}

const miss = "error: cacheutils: cache miss"

func TestOneKey(t *testing.T) {
	e := open(t, nil)
	if !e.Traits().HoldsLive {
		t.Error("it doesn't have the trait HoldsLive")
	}
	if got := value(e, "k"); got != miss {
		t.Errorf("get of nothing: %s", got)
	}
	mustSet(t, e, "k", engine.Item{Value: []byte("v"), Flags: 16, Cost: 1}, time.Minute)
	item, err := e.Get(ctx, "k")
	if err != nil || item.CAS == 0 {
		t.Fatalf("get: %+v, %v", item, err)
	}
	if diff := cmp.Diff(engine.Item{Value: []byte("v"), Flags: 16, Cost: 1, CAS: item.CAS}, item); diff != "" {
		t.Errorf("get (-want +got):\n%s", diff)
	}
	mustSet(t, e, "live", engine.Item{Live: []int{1}, Cost: 8}, time.Minute)
	if got := value(e, "live"); got != "live: [1]" {
		t.Errorf("live: %s", got)
	}

	if ok, err := e.Add(ctx, "k", text("other"), time.Minute); ok || err != nil {
		t.Errorf("add to what is there: %v, %v", ok, err)
	}
	if ok, err := e.Add(ctx, "", text("added"), time.Minute); !ok || err != nil {
		t.Errorf("add: %v, %v", ok, err)
	}

	swap := func(key, with string) (bool, error) {
		return e.CompareAndSwap(ctx, key, engine.Item{Value: []byte(with), CAS: item.CAS}, time.Minute)
	}
	if ok, err := swap("k", "swapped"); !ok || err != nil {
		t.Errorf("swap: %v, %v", ok, err)
	}
	if ok, err := swap("k", "late"); ok || err != nil {
		t.Errorf("late swap: %v, %v", ok, err)
	}
	if ok, err := swap("gone", "late"); ok || err != nil {
		t.Errorf("swap of nothing: %v, %v", ok, err)
	}
	if got := value(e, "k"); got != "swapped" {
		t.Errorf("after the swaps: %s", got)
	}

	got, err := e.GetMany(ctx, []string{"k", "live", "gone", "k"})
	if err != nil || len(got) != 2 || string(got["k"].Value) != "swapped" {
		t.Errorf("GetMany: %v, %v", got, err)
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
	if got := value(e, "live"); got != miss {
		t.Errorf("after clear: %s", got)
	}
}

func TestNumbers(t *testing.T) {
	e := open(t, nil)
	tests := []struct {
		name   string
		stored engine.Item
		delta  int64
		want   int64
		after  string
		err    error
		text   string // in the error
	}{
		{name: "up", stored: text("5"), delta: 2, want: 7, after: "7"},
		{name: "below 0", stored: text("5"), delta: -7, want: -2, after: "-2"},
		{name: "fewer digits", stored: text("10"), delta: -1, want: 9, after: "9"},
		{name: "most", stored: text("9223372036854775806"), delta: 1, want: math.MaxInt64, after: "9223372036854775807"},
		{name: "least", stored: text("0"), delta: math.MinInt64, want: math.MinInt64, after: "-9223372036854775808"},
		{name: "too much", stored: text("9223372036854775807"), delta: 1, err: cacheutils.ErrNotNumber, text: "int64", after: "9223372036854775807"},
		{name: "too little", stored: text("-2"), delta: math.MinInt64, err: cacheutils.ErrNotNumber, text: "int64", after: "-2"},
		{name: "stored too much", stored: text("9223372036854775808"), delta: 1, err: cacheutils.ErrNotNumber, after: "9223372036854775808"},
		{name: "text", stored: text("abc"), delta: 1, err: cacheutils.ErrNotNumber, after: "abc"},
		{name: "fraction", stored: text("1.5"), delta: 1, err: cacheutils.ErrNotNumber, after: "1.5"},
		{name: "empty", stored: text(""), delta: 1, err: cacheutils.ErrNotNumber, after: ""},
		{name: "live", stored: engine.Item{Live: 5}, delta: 1, err: cacheutils.ErrNotNumber, text: "int", after: "live: 5"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.stored.Flags = 2
			mustSet(t, e, "n", test.stored, time.Minute)
			before, _ := e.Get(ctx, "n")
			got, err := e.Incr(ctx, "n", test.delta)
			if got != test.want || !errors.Is(err, test.err) || err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("Incr: got %d, %v, want %d, %v %q", got, err, test.want, test.err, test.text)
			}
			if got := value(e, "n"); got != test.after {
				t.Errorf("stored: got %q, want %q", got, test.after)
			}
			after, _ := e.Get(ctx, "n")
			if after.Flags != 2 || (after.CAS == before.CAS) != (err != nil) {
				t.Errorf("before %+v, after %+v", before, after)
			}
		})
	}
	for _, delta := range []int64{1, -1} {
		if _, err := e.Incr(ctx, "gone", delta); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("Incr of nothing by %d: %v", delta, err)
		}
	}
}

// No increment of many at once is lost.
func TestIncrIsAtomic(t *testing.T) {
	e := open(t, nil)
	mustSet(t, e, "n", text("0"), time.Minute)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 500 {
				e.Incr(ctx, "n", 1)
			}
		})
	}
	all.Wait()
	if got := value(e, "n"); got != "8000" {
		t.Errorf("got %s, want 8000", got)
	}
}

// An entry is there until the last nanosecond of its timeout and gone with the next, for
// every operation.
func TestExpiryIsExact(t *testing.T) {
	const timeout = 1500 * time.Millisecond
	operations := []struct {
		name string
		live func(e engine.Engine) bool
	}{
		{"Get", func(e engine.Engine) bool { _, err := e.Get(ctx, "k"); return err == nil }},
		{"GetMany", func(e engine.Engine) bool { got, _ := e.GetMany(ctx, []string{"k"}); return len(got) == 1 }},
		{"Add", func(e engine.Engine) bool { ok, _ := e.Add(ctx, "k", text("2"), timeout); return !ok }},
		{"CompareAndSwap", func(e engine.Engine) bool {
			ok, _ := e.CompareAndSwap(ctx, "k", engine.Item{CAS: 1}, timeout)
			return ok
		}},
		{"Delete", func(e engine.Engine) bool { ok, _ := e.Delete(ctx, "k"); return ok }},
		{"Incr", func(e engine.Engine) bool { _, err := e.Incr(ctx, "k", 1); return err == nil }},
	}
	for _, operation := range operations {
		for _, after := range []time.Duration{timeout - 1, timeout} {
			t.Run(fmt.Sprint(operation.name, "/", after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := open(t, nil)
					mustSet(t, e, "k", text("1"), timeout)
					time.Sleep(after)
					if live := operation.live(e); live != (after < timeout) {
						t.Errorf("there after %v: %v", after, live)
					}
				})
			})
		}
	}
}

func TestExpiryOfLaterWrites(t *testing.T) {
	tests := []struct {
		name  string
		write func(e engine.Engine)
		ends  time.Duration // after the first write, which lives 10 s; the second comes 5 s later
	}{
		{"incr keeps", func(e engine.Engine) { e.Incr(ctx, "k", 1) }, 10 * time.Second},
		{"set extends", func(e engine.Engine) { e.Set(ctx, "k", text("2"), time.Minute) }, 65 * time.Second},
		{"set shortens", func(e engine.Engine) { e.Set(ctx, "k", text("2"), time.Second) }, 6 * time.Second},
		{"set forever", func(e engine.Engine) { e.Set(ctx, "k", text("2"), cacheutils.Forever) }, cacheutils.Forever},
		{"add changes nothing", func(e engine.Engine) { e.Add(ctx, "k", text("2"), time.Minute) }, 10 * time.Second},
		{"swap extends", func(e engine.Engine) {
			e.CompareAndSwap(ctx, "k", engine.Item{CAS: 1}, time.Minute)
		}, 65 * time.Second},
		{"swap shortens", func(e engine.Engine) {
			e.CompareAndSwap(ctx, "k", engine.Item{CAS: 1}, time.Second)
		}, 6 * time.Second},
		{"swap forever", func(e engine.Engine) {
			e.CompareAndSwap(ctx, "k", engine.Item{CAS: 1}, cacheutils.Forever)
		}, cacheutils.Forever},
		{"late swap changes nothing", func(e engine.Engine) {
			e.CompareAndSwap(ctx, "k", engine.Item{CAS: 9}, time.Minute)
		}, 10 * time.Second},
		{"other bounds change nothing", func(e engine.Engine) {
			other, _ := locmem.Open(engine.Settings{Location: []string{"expiry"}, Options: map[string]any{"max_entries": 50}})
			other.Close()
		}, 10 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, _ := locmem.Open(engine.Settings{Location: []string{"expiry"}})
				defer e.Close()
				mustSet(t, e, "k", text("1"), 10*time.Second)
				time.Sleep(5 * time.Second)
				test.write(e)
				if test.ends == cacheutils.Forever {
					time.Sleep(time.Hour) // the store wakes up every second of it
					if got := value(e, "k"); got == miss {
						t.Error("it is gone")
					}
					return
				}
				time.Sleep(test.ends - 5*time.Second - 1)
				if got := value(e, "k"); got == miss {
					t.Error("it is gone too early")
				}
				time.Sleep(time.Nanosecond)
				if got := value(e, "k"); got != miss {
					t.Errorf("it stays too long: %s", got)
				}
			})
		})
	}
}

// The caller's key may be overwritten when a call has returned; only Set, Add and
// CompareAndSwap keep theirs.
func TestKeysAreNotKept(t *testing.T) {
	e := open(t, nil)
	buffer := []byte("k")
	shared := unsafeString(buffer)
	mustSet(t, e, "k", text("1"), time.Hour)
	if _, err := e.Incr(ctx, shared, 1); err != nil {
		t.Error(err)
	}
	many, err := e.GetMany(ctx, []string{shared})
	buffer[0] = 'x'
	if err != nil || len(many) != 1 || string(many["k"].Value) != "2" {
		t.Errorf("GetMany: %v, %v", many, err)
	}
	if got := value(e, "k"); got != "2" {
		t.Errorf("k: %s", got)
	}
	if got := value(e, "x"); got != miss {
		t.Errorf("x: %s", got)
	}
}

func TestGetAllocatesNothing(t *testing.T) {
	e := open(t, nil)
	mustSet(t, e, "k", text("v"), time.Minute)
	if n := testing.AllocsPerRun(1000, func() { e.Get(ctx, "k") }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, func() { e.Get(ctx, "gone") }); n != 0 {
		t.Errorf("a miss allocates %v times", n)
	}
}

func TestEndedContext(t *testing.T) {
	e := open(t, nil)
	mustSet(t, e, "k", text("1"), time.Minute)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	calls := map[string]func() error{
		"Get":            func() error { _, err := e.Get(ended, "k"); return err },
		"GetMany":        func() error { _, err := e.GetMany(ended, []string{"k"}); return err },
		"Set":            func() error { return e.Set(ended, "k", text("2"), time.Minute) },
		"Add":            func() error { _, err := e.Add(ended, "new", text("2"), time.Minute); return err },
		"CompareAndSwap": func() error { _, err := e.CompareAndSwap(ended, "k", text("2"), time.Minute); return err },
		"Delete":         func() error { _, err := e.Delete(ended, "k"); return err },
		"Incr":           func() error { _, err := e.Incr(ended, "k", 1); return err },
		"Clear":          func() error { return e.Clear(ended, "") },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := value(e, "k"); got != "1" {
		t.Errorf("k: %s", got)
	}
}

// Every method from 64 goroutines, for the race detector.
func TestTogether(t *testing.T) {
	names := []string{t.Name() + "/a", t.Name() + "/b"}
	var all sync.WaitGroup
	for g := range 64 {
		all.Go(func() {
			open := func() engine.Engine {
				e, err := locmem.Open(engine.Settings{
					Location: []string{names[g%2]},
					Options:  map[string]any{"max_entries": 50 + g},
				})
				if err != nil {
					t.Error(err)
				}
				return e
			}
			e := open()
			for i := range 200 {
				key := fmt.Sprint("k", i%70)
				e.Set(ctx, key, text("1"), time.Duration(i)*time.Microsecond+1)
				e.Add(ctx, key, text("2"), time.Minute)
				item, _ := e.Get(ctx, key)
				e.CompareAndSwap(ctx, key, engine.Item{Value: []byte("3"), CAS: item.CAS}, cacheutils.Forever)
				e.Incr(ctx, key, 1)
				e.GetMany(ctx, []string{key, "k1", "k2"})
				e.Delete(ctx, fmt.Sprint("k", i%9))
				if i%50 == g%50 {
					e.Clear(ctx, "")
					e.Close()
					e = open()
				}
			}
			e.Close()
		})
	}
	all.Wait()
	locmem.NoStoreRuns(t)
}
