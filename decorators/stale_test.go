package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

func TestStale(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		const callers = 20
		g := newGate()
		F, h := decorators.Cached(g.wait, decorators.Key("stale"), decorators.Group("g"),
			decorators.Timeout(20*time.Millisecond), decorators.Stale(time.Hour))
		call := func() (int, error) { return F(context.Background()) }
		if err := h.Set([]any{context.Background()}, -1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Millisecond)
		var all []<-chan answer
		for range callers {
			all = append(all, ask(call))
		}
		for _, c := range all {
			if a := within(t, "a caller", c); a.run != -1 || a.err != nil {
				t.Errorf("a caller got %+v, want the stale value", a)
			}
		}
		within(t, "the refresh", g.started)
		got(t, "RequireCache", -1)(h.RequireCache(context.Background()))
		if s := h.Stats(); s.Stale != callers || s.Misses != 0 || s.Computations != 1 {
			t.Errorf("got %d stale, %d misses and %d computations, want %d, 0 and 1", s.Stale, s.Misses, s.Computations, callers)
		}
		close(g.release)
		eventually(t, "the new value is stored", func() bool { return h.Stats().Stores == 1 })
		if n := g.runs.Load(); n != 1 {
			t.Errorf("%d computations, want 1", n)
		}
	})
}

func TestStale_FailingRefresh(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		ctx := context.Background()
		var fails atomic.Value
		fails.Store("error")
		var runs atomic.Int64
		F, h := decorators.Cached(func(context.Context) (int64, error) {
			n := runs.Add(1)
			switch fails.Load() {
			case "error":
				return 0, errors.New("broken")
			case "panic":
				panic("broken")
			}
			return n, nil
		}, decorators.Key("stale.fails"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
		if err := h.Set([]any{ctx}, int64(-1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Millisecond)
		start := time.Now()
		for range 50 {
			got(t, "the refresh fails", int64(-1))(F(ctx))
		}
		eventually(t, "the refresh", func() bool { return runs.Load() > 0 })
		for range 50 {
			got(t, "the refresh has failed", int64(-1))(F(ctx))
		}
		if n := runs.Load(); n != 1 && time.Since(start) < time.Second {
			t.Errorf("%d computations within the first second, want 1", n)
		}
		fails.Store("panic")
		eventually(t, "the next try, which panics", func() bool {
			got(t, "meanwhile", int64(-1))(F(ctx))
			return runs.Load() == 2
		})
		if d := time.Since(start); d < time.Second-2*time.Millisecond {
			t.Errorf("the second try was after %v, want a second", d)
		}
		start = time.Now()
		n := runs.Load()
		for range 50 {
			got(t, "after the panic", int64(-1))(F(ctx))
		}
		if runs.Load() != n && time.Since(start) < time.Second {
			t.Error("no back-off after a panic")
		}
		fails.Store("")
		if err := h.Invalidate(ctx); err != nil { // which ends the waiting, too
			t.Fatal(err)
		}
		got(t, "after an invalidation", runs.Load()+1)(F(ctx))
	})
}

// A refresh goes on when the caller that started it has left.
func TestStale_ContextEnds(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached(g.wait, decorators.Key("stale.context"), decorators.Timeout(time.Minute), decorators.Stale(time.Hour))
		H, brief := decorators.Cached(g.wait, decorators.Key("stale.context"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
		if err := brief.Set([]any{context.Background()}, -1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		if a := within(t, "the first caller", ask(func() (int, error) { return F(ctx) })); a.run != -1 || a.err != nil {
			t.Errorf("the first caller got %+v, want the stale value", a)
		}
		within(t, "the refresh", g.started)
		cancel()
		close(g.release)
		eventually(t, "the new value is stored", func() bool { return h.Stats().Stores == 1 })
		for _, call := range []func(context.Context) (int, error){F, H} {
			got(t, "the next caller", 1)(call(context.Background()))
		}
		if n := g.runs.Load(); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
	})
}

// A refresh whose result is not stored removes the stale one: the function has answered.
func TestStale_NilAndUnless(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		ctx := context.Background()
		for name, test := range map[string]struct {
			options []decorators.Option
			stored  bool
		}{
			"nil":      {nil, false},
			"CacheNil": {[]decorators.Option{decorators.CacheNil()}, true},
			"Unless":   {[]decorators.Option{decorators.CacheNil(), decorators.Unless(func(l []int) bool { return l == nil })}, false},
		} {
			var runs atomic.Int64
			options := append(test.options, decorators.Key("stale."+name), decorators.Stale(time.Hour), decorators.Timeout(40*time.Millisecond))
			F, h := decorators.Cached(func(context.Context) ([]int, error) { runs.Add(1); return nil, nil }, options...)
			if err := h.Set([]any{ctx}, []int{1}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the value is stale, and its refresh has ended", func() bool {
				if runs.Load() > 0 {
					list, err := h.RequireCache(ctx)
					return err != nil || list == nil
				}
				if _, err := F(ctx); err != nil {
					t.Fatal(err)
				}
				return false
			})
			_, err := h.RequireCache(ctx)
			if stored := err == nil; stored != test.stored || !stored && !errors.Is(err, cacheutils.ErrNoCachedValue) {
				t.Errorf("%s: RequireCache: got %v, want stored: %v", name, err, test.stored)
			}
			if n := runs.Load(); n != 1 {
				t.Errorf("%s: %d runs, want 1", name, n)
			}
		}
	})
}

