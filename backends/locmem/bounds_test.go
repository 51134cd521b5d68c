package locmem

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

var ctx = context.Background()

func openBounded(tb testing.TB, entries, cost int) *memory {
	tb.Helper()
	e, err := Open(engine.Settings{
		Location: []string{tb.Name()},
		Options:  map[string]any{"max_entries": entries, "max_cost": cost},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e.(*memory)
}

// held returns how many entries the store holds and what they cost, after its maintenance.
func held(s *store) (entries, total int) {
	s.cache().CleanUp()
	held := map[string]int{}
	for key, e := range s.cache().All() {
		held[key] = e.cost()
	}
	for i := range s.recent.entries {
		if e := s.recent.entries[i].Load(); e != nil {
			held[e.key] = e.cost()
		}
	}
	for _, cost := range held {
		total += cost
	}
	return len(held), total
}

func TestBounds(t *testing.T) {
	tests := []struct {
		name          string
		entries, cost int
		size          func() int
		least         int // entries that have to be held
	}{
		{"small entries", 1000, 10 << 20, func() int { return 1 }, 960},
		{"large entries", 1000, 1 << 20, func() int { return 10_000 }, 90},
		{"mixed", 1000, 1 << 20, func() int { return rand.IntN(5000) }, 200},
		{"few", 10, 1 << 20, func() int { return 1 }, 9},
		{"one", 1, 1 << 20, func() int { return 1 }, 1},
		{"huge bound", math.MaxInt / 2, math.MaxInt / 2, func() int { return 10 }, 5000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := openBounded(t, test.entries, test.cost)
			for i := range 5000 {
				value := make([]byte, test.size())
				if err := m.Set(ctx, fmt.Sprint("k", i), engine.Item{Value: value, Cost: len(value)}, time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			entries, total := held(m.opened.Load())
			if entries > test.entries || total > test.cost || entries < test.least {
				t.Errorf("holds %d entries of %d bytes, bounds are %d and %d, at least %d entries fit",
					entries, total, test.entries, test.cost, test.least)
			}
		})
	}
}

// As many weights as fit under the maximum are never too many entries nor too expensive.
func TestWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBounds(rapid.IntRange(1, math.MaxInt).Draw(t, "max_entries"), rapid.IntRange(1, math.MaxInt).Draw(t, "max_cost"))
		cost := rapid.IntRange(overhead, math.MaxInt).Draw(t, "cost")
		if !b.fits(cost, b.weight(cost)) {
			return
		}
		weight := uint64(b.weight(cost))
		if weight == 0 {
			t.Fatal("an entry weighs nothing")
		}
		if most := b.mainBudget/weight + b.recent; most > uint64(b.entries) {
			t.Fatalf("%d entries fit", most)
		}
		if b.mainBudget+b.recent*b.recentWeight > b.maximum()+1 {
			t.Fatalf("more than the maximum is given out")
		}
		if weight*b.unit < uint64(cost) {
			t.Fatalf("weighs %d units of %d", weight, b.unit)
		}
	})
}

func TestTooLarge(t *testing.T) {
	m := openBounded(t, 100, 10_000)
	large, small := engine.Item{Value: make([]byte, 10_000)}, engine.Item{Value: []byte("v")}
	live := engine.Item{Live: 1, Cost: math.MaxInt}
	there := func(key string) bool { _, err := m.Get(ctx, key); return err == nil }

	for name, item := range map[string]engine.Item{"bytes": large, "live": live} {
		m.Set(ctx, "k", small, time.Hour)
		err := m.Set(ctx, "k", item, time.Hour)
		if !errors.Is(err, cacheutils.ErrTooLarge) || !strings.Contains(err.Error(), "max_cost") {
			t.Errorf("%s: set: %v", name, err)
		}
		if there("k") {
			t.Errorf("%s: the old item is still there", name)
		}
	}
	if ok, err := m.Add(ctx, "k", large, time.Hour); ok || !errors.Is(err, cacheutils.ErrTooLarge) {
		t.Errorf("add: %v, %v", ok, err)
	}
	m.Set(ctx, "k", small, time.Hour)
	if ok, err := m.Add(ctx, "k", large, time.Hour); ok || err != nil || !there("k") {
		t.Errorf("add to what is there: %v, %v", ok, err)
	}
	item, _ := m.Get(ctx, "k")
	late := large
	late.CAS = item.CAS + 1
	if ok, err := m.CompareAndSwap(ctx, "k", late, time.Hour); ok || err != nil || !there("k") {
		t.Errorf("late swap: %v, %v", ok, err)
	}
	large.CAS = item.CAS
	if ok, err := m.CompareAndSwap(ctx, "k", large, time.Hour); ok || !errors.Is(err, cacheutils.ErrTooLarge) || there("k") {
		t.Errorf("swap: %v, %v", ok, err)
	}
}

