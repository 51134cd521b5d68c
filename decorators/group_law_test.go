package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

func TestLaw2_GroupInvalidatedDuringComputation(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		for _, who := range []string{"default", "another"} {
			g := newGate()
			F, h := decorators.Cached(g.wait, decorators.Key("law2.group."+who), decorators.Group("g", "h"))
			call := func() (int, error) { return F(context.Background()) }
			first := ask(call)
			within(t, "the run", g.started)
			joined := ask(call)
			eventually(t, "one has joined", func() bool { return h.Stats().Joins == 1 })
			invalidateGroup(t, who, "g")
			late := []<-chan answer{ask(call), ask(call)}
			eventually(t, "all have joined", func() bool { return h.Stats().Joins >= 3 })
			close(g.release)
			if a := within(t, "the first caller", first); a.run != 1 || a.err != nil {
				t.Errorf("%s: the caller from before got %+v, want run 1", who, a)
			}
			if a := within(t, "the joined caller", joined); a.err != nil {
				t.Errorf("%s: the caller that joined before got %+v", who, a)
			}
			for _, c := range late {
				if a := within(t, "a late caller", c); a.run < 2 || a.err != nil {
					t.Errorf("%s: a caller from after the invalidation got %+v, want a later run", who, a)
				}
			}
			if a := within(t, "a caller at the end", ask(call)); a.run != int(g.runs.Load()) || a.run < 2 {
				t.Errorf("%s: at the end there is %+v, of %d runs", who, a, g.runs.Load())
			}
			if s := h.Stats(); s.Refusals != 1 {
				t.Errorf("%s: %d refusals, want 1", who, s.Refusals)
			}
		}
	})
}

func TestLaw2_GroupInvalidatedDuringForceRecalc(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		for _, who := range []string{"default", "another"} {
			g := newGate()
			F, h := decorators.Cached(g.wait, decorators.Key("law2.force."+who), decorators.Group("g"))
			if err := h.Set([]any{context.Background()}, -1); err != nil {
				t.Fatal(err)
			}
			forced := ask(func() (int, error) { return h.ForceRecalc(context.Background()) })
			within(t, "the run", g.started)
			// What is there stays while it is recomputed.
			if a := within(t, "a caller meanwhile", ask(func() (int, error) { return F(context.Background()) })); a.run != -1 {
				t.Errorf("%s: a caller meanwhile got %+v", who, a)
			}
			invalidateGroup(t, who, "g")
			close(g.release)
			if a := within(t, "ForceRecalc", forced); a.run != 1 || a.err != nil {
				t.Errorf("%s: ForceRecalc returned %+v", who, a)
			}
			if a := within(t, "a caller after", ask(func() (int, error) { return F(context.Background()) })); a.run != 2 {
				t.Errorf("%s: after the invalidation a caller got %+v, want run 2", who, a)
			}
		}
	})
}

func TestLaw2_GroupInvalidatedDuringRefresh(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		for _, who := range []string{"default", "another"} {
			g := newGate()
			F, h := decorators.Cached(g.wait, decorators.Key("law2.refresh."+who), decorators.Group("g"),
				decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
			call := func() (int, error) { return F(context.Background()) }
			if err := h.Set([]any{context.Background()}, -1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Millisecond)
			for range 2 { // the first of them starts the refresh
				if a := within(t, "a caller", ask(call)); a.run != -1 {
					t.Errorf("%s: a caller got %+v, want the stale value", who, a)
				}
			}
			within(t, "the refresh", g.started)
			invalidateGroup(t, who, "g")
			after := ask(call)
			eventually(t, "the caller from after has joined", func() bool { return h.Stats().Joins == 1 })
			close(g.release)
			if a := within(t, "the caller from after", after); a.run != 2 || a.err != nil {
				t.Errorf("%s: a caller from after the invalidation got %+v, want run 2", who, a)
			}
		}
	})
}

func TestLaw2_GroupInvalidatedByAProcess(t *testing.T) {
	server := cachetest.Memcached(t)
	g := newGate()
	F, _ := decorators.Cached(g.wait, decorators.Key("law2.process"), decorators.Group("g"))
	call := func() (int, error) { return F(context.Background()) }
	first := ask(call)
	within(t, "the run", g.started)
	if got := runProcess(t, server.Addr(), "group"); got != "<nil>" {
		t.Fatalf("InvalidateGroup in another process: %s", got)
	}
	late := ask(call)
	close(g.release)
	if a := within(t, "the first caller", first); a.run != 1 || a.err != nil {
		t.Errorf("the caller from before got %+v", a)
	}
	if a := within(t, "the late caller", late); a.run != 2 || a.err != nil {
		t.Errorf("the caller from after got %+v, want run 2", a)
	}
	if got := runProcess(t, server.Addr(), "group"); got != "<nil>" {
		t.Fatalf("InvalidateGroup in another process: %s", got)
	}
	got(t, "after another invalidation", 3)(call())
}

// A caller that joins a computation of the same key for other groups can't get its result: an invalidation of
// the caller's groups doesn't show there.
func TestLaw2_GroupsOfAnother(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		g := newGate()
		One, _ := decorators.Cached(g.wait, decorators.Key("law2.two"), decorators.Group("one"))
		Two, two := decorators.Cached(g.wait, decorators.Key("law2.two"), decorators.Group("two"))
		first := ask(func() (int, error) { return One(context.Background()) })
		within(t, "the run", g.started)
		invalidateGroup(t, "another", "two")
		late := ask(func() (int, error) { return Two(context.Background()) })
		eventually(t, "it has joined", func() bool { return two.Stats().Joins == 1 })
		close(g.release)
		within(t, "the first caller", first)
		if a := within(t, "the late caller", late); a.run != 2 || a.err != nil {
			t.Errorf("the caller with another group got %+v, want run 2", a)
		}
	})
}

