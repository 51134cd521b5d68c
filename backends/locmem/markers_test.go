package locmem

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

func openNamed(tb testing.TB, name string) *memory {
	tb.Helper()
	e, err := Open(engine.Settings{Location: []string{name}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e.(*memory)
}

var marker = engine.Item{Live: "marker", Ephemeral: true}

func live(v any) engine.Item { return engine.Item{Live: v, Cost: 8} }

func markers(s *store) (n int) {
	for i := range s.shards {
		s.shards[i].Lock()
		n += len(s.shards[i].markers)
		s.shards[i].Unlock()
	}
	return n
}

// putMarker puts a marker under key and returns it as it is read.
func putMarker(t *testing.T, m *memory, key string) engine.Item {
	t.Helper()
	if ok, err := m.Add(ctx, key, marker, time.Minute); !ok || err != nil {
		t.Fatalf("add a marker: %v, %v", ok, err)
	}
	item, err := m.Get(ctx, key)
	if err != nil || item.Live != "marker" || !item.Ephemeral {
		t.Fatalf("get the marker: %+v, %v", item, err)
	}
	return item
}

// commit puts the value in the place of what has the marker's CAS.
func commit(m *memory, key string, marker engine.Item, value any) bool {
	item := live(value)
	item.CAS = marker.CAS
	ok, _ := m.CompareAndSwap(ctx, key, item, time.Minute)
	return ok
}

// A marker gives way to one value at most, and to none after anything else has happened to its key.
func TestMarker_OneCommits(t *testing.T) {
	const rounds = 3000
	tests := []struct {
		name   string
		change func(m *memory, key string) bool // false if it has not done what it should
		after  any                              // what has to be under the key, in either order; nil: nothing
		none   bool                             // no commit may succeed that begins later
	}{
		{"delete", func(m *memory, key string) bool { ok, _ := m.Delete(ctx, key); return ok }, nil, true},
		{"clear", func(m *memory, key string) bool { return m.Clear(ctx, "") == nil }, nil, true},
		{"clear a prefix", func(m *memory, key string) bool { return m.Clear(ctx, "k") == nil }, nil, true},
		{"set", func(m *memory, key string) bool { return m.Set(ctx, key, live("set"), time.Minute) == nil }, "set", true},
		{"set a marker", func(m *memory, key string) bool { return m.Set(ctx, key, marker, time.Minute) == nil }, "marker", true},
		{"set too much", func(m *memory, key string) bool {
			return m.Set(ctx, key, engine.Item{Live: 1, Cost: math.MaxInt}, time.Minute) != nil
		}, nil, true},
		{"add", func(m *memory, key string) bool { ok, _ := m.Add(ctx, key, live("add"), time.Minute); return !ok }, "value", false},
		{"add a marker", func(m *memory, key string) bool { ok, _ := m.Add(ctx, key, marker, time.Minute); return !ok }, "value", false},
		{"incr", func(m *memory, key string) bool { _, err := m.Incr(ctx, key, 1); return err != nil }, "value", false},
		{"delete and add", func(m *memory, key string) bool {
			deleted, _ := m.Delete(ctx, key)
			added, _ := m.Add(ctx, key, live("add"), time.Minute)
			return deleted && added
		}, "add", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := openNamed(t, t.Name())
			for round := range rounds {
				key := fmt.Sprint("k", round%3)
				held := putMarker(t, m, key)
				var committed atomic.Int32
				var did bool
				var all sync.WaitGroup
				start := make(chan struct{})
				for range 2 {
					all.Go(func() {
						<-start
						if commit(m, key, held, "value") {
							committed.Add(1)
						}
					})
				}
				all.Go(func() {
					<-start
					did = test.change(m, key)
					if test.none && commit(m, key, held, "late") {
						t.Error("a commit succeeded afterwards")
					}
				})
				close(start)
				all.Wait()
				if n := committed.Load(); n > 1 || !test.none && n != 1 {
					t.Fatalf("round %d: %d commits succeeded", round, n)
				}
				if !did {
					t.Fatalf("round %d: it wasn't done", round)
				}
				item, _ := m.Get(ctx, key)
				if item.Live != test.after {
					t.Fatalf("round %d: %v is there, want %v", round, item.Live, test.after)
				}
				m.Delete(ctx, key)
			}
			if n := markers(m.opened.Load()); n != 0 {
				t.Errorf("%d markers are left", n)
			}
		})
	}
}

// Of several goroutines that add a marker at once, one succeeds.
func TestMarker_OneAdds(t *testing.T) {
	m := openNamed(t, t.Name())
	for round := range 2000 {
		var added atomic.Int32
		var all sync.WaitGroup
		for g := range 4 {
			all.Go(func() {
				item := marker
				item.Ephemeral = g%2 == 0
				if ok, _ := m.Add(ctx, "k", item, time.Minute); ok {
					added.Add(1)
				}
			})
		}
		all.Wait()
		if n := added.Load(); n != 1 {
			t.Fatalf("round %d: %d have added", round, n)
		}
		m.Delete(ctx, "k")
	}
}

// A key that always has a marker or a value is never seen without, and no reader sees an older one after a
// newer.
func TestMarker_ReadersSeeNoGap(t *testing.T) {
	m := openNamed(t, t.Name())
	const last = 40_000
	numbered := func(n int, ephemeral bool, cas uint64) engine.Item { // so large that it isn't kept as a recent write
		return engine.Item{Live: n, Ephemeral: ephemeral, Cost: defaultMaxCost / 100, CAS: cas}
	}
	m.Set(ctx, "k", numbered(0, false, 0), time.Minute)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			var ref engine.Ref
			for newest := 0; newest < last; {
				if ref != nil {
					if item := ref.Item(); item != nil && item.Live.(int) < newest {
						t.Errorf("by a ref: %d after %d", item.Live, newest)
						return
					}
				}
				ref = m.Ref("k")
				item, err := m.Get(ctx, "k")
				if err != nil {
					t.Error("nothing is there")
					return
				}
				if v := item.Live.(int); v < newest {
					t.Errorf("%d after %d", v, newest)
					return
				} else {
					newest = v
				}
			}
		})
	}
	for i := range last {
		item, _ := m.Get(ctx, "k")
		if ok, err := m.CompareAndSwap(ctx, "k", numbered(i+1, i%2 == 0, item.CAS), time.Minute); !ok {
			t.Errorf("swap: %v", err)
			break
		}
	}
	m.Set(ctx, "k", numbered(last, false, 0), time.Minute)
	all.Wait()
}

