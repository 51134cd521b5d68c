//go:build linux

package steering

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

var background = context.Background()

// eachForm runs test with each way to decorate a function, on each engine.
func eachForm(t *testing.T, test func(t *testing.T, f form, c *counted)) {
	t.Helper()
	each(t, func(t *testing.T, caches *backends.Caches) {
		for name, make := range forms(decorators.On(caches)) {
			t.Run(name, func(t *testing.T) {
				f, c := make()
				test(t, f, c)
			})
		}
	})
}

// got returns what a call with 1 returns, and ends the test if that is an error.
func got(t *testing.T, call func(context.Context, int) (int, error), ctx context.Context) int {
	t.Helper()
	n, err := call(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Under Bypass a call neither takes a result nor leaves one.
func TestBypass(t *testing.T) {
	eachForm(t, func(t *testing.T, f form, _ *counted) {
		ctx := cacheutils.Bypass(background)
		results := []int{got(t, f.call, ctx), got(t, f.call, background), got(t, f.call, ctx), got(t, f.call, background)}
		if want := []int{1, 2, 3, 2}; !cmp.Equal(results, want) {
			t.Errorf("with and without Bypass: %v, want %v", results, want)
		}
		s := f.stats()
		if want := (decorators.Stats{Hits: 1, Misses: 1, Computations: 3, Stores: 1, Bypasses: 2}); s != want {
			t.Errorf("counted %s", cmp.Diff(want, s))
		}
	})
}

// Under Refresh a call computes, and later ones get its result.
func TestRefresh(t *testing.T) {
	eachForm(t, func(t *testing.T, f form, _ *counted) {
		ctx := cacheutils.Refresh(background)
		results := []int{got(t, f.call, background), got(t, f.call, ctx), got(t, f.call, background), got(t, f.call, ctx), got(t, f.call, background)}
		if want := []int{1, 2, 2, 3, 3}; !cmp.Equal(results, want) {
			t.Errorf("with and without Refresh: %v, want %v", results, want)
		}
		s := f.stats()
		if want := (decorators.Stats{Hits: 2, Misses: 1, Computations: 3, Stores: 3}); s != want {
			t.Errorf("counted %s", cmp.Diff(want, s))
		}
	})
}

// The last of Bypass and Refresh counts, and the set of With stays.
func TestLastModeCounts(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		c := new(counted)
		call, _ := decorators.Cached1(c.run, decorators.Key(t.Name()))
		with := backends.With(background, caches)
		bypass, refresh := cacheutils.Bypass(cacheutils.Refresh(with)), cacheutils.Refresh(cacheutils.Bypass(with))
		results := []int{got(t, call, with), got(t, call, bypass), got(t, call, with), got(t, call, refresh), got(t, call, with)}
		if want := []int{1, 2, 1, 3, 3}; !cmp.Equal(results, want) {
			t.Errorf("got %v, want %v", results, want)
		}
	})
}

// What a function calls is steered as it is, also where it hands on no context.
func TestNested(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		for name, handsOn := range map[string]bool{"with the context": true, "without a context": false} {
			t.Run(name, func(t *testing.T) {
				inner, many := new(counted), new(counted)
				callInner, _ := decorators.Cached1(inner.run, decorators.Key("inner "+name), decorators.On(caches))
				callMany, _ := decorators.CachedMany(many.runMany, decorators.Key("many "+name), decorators.On(caches))
				outer, _ := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
					if !handsOn {
						ctx = background
					}
					a, err := callInner(ctx, n)
					if err != nil {
						return 0, err
					}
					b, err := callMany(ctx, []int{n, n + 1})
					return 100*a + 10*b[n] + b[n+1], err
				}, decorators.Key("outer "+name), decorators.On(caches))
				for _, step := range []struct {
					what string
					ctx  context.Context
					want int
				}{
					{"first", background, 111}, {"bypassed", cacheutils.Bypass(background), 222}, {"cached", background, 111},
					{"refreshed", cacheutils.Refresh(background), 333}, {"cached again", background, 333},
				} {
					if n := got(t, outer, step.ctx); n != step.want {
						t.Errorf("%s: %d, want %d", step.what, n, step.want)
					}
				}
				if n := got(t, callInner, background); n != 3 {
					t.Errorf("the inner function: %d, want what the refresh has stored, 3", n)
				}
			})
		}
	})
}

