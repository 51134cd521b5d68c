package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/cachetest"
	"github.com/cacheutils/cacheutils/internal/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

// A table is a source of rows by id, which notes what it is asked for.
type table struct {
	mu    sync.Mutex
	rows  map[int64]string
	asked [][]int64
}

func newTable(ids ...int64) *table {
	t := &table{rows: map[int64]string{}}
	for _, id := range ids {
		t.rows[id] = fmt.Sprint("row ", id)
	}
	return t
}

func (t *table) load(ctx context.Context, ids []int64) (map[int64]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = append(t.asked, slices.Sorted(slices.Values(ids)))
	found := map[int64]string{}
	for _, id := range ids {
		if row, ok := t.rows[id]; ok {
			found[id] = row
		}
	}
	return found, nil
}

// was returns what the table was asked for since the last time.
func (t *table) was() [][]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	asked := t.asked
	t.asked = nil
	return asked
}

func wantMany(t *testing.T, what string, got map[int64]string, err error, ids ...int64) {
	t.Helper()
	want := map[int64]string{}
	for _, id := range ids {
		want[id] = fmt.Sprint("row ", id)
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%s: error %v (-want +got):\n%s", what, err, diff)
	}
}

func wantAsked(t *testing.T, what string, table *table, want ...[]int64) {
	t.Helper()
	asked := table.was()
	if diff := cmp.Diff(want, asked); diff != "" && len(want)+len(asked) > 0 {
		t.Errorf("%s: the function was asked for (-want +got):\n%s", what, diff)
	}
}

func TestCachedMany(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		rows := newTable(1, 2, 3, 4)
		Load, load := decorators.CachedMany(rows.load, decorators.Key("TestCachedMany"))

		got, err := Load(ctx, []int64{1, 2, 9})
		wantMany(t, "cold", got, err, 1, 2)
		wantAsked(t, "cold", rows, []int64{1, 2, 9})
		got, err = Load(ctx, []int64{1, 2})
		wantMany(t, "all there", got, err, 1, 2)
		wantAsked(t, "all there", rows)
		got, err = Load(ctx, []int64{3, 1, 3, 2, 1, 9})
		wantMany(t, "some there, some twice", got, err, 1, 2, 3)
		wantAsked(t, "some there, some twice", rows, []int64{3, 9})
		for _, none := range [][]int64{nil, {}} {
			got, err = Load(ctx, none)
			wantMany(t, "no keys", got, err)
			wantAsked(t, "no keys", rows)
		}

		if err := load.Invalidate(ctx, 1, 3, 77); err != nil {
			t.Fatal(err)
		}
		got, err = Load(ctx, []int64{1, 2, 3})
		wantMany(t, "two invalidated", got, err, 1, 2, 3)
		wantAsked(t, "two invalidated", rows, []int64{1, 3})

		got, err = load.ForceRecalc(ctx, []int64{1, 2, 2})
		wantMany(t, "ForceRecalc", got, err, 1, 2)
		wantAsked(t, "ForceRecalc", rows, []int64{1, 2})

		got, err = load.RequireCache(ctx, []int64{1, 2})
		wantMany(t, "RequireCache", got, err, 1, 2)
		got, err = load.RequireCache(ctx, []int64{1, 4})
		if !errors.Is(err, cacheutils.ErrNoCachedValue) {
			t.Errorf("RequireCache: %v", err)
		}
		wantMany(t, "RequireCache of some", got, nil, 1)

		if err := load.Set(ctx, map[int64]string{4: "row 4", 5: "row 5"}); err != nil {
			t.Fatal(err)
		}
		rows.was()
		got, err = Load(ctx, []int64{4, 5})
		wantMany(t, "Set", got, err, 4, 5)
		wantAsked(t, "Set", rows)
		if key, err := load.CacheKey(4); key != "[cached]TestCachedMany((4,))" || err != nil {
			t.Errorf("CacheKey: %s, %v", key, err)
		}
		if s := load.Stats(); s.Hits == 0 || s.Misses == 0 || s.Computations != 9 || s.Errors != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// What a Cached1 of the same name has stored is there for a CachedMany, and the other way round.
func TestCachedMany_SharesEntries(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		rows := newTable(1, 2)
		key := decorators.Key("shared " + t.Name())
		LoadAll, all := decorators.CachedMany(rows.load, key, decorators.Absent(time.Minute))
		runs := 0
		LoadOne, one := decorators.Cached1(func(ctx context.Context, id int64) (string, error) {
			runs++
			return fmt.Sprint("row ", id), nil
		}, key)
		a, _ := all.CacheKey(1)
		if b, _ := one.CacheKey(1); a != b {
			t.Fatalf("keys are %s and %s", a, b)
		}
		got, err := LoadAll(ctx, []int64{1})
		wantMany(t, "CachedMany", got, err, 1)
		if row, err := LoadOne(ctx, 1); row != "row 1" || err != nil || runs != 0 {
			t.Errorf("Cached1 gets %q, %v, and runs %d times", row, err, runs)
		}
		LoadOne(ctx, 2)
		rows.was()
		got, err = LoadAll(ctx, []int64{1, 2})
		wantMany(t, "both", got, err, 1, 2)
		wantAsked(t, "both", rows)

		// That there is nothing is known to the one, and nothing to the other.
		got, err = LoadAll(ctx, []int64{3})
		wantMany(t, "absent", got, err)
		if row, err := LoadOne(ctx, 3); row != "row 3" || err != nil || runs != 2 {
			t.Errorf("Cached1 of an absent key gets %q, %v, after %d runs", row, err, runs)
		}
		got, err = LoadAll(ctx, []int64{3})
		wantMany(t, "no more absent", got, err, 3)
		if n := one.Stats().Errors + all.Stats().Errors; n != 0 {
			t.Errorf("%d faults", n)
		}
	})
}