// Nothing is put back by a writer that comes upon a clear.
func TestMarker_ClearDuringWrites(t *testing.T) {
	m := openNamed(t, t.Name())
	for round := range 300 {
		var held []engine.Item
		for i := range 64 {
			held = append(held, putMarker(t, m, fmt.Sprint("k", i)))
		}
		var all sync.WaitGroup
		all.Go(func() {
			for i, marker := range held {
				commit(m, fmt.Sprint("k", i), marker, i)
			}
		})
		all.Go(func() {
			for i := range held {
				m.Incr(ctx, fmt.Sprint("k", len(held)-i), 1)
			}
		})
		m.Clear(ctx, "")
		all.Wait()
		for i := range held {
			if item, err := m.Get(ctx, fmt.Sprint("k", i)); err == nil {
				t.Fatalf("round %d: k%d is %v", round, i, item.Live)
			}
		}
	}
}

// A marker ends exactly with its timeout, for all operations.
func TestMarker_Expires(t *testing.T) {
	operations := map[string]func(m *memory) bool{
		"Get":     func(m *memory) bool { _, err := m.Get(ctx, "k"); return err == nil },
		"GetMany": func(m *memory) bool { got, _ := m.GetMany(ctx, []string{"k"}); return len(got) == 1 },
		"Add":     func(m *memory) bool { ok, _ := m.Add(ctx, "k", live(1), time.Minute); return !ok },
		"CompareAndSwap": func(m *memory) bool {
			ok, _ := m.CompareAndSwap(ctx, "k", engine.Item{CAS: 1}, time.Minute)
			return ok
		},
		"Delete": func(m *memory) bool { ok, _ := m.Delete(ctx, "k"); return ok },
		"Incr":   func(m *memory) bool { _, err := m.Incr(ctx, "k", 1); return err == nil },
	}
	for name, isThere := range operations {
		for _, after := range []time.Duration{time.Second - 1, time.Second} {
			t.Run(fmt.Sprint(name, "/", after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := openNamed(t, "markers that expire")
					m.Add(ctx, "k", engine.Item{Value: []byte("1"), Ephemeral: true}, time.Second)
					time.Sleep(after)
					if there := isThere(m); there != (after < time.Second) {
						t.Errorf("there after %v: %v", after, there)
					}
				})
			})
		}
	}
	t.Run("Forever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := openNamed(t, "markers that expire")
			m.Add(ctx, "k", marker, cacheutils.Forever)
			time.Sleep(time.Hour)
			if _, err := m.Get(ctx, "k"); err != nil {
				t.Error(err)
			}
		})
	})
}