// ForceRecalc, Set and Invalidate do what they say; RequireCache takes nothing.
func TestExplicitOperations(t *testing.T) {
	eachForm(t, func(t *testing.T, f form, _ *counted) {
		got(t, f.call, background)
		for name, ctx := range map[string]context.Context{"Bypass": cacheutils.Bypass(background), "Refresh": cacheutils.Refresh(background)} {
			if n, err := f.require(ctx, 1); !errors.Is(err, cacheutils.ErrNoCachedValue) || n != 0 {
				t.Errorf("RequireCache under %s: %d, %v; want ErrNoCachedValue", name, n, err)
			}
			forced := got(t, f.force, ctx)
			if n := got(t, f.call, background); n != forced {
				t.Errorf("after ForceRecalc under %s, which returned %d: %d", name, forced, n)
			}
			if err := f.invalidate(ctx, 1); err != nil {
				t.Error(err)
			}
			if n := got(t, f.call, background); n != forced+1 {
				t.Errorf("after Invalidate under %s: %d, want %d", name, n, forced+1)
			}
		}
	})
}

// GetOrSet of both packages is steered, the other operations on keys are not.
func TestGetOrSet(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		c, err := caches.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		runs := 0
		compute := func(context.Context) (int, error) { runs++; return runs, nil }
		for name, getOrSet := range map[string]func(context.Context) (int, error){
			"cache": func(ctx context.Context) (int, error) { return cache.GetOrSet(ctx, "k", compute, cache.On(caches)) },
			"backends": func(ctx context.Context) (n int, err error) {
				err = c.GetOrSet(ctx, "low", &n, func(ctx context.Context) (any, error) { return compute(ctx) })
				return n, err
			},
		} {
			runs = 0
			var results []int
			for _, ctx := range []context.Context{cacheutils.Bypass(background), background, cacheutils.Bypass(background), cacheutils.Refresh(background), background} {
				n, err := getOrSet(ctx)
				if err != nil {
					t.Fatal(err)
				}
				results = append(results, n)
			}
			if want := []int{1, 2, 3, 4, 4}; !cmp.Equal(results, want) {
				t.Errorf("%s: %v, want %v", name, results, want)
			}
		}
		n := 0
		if err := c.Get(cacheutils.Bypass(background), "low", &n); err != nil || n != 4 {
			t.Errorf("Get under Bypass: %d, %v; want 4", n, err)
		}
		if n, err := c.Incr(cacheutils.Refresh(background), "low", 3); err != nil || n != 7 {
			t.Errorf("Incr under Refresh: %d, %v; want 7", n, err)
		}
	})
}

// A value that somebody sets while a GetOrSet under Refresh computes stays.
func TestGetOrSet_SetMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		c, err := caches.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = c.GetOrSet(cacheutils.Refresh(background), "k", &n, func(ctx context.Context) (any, error) { return 1, c.Set(ctx, "k", 2) })
		if err != nil || n != 2 {
			t.Errorf("GetOrSet: %d, %v; want what was set, 2", n, err)
		}
		if err := c.Get(background, "k", &n); err != nil || n != 2 {
			t.Errorf("Get: %d, %v; want 2", n, err)
		}
	})
}

// An error or a panic of the function reaches a caller under Bypass as it is, and one under Refresh leaves what is cached.
func TestFailures(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		broken, panics := errors.New("broken"), false
		var fails error
		call, _ := decorators.Cached1(func(context.Context, int) (int, error) {
			if panics {
				panic("it panics")
			}
			return 1, fails
		}, decorators.Key("fails"), decorators.On(caches))
		got(t, call, background)
		fails = broken
		for _, ctx := range []context.Context{cacheutils.Bypass(background), cacheutils.Refresh(background)} {
			if _, err := call(ctx, 1); err != broken {
				t.Errorf("got %v, want the function's error", err)
			}
		}
		panics = true
		for _, ctx := range []context.Context{cacheutils.Bypass(background), cacheutils.Refresh(background)} {
			func() {
				defer func() {
					v := recover()
					if p, ok := v.(*cacheutils.PanicError); ok {
						v = p.Value
					}
					if v != "it panics" {
						t.Errorf("recovered %v", v)
					}
				}()
				_, _ = call(ctx, 1)
				t.Error("the panic was lost")
			}()
		}
		if n := got(t, call, background); n != 1 {
			t.Errorf("cached after all of that: %d, want 1", n)
		}
	})
}