func TestCachedMany_Absent(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		rows := newTable(1)
		Load, load := decorators.CachedMany(rows.load, decorators.Key("TestCachedMany_Absent"+t.Name()), decorators.Absent(time.Minute),
			decorators.Group("rows"), decorators.Timeout(time.Hour))
		ids := []int64{1, 2}
		for range 3 {
			got, err := Load(ctx, ids)
			wantMany(t, "one of two", got, err, 1)
		}
		wantAsked(t, "three calls", rows, ids)
		got, err := load.RequireCache(ctx, ids)
		wantMany(t, "RequireCache knows that one is absent", got, err, 1)

		load.Invalidate(ctx, 2)
		Load(ctx, ids)
		wantAsked(t, "invalidated", rows, []int64{2})
		if err := cache.InvalidateGroup(ctx, "rows"); err != nil {
			t.Fatal(err)
		}
		Load(ctx, ids)
		wantAsked(t, "group invalidated", rows, ids)

		rows.rows[2] = "row 2"
		got, err = load.ForceRecalc(ctx, ids)
		wantMany(t, "no more absent", got, err, 1, 2)
		delete(rows.rows, 2)
		load.ForceRecalc(ctx, ids)
		got, err = Load(ctx, ids)
		wantMany(t, "absent again", got, err, 1)
	})
}

// That there is nothing for a key takes room like a result: keys that somebody makes up don't fill the memory.
func TestCachedMany_AbsentIsBounded(t *testing.T) {
	ctx := context.Background()
	const bound = 100
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "locmem", Location: []string{t.Name()}, Options: map[string]any{"max_entries": bound},
	}})
	Load, load := decorators.CachedMany(newTable().load, decorators.Absent(time.Hour))
	known := 0
	for id := range int64(20 * bound) {
		Load(ctx, []int64{id})
	}
	for id := range int64(20 * bound) {
		if _, err := load.RequireCache(ctx, []int64{id}); err == nil {
			known++
		}
	}
	if known == 0 || known > 2*bound { // those that are on their way out are counted, too
		t.Errorf("%d absent keys are known, want about %d", known, bound)
	}
}

