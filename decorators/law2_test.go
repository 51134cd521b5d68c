package decorators_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// What was read before an invalidation is not stored after it.
func TestLaw2_InvalidateDuringComputation(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached(g.wait, decorators.Key("law2"))
		ctx := context.Background()
		old := ask(func() (int, error) { return F(ctx) })
		within(t, "the first run", g.started)
		if err := h.Invalidate(ctx); err != nil {
			t.Fatal(err)
		}
		late := ask(func() (int, error) { return F(ctx) })
		within(t, "a second run: the late caller has joined the first one", g.started)
		close(g.release)
		if a := within(t, "the first caller", old); a.run != 1 || a.err != nil {
			t.Errorf("the first caller got %v", a)
		}
		if a := within(t, "the late caller", late); a.run != 2 || a.err != nil {
			t.Errorf("the late caller got %v, want run 2", a)
		}
		if run, _ := F(ctx); run != 2 {
			t.Errorf("stored is run %d, want 2", run)
		}
		if n := h.Stats().Refusals; n != 1 {
			t.Errorf("%d results were refused, want 1", n)
		}
	})
}

func TestLaw2_SetDuringComputation(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached(g.wait, decorators.Key("law2.set"))
		ctx := context.Background()
		old := ask(func() (int, error) { return F(ctx) })
		within(t, "the first run", g.started)
		if err := h.Set([]any{ctx}, 42); err != nil {
			t.Fatal(err)
		}
		close(g.release)
		within(t, "the first caller", old)
		if run, _ := F(ctx); run != 42 {
			t.Errorf("stored is %d, want 42: the computation from before has overwritten it", run)
		}
	})
}

func TestLaw2_ClearDuringComputation(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, _ := decorators.Cached(g.wait, decorators.Key("law2.clear"))
		ctx := context.Background()
		old := ask(func() (int, error) { return F(ctx) })
		within(t, "the first run", g.started)
		c, err := backends.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Clear(ctx); err != nil {
			t.Fatal(err)
		}
		close(g.release)
		within(t, "the first caller", old)
		if run, _ := F(ctx); run != 2 {
			t.Errorf("got run %d, want a new one", run)
		}
	})
}

// Nobody gets a value older than the source was when the last invalidation before the call
// returned, whatever else is under way.
func TestLaw2_RandomInterleavings(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		const keys, workers = 3, 8
		rounds := 4000
		if testing.Short() {
			rounds = 200
		}
		var source, floor [keys]atomic.Int64
		F, h := decorators.Cached(func(ctx context.Context, key int) (int64, error) {
			v := source[key].Load()
			for range rand.IntN(4) {
				runtime.Gosched()
			}
			if rand.IntN(10) == 0 {
				time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
			}
			return v, nil
		}, decorators.Key("law2.random"))
		background, cancel := context.WithCancel(context.Background())
		defer cancel()
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				ctx := context.Background()
				if w%2 == 0 {
					ctx = background // these run on goroutines of their own
				}
				for range rounds {
					key := rand.IntN(keys)
					switch rand.IntN(8) {
					case 0:
						v := source[key].Add(1)
						if err := h.Invalidate(ctx, key); err != nil {
							t.Errorf("Invalidate: %v", err)
						}
						raise(&floor[key], v)
					case 1:
						before := floor[key].Load()
						now := source[key].Load()
						got, err := h.ForceRecalc(ctx, key)
						if err != nil || got < before || got < now {
							t.Errorf("ForceRecalc: got %d, %v, source was at %d", got, err, now)
						}
						raise(&floor[key], now) // nobody gets anything older than this computation
					default:
						before := floor[key].Load()
						got, err := F(ctx, key)
						if err != nil || got < before {
							t.Errorf("outdated: got %d, %v after version %d was invalidated", got, err, before)
						}
					}
				}
			})
		}
		wg.Wait()
		s := h.Stats()
		t.Logf("%+v", s)
		if s.Hits == 0 || s.Joins == 0 || s.Refusals == 0 {
			t.Errorf("the test has not met a hit, a join and a refused store: %+v", s)
		}
	})
}

// A computation that a new configuration overtakes is not stored in the store that both have.
func TestLaw2_ConfigureDuringComputation(t *testing.T) {
	server := cachetest.Memcached(t)
	g := newGate()
	F, h := decorators.Cached(g.wait, decorators.Key("law2.configure"))
	ctx := context.Background()
	old := ask(func() (int, error) { return F(ctx) })
	within(t, "the first run", g.started)
	cachetest.Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}}})
	if err := h.Invalidate(ctx); err != nil {
		t.Fatal(err)
	}
	close(g.release)
	if a := within(t, "the first caller", old); a.run != 1 || a.err != nil {
		t.Errorf("the first caller got %v", a)
	}
	if run, _ := F(ctx); run != 2 {
		t.Errorf("stored is run %d, from before the invalidation", run)
	}
}