// A function of a backend that isn't there runs under Bypass, and nothing is said of it.
func TestBypass_WithoutBackend(t *testing.T) {
	c := new(counted)
	call, h := decorators.Cached1(c.run, decorators.Key("nowhere"), decorators.Backend("nowhere"), decorators.On(open(t, backends.Settings{Backend: "locmem"})))
	if n := got(t, call, cacheutils.Bypass(background)); n != 1 || h.Stats().Errors != 0 {
		t.Errorf("got %d with %d faults, want 1 with none", n, h.Stats().Errors)
	}
}

// A flight is a function whose runs wait until they are let go, one by one, and return their number.
type flight struct {
	started chan int
	release chan struct{}
	counted counted
}

func newFlight() *flight { return &flight{started: make(chan int, 100), release: make(chan struct{})} }

func (f *flight) run(ctx context.Context, n int) (int, error) {
	run, _ := f.counted.run(ctx, n)
	f.started <- run
	<-f.release
	return run, nil
}

// inBubble runs test with a locmem of its own, where synctest.Wait waits until all that was begun waits itself.
func inBubble(t *testing.T, test func(t *testing.T, caches *backends.Caches)) {
	synctest.Test(t, func(t *testing.T) {
		caches := open(t, backends.Settings{Backend: "locmem", Location: []string{t.Name()}})
		test(t, caches)
	})
}

// callers has calls go on at the same time, and collects what they return.
type callers struct {
	sync.WaitGroup
	mu      sync.Mutex
	results map[string][]int
}

func synctestWait() { synctest.Wait() }

func (c *callers) start(name string, call func(context.Context, int) (int, error), ctx context.Context) {
	c.Go(func() {
		n, err := call(ctx, 1)
		if err != nil {
			n = -1
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.results == nil {
			c.results = make(map[string][]int)
		}
		c.results[name] = append(c.results[name], n)
	})
	synctest.Wait()
}

// check waits for all calls.
func (c *callers) check(t *testing.T, want map[string][]int) {
	t.Helper()
	c.Wait()
	if diff := cmp.Diff(want, c.results); diff != "" {
		t.Errorf("results by caller (-want +got):\n%s", diff)
	}
}

// A call under Bypass joins none, and nobody joins it.
func TestBypass_JoinsNone(t *testing.T) {
	inBubble(t, func(t *testing.T, caches *backends.Caches) {
		f := newFlight()
		call, h := decorators.Cached1(f.run, decorators.Key("f"), decorators.On(caches))
		var c callers
		c.start("first", call, background)
		c.start("bypass", call, cacheutils.Bypass(background))
		c.start("second", call, background)
		if n := len(f.started); n != 2 {
			t.Errorf("%d runs, want one for the callers that share it and one for Bypass", n)
		}
		close(f.release)
		c.check(t, map[string][]int{"first": {1}, "bypass": {2}, "second": {1}})
		if s := h.Stats(); s.Joins != 1 {
			t.Errorf("%d joined, want 1", s.Joins)
		}
	})
}

// A call under Refresh doesn't wait for a computation that began before, of a caller without it. Its own takes the
// place of that: others join it, and what the earlier one computes is not stored over it.
func TestRefresh_JoinsNoneThatBeganBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, caches *backends.Caches) {
		f := newFlight()
		call, _ := decorators.Cached1(f.run, decorators.Key("f"), decorators.On(caches))
		var c callers
		c.start("first", call, background)
		c.start("refresh", call, cacheutils.Refresh(background))
		c.start("later", call, background)
		if n := len(f.started); n != 2 {
			t.Fatalf("%d runs, want 2", n)
		}
		close(f.release)
		c.check(t, map[string][]int{"first": {1}, "refresh": {2}, "later": {2}})
		if n := got(t, call, background); n != 2 {
			t.Errorf("cached: %d, want what the refresh has computed, 2", n)
		}
	})
}