// Where nothing is stored, too, a caller from after an invalidation doesn't join a computation
// from before.
func TestLaw2_GroupOnDummy(t *testing.T) {
	cachetest.Configure(t, backends.Config{"default": {Backend: "dummy"}})
	g := newGate()
	F, h := decorators.Cached(g.wait, decorators.Key("law2.dummy"), decorators.Group("g"))
	call := func() (int, error) { return F(context.Background()) }
	first := ask(call)
	within(t, "the run", g.started)
	invalidateGroup(t, "default", "g")
	late := ask(call)
	eventually(t, "it has joined", func() bool { return h.Stats().Joins == 1 })
	close(g.release)
	within(t, "the first caller", first)
	if a := within(t, "the late caller", late); a.run != 2 {
		t.Errorf("the caller from after got %+v, want run 2", a)
	}
}

// A computation that began while the server was away is only for those that had called before: other callers
// may know of an invalidation that found the server there again. One next computation is for all of them.
func TestLaw2_ServerBackDuringComputation(t *testing.T) {
	server := cachetest.Memcached(t)
	server.Stop()
	g := newGate()
	F, h := decorators.Cached(g.wait, decorators.Key("law2.back"), decorators.Group("g"))
	call := func() (int, error) { return F(context.Background()) }
	first := ask(call)
	within(t, "the run", g.started)
	blind := ask(call)
	eventually(t, "one has joined", func() bool { return h.Stats().Joins == 1 })
	server.Restart()
	eventually(t, "an invalidation by another process", func() bool { return runProcess(t, server.Addr(), "group") == "<nil>" })
	eventually(t, "the server is seen again", func() bool {
		_, err := cache.Get[int](context.Background(), "nothing")
		return errors.Is(err, cacheutils.ErrCacheMiss)
	})
	late := ask(call)
	eventually(t, "another has joined", func() bool { return h.Stats().Joins == 2 })
	close(g.release)
	if a := within(t, "the first caller", first); a.run != 1 {
		t.Errorf("the first caller got %+v, want run 1", a)
	}
	for _, c := range []<-chan answer{blind, late} {
		if a := within(t, "a caller from after it began", c); a.run != 2 {
			t.Errorf("a caller from after it began got %+v, want run 2", a)
		}
	}
}

// While a group is invalidated all the time, nothing is stored for long, and every call returns
// what is as new as its start.
func TestLaw2_ConstantInvalidation(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		var now atomic.Int64
		F, h := decorators.Cached(func(context.Context, int) (int64, error) {
			n := now.Load()
			time.Sleep(time.Millisecond)
			return n, nil
		}, decorators.Key("starve"), decorators.Group("g"))
		done := make(chan struct{})
		var wg sync.WaitGroup
		var known atomic.Int64 // what is invalidated up to
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				n := now.Add(1)
				if err := cache.InvalidateGroup(context.Background(), "g", cache.Backend("another")); err != nil {
					t.Error(err)
					return
				}
				known.Store(n)
			}
		})
		eventually(t, "an invalidation", func() bool { return known.Load() > 0 })
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				for range 30 {
					least := known.Load()
					got, err := F(context.Background(), i%2)
					if err != nil || got < least {
						t.Errorf("a call that started after invalidation %d got %d, %v", least, got, err)
					}
				}
			})
		}
		callers.Wait()
		close(done)
		wg.Wait()
		if s := h.Stats(); s.Refusals == 0 {
			t.Errorf("no store was refused: %+v", s)
		}
	})
}

func TestLaw1_InvalidateGroupWithoutItsServer(t *testing.T) {
	one, two := memcachedtest.Start(t), memcachedtest.Start(t)
	cachetest.Configure(t, backends.Config{"default": {Backend: "group", Location: []string{one.Addr(), two.Addr()}}})
	ctx := context.Background()
	F, h := decorators.Cached(numbering(), decorators.Key("law1.group"), decorators.Group("g"))
	got(t, "up", "a1")(F(ctx, "a"))
	one.Stop()
	two.Stop()
	if err := cache.InvalidateGroup(ctx, "g"); err == nil || !strings.Contains(err.Error(), `"g"`) {
		t.Errorf("InvalidateGroup without the server: got %v, want an error that names the group", err)
	}
	if err := h.Invalidate(ctx, "a"); err == nil {
		t.Error("Invalidate without the server reports success")
	}
	got(t, "down", "a2")(F(ctx, "a"))

	// One server of two is up: a call that needs the other returns an error, whatever was done on the first.
	two.Restart()
	eventually(t, "the server is seen again", func() bool {
		failed := 0
		for i := range 20 {
			if cache.InvalidateGroup(ctx, fmt.Sprint("g", i)) != nil {
				failed++
			}
		}
		return failed > 0 && failed < 20
	})
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprint("g", i))
	}
	if err := cache.InvalidateGroups(ctx, all); err == nil || !strings.Contains(err.Error(), one.Addr()) {
		t.Errorf("InvalidateGroups with one server of two: got %v, want an error that names it", err)
	}
}
