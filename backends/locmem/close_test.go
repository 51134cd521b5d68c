package locmem

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// operations are all that return an error, on the key "k".
var operations = map[string]func(context.Context, *memory) error{
	"Get":     func(ctx context.Context, m *memory) error { _, err := m.Get(ctx, "k"); return err },
	"GetMany": func(ctx context.Context, m *memory) error { _, err := m.GetMany(ctx, []string{"k", "new"}); return err },
	"GetMany of none": func(ctx context.Context, m *memory) error {
		_, err := m.GetMany(ctx, nil)
		return err
	},
	"Set": func(ctx context.Context, m *memory) error { return m.Set(ctx, "k", live(2), time.Hour) },
	"Set a marker": func(ctx context.Context, m *memory) error {
		return m.Set(ctx, "k", marker, time.Hour)
	},
	"Set too much": func(ctx context.Context, m *memory) error {
		return m.Set(ctx, "k", engine.Item{Live: 1, Cost: math.MaxInt}, time.Hour)
	},
	"Add": func(ctx context.Context, m *memory) error {
		_, err := m.Add(ctx, "new", live(2), time.Hour)
		return err
	},
	"CompareAndSwap": func(ctx context.Context, m *memory) error {
		_, err := m.CompareAndSwap(ctx, "k", engine.Item{Live: 2, CAS: 1}, time.Hour)
		return err
	},
	"SwapLive": func(ctx context.Context, m *memory) error {
		_, err := m.SwapLive(ctx, "k", 1, live(2), time.Hour)
		return err
	},
	"Delete": func(ctx context.Context, m *memory) error { _, err := m.Delete(ctx, "k"); return err },
	"Incr":   func(ctx context.Context, m *memory) error { _, err := m.Incr(ctx, "k", 1); return err },
	"Clear":  func(ctx context.Context, m *memory) error { return m.Clear(ctx, "") },
}

// A closed engine stays closed, whether or not another engine has its store open, which it leaves as it is.
func TestClose(t *testing.T) {
	for name, shared := range map[string]bool{"the last engine of its store": false, "another engine has the store": true} {
		t.Run(name, func(t *testing.T) {
			m := openBounded(t, 50, 1<<20)
			other := m
			if shared {
				other = openNamed(t, t.Name())
			}
			other.Set(ctx, "k", live(1), cacheutils.Forever)
			s := other.opened.Load()
			for range 2 {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}
			wide := openNamed(t, t.Name())
			if shared {
				openBounded(t, 1000, 1<<20)
			}
			for range 2 {
				for name, operation := range operations {
					if err := operation(ctx, m); !errors.Is(err, cacheutils.ErrClosed) {
						t.Errorf("%s: %v, want ErrClosed", name, err)
					}
				}
				if ref := m.Ref("k"); ref != nil {
					t.Errorf("Ref: %v", ref.Item())
				}
			}
			if !shared {
				if n, _ := held(s); n != 0 || wide.opened.Load() == s {
					t.Errorf("%d entries are in the store after the last Close, which is in use: %v", n, wide.opened.Load() == s)
				}
				return
			}
			if item, err := other.Get(ctx, "k"); item.Live != 1 || item.CAS != 1 {
				t.Errorf("the other engine finds %+v, %v", item, err)
			}
			if n := s.bounds.Load().entries; n != 1000 {
				t.Errorf("the store has the bounds of the closed engine, max_entries %d", n)
			}
		})
	}
}

// The last Close of a store leaves no goroutine, and an engine that is opened later finds it empty.
func TestClose_TheLast(t *testing.T) {
	a, b := openNamed(t, t.Name()), openNamed(t, t.Name())
	a.Set(ctx, "k", live(1), time.Minute)
	a.Close()
	if item, err := b.Get(ctx, "k"); item.Live != 1 {
		t.Errorf("after the first Close: %v, %v", item.Live, err)
	}
	b.Close()
	NoStoreRuns(t)
	if _, err := openNamed(t, t.Name()).Get(ctx, "k"); !errors.Is(err, cacheutils.ErrCacheMiss) {
		t.Errorf("opened again: %v", err)
	}
}

// An operation that has its store already when that is torn down leaves nothing there, and starts nothing.
func TestClose_UnderWay(t *testing.T) {
	for name, used := range map[string]bool{"unused": false, "used": true} {
		t.Run(name, func(t *testing.T) {
			m := openNamed(t, t.Name())
			s := m.opened.Load()
			if used {
				m.Set(ctx, "k", live(1), time.Hour)
				m.Add(ctx, "marker", marker, time.Hour)
			}
			m.Close()
			late := &memory{}
			late.opened.Store(s)
			for name, operation := range operations {
				if err := operation(ctx, late); !errors.Is(err, cacheutils.ErrClosed) && name != "GetMany of none" {
					t.Errorf("%s: %v, want ErrClosed", name, err)
				}
			}
			if ref := late.Ref("k"); ref != nil {
				t.Errorf("Ref: %v", ref.Item())
			}
			leavesNothing(t, s)
			if started := s.started.Load() != nil; started != used {
				t.Errorf("it has started: %v, want %v", started, used)
			}
			NoStoreRuns(t)
		})
	}
}

// Operations and the last Close at once: each ends as if there were no Close, or with ErrClosed, and
// leaves nothing.
func TestClose_Together(t *testing.T) {
	for range 100 {
		m := openNamed(t, t.Name())
		s := m.opened.Load()
		var all sync.WaitGroup
		refs := make([]engine.Ref, 8)
		for g := range refs {
			all.Go(func() {
				for {
					for name, operation := range operations {
						switch err := operation(ctx, m); {
						case errors.Is(err, cacheutils.ErrClosed):
							return
						case err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) &&
							!errors.Is(err, cacheutils.ErrNotNumber) && !errors.Is(err, cacheutils.ErrTooLarge):
							t.Errorf("%s: %v", name, err)
							return
						}
						if ref := m.Ref("k"); ref != nil {
							refs[g] = ref
						}
					}
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
		m.Close()
		all.Wait()
		leavesNothing(t, s)
		for _, ref := range refs {
			if ref != nil && ref.Item() != nil {
				t.Fatal("a ref still has an item")
			}
		}
	}
	NoStoreRuns(t)
}

// leavesNothing fails if there is anything in a store that was torn down.
func leavesNothing(t *testing.T, s *store) {
	t.Helper()
	if entries, _ := held(s); entries != 0 || markers(s) != 0 {
		t.Fatalf("%d entries and %d markers are in the store", entries, markers(s))
	}
	stores.Lock()
	defer stores.Unlock()
	if stores.named[s.name] == s {
		t.Fatal("the store is still there to be opened")
	}
}

// NoStoreRuns fails unless no goroutine of a store is left within a while.
func NoStoreRuns(t *testing.T) {
	t.Helper()
	var stacks string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		buffer := make([]byte, 1<<20)
		stacks = string(buffer[:runtime.Stack(buffer, true)])
		if !strings.Contains(stacks, "maypok86") {
			return
		}
	}
	t.Errorf("goroutines are left:\n%s", stacks)
}