// The backend says how long results are served past their timeout, unless the function does.
func TestStale_OfTheBackend(t *testing.T) {
	server := memcachedtest.Start(t)
	use := func(s backends.Settings) backends.Settings {
		s.Location = []string{server.Addr()}
		return s
	}
	cachetest.Configure(t, backends.Config{
		"group": use(backends.Settings{Backend: "group", KeyPrefix: "a"}),
		"off":   use(backends.Settings{Backend: "group", KeyPrefix: "b", Options: map[string]any{"stale": 0}}),
		"plain": use(backends.Settings{Backend: "memcached", KeyPrefix: "c"}),
		"on":    use(backends.Settings{Backend: "memcached", KeyPrefix: "d", Options: map[string]any{"stale": "1h"}}),
	})
	ctx := context.Background()
	broken := errors.New("broken")
	var checks []func()
	for _, test := range []struct {
		backend string
		options []decorators.Option
		serves  bool
	}{
		{"group", nil, true},
		{"group", []decorators.Option{decorators.Stale(0)}, false},
		{"group", []decorators.Option{decorators.Stale(-1)}, false},
		{"off", nil, false},
		{"plain", nil, false},
		{"plain", []decorators.Option{decorators.Stale(time.Hour)}, true},
		{"on", nil, true},
		{"on", []decorators.Option{decorators.Stale(0)}, false},
	} {
		// A function that fails shows it: callers get the stale value, or the error.
		name := fmt.Sprintf("case-%d-on-%s", len(checks), test.backend)
		F, h := decorators.Cached(func(context.Context) (int, error) { return 0, broken },
			append(test.options, decorators.Key("stale."+name), decorators.Backend(test.backend), decorators.Timeout(time.Second))...)
		if err := h.Set([]any{ctx}, 1); err != nil {
			t.Fatal(err)
		}
		checks = append(checks, func() {
			eventually(t, name+": the function runs", func() bool {
				_, err := F(ctx)
				return h.Stats().Computations > 0 || err != nil
			})
			if _, err := F(ctx); (err == nil) != test.serves || err != nil && !errors.Is(err, broken) {
				t.Errorf("%s: got error %v, want the stale value: %v", name, err, test.serves)
			}
		})
	}
	for _, check := range checks {
		check()
	}
}

// No caller waits for a refresh, or for its lease, whatever the store does.
func TestStale_NobodyWaits(t *testing.T) {
	var held atomic.Bool
	s := watched(t, "", watch{before: func(ctx context.Context, operation, _ string) error {
		if held.Load() && operation == "cas" {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}, map[string]any{"operation_timeout": "10s"})
	cachetest.Configure(t, backends.Config{"default": s})
	F, h := decorators.Cached1(func(context.Context, int) (int, error) { return 2, nil },
		decorators.Key("nobody.waits"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
	Many, many := decorators.CachedMany(func(_ context.Context, ids []int) (map[int]int, error) {
		found := map[int]int{}
		for _, id := range ids {
			found[id] = 2
		}
		return found, nil
	}, decorators.Key("nobody.waits"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
	bg := context.Background()
	if err := many.Set(bg, map[int]int{1: 1, 2: 1, 3: 1}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Millisecond)
	held.Store(true)
	start := time.Now()
	got(t, "a call", 1)(F(bg, 1))
	if found, err := Many(bg, []int{1, 2, 3}); err != nil || found[1] != 1 || found[3] != 1 {
		t.Errorf("CachedMany: got %v, %v", found, err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("they waited for the lease: %v", d)
	}
	if n := h.Stats().Computations; n != 0 {
		t.Errorf("%d computations without the lease", n)
	}
}

// The keys that are stale in one call are recomputed by one call of the function.
func TestStale_ManyTogether(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		rows := newTable(1, 2, 3, 4)
		Load, h := decorators.CachedMany(rows.load, decorators.Key("stale.many"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
		bg := context.Background()
		if err := h.Set(bg, map[int64]string{1: "old", 2: "old", 3: "old"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Millisecond)
		found, err := Load(bg, []int64{1, 2, 3})
		if err != nil || found[1] != "old" || found[3] != "old" {
			t.Fatalf("got %v, %v", found, err)
		}
		eventually(t, "they are stored", func() bool { return h.Stats().Stores == 3 })
		wantAsked(t, "three that were stale", rows, []int64{1, 2, 3})
	})
}

// A hit, a value past its timeout and a key that is missing, in one call: it waits for the last one's computation only.
func TestStale_AlongWithMissing(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		release := make(chan struct{})
		refreshed := make(chan struct{}, 10)
		F, h := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]int, error) {
			found := map[int]int{}
			for _, id := range ids {
				if id == 1 {
					refreshed <- struct{}{}
					<-release
				}
				found[id] = 2
			}
			return found, nil
		}, decorators.Key("stale.missing"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
		if err := h.Set(context.Background(), map[int]int{1: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Millisecond)
		a := ask(func() (int, error) {
			found, err := F(context.Background(), []int{1, 2})
			return 10*found[1] + found[2], err
		})
		want(t, "a call", 12, a)
		within(t, "the refresh", refreshed)
		close(release)
		eventually(t, "it is stored", func() bool { return h.Stats().Stores == 2 })
	})
}