// A caller who waits for another process is told that there is nothing, as it would be told a result.
func TestLaw4_CachedManyAbsent(t *testing.T) {
	ctx := context.Background()
	cachetest.Configure(t, backends.Config{
		"here": {Backend: "locmem", Location: []string{t.Name()}}, "there": {Backend: "locmem", Location: []string{t.Name()}},
	})
	var calls atomic.Int32
	started, finish := make(chan struct{}), make(chan struct{})
	decorate := func(backend string) (func(context.Context, []int64) (map[int64]string, error), *decorators.HandleMany[int64, string]) {
		return decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
			if calls.Add(1) == 1 {
				close(started)
				<-finish
			}
			return map[int64]string{1: "row 1"}, nil
		}, decorators.Key(t.Name()), decorators.Backend(backend), decorators.Absent(time.Hour))
	}
	Here, _ := decorate("here")
	There, there := decorate("there")
	var all sync.WaitGroup
	all.Go(func() {
		got, err := Here(ctx, []int64{1, 2})
		wantMany(t, "who computes", got, err, 1)
	})
	<-started
	all.Go(func() {
		got, err := There(ctx, []int64{1, 2})
		wantMany(t, "who waits", got, err, 1)
	})
	for there.Stats().Waits < 2 {
		time.Sleep(time.Millisecond)
	}
	close(finish)
	all.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls of the function", n)
	}
}

// What is remembered as absent together isn't forgotten together either.
func TestCachedMany_AbsentJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cachetest.Locmem(t)
		Load, load := decorators.CachedMany(newTable().load, decorators.Absent(time.Hour), decorators.Jitter(0.5))
		ids := make([]int64, 200)
		for i := range ids {
			ids[i] = int64(i)
		}
		Load(t.Context(), ids)
		known := func() (n int) {
			for _, id := range ids {
				if _, err := load.RequireCache(t.Context(), []int64{id}); err == nil {
					n++
				}
			}
			return n
		}
		time.Sleep(30*time.Minute - time.Second)
		if n := known(); n != len(ids) {
			t.Errorf("before half an hour %d are known", n)
		}
		time.Sleep(15 * time.Minute)
		if n := known(); n < 50 || n > 150 {
			t.Errorf("in the middle of the spread %d of %d are known", n, len(ids))
		}
	})
}

// Each key has the groups that GroupsOf says for it.
func TestCachedMany_Groups(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		rows := newTable(1, 2, 3, 4)
		Load, _ := decorators.CachedMany(rows.load, decorators.Key("TestCachedMany_Groups"+t.Name()), decorators.Group("all"),
			decorators.GroupsOf(func(ctx context.Context, id int64) []string { return []string{fmt.Sprint("parity ", id%2)} }))
		ids := []int64{1, 2, 3, 4}
		Load(ctx, ids)
		Load(ctx, ids)
		wantAsked(t, "twice", rows, ids)
		cache.InvalidateGroup(ctx, "parity 0")
		got, err := Load(ctx, ids)
		wantMany(t, "one group invalidated", got, err, ids...)
		wantAsked(t, "one group invalidated", rows, []int64{2, 4})
		cache.InvalidateGroup(ctx, "all")
		Load(ctx, ids)
		wantAsked(t, "the other", rows, ids)
	})
}

// More keys than fit one request, on several servers; one look is one round trip to each.
func TestCachedMany_Long(t *testing.T) {
	ctx := context.Background()
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "memcached", Location: []string{a.Addr(), b.Addr()}, Options: map[string]any{"operation_timeout": "5s"},
	}})
	var ids []int64
	for i := range int64(2500) {
		ids = append(ids, i)
	}
	rows := newTable(ids...)
	Load, load := decorators.CachedMany(rows.load, decorators.Group("g"))
	got, err := Load(ctx, ids)
	wantMany(t, "cold", got, err, ids...)
	if asked := rows.was(); len(asked) != 1 || len(asked[0]) != 2500 {
		t.Errorf("%d calls", len(asked))
	}
	if s := load.Stats(); s.Stores != 2500 || s.Errors != 0 {
		t.Fatalf("%+v", s)
	}
	count := func() (gets, sets int) {
		for _, server := range []*memcachedtest.Server{a, b} {
			stats := server.Stats(t)
			n, _ := strconv.Atoi(stats["cmd_get"])
			m, _ := strconv.Atoi(stats["cmd_set"])
			gets, sets = gets+n, sets+m
		}
		return gets, sets
	}
	gets, sets := count()
	got, err = Load(ctx, ids)
	wantMany(t, "warm", got, err, ids...)
	wantAsked(t, "warm", rows)
	gets2, sets2 := count()
	if gets2-gets != 2501 || sets2 != sets {
		t.Errorf("%d keys were asked for and %d written, want 2500, the group's, and none", gets2-gets, sets2-sets)
	}
}

