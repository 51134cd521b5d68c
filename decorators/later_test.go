package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
)

// counting returns a decorated function that returns how often it has run.
func counting(opts ...decorators.Option) (func(context.Context, string) (int, error), *decorators.Handle1[string, int]) {
	var runs atomic.Int64
	return decorators.Cached1(func(context.Context, string) (int, error) { return int(runs.Add(1)), nil },
		append(opts, decorators.Key("later."+fmt.Sprint(laters.Add(1))))...)
}

var laters atomic.Int64

// Without the option a call returns when its result is stored.
func TestStoreLater_Off(t *testing.T) {
	s := onSlowStore(t, false)
	F, _ := counting()
	let := s.hold()
	c := ask(func() (int, error) { return F(context.Background(), "a") })
	still(t, "a call", s, 1, c)
	let()
	want(t, "the call", 1, c)
}

// With it, it returns before that. Callers in this process wait meanwhile for the same result.
func TestStoreLater(t *testing.T) {
	contexts := map[string]func() (context.Context, context.CancelFunc){
		"background": func() (context.Context, context.CancelFunc) { return context.Background(), func() {} },
		"cancelled after the call": func() (context.Context, context.CancelFunc) {
			return context.WithCancel(context.Background())
		},
	}
	for name, newContext := range contexts {
		t.Run(name, func(t *testing.T) {
			s := onSlowStore(t, true)
			F, h := counting(decorators.Group("later"))
			ctx, cancel := newContext()
			let := s.hold()
			want(t, "a call", 1, ask(func() (int, error) { return F(ctx, "a") }))
			cancel()
			second := ask(func() (int, error) { return F(context.Background(), "a") })
			required := ask(func() (int, error) { return h.RequireCache(context.Background(), "a") })
			still(t, "the next call", s, 1, second)
			still(t, "RequireCache", s, 1, required)
			let()
			want(t, "the next call", 1, second)
			want(t, "RequireCache", 1, required)
			want(t, "a later call", 1, ask(func() (int, error) { return F(context.Background(), "a") }))
			if stats := h.Stats(); stats.Computations != 1 || stats.Stores != 1 || stats.Errors != 0 {
				t.Errorf("%+v, want one computation and one store", stats)
			}
		})
	}
}

// All callers that had joined before the function ran get its result before it is stored.
func TestStoreLater_Joined(t *testing.T) {
	s := onSlowStore(t, true)
	var fails atomic.Bool
	F, h := decorators.Cached1(func(context.Context, string) (int, error) {
		if fails.Load() {
			return 0, errors.New("no result")
		}
		return 1, nil
	}, decorators.Key("later.joined"))
	call := func() (int, error) { return F(context.Background(), "a") }
	fails.Store(true)
	within(t, "a call that fails", ask(call)) // the next one takes the lease by compare-and-swap
	fails.Store(false)

	take := s.hold()
	var all []<-chan answer
	for range 5 {
		all = append(all, ask(call))
	}
	eventually(t, "all have joined", func() bool { return h.Stats().Joins == 4 && s.waiting.Load() == 1 })
	store := s.hold()
	take()
	for _, c := range all {
		want(t, "a caller", 1, c)
	}
	eventually(t, "the store", func() bool { return s.waiting.Load() == 1 })
	store()
	want(t, "a later call", 1, ask(call))
	eventually(t, "the store", func() bool { return h.Stats().Stores == 1 })
	if n := h.Stats().Computations; n != 2 {
		t.Errorf("%d computations, want one after the one that failed", n)
	}
}

