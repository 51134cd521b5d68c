package counts_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
)

var ctx = context.Background()

// A gate is what runs of a function wait at.
type gate chan struct{}

func (g gate) one(context.Context, int) (int, error) { <-g; return 1, nil }

func (g gate) many(_ context.Context, keys []int) (map[int]int, error) {
	<-g
	results := make(map[int]int)
	for _, key := range keys {
		results[key] = 1
	}
	return results, nil
}

// want compares what was counted with want.
func want(t *testing.T, what string, got, want decorators.Stats) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// configured makes the program's set.
func configured(t *testing.T, config backends.Config) {
	t.Helper()
	if err := backends.Configure(config); err != nil {
		t.Fatal(err)
	}
}

// calls has call be called n times, one after the other, and returns what waits for all of them.
func calls(n int, call func()) (wait func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(call)
		synctest.Wait()
	}
	return all.Wait
}

// A caller who waits for a result that it can't have, and whose backend is replaced meanwhile, starts again on the new one,
// and is counted once.
func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer backends.Close()
		config := backends.Config{"default": {Location: []string{t.Name()}, Backend: "locmem"}}
		configured(t, config)
		g, h := make(gate), make(gate)
		one, oneHandle := decorators.Cached1(g.one, decorators.Key("counts.one"))
		many, manyHandle := decorators.CachedMany(h.many, decorators.Key("counts.many"))
		reflected, reflectedHandle := decorators.Cached(gate.one, decorators.Key("counts.reflected"), decorators.Ignore[gate]())
		r := make(gate)
		waits := []func(){
			calls(3, func() { one(ctx, 1) }),
			calls(3, func() { many(ctx, []int{1}) }),
			calls(3, func() { reflected(r, ctx, 1) }),
		}
		for _, err := range []error{oneHandle.Invalidate(ctx, 1), manyHandle.Invalidate(ctx, []int{1}), reflectedHandle.Invalidate(r, ctx, 1)} {
			if err != nil {
				t.Error(err)
			}
		}
		configured(t, config)
		close(g)
		close(h)
		close(r)
		for _, wait := range waits {
			wait()
		}
		for what, stats := range map[string]decorators.Stats{"Cached1": oneHandle.Stats(), "CachedMany": manyHandle.Stats(), "Cached": reflectedHandle.Stats()} {
			stats.Hits, stats.Misses = 0, stats.Misses+stats.Hits // of the two that start again, the second may come when the result is there
			want(t, what, stats, decorators.Stats{Misses: 3, Joins: 2, Computations: 2, Stores: 1, Refusals: 1, Invalidations: 1})
		}
	})
}

// A caller joins once, though it starts again and joins another computation.
func TestJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, err := backends.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		g, h := make(gate), make(gate)
		one, oneHandle := decorators.Cached1(g.one, decorators.Key("one"), decorators.On(set))
		many, manyHandle := decorators.CachedMany(h.many, decorators.Key("many"), decorators.On(set))
		waitOne, waitMany := calls(4, func() { one(ctx, 1) }), calls(4, func() { many(ctx, []int{1}) })
		if err := oneHandle.Invalidate(ctx, 1); err != nil {
			t.Error(err)
		}
		if err := manyHandle.Invalidate(ctx, []int{1}); err != nil {
			t.Error(err)
		}
		close(g)
		close(h)
		waitOne()
		waitMany()
		for what, stats := range map[string]decorators.Stats{"Cached1": oneHandle.Stats(), "CachedMany": manyHandle.Stats()} {
			want(t, what, stats, decorators.Stats{Misses: 4, Joins: 3, Computations: 2, Stores: 1, Refusals: 1, Invalidations: 1})
		}
	})
}

// What runs without the cache is counted by keys, too.
func TestClosed(t *testing.T) {
	set, err := backends.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	g := make(gate)
	close(g)
	one, oneHandle := decorators.Cached1(g.one, decorators.Key("one"), decorators.On(set))
	many, manyHandle := decorators.CachedMany(g.many, decorators.Key("many"), decorators.On(set))
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	one(ctx, 1)
	many(ctx, []int{1, 2, 3, 2})
	manyHandle.ForceRecalc(ctx, []int{1, 2})
	want(t, "Cached1", oneHandle.Stats(), decorators.Stats{Computations: 1, Errors: 1})
	want(t, "CachedMany", manyHandle.Stats(), decorators.Stats{Computations: 5, Errors: 2})
}