// What another call computes is waited for, and not computed twice.
func TestCachedMany_Joins(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		rows := newTable(1, 2, 3)
		started, finish := make(chan struct{}), make(chan struct{})
		var calls atomic.Int32
		Load, load := decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
			if calls.Add(1) == 1 {
				close(started)
				<-finish
			}
			return rows.load(ctx, ids)
		}, decorators.Key("TestCachedMany_Joins"+t.Name()))
		var first sync.WaitGroup
		first.Go(func() {
			got, err := Load(ctx, []int64{1, 2})
			wantMany(t, "first", got, err, 1, 2)
		})
		<-started
		var second sync.WaitGroup
		second.Go(func() {
			got, err := Load(ctx, []int64{2, 3})
			wantMany(t, "second", got, err, 2, 3)
		})
		for calls.Load() < 2 { // it computes its own key while it waits for the other
			time.Sleep(time.Millisecond)
		}
		close(finish)
		first.Wait()
		second.Wait()
		asked := rows.was()
		slices.SortFunc(asked, slices.Compare)
		if diff := cmp.Diff([][]int64{{1, 2}, {3}}, asked); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
		if s := load.Stats(); s.Joins != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A key that is invalidated while it is computed is not stored; the others of the call are.
func TestLaw2_CachedMany(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		rows := newTable(1, 2)
		var load *decorators.HandleMany[int64, string]
		invalidate := true
		Load, load := decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
			if invalidate {
				invalidate = false
				if err := load.Invalidate(ctx, 1); err != nil {
					t.Error(err)
				}
			}
			return rows.load(ctx, ids)
		}, decorators.Key("TestLaw2_CachedMany"+t.Name()))
		Load(ctx, []int64{1, 2})
		rows.was()
		Load(ctx, []int64{1, 2})
		wantAsked(t, "after that", rows, []int64{1})
	})
}

// A panic in an option's function reaches the caller of Set, as it does for one key.
func TestLaw5_CachedManySet(t *testing.T) {
	cachetest.Locmem(t)
	_, load := decorators.CachedMany(newTable().load, decorators.TimeoutOf(func(string) time.Duration { panic("boom") }))
	defer func() {
		if p := recover(); !strings.Contains(fmt.Sprint(p), "boom") {
			t.Errorf("got %v", p)
		}
	}()
	load.Set(context.Background(), map[int64]string{1: "row 1", 2: "row 2"})
}

// Errors come with the results there are, and are not stored; panics reach the caller.
func TestLaw5_CachedMany(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		var fails atomic.Bool
		boom := errors.New("boom")
		Load, load := decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
			if slices.Contains(ids, 13) {
				panic("13")
			}
			if slices.Contains(ids, 14) {
				runtime.Goexit()
			}
			if fails.Load() {
				return map[int64]string{2: "row 2"}, boom
			}
			return map[int64]string{ids[0]: fmt.Sprint("row ", ids[0])}, nil
		}, decorators.Key("TestLaw5_CachedMany"+t.Name()))
		got, err := Load(ctx, []int64{1})
		wantMany(t, "good", got, err, 1)
		fails.Store(true)
		got, err = Load(ctx, []int64{1, 2, 3})
		if err != boom {
			t.Errorf("got %v, want the function's own error", err)
		}
		wantMany(t, "with the error", got, nil, 1, 2)
		if _, err := load.RequireCache(ctx, []int64{2}); !errors.Is(err, cacheutils.ErrNoCachedValue) {
			t.Errorf("what came with an error is stored: %v", err)
		}
		for _, c := range []context.Context{ctx, cancellable(t)} {
			func() {
				defer func() {
					p, ok := recover().(*cacheutils.PanicError)
					if !ok || p.Value != "13" {
						t.Errorf("got %v", p)
					}
				}()
				Load(c, []int64{13, 1, 2})
			}()
			exited := make(chan bool)
			go func() {
				defer close(exited)
				Load(c, []int64{14, 2})
				t.Error("it returns after Goexit")
			}()
			<-exited
		}
		fails.Store(false)
		got, err = Load(ctx, []int64{3})
		wantMany(t, "after all that", got, err, 3)
	})
}

