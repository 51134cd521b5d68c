package decorators_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

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

		load.Invalidate(ctx, []int64{2})
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

// An absent key takes room like a result: keys that a client makes up don't fill the memory.
func TestCachedMany_AbsentIsBounded(t *testing.T) {
	ctx := context.Background()
	const bound = 100
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "locmem", Location: []string{t.Name()}, Options: map[string]any{"max_entries": bound},
	}})
	Load, load := decorators.CachedMany(newTable().load, decorators.Key("many.bounded"), decorators.Absent(time.Hour))
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

// A caller that waits for another process gets the absence of a key as it would get a result.
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

// Keys that became absent together don't expire together.
func TestCachedMany_AbsentJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cachetest.Locmem(t)
		Load, load := decorators.CachedMany(newTable().load, decorators.Key("many.bounded"), decorators.Absent(time.Hour), decorators.Jitter(0.5))
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
