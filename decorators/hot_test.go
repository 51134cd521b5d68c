package decorators

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/logging"
)

// hotHits is how many arguments the plan's hot table has now.
func (p *plan) hotHits() (n int) {
	if t := p.hot.table.Load(); t != nil && t.slots != nil {
		for i := range t.slots {
			if t.slots[i].Load() != nil {
				n++
			}
		}
	}
	return n
}

// A versioned function returns the version of its argument, by either kind of decoration.
type versioned struct {
	call, force func(ctx context.Context, id int, lang string) (int64, error)
	invalidate  func(ctx context.Context, id int, lang string) error
	set         func(ctx context.Context, id int, lang string, v int64) error
	stats       func() Stats
	plan        *plan
}

func eachKind(fn func(context.Context, int, string) (int64, error), opts ...Option) map[string]versioned {
	F, f := Cached(fn, append(opts, Key("versioned"))...)
	G, g := Cached2(fn, append(opts, Key("versioned.typed"))...)
	return map[string]versioned{
		"Cached": {F, f.ForceRecalc,
			func(ctx context.Context, id int, lang string) error { return f.Invalidate(ctx, id, lang) },
			func(ctx context.Context, id int, lang string, v int64) error { return f.Set([]any{ctx, id, lang}, v) },
			f.Stats, f.plan},
		"Cached2": {G, g.ForceRecalc, g.Invalidate, g.Set, g.Stats, g.typed.plan},
	}
}

// Whatever ends a value ends it in the table.
func TestLaw2_HotTable(t *testing.T) {
	ctx := context.Background()
	swaps := 0
	configure := func(store, version string) error {
		return backends.Configure(backends.Config{"default": {Backend: "locmem", Location: []string{store}, Version: version}})
	}
	cache := func() *backends.Cache {
		c, _ := backends.Get("default")
		return c
	}
	ends := map[string]func(f versioned) error{
		"Invalidate":  func(f versioned) error { return f.invalidate(ctx, 1, "it") },
		"ForceRecalc": func(f versioned) error { _, err := f.force(ctx, 1, "it"); return err },
		"Set":         func(f versioned) error { return f.set(ctx, 1, "it", 2) },
		"Clear":       func(versioned) error { return cache().Clear(ctx) },
		"Close": func(versioned) error { // and what follows is another set
			swaps++
			return errors.Join(cache().Close(), configure("one", ""))
		},
		"store":   func(versioned) error { swaps++; return configure(fmt.Sprint("another", swaps), "") },
		"version": func(versioned) error { swaps++; return configure("one", fmt.Sprint(swaps+1)) },
		"Delete": func(f versioned) error {
			_, err := cache().Delete(ctx, "[cached]"+f.plan.name+"((1,'it'))")
			return err
		},
	}
	for end, do := range ends {
		for _, timeout := range []time.Duration{time.Hour, cacheutils.Forever} {
			var version int64
			fn := func(context.Context, int, string) (int64, error) { return version, nil }
			for kind, f := range eachKind(fn, Timeout(timeout)) {
				t.Run(end+"/"+kind, func(t *testing.T) {
					cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{"one"}}})
					for round := range 3 {
						version = 1
						if err := f.invalidate(ctx, 1, "it"); err != nil {
							t.Fatal(err)
						}
						for range 5 {
							if v, err := f.call(ctx, 1, "it"); v != 1 || err != nil {
								t.Fatalf("got %d, %v", v, err)
							}
						}
						if n := f.plan.hotHits(); n != 1 {
							t.Fatalf("the table has %d hits", n)
						}
						version = 2
						if err := do(f); err != nil {
							t.Fatal(err)
						}
						for range 5 {
							if v, err := f.call(ctx, 1, "it"); v != 2 || err != nil {
								t.Fatalf("round %d: got %d, %v", round, v, err)
							}
						}
					}
				})
			}
		}
	}
}

func TestLaw2_HotTableExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cachetest.Locmem(t)
		for kind, f := range eachKind(func(context.Context, int, string) (int64, error) { return time.Now().UnixNano(), nil }, Timeout(time.Second/2)) {
			first, _ := f.call(t.Context(), 1, "it")
			time.Sleep(time.Second/2 - 1)
			for range 5 {
				if v, _ := f.call(t.Context(), 1, "it"); v != first {
					t.Errorf("%s: ended too early", kind)
				}
			}
			time.Sleep(time.Nanosecond)
			if v, _ := f.call(t.Context(), 1, "it"); v == first {
				t.Errorf("%s: got a value that has expired", kind)
			}
		}
	})
}

// Versions are those of two rows.
type versions struct {
	source [2]atomic.Int64 // the newest
	floor  [2]atomic.Int64 // the newest that had been written when an invalidation returned
}

func (v *versions) load(_ context.Context, id int, _ string) (int64, error) {
	return v.source[id].Load(), nil
}