func cancellable(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx
}

type nameKey struct{}

// A caller whose context ends gets its error; the function's context ends when the last has left.
func TestLaw9_CachedMany(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		ended := make(chan struct{})
		started := make(chan struct{})
		Load, _ := decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
			if ctx.Value(nameKey{}) != "value" {
				t.Error("the context lost its values")
			}
			close(started)
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		}, decorators.Key("TestLaw9_CachedMany"+t.Name()))
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), nameKey{}, "value"))
		go func() {
			<-started
			cancel()
		}()
		if got, err := Load(ctx, []int64{1, 2, 3}); !errors.Is(err, context.Canceled) || len(got) != 0 {
			t.Errorf("got %v, %v", got, err)
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("the function's context doesn't end")
		}
	})
}

// A function that asks for one of the keys that it computes is told so, whichever it is.
func TestCachedMany_Recursion(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		for _, passed := range []bool{true, false} {
			for _, id := range []int64{1, 2, 3} {
				var Load func(context.Context, []int64) (map[int64]string, error)
				var inner error
				Load, _ = decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
					if len(ids) == 1 {
						return map[int64]string{}, nil
					}
					if !passed {
						ctx = context.Background()
					}
					_, inner = Load(ctx, []int64{id, 9})
					return map[int64]string{}, nil
				}, decorators.Key(fmt.Sprint("TestCachedMany_Recursion", passed, id, t.Name())))
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				if _, err := Load(ctx, []int64{1, 2, 3}); err != nil || !errors.Is(inner, cacheutils.ErrRecursion) {
					t.Errorf("context passed on: %v, key %d: %v; inside %v", passed, id, err, inner)
				}
				cancel()
			}
		}
	})
}

// Many calls for overlapping keys at once: each key is computed once, and nobody waits for ever.
func TestLaw4_CachedMany(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		var counts [40]atomic.Int32
		Load, load := decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]string, error) {
			found := map[int64]string{}
			for _, id := range ids {
				counts[id].Add(1)
				found[id] = fmt.Sprint("row ", id)
			}
			time.Sleep(time.Millisecond)
			return found, nil
		}, decorators.Key("TestLaw4_CachedMany"+t.Name()), decorators.Group("g"))
		var all sync.WaitGroup
		for g := range 32 {
			all.Go(func() {
				var ids []int64
				for i := range 20 {
					ids = append(ids, int64((g*7+i*3)%len(counts)))
				}
				got, err := Load(ctx, ids)
				wantMany(t, "together", got, err, ids...)
			})
		}
		all.Wait()
		for id := range counts {
			if n := counts[id].Load(); n != 1 {
				t.Errorf("key %d: %d computations", id, n)
			}
		}
		if s := load.Stats(); s.Errors != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Law 1: without the server, the function is still called once for all keys.
func TestLaw1_CachedMany(t *testing.T) {
	ctx := context.Background()
	server := cachetest.Memcached(t)
	server.Stop()
	rows := newTable(1, 2, 3)
	Load, load := decorators.CachedMany(rows.load)
	got, err := Load(ctx, []int64{1, 2, 3})
	wantMany(t, "server down", got, err, 1, 2, 3)
	wantAsked(t, "server down", rows, []int64{1, 2, 3})
	if err := load.Invalidate(ctx, 1, 2); err == nil {
		t.Error("Invalidate reports no error")
	}
	if _, err := load.RequireCache(ctx, []int64{1}); !errors.Is(err, cacheutils.ErrNoCachedValue) || !errors.Is(err, cacheutils.ErrServerDown) {
		t.Errorf("RequireCache: %v, want why", err)
	}
	if s := load.Stats(); s.Misses != 4 {
		t.Errorf("%+v, want as many misses as keys were asked for", s)
	}
	cachetest.Configure(t, backends.Config{})
	Nowhere, _ := decorators.CachedMany(rows.load, decorators.Key("nowhere"), decorators.Backend("none"))
	rows.was()
	got, err = Nowhere(ctx, []int64{1, 1})
	wantMany(t, "unknown backend", got, err, 1)
	wantAsked(t, "unknown backend", rows, []int64{1})
	got, err = Nowhere(ctx, nil)
	wantMany(t, "unknown backend, no keys", got, err)
	wantAsked(t, "unknown backend, no keys", rows)
	More, _ := decorators.CachedMany(func(context.Context, []int64) (map[int64]string, error) {
		return map[int64]string{1: "row 1", 2: "row 2"}, nil
	}, decorators.Key("more"), decorators.Backend("none"))
	got, err = More(ctx, []int64{1})
	wantMany(t, "unknown backend, more than was asked for", got, err, 1)
}