// An invalidation while a result is being stored keeps it from all later callers.
func TestLaw2_InvalidatedWhileStoring(t *testing.T) {
	for name, invalidate := range map[string]func(h *decorators.Handle1[string, int]) error{
		"the key": func(h *decorators.Handle1[string, int]) error { return h.Invalidate(context.Background(), "a") },
		"its group": func(h *decorators.Handle1[string, int]) error {
			c, err := backends.Get("default")
			if err != nil {
				return err
			}
			return c.InvalidateGroup(context.Background(), "later")
		},
		"it is set": func(h *decorators.Handle1[string, int]) error { return h.Set(context.Background(), "a", 2) },
	} {
		t.Run(name, func(t *testing.T) {
			s := onSlowStore(t, true)
			F, h := counting(decorators.Group("later"))
			let := s.hold()
			want(t, "a call", 1, ask(func() (int, error) { return F(context.Background(), "a") }))
			eventually(t, "the store", func() bool { return s.waiting.Load() == 1 })
			if err := invalidate(h); err != nil {
				t.Fatal(err)
			}
			second := ask(func() (int, error) { return F(context.Background(), "a") })
			let()
			want(t, "the next call", 2, second)
			want(t, "a later call", 2, ask(func() (int, error) { return F(context.Background(), "a") }))
		})
	}
}

// Two kinds of results are stored before the call returns: that of ForceRecalc, and one that replaces a stale
// result which others are still served.
func TestStoreLater_NotForThese(t *testing.T) {
	s := onSlowStore(t, true)
	F, h := counting(decorators.Stale(time.Hour), decorators.Timeout(50*time.Millisecond))
	call := func() (int, error) { return F(context.Background(), "a") }
	let := s.hold()
	forced := ask(func() (int, error) { return h.ForceRecalc(context.Background(), "a") })
	still(t, "ForceRecalc", s, 1, forced)
	let()
	want(t, "ForceRecalc", 1, forced)

	time.Sleep(60 * time.Millisecond) // it is stale
	take := s.hold()
	want(t, "the call that starts the refresh", 1, ask(call))
	eventually(t, "the refresh", func() bool { return s.waiting.Load() == 1 })
	store := s.hold()
	take()
	eventually(t, "it has computed", func() bool { return h.Stats().Computations == 2 })
	want(t, "another call", 1, ask(call))
	store()
	eventually(t, "it is stored", func() bool { return h.Stats().Stores == 2 })
	want(t, "a call after that", 2, ask(call))
}

// A caller that can't have the result waits until it is stored, and joins no more than once.
func TestStoreLater_NotForAll(t *testing.T) {
	s := onSlowStore(t, true)
	var fails atomic.Bool
	var runs atomic.Int64
	F, h := decorators.Cached1(func(context.Context, string) (int, error) {
		if fails.Load() {
			return 0, errors.New("no result")
		}
		return int(runs.Add(1)), nil
	}, decorators.Key("later.notforall"), decorators.Group("later"))
	call := func() (int, error) { return F(context.Background(), "a") }
	fails.Store(true)
	within(t, "a call that fails", ask(call))
	fails.Store(false)

	take := s.hold()
	first := ask(call)
	eventually(t, "the lease", func() bool { return s.waiting.Load() == 1 })
	c, err := backends.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.InvalidateGroup(context.Background(), "later"); err != nil {
		t.Fatal(err)
	}
	second := ask(call)
	eventually(t, "it has joined", func() bool { return h.Stats().Joins == 1 })
	store := s.hold()
	take()
	want(t, "the first caller", 1, first)
	still(t, "a caller from after the invalidation", s, 1, second)
	if n := h.Stats().Joins; n > 1 {
		t.Errorf("it has joined %d times", n)
	}
	store()
	want(t, "a caller from after the invalidation", 2, second)
}

// Law 6: a caller may change what it got while it is being stored.
func TestLaw6_ChangedWhileStoring(t *testing.T) {
	s := onSlowStore(t, true)
	F, _ := decorators.Cached1(func(ctx context.Context, n int) ([]string, error) { return []string{"mine"}, nil },
		decorators.Key("later.law6"))
	let := s.hold()
	got, err := F(context.Background(), 1)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	second := ask(func() (int, error) {
		got, err := F(context.Background(), 1)
		return len(got[0]), err
	})
	got[0] = "changed by a caller"
	let()
	want(t, "the next caller", len("mine"), second)
	again, err := F(context.Background(), 1)
	if err != nil || len(again) != 1 || again[0] != "mine" {
		t.Errorf("stored is %q, %v", again, err)
	}
}

