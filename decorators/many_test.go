package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

// A table is a source of rows by id, which records the ids of its calls.
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

// was returns the ids of the table's calls since the last time.
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
		t.Errorf("%s: the function was called for (-want +got):\n%s", what, diff)
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

		if err := load.Invalidate(ctx, []int64{1, 3, 77}); err != nil {
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

// A CachedMany gets what a Cached1 of the same name has stored, and the other way round.
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

		// An absent key is known to the CachedMany, and is a miss for the Cached1.
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

// More keys than fit one request, on several servers; one lookup is one round trip to each.
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
	Load, load := decorators.CachedMany(rows.load, decorators.Key(t.Name()), decorators.Group("g"))
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
		t.Errorf("%d keys were requested and %d written, want 2500, the group's, and none", gets2-gets, sets2-sets)
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
			t.Errorf("called for (-want +got):\n%s", diff)
		}
		if s := load.Stats(); s.Joins != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A function that calls for one of the keys that it computes gets ErrRecursion, whichever key that is.
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

// A CachedMany and a Cached1 of one name are meant to share entries, but not with different types, and not with
// callers that change what others only read.
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
	mustPanic(t, "can't share results of the types string and int", func() {
		decorators.Cached1(func(context.Context, int64) (int, error) { return 0, nil }, decorators.Key(t.Name()))
	})
	if n := notices(func() {
		decorators.CachedMany(newTable().load, decorators.Key(t.Name()+"2"))
		decorators.Cached1(func(context.Context, int64) (string, error) { return "", nil }, decorators.Key(t.Name()+"2"), decorators.Shared())
	}); n == 0 {
		t.Error("no notice of one that is Shared")
	}
}