// underInvalidation calls f from two goroutines, while the ids of each round are written and then invalidated. No call gets
// a version older than one whose invalidation had returned before it began.
func (v *versions) underInvalidation(t *testing.T, f versioned, rounds int, ids func(i int) []int, invalidate func(i int) error) {
	t.Helper()
	var done atomic.Bool
	var calls atomic.Int64
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !done.Load() {
				id := rand.IntN(2)
				least := v.floor[id].Load()
				calls.Add(1)
				if got, err := f.call(context.Background(), id, "it"); got < least || err != nil {
					t.Errorf("got %d, %v, after version %d was invalidated", got, err, least)
					return
				}
			}
		})
	}
	for i := range rounds {
		var written [2]int64
		for _, id := range ids(i) {
			written[id] = v.source[id].Add(1)
		}
		if err := invalidate(i); err != nil {
			t.Error(err)
		}
		for _, id := range ids(i) {
			v.floor[id].Store(written[id])
		}
		for before := calls.Load(); i%16 == 0 && calls.Load() < before+16 && !t.Failed(); {
			runtime.Gosched()
		}
	}
	done.Store(true)
	readers.Wait()
}

func TestLaw2_HotTableUnderInvalidation(t *testing.T) {
	cachetest.Locmem(t)
	var v versions
	for kind, f := range eachKind(v.load) {
		t.Run(kind, func(t *testing.T) {
			rounds := 5000
			if testing.Short() {
				rounds = 1000
			}
			v.underInvalidation(t, f, rounds, func(i int) []int { return []int{i % 2} }, func(i int) error {
				return f.invalidate(context.Background(), i%2, "it")
			})
		})
	}
}

type keyed int

func (keyed) CacheKey() string { return "one key for all" }

type marshaled string

func (m *marshaled) MarshalText() ([]byte, error) { return []byte(*m), nil }
func (m *marshaled) UnmarshalText(b []byte) error { *m = marshaled(b); return nil }

type shape interface{ Area(int) int }

type square struct{}

func (square) Area(n int) int { return n * n }

// Only a function whose arguments' bytes determine the key has a table.
func TestHotTable_Plans(t *testing.T) {
	groups := func(int) []string { return nil }
	for name, c := range map[string]struct {
		plan *plan
		want bool
	}{
		"nothing":              {planOf(func() int { return 1 }), true},
		"a named number":       {planOf(func(time.Duration) int { return 1 }), true},
		"a named string":       {planOf(func(context.Context, reflect.ChanDir, json) int { return 1 }), true},
		"what is ignored":      {planOf(func(int, *int) int { return 1 }, Ignore[*int]()), true},
		"hashed":               {planOf(func(int) int { return 1 }, Hashed()), true},
		"a receiver":           {planOf(square.Area), true},
		"WithReceiver":         {planOf(square.Area, WithReceiver()), false},
		"a dynamic receiver":   {planOf(shape.Area), false},
		"a Keyer":              {planOf(func(keyed) int { return 1 }), false},
		"a text of its own":    {planOf(func(marshaled) int { return 1 }), false},
		"a pointer":            {planOf(func(*int) int { return 1 }), false},
		"a slice":              {planOf(func([]byte) int { return 1 }), false},
		"an array":             {planOf(func([2]int) int { return 1 }), false},
		"a struct":             {planOf(func(struct{ A int }) int { return 1 }), false},
		"an interface":         {planOf(func(any) int { return 1 }), false},
		"a complex number":     {planOf(func(complex128) int { return 1 }), false},
		"variadic":             {planOf(func(...int) int { return 1 }), false},
		"kwargs":               {planOf(func(int, cachekey.Kwargs) int { return 1 }), false},
		"KeyOf":                {planOf(func(int) int { return 1 }, KeyOf(func(int) int { return 1 })), false},
		"Group":                {planOf(func(int) int { return 1 }, Group("g")), true},
		"GroupsOf":             {planOf(func(int) int { return 1 }, GroupsOf(groups)), false},
		"one that doesn't fit": {planOf(func(int, []int) int { return 1 }), false},
	} {
		if c.plan.hot.usable != c.want {
			t.Errorf("%s: %v", name, c.plan.hot.usable)
		}
	}
}

type json string

func planOf[F any](fn F, opts ...Option) *plan {
	_, h := Cached(fn, append(opts, Key(fmt.Sprintf("plan.%T", fn)))...)
	return h.plan
}