// Many calls under Refresh run the function one at a time: those who call while it runs have one more run together.
func TestRefresh_OneAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, caches *backends.Caches) {
		f := newFlight()
		call, _ := decorators.Cached1(f.run, decorators.Key("f"), decorators.On(caches))
		many, _ := decorators.CachedMany(func(ctx context.Context, keys []int) (map[int]int, error) {
			n, err := f.run(ctx, keys[0])
			return map[int]int{keys[0]: n}, err
		}, decorators.Key("f"), decorators.On(caches))
		ofMany := func(ctx context.Context, n int) (int, error) {
			got, err := many(ctx, []int{n})
			return got[n], err
		}
		ctx := cacheutils.Refresh(background)
		var c callers
		c.start("first", call, ctx)
		for range 20 {
			c.start("meanwhile", call, ctx)
			c.start("of many", ofMany, ctx)
		}
		cancelled, cancel := context.WithCancel(ctx)
		c.start("cancelled", call, cancelled)
		cancel()
		synctest.Wait()
		if n := len(f.started); n != 1 {
			t.Errorf("%d runs at the same time, want 1", n)
		}
		f.release <- struct{}{}
		synctest.Wait()
		if n := len(f.started); n != 2 {
			t.Errorf("%d runs, want 2", n)
		}
		close(f.release)
		twenty := make([]int, 20)
		for i := range twenty {
			twenty[i] = 2
		}
		c.check(t, map[string][]int{"first": {1}, "meanwhile": twenty, "of many": twenty, "cancelled": {-1}})
	})
}

// A call under Refresh doesn't join a ForceRecalc, whose function gets what others have cached.
func TestRefresh_JoinsNoForceRecalc(t *testing.T) {
	inBubble(t, func(t *testing.T, caches *backends.Caches) {
		inner := new(counted)
		callInner, _ := decorators.Cached1(inner.run, decorators.Key("inner"), decorators.On(caches))
		f := newFlight()
		outer, h := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
			if _, err := f.run(ctx, n); err != nil {
				return 0, err
			}
			return callInner(ctx, n)
		}, decorators.Key("outer"), decorators.On(caches))
		got(t, callInner, background)
		var c callers
		c.start("force", h.ForceRecalc, background)
		c.start("refresh", outer, cacheutils.Refresh(background))
		close(f.release)
		c.Wait()
		delete(c.results, "force") // calls the inner function before or after the refresh does
		c.check(t, map[string][]int{"refresh": {2}})
	})
}

// A computation that an ordinary caller has started is joined by none under Refresh, and one that a caller under Refresh has
// started is joined by all: its callers never get more of what was cached than they would have.
func TestRefresh_OfCallersThatJoin(t *testing.T) {
	inBubble(t, func(t *testing.T, caches *backends.Caches) {
		inner := new(counted)
		callInner, _ := decorators.Cached1(inner.run, decorators.Key("inner"), decorators.On(caches))
		f := newFlight()
		outer, _ := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
			if _, err := f.run(ctx, n); err != nil {
				return 0, err
			}
			return callInner(ctx, n)
		}, decorators.Key("outer"), decorators.On(caches))
		got(t, callInner, background)
		var c callers
		c.start("ordinary", outer, background)
		c.start("refresh", outer, cacheutils.Refresh(background))
		c.start("joins", outer, background)
		close(f.release)
		c.Wait()
		delete(c.results, "ordinary") // calls the inner function before or after the refresh does
		c.check(t, map[string][]int{"refresh": {2}, "joins": {2}})
	})
}

// What is invalidated while it is refreshed is not stored.
func TestRefresh_InvalidatedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		during := func() {}
		c := new(counted)
		call, h := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
			run, err := c.run(ctx, n)
			during()
			return run, err
		}, decorators.Key("f"), decorators.On(caches), decorators.Group("g"))
		for name, invalidate := range map[string]func() error{
			"the key": func() error { return h.Invalidate(background, 1) },
			"a group": func() error { return cache.InvalidateGroup(background, "g", cache.On(caches)) },
		} {
			got(t, call, background)
			during = func() {
				if err := invalidate(); err != nil {
					t.Error(err)
				}
			}
			refreshed := got(t, call, cacheutils.Refresh(background))
			during = func() {}
			if n := got(t, call, background); n != refreshed+1 {
				t.Errorf("%s: cached %d, want the next, %d", name, n, refreshed+1)
			}
		}
	})
}