// Markers that are never taken down don't pile up, and those that have not expired stay.
func TestMarker_Unsettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := openNamed(t, "unsettled markers")
		const lasting, most = 500, 2*500 + shards*(fewMarkers+1)
		for i := range lasting {
			m.Add(ctx, fmt.Sprint("lasting", i), marker, cacheutils.Forever)
		}
		for i := range 100_000 {
			m.Add(ctx, fmt.Sprint("k", i), marker, time.Second)
			if i%100 == 0 {
				time.Sleep(time.Second)
				if n := markers(m.opened.Load()); n > most {
					t.Fatalf("there are %d markers", n)
				}
			}
		}
		for i := range lasting {
			if ok, _ := m.Delete(ctx, fmt.Sprint("lasting", i)); !ok {
				t.Fatalf("marker %d is gone", i)
			}
		}
	})
}

// Markers drop no entries from the store.
func TestMarker_CountsForNothing(t *testing.T) {
	m := openBounded(t, 100, 1<<20)
	for i := range 90 {
		m.Set(ctx, fmt.Sprint("k", i), live(i), time.Hour)
	}
	for i := range 10_000 {
		m.Add(ctx, fmt.Sprint("marker", i), marker, time.Hour)
	}
	m.opened.Load().cache().CleanUp()
	for i := range 90 {
		if _, err := m.Get(ctx, fmt.Sprint("k", i)); err != nil {
			t.Fatalf("entry %d had to make room", i)
		}
	}
	if n := markers(m.opened.Load()); n != 10_000 {
		t.Errorf("%d markers are left", n)
	}
	s := m.opened.Load()
	m.Close()
	if n := markers(s); n != 0 {
		t.Errorf("%d markers are there after Close", n)
	}
}

// A marker in the place of an entry ends the ref to that.
func TestMarker_EndsTheRef(t *testing.T) {
	m := openNamed(t, t.Name())
	for name, put := range map[string]func(item engine.Item){
		"set":  func(item engine.Item) { m.Set(ctx, "k", item, time.Hour) },
		"swap": func(item engine.Item) { m.CompareAndSwap(ctx, "k", item, time.Hour) },
	} {
		m.Set(ctx, "k", live(1), time.Hour)
		ref := m.Ref("k")
		item, _ := m.Get(ctx, "k")
		put(engine.Item{Live: "marker", Ephemeral: true, CAS: item.CAS})
		if ref.Item() != nil {
			t.Errorf("%s: the ref still has the entry", name)
		}
		if item, _ := m.Get(ctx, "k"); item.Live != "marker" {
			t.Errorf("%s: no marker but %v", name, item.Live)
		}
	}
}

func TestMarker_GetAllocatesNothing(t *testing.T) {
	m := openNamed(t, t.Name())
	putMarker(t, m, "k")
	if n := testing.AllocsPerRun(1000, func() { m.Get(ctx, "k") }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

// The caller's key may be overwritten when a call has returned.
func TestMarker_KeysAreNotKept(t *testing.T) {
	m := openNamed(t, t.Name())
	buffer := []byte("k")
	borrowed := unsafe.String(&buffer[0], len(buffer))
	m.Add(ctx, "k", engine.Item{Value: []byte("1"), Ephemeral: true}, time.Minute)
	if n, _ := m.Incr(ctx, borrowed, 1); n != 2 {
		t.Errorf("incr: %d", n)
	}
	got, _ := m.GetMany(ctx, []string{borrowed})
	buffer[0] = 'x'
	if item := got["k"]; string(item.Value) != "2" || !item.Ephemeral {
		t.Errorf("GetMany: %v", got)
	}
	if item, _ := m.Get(ctx, "k"); string(item.Value) != "2" {
		t.Errorf("k: %+v", item)
	}
}

// What has a timeout that is over before it is written expires, too.
func TestShortestTimeout(t *testing.T) {
	m := openNamed(t, t.Name())
	for i := range 1000 {
		key := fmt.Sprint("k", i)
		m.Set(ctx, key, live(i), 1)
		m.Set(ctx, key+" swapped", live(i), time.Hour)
		swapSame(m, key+" swapped", 1)
		m.Add(ctx, key+" marker", marker, 1)
	}
	time.Sleep(time.Millisecond)
	for i := range 1000 {
		for _, kind := range []string{"", " swapped", " marker"} {
			if _, err := m.Get(ctx, fmt.Sprint("k", i, kind)); err == nil {
				t.Fatalf("k%d%s is still there", i, kind)
			}
		}
	}
}