// A function whose values the store doesn't hold as they are has no table.
func TestHotTable_Backends(t *testing.T) {
	number := func(n int) int { return n }
	for name, c := range map[string]struct {
		settings backends.Settings
		plan     func() (*plan, func())
		want     int
	}{
		"locmem":       {backends.Settings{Backend: "locmem"}, once(number), 1},
		"Stale":        {backends.Settings{Backend: "locmem"}, once(number, Stale(time.Hour)), 1},
		"Group":        {backends.Settings{Backend: "locmem"}, once(number, Group("a", "b")), 1},
		"group":        {backends.Settings{Backend: "group+locmem"}, once(number, Group("a")), 1},
		"backend's":    {backends.Settings{Backend: "locmem", Options: map[string]any{"stale": "1h"}}, once(number), 1},
		"not to share": {backends.Settings{Backend: "locmem"}, once(func(n int) []int { return []int{n} }), 0},
		"Shared":       {backends.Settings{Backend: "locmem"}, once(func(n int) []int { return []int{n} }, Shared()), 1},
		"key function": {backends.Settings{Backend: "locmem", KeyFunction: func(key, _, _ string) string { return key }}, once(number), 0},
		"long key":     {backends.Settings{Backend: "locmem"}, once(number, Key(strings.Repeat("k", 250))), 0},
		"dummy":        {backends.Settings{Backend: "dummy"}, once(number), 0},
	} {
		t.Run(name, func(t *testing.T) {
			if c.settings.Backend != "dummy" {
				c.settings.Location = []string{t.Name()}
			}
			cachetest.Configure(t, backends.Config{"default": c.settings})
			p, call := c.plan()
			for range 5 {
				call()
			}
			if n := p.hotHits(); n != c.want {
				t.Errorf("%d in the table, want %d", n, c.want)
			}
		})
	}
}

func once[R any](fn func(int) R, opts ...Option) func() (*plan, func()) {
	return func() (*plan, func()) {
		F, h := Cached(fn, append([]Option{Key("once")}, opts...)...)
		return h.plan, func() { F(1) }
	}
}

// sink keeps events, if they are wanted.
type sink struct {
	debug  atomic.Bool
	mu     sync.Mutex
	events []logging.Event
}

func (s *sink) Enabled(l logging.Level) bool { return s.debug.Load() || l > logging.LevelDebug }

func (s *sink) Log(_ logging.Level, e logging.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// Hits by the table are counted and logged as all others are.
func TestHotTable_CountsAndLogs(t *testing.T) {
	cachetest.Locmem(t)
	ctx := context.Background()
	for kind, f := range eachKind(func(_ context.Context, id int, _ string) (int64, error) { return int64(id), nil }) {
		var log sink
		logging.SetSink(&log)
		defer logging.SetSink(nil)
		for range 1001 {
			f.call(ctx, 1, "it")
		}
		log.debug.Store(true)
		for range 100 {
			f.call(ctx, 1, "it")
		}
		if s := f.stats(); s.Hits != 1100 || s.Misses != 1 || s.Computations != 1 {
			t.Errorf("%s: %+v", kind, s)
		}
		if len(log.events) != 100 {
			t.Errorf("%s: %d of 100 hits were logged", kind, len(log.events))
		}
		for _, e := range log.events {
			if e.Action != logging.ActionHit || e.Key != "[cached]"+f.plan.name+"((1,'it'))" {
				t.Errorf("%s: %+v", kind, e)
				break
			}
		}
	}
}

// A caller whose context has ended gets what it gets without the table.
func TestLaw9_HotTableEnded(t *testing.T) {
	cachetest.Locmem(t)
	for kind, f := range eachKind(func(_ context.Context, id int, _ string) (int64, error) { return 1, nil }) {
		ctx, cancel := context.WithCancel(context.Background())
		for range 5 {
			f.call(ctx, 1, "it")
		}
		hits := f.stats().Hits
		cancel()
		if v, err := f.call(ctx, 1, "it"); v != 0 || !errors.Is(err, context.Canceled) || f.stats().Hits != hits {
			t.Errorf("%s: got %d, %v, %+v", kind, v, err, f.stats())
		}
		if v, err := f.call(context.Background(), 1, "it"); v != 1 || err != nil {
			t.Errorf("%s: then got %d, %v", kind, v, err)
		}
	}
}

// A caller's changes to a result show in no other result.
func TestLaw6_HotTable(t *testing.T) {
	cachetest.Locmem(t)
	type pair struct{ A, B int }
	F, h := Cached(func(int) (pair, int) { return pair{1, 2}, 3 }, Key("law6.hot"))
	G, g := Cached1(func(context.Context, int) (pair, error) { return pair{1, 2}, nil }, Key("law6.typed"))
	for range 50 {
		x, n := F(1)
		y, _ := G(context.Background(), 1)
		if x != (pair{1, 2}) || n != 3 || y != x {
			t.Fatal(x, n, y)
		}
		x.A, n, y.B = 7, 7, 7
	}
	if h.plan.hotHits() != 1 || g.typed.plan.hotHits() != 1 {
		t.Error("the table isn't used")
	}
}

// The table keeps no value in memory that the store has dropped.
func TestHotTable_HoldsNothing(t *testing.T) {
	cachetest.Locmem(t)
	freed := make(chan struct{})
	F, h := Cached(func(int) *[1 << 20]byte {
		large := new([1 << 20]byte)
		runtime.AddCleanup(large, func(int) { close(freed) }, 0)
		return large
	}, Key("holds"), Shared())
	for range 5 {
		F(1)
	}
	if h.plan.hotHits() != 1 {
		t.Fatal("the table isn't used")
	}
	h.Invalidate(1)
	cache, _ := backends.Get("default")
	cache.Close() // otter's buffers
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			runtime.KeepAlive(h)
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("the value is still in memory")
}