func TestCachedMany_Misuse(t *testing.T) {
	for want, misuse := range map[string]func(){
		"Absent is for CachedMany": func() {
			decorators.Cached(loadPlace, decorators.Absent(time.Minute))
		},
		"takes a func(context.Context, int64)": func() {
			decorators.CachedMany(newTable().load, decorators.Key("k"), decorators.GroupsOf(func(ctx context.Context, ids []int64) []string { return nil }))
		},
		"takes a function, got": func() {
			decorators.CachedMany[int64, string](nil)
		},
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, want) {
					t.Errorf("got %s, want %q", text, want)
				}
			}()
			misuse()
		}()
	}
}

// A CachedMany and a Cached1 of one name are meant to share entries, but not with different types, and not
// with callers who change what others only read.
func TestCachedMany_SameName(t *testing.T) {
	notices := func(decorate func()) int {
		var sink recorder
		logging.SetSink(&sink)
		defer logging.SetSink(nil)
		decorate()
		return len(sink.events())
	}
	many := func() { decorators.CachedMany(newTable().load, decorators.Key(t.Name())) }
	if n := notices(many); n != 0 {
		t.Errorf("%d notices of the first", n)
	}
	if n := notices(func() {
		decorators.Cached1(func(context.Context, int64) (string, error) { return "", nil }, decorators.Key(t.Name()))
	}); n != 0 {
		t.Errorf("%d notices of a Cached1 of the same type", n)
	}
	if n := notices(func() {
		decorators.Cached1(func(context.Context, int64) (int, error) { return 0, nil }, decorators.Key(t.Name()))
	}); n == 0 {
		t.Error("no notice of another type")
	}
	if n := notices(func() {
		decorators.CachedMany(newTable().load, decorators.Key(t.Name()+"2"))
		decorators.Cached1(func(context.Context, int64) (string, error) { return "", nil }, decorators.Key(t.Name()+"2"), decorators.Shared())
	}); n == 0 {
		t.Error("no notice of one that is Shared")
	}
}

// hanging is an engine whose add doesn't answer for some keys until the caller gives up.
type hanging struct{ engine.Engine }

// hangs tells for which keys that is; it is set once a test.
var hangs atomic.Pointer[func(key string) bool]

func (h hanging) Traits() engine.Traits { return engine.Traits{} }

func (h hanging) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if hang := hangs.Load(); hang != nil && (*hang)(key) {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return h.Engine.Add(ctx, key, item, timeout)
}

var registerHanging = sync.OnceFunc(func() {
	backends.Register("hanging", func(s engine.Settings) (engine.Engine, error) {
		e, err := locmem.Open(s)
		return hanging{e}, err
	})
})

func hangFor(t *testing.T, hang func(key string) bool) {
	t.Helper()
	registerHanging()
	hangs.Store(&hang)
	t.Cleanup(func() { hangs.Store(nil) })
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "hanging", Location: []string{t.Name()}, Options: map[string]any{"operation_timeout": "1h"},
	}})
}

// Once the caller has left, the function is not called for nobody: neither for keys that were still on
// their way to it, nor for those that waited for them.
func TestLaw9_CachedManyForNobody(t *testing.T) {
	for name, hang := range map[string]func(string) bool{
		"all keys on their way": func(string) bool { return true },
		"one key on its way":    func(key string) bool { return strings.HasSuffix(key, "((7,))") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hangFor(t, hang)
				rows := newTable(1, 2, 3, 7)
				Load, load := decorators.CachedMany(rows.load, decorators.Key("nobody"))
				for what, call := range map[string]func(context.Context, []int64) (map[int64]string, error){"call": Load, "ForceRecalc": load.ForceRecalc} {
					ctx, cancel := context.WithCancel(context.Background())
					time.AfterFunc(time.Second, cancel)
					if got, err := call(ctx, []int64{1, 2, 3, 7}); !errors.Is(err, context.Canceled) || len(got) != 0 {
						t.Errorf("%s: got %v, %v", what, got, err)
					}
					synctest.Wait()
					wantAsked(t, what+" after the caller has left", rows)
					time.Sleep(2 * time.Second) // what was left of leases ends
				}
				if s := load.Stats(); s.Errors != 0 {
					t.Errorf("that a caller leaves is no fault: %+v", s)
				}
			})
		})
	}
}