// A function that asks for its own result is told so.
func TestRefresh_Recursion(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		var call func(context.Context, int) (int, error)
		call, _ = decorators.Cached1(func(ctx context.Context, n int) (int, error) { return call(ctx, n) }, decorators.Key("f"), decorators.On(caches))
		if _, err := call(cacheutils.Refresh(background), 1); !errors.Is(err, cacheutils.ErrRecursion) {
			t.Errorf("got %v, want ErrRecursion", err)
		}
	})
}

// Of keys past their timeout none is served under Refresh or Bypass.
func TestStale(t *testing.T) {
	for name, steer := range map[string]func(context.Context) context.Context{"Bypass": cacheutils.Bypass, "Refresh": cacheutils.Refresh} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, caches *backends.Caches) {
				c := new(counted)
				call, _ := decorators.Cached1(c.run, decorators.Key("f"), decorators.On(caches), decorators.Timeout(time.Second), decorators.Stale(time.Hour))
				got(t, call, background)
				time.Sleep(time.Minute)
				if n := got(t, call, steer(background)); n != 2 {
					t.Errorf("got %d, want 2", n)
				}
			})
		})
	}
}

// A caller under Refresh has what its function has returned within its own time, whatever the store does.
func TestRefresh_StoreHangs(t *testing.T) {
	proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	caches := open(t, backends.Settings{Backend: "memcached", Location: []string{proxy.Addr()}, Options: map[string]any{"operation_timeout": 3 * time.Second}})
	hang := false
	c := new(counted)
	many := func(ctx context.Context, keys []int) (map[int]int, error) {
		if hang {
			proxy.BlackHole()
		}
		return c.runMany(ctx, keys)
	}
	callMany, _ := decorators.CachedMany(many, decorators.Key("f"), decorators.On(caches))
	call, _ := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
		answers, err := many(ctx, []int{n})
		return answers[n], err
	}, decorators.Key("f"), decorators.On(caches))
	ofMany := func(ctx context.Context, n int) (int, error) {
		answers, err := callMany(ctx, []int{n})
		return answers[n], err
	}
	want := 0
	for _, when := range []string{"before the function runs", "when it has run"} {
		for name, call := range map[string]func(context.Context, int) (int, error){"one": call, "many": ofMany} {
			t.Run(name+" "+when, func(t *testing.T) {
				proxy.Pass()
				want++
				if hang = false; got(t, call, cacheutils.Refresh(background)) != want {
					t.Fatalf("not %d when all is well", want)
				}
				if hang = when == "when it has run"; !hang {
					proxy.BlackHole()
				}
				ctx, cancel := context.WithTimeout(background, time.Second)
				defer cancel()
				want++
				if n := got(t, call, cacheutils.Refresh(ctx)); n != want {
					t.Errorf("got %d, want %d", n, want)
				}
			})
		}
	}
}

// A caller under Refresh that has no time to wait for a run that began before has one of its own.
func TestRefresh_WithLittleTime(t *testing.T) {
	caches := open(t, backends.Settings{Backend: "memcached", Location: []string{memcachedtest.Start(t).Addr()}})
	f := newFlight()
	call, _ := decorators.Cached1(f.run, decorators.Key("f"), decorators.On(caches))
	first := make(chan int)
	go func() { first <- got(t, call, cacheutils.Refresh(background)) }()
	<-f.started
	ctx, cancel := context.WithTimeout(background, 10*time.Second)
	defer cancel()
	second := make(chan int)
	go func() { second <- got(t, call, cacheutils.Refresh(ctx)) }()
	<-f.started // while the first one runs
	close(f.release)
	if a, b := <-first, <-second; a != 1 || b != 2 {
		t.Errorf("got %d and %d, want 1 and 2", a, b)
	}
	if n := got(t, call, background); n < 2 { // the first one, which was not stored, may have dropped what the second one has
		t.Errorf("cached: %d, want none older than 2", n)
	}
}