// A store that fails is counted, and the next call computes.
func TestLaw1_StoreLaterFails(t *testing.T) {
	s := onSlowStore(t, true)
	F, h := counting()
	s.fail(errors.New("no room"))
	want(t, "a call", 1, ask(func() (int, error) { return F(context.Background(), "a") }))
	eventually(t, "the fault", func() bool { return h.Stats().Errors > 0 })
	s.fail(nil)
	eventually(t, "a hit", func() bool {
		F(context.Background(), "a")
		return h.Stats().Hits > 0
	})
	// It is found before it is counted.
	eventually(t, "the store", func() bool { return h.Stats().Stores == 1 })
}

// There is a bound on results that wait to be stored.
func TestStoreLater_Bound(t *testing.T) {
	const bound = 256
	s := onSlowStore(t, true)
	F, _ := counting()
	let := s.hold()
	for i := range bound {
		if _, err := F(context.Background(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	c := ask(func() (int, error) { return F(context.Background(), "one more") })
	still(t, "a call beyond the bound", s, bound+1, c)
	let()
	want(t, "it", bound+1, c)
}

// Close waits for what is being stored, and leaves no goroutine.
func TestStoreLater_Close(t *testing.T) {
	s := onSlowStore(t, true)
	F, h := counting()
	let := s.hold()
	want(t, "a call", 1, ask(func() (int, error) { return F(context.Background(), "a") }))
	c, err := backends.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	closed := ask(func() (int, error) { return 0, c.Close() })
	still(t, "Close", s, 1, closed)
	stores := func() bool {
		stacks := make([]byte, 1<<20)
		return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "backends.(*Cache).")
	}
	if !stores() {
		t.Error("no goroutine stores the result: not a test")
	}
	let()
	want(t, "Close", 0, closed)
	if stats := h.Stats(); stats.Stores != 1 {
		t.Errorf("%+v, want one store", stats)
	}
	eventually(t, "no goroutine is left", func() bool { return !stores() })
	if err := c.Set(context.Background(), "k", 1); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("Set after Close: got %v, want ErrClosed", err)
	}
	want(t, "a call after Close, which bypasses the cache", 2, ask(func() (int, error) { return F(context.Background(), "a") }))
}

// A goroutine that a computation left behind may call for its result while that is being stored.
func TestStoreLater_LeftBehind(t *testing.T) {
	s := onSlowStore(t, true)
	left := make(chan answer, 1)
	returned := make(chan struct{})
	var F func(context.Context, int) (int, error)
	F, _ = decorators.Cached1(func(ctx context.Context, n int) (int, error) {
		go func() {
			<-returned
			run, err := F(ctx, n)
			left <- answer{run, err}
		}()
		return 7, nil
	}, decorators.Key("later.left"))
	let := s.hold()
	want(t, "a call", 7, ask(func() (int, error) { return F(context.Background(), 1) }))
	close(returned)
	still(t, "the goroutine", s, 1, left)
	let()
	if a := within(t, "the goroutine", left); errors.Is(a.err, cacheutils.ErrRecursion) || a.run != 7 {
		t.Errorf("got %v", a)
	}
}

func TestStoreLater_Many(t *testing.T) {
	s := onSlowStore(t, true)
	var asked atomic.Int64
	F, h := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]int, error) {
		asked.Add(1)
		found := map[int]int{}
		for _, id := range ids {
			if id != 3 {
				found[id] = 10 * id
			}
		}
		return found, nil
	}, decorators.Key("later.many"), decorators.Absent(time.Hour))
	sum := func(f func(context.Context, []int) (map[int]int, error)) func() (int, error) {
		return func() (int, error) {
			found, err := f(context.Background(), []int{1, 2, 3})
			return found[1] + found[2] + 1000*len(found), err
		}
	}
	let := s.hold()
	want(t, "a call", 2030, ask(sum(F)))
	second, required := ask(sum(F)), ask(sum(h.RequireCache))
	still(t, "the next call", s, 3, second)
	still(t, "RequireCache", s, 3, required)
	let()
	want(t, "the next call", 2030, second)
	want(t, "RequireCache", 2030, required)
	want(t, "a later call", 2030, ask(sum(F)))
	if asked.Load() != 1 {
		t.Errorf("the function ran %d times", asked.Load())
	}
}