// A key that somebody else waits for is computed, and no other, when the caller of all has left.
func TestLaw9_CachedManyForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangFor(t, func(key string) bool { return strings.HasSuffix(key, "((7,))") })
		rows := newTable(1, 2, 3, 7)
		Load, _ := decorators.CachedMany(rows.load, decorators.Key("others"))
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := Load(ctx, []int64{1, 2, 3, 7}); !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			got, err := Load(context.Background(), []int64{2})
			wantMany(t, "who stayed", got, err, 2)
		})
		synctest.Wait()
		cancel()
		all.Wait()
		wantAsked(t, "after all", rows, []int64{2})
	})
}

type texter struct{ a, b int }

func (x *texter) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d/%d", x.a, x.b), nil }

type embedder struct {
	texter
	N int
}

// A key is the same text for each way to decorate the function.
func sameKeys[K comparable](t *testing.T, keys ...K) {
	t.Helper()
	ctx := context.Background()
	opts := []decorators.Option{decorators.Key("same"), decorators.Ignore[uint8]()}
	_, many := decorators.CachedMany(func(context.Context, []K) (map[K]int, error) { return nil, nil }, decorators.Key("same"))
	_, one := decorators.Cached1(func(context.Context, K) (int, error) { return 0, nil }, decorators.Key("same"))
	_, two := decorators.Cached2(func(context.Context, uint8, K) (int, error) { return 0, nil }, opts...)
	_, three := decorators.Cached3(func(context.Context, uint8, K, uint8) (int, error) { return 0, nil }, opts...)
	_, reflected := decorators.Cached(func(context.Context, K) (int, error) { return 0, nil }, decorators.Key("same"))
	for _, key := range keys {
		want, err := reflected.CacheKey(ctx, key)
		if err != nil {
			t.Error(err)
		}
		for how, make := range map[string]func() (string, error){
			"CachedMany": func() (string, error) { return many.CacheKey(key) },
			"Cached1":    func() (string, error) { return one.CacheKey(key) },
			"Cached2":    func() (string, error) { return two.CacheKey(1, key) },
			"Cached3":    func() (string, error) { return three.CacheKey(1, key, 2) },
			"nil context": func() (string, error) {
				var none context.Context
				return reflected.CacheKey(none, key)
			},
		} {
			if got, err := make(); got != want || err != nil {
				t.Errorf("%T(%v): %s gives %s, %v, want %s", key, key, how, got, err, want)
			}
		}
	}
}

func TestLaw3_CachedMany(t *testing.T) {
	cachetest.Locmem(t)
	n := 5
	at := time.Unix(5, 0).UTC()
	sameKeys[any](t, nil, 1, int64(1), "a b", texter{1, 2}, &texter{1, 2}, (*texter)(nil), embedder{texter{1, 2}, 3},
		math.NaN(), float32(0.1), complex64(1), [2]any{1, "b"}, &n, at, time.UTC, time.Second, struct{}{})
	sameKeys(t, texter{1, 2})
	sameKeys(t, &texter{1, 2}, nil)
	sameKeys(t, embedder{texter{1, 2}, 3})
	sameKeys(t, math.NaN(), 0, math.Copysign(0, -1))
	sameKeys(t, time.Second)
	sameKeys(t, "it's \"x\" \xff \u00a0")
	sameKeys[fmt.Stringer](t, nil, time.Second, at)
	sameKeys(t, [3]byte{1, 2, 200})
	sameKeys(t, [2]texter{{1, 2}, {3, 4}})
	sameKeys(t, struct {
		A any
		B *int
		c [2]string
	}{A: texter{1, 2}, B: &n, c: [2]string{"x", " "}})
	sameKeys(t, at, time.Time{})
	sameKeys(t, struct{}{})
}