// Bounds that an engine was opened with hold for what its store has already, and drop no
// entry that fits them.
func TestOtherBounds(t *testing.T) {
	type test struct {
		name    string
		options map[string]any
		entries int // at most
		cost    int // at most
		least   int
	}
	tests := []test{
		{"none", nil, 1000, 1 << 20, 960},
		{"fewer entries", map[string]any{"max_entries": 50}, 50, 1 << 20, 46},
		{"less cost", map[string]any{"max_cost": 100_000}, 1000, 100_000, 290},
		{"less of both, all small", map[string]any{"max_entries": 300, "max_cost": 200_000}, 300, 200_000, 290},
		{"more entries", map[string]any{"max_entries": 5000}, 5000, 1 << 20, 960},
		{"more cost", map[string]any{"max_cost": 10 << 20}, 1000, 10 << 20, 960},
	}
	if large := int64(64) << 30; math.MaxInt > math.MaxInt32 {
		tests = append(tests, []test{
			{"more than 32 bits", map[string]any{"max_cost": int(large)}, 1000, int(large), 960},
			{"more than 32 bits, few", map[string]any{"max_cost": int(large), "max_entries": 10}, 10, int(large), 9},
		}...)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := openBounded(t, 1000, 1<<20)
			for i := range 1000 {
				if err := m.Set(ctx, fmt.Sprint("k", i), engine.Item{Value: []byte("v")}, time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			other, err := Open(engine.Settings{Location: []string{t.Name()}, Options: test.options})
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			entries, total := held(m.opened.Load())
			if entries > test.entries || entries < test.least || total > test.cost {
				t.Errorf("holds %d entries of %d bytes, want %d to %d and at most %d",
					entries, total, test.least, test.entries, test.cost)
			}
			for i := range 2000 {
				m.Set(ctx, fmt.Sprint("new", i), engine.Item{Value: []byte("v")}, time.Hour)
			}
			if entries, total := held(m.opened.Load()); entries > test.entries || total > test.cost {
				t.Errorf("later: holds %d entries of %d bytes", entries, total)
			}
		})
	}
}

// What was set last is there, also when the store is full of what is used more often.
func TestLastSetIsThere(t *testing.T) {
	for _, entries := range []int{1, 2, 10, 50, 100, 1000} {
		t.Run(fmt.Sprint(entries), func(t *testing.T) {
			m := openBounded(t, entries, 1<<30)
			lost := 0
			for i := range 5000 {
				key := fmt.Sprint("k", i)
				m.Set(ctx, key, engine.Item{Value: []byte("v")}, time.Hour)
				m.opened.Load().cache().CleanUp()
				if _, err := m.Get(ctx, key); err != nil {
					lost++
				}
				m.Get(ctx, fmt.Sprint("k", i-2)) // read more than once
			}
			if lost > 0 {
				t.Errorf("%d of 5000 were gone at once", lost)
			}
		})
	}
}

// The share of hits on keys whose popularity follows Zipf's law.
func TestHitRatio(t *testing.T) {
	const entries, keys, reads = 1000, 100_000, 100_000
	m := openBounded(t, entries, 1<<30)
	popular := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.07, 1, keys)
	hits, lruHits := 0, 0
	lru := newLRU(entries)
	for range reads {
		key := fmt.Sprint(popular.Uint64())
		if _, err := m.Get(ctx, key); err == nil {
			hits++
		} else {
			m.Set(ctx, key, engine.Item{Value: []byte("v")}, time.Hour)
		}
		if lru.read(key) {
			lruHits++
		}
	}
	ratio, lruRatio := float64(hits)/reads, float64(lruHits)/reads
	t.Logf("hits: %.1f %%, with plain LRU %.1f %%", 100*ratio, 100*lruRatio)
	if ratio < lruRatio {
		t.Errorf("hits: %.1f %%, fewer than LRU's %.1f %%", 100*ratio, 100*lruRatio)
	}
}

// A large entry doesn't push out what was set just before, in a store that was half empty until then.
func TestLastSetIsThere_BeforeALargeOne(t *testing.T) {
	m := openBounded(t, 1000, 1<<20)
	for round := range 50 {
		m.Clear(ctx, "")
		for i := range 400 {
			key := fmt.Sprint("popular", i)
			m.Set(ctx, key, engine.Item{Value: make([]byte, 500)}, time.Hour)
			m.Get(ctx, key)
			m.Get(ctx, key)
		}
		last := fmt.Sprint("last", round)
		m.Set(ctx, last, engine.Item{Value: make([]byte, 100)}, time.Hour)
		for i := range 2 {
			m.Set(ctx, fmt.Sprint("large", i), engine.Item{Value: make([]byte, 800<<10)}, time.Hour)
			m.opened.Load().cache().CleanUp()
		}
		if _, err := m.Get(ctx, last); err != nil {
			t.Fatalf("round %d: what was set before two large entries is gone", round)
		}
	}
}
