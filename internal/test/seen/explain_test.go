// Package seen has the tests of what shows what the cache does: Explain, All, WithReport, Info.
package seen

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	memcachedengine "github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachetest"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// sets returns what makes sets of backends for one store, of each engine.
func sets(t *testing.T) map[string]func(*testing.T) *backends.Caches {
	t.Helper()
	server := memcachedtest.Start(t)
	return map[string]func(*testing.T) *backends.Caches{
		"locmem": func(t *testing.T) *backends.Caches {
			return newSet(t, backends.Settings{Backend: "locmem", Location: []string{t.Name()}})
		},
		"memcached": func(t *testing.T) *backends.Caches { return newSet(t, memcached(server)) },
	}
}

func memcached(server *memcachedtest.Server) backends.Settings {
	return backends.Settings{Backend: "memcached", Location: []string{server.Addr()}}
}

func newSet(t *testing.T, s backends.Settings) *backends.Caches {
	t.Helper()
	set, err := backends.New(backends.Config{"default": s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Explain says which state a call would find, on every engine, and calls nothing.
func TestExplain_States(t *testing.T) {
	ctx := context.Background()
	for name, newSet := range sets(t) {
		t.Run(name, func(t *testing.T) {
			set := newSet(t)
			explain := must[decorators.Explanation](t)
			runs := 0
			load, handle := decorators.Cached1(func(_ context.Context, id int) (string, error) {
				runs++
				return fmt.Sprint("row ", id), nil
			}, decorators.Key(t.Name()), decorators.On(set), decorators.Group("a", "b"), decorators.Timeout(time.Hour), decorators.Stale(time.Hour))

			before := explain(handle.Explain(ctx, 1))
			if want := (decorators.Explanation{Key: must[string](t)(handle.CacheKey(1))}); !cmp.Equal(before, want) {
				t.Errorf("of nothing: %s", cmp.Diff(want, before))
			}
			begin := time.Now()
			must[string](t)(load(ctx, 1))
			fresh := explain(handle.Explain(ctx, 1))
			passed := time.Since(begin) + time.Millisecond // times are stored in milliseconds
			if fresh.State != decorators.Fresh || fresh.Age > passed || fresh.Left > time.Hour || fresh.Left < time.Hour-passed ||
				fresh.Kept > 2*time.Hour || fresh.Kept < 2*time.Hour-passed || fresh.Size < len("row 1") || fresh.Computing != decorators.Nobody {
				t.Errorf("after a call: got %v", fresh)
			}
			if want := []decorators.GroupState{{Name: "a", Holds: true}, {Name: "b", Holds: true}}; !cmp.Equal(fresh.Groups, want) {
				t.Errorf("after a call: groups: %s", cmp.Diff(want, fresh.Groups))
			}
			if err := cache.InvalidateGroup(ctx, "b", cache.On(set)); err != nil {
				t.Fatal(err)
			}
			outdated := explain(handle.Explain(ctx, 1))
			if want := []decorators.GroupState{{Name: "a", Holds: true}, {Name: "b"}}; outdated.State != decorators.Outdated || !cmp.Equal(outdated.Groups, want) {
				t.Errorf("after b was invalidated: got %v, %s", outdated, cmp.Diff(want, outdated.Groups))
			}
			if text := outdated.String(); !strings.Contains(text, ": outdated, ") || !strings.HasSuffix(text, "in a, b (invalidated)") {
				t.Errorf("its text is %q", text)
			}
			must[string](t)(load(ctx, 1))
			if err := handle.Invalidate(ctx, 1); err != nil {
				t.Fatal(err)
			}
			if got := explain(handle.Explain(ctx, 1)); got.State != decorators.Nothing {
				t.Errorf("after Invalidate: got %v", got)
			}
			if stats := handle.Stats(); runs != 2 || stats.Hits != 0 || stats.Misses != 2 || stats.Errors != 0 {
				t.Errorf("%d runs, %+v: Explain counts", runs, stats)
			}
		})
	}
}

// Results past their timeout are that until they are not kept any more; an absent one is one, too.
func TestExplain_Time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		set := cachetest.New(t)
		explain := must[decorators.Explanation](t)
		_, handle := decorators.Cached0(func(context.Context) (int, error) { return 1, nil },
			decorators.Key("f"), decorators.On(set), decorators.Timeout(time.Minute), decorators.Stale(time.Hour))
		many, manyHandle := decorators.CachedMany(func(context.Context, []int) (map[int]string, error) { return map[int]string{1: "one"}, nil },
			decorators.Key("many"), decorators.On(set), decorators.Absent(time.Minute))
		forever, foreverHandle := decorators.Cached(func(n int) int { return n },
			decorators.Key("forever"), decorators.On(set), decorators.Timeout(cacheutils.Forever))
		must[int](t)(handle.ForceRecalc(ctx))
		must[map[int]string](t)(many(ctx, []int{1, 2}))
		forever(1)
		time.Sleep(10 * time.Second)

		ignored := cmpopts.IgnoreFields(decorators.Explanation{}, "Key", "Size")
		check := func(when string, got, want decorators.Explanation) {
			t.Helper()
			if diff := cmp.Diff(want, got, ignored); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
		}
		check("after ten seconds", explain(handle.Explain(ctx)),
			decorators.Explanation{State: decorators.Fresh, Age: 10 * time.Second, Left: 50 * time.Second, Kept: time.Hour + 50*time.Second})
		check("one of many", explain(manyHandle.Explain(ctx, 1)),
			decorators.Explanation{State: decorators.Fresh, Age: 10 * time.Second, Left: 290 * time.Second, Kept: 290 * time.Second})
		check("one that is absent", explain(manyHandle.Explain(ctx, 2)),
			decorators.Explanation{State: decorators.NoResult, Age: 10 * time.Second, Left: 50 * time.Second, Kept: 50 * time.Second})
		check("forever", explain(foreverHandle.Explain(1)),
			decorators.Explanation{State: decorators.Fresh, Left: cacheutils.Forever, Kept: cacheutils.Forever})
		time.Sleep(time.Minute)
		stale := explain(handle.Explain(ctx))
		check("past the timeout", stale,
			decorators.Explanation{State: decorators.PastTimeout, Age: 70 * time.Second, Kept: time.Hour - 10*time.Second})
		if want := fmt.Sprintf("[cached]f(): past its timeout, 1m10s old, kept for 59m50s, %d bytes", stale.Size); stale.String() != want {
			t.Errorf("its text is %q, want %q", stale, want)
		}
		check("absent no more", explain(manyHandle.Explain(ctx, 2)), decorators.Explanation{})
		time.Sleep(time.Hour)
		check("past all times", explain(handle.Explain(ctx)), decorators.Explanation{})
	})
}

// What is under way is computed by this process or, where another one has the lease, by that.
func TestExplain_Computing(t *testing.T) {
	ctx := context.Background()
	server := memcachedtest.Start(t)
	for _, c := range []struct {
		name       string
		own, other *backends.Caches
		another    decorators.Computer
	}{
		{"locmem", cachetest.New(t), nil, 0},
		{"memcached", newSet(t, memcached(server)), newSet(t, memcached(server)), decorators.Another},
	} {
		t.Run(c.name, func(t *testing.T) {
			explain := must[decorators.Explanation](t)
			begun, release := make(chan struct{}), make(chan struct{})
			var block atomic.Bool
			block.Store(true)
			decorate := func(set *backends.Caches) (func(context.Context) (int, error), *decorators.Handle0[int]) {
				return decorators.Cached0(func(context.Context) (int, error) {
					if block.Load() {
						begun <- struct{}{}
						<-release
					}
					return 1, nil
				}, decorators.Key(t.Name()), decorators.On(set), decorators.Timeout(50*time.Millisecond), decorators.Stale(time.Hour))
			}
			load, handle := decorate(c.own)
			var wg sync.WaitGroup
			wg.Go(func() { must[int](t)(load(ctx)) })
			<-begun
			if got := explain(handle.Explain(ctx)); got.State != decorators.UnderWay || got.Computing != decorators.ThisProcess {
				t.Errorf("while it is computed: got %v", got)
			}
			if c.other != nil {
				_, other := decorate(c.other)
				if got := explain(other.Explain(ctx)); got.State != decorators.UnderWay || got.Computing != c.another {
					t.Errorf("while another computes it: got %v", got)
				}
			}
			release <- struct{}{}
			wg.Wait()
			for explain(handle.Explain(ctx)).State != decorators.PastTimeout {
				time.Sleep(time.Millisecond)
			}
			must[int](t)(load(ctx)) // has it recomputed in the background
			<-begun
			if got := explain(handle.Explain(ctx)); got.State != decorators.PastTimeout || got.Computing != decorators.ThisProcess {
				t.Errorf("while it is recomputed: got %v", got)
			}
			if !strings.HasSuffix(explain(handle.Explain(ctx)).String(), ", computed by this process") {
				t.Errorf("its text is %q", explain(handle.Explain(ctx)))
			}
			block.Store(false)
			release <- struct{}{}
			for explain(handle.Explain(ctx)).Computing != decorators.Nobody {
				time.Sleep(time.Millisecond)
			}
		})
	}
}

// What other versions and others have written is told apart from nothing.
func TestExplain_Others(t *testing.T) {
	ctx := context.Background()
	server := memcachedtest.Start(t)
	explain := must[decorators.Explanation](t)
	old, _ := decorators.Cached0(func(context.Context) (struct{ A int }, error) { return struct{ A int }{1}, nil },
		decorators.Key("versions"), decorators.On(newSet(t, memcached(server))), decorators.Group("old", "both"))
	load, handle := decorators.Cached0(func(context.Context) (struct{ B string }, error) { return struct{ B string }{"b"}, nil },
		decorators.Key("versions"), decorators.On(newSet(t, memcached(server))), decorators.Group("both"))
	must[struct{ A int }](t)(old(ctx))
	if got := explain(handle.Explain(ctx)); got.State != decorators.OtherVersion || got.Size == 0 || got.Err != nil {
		t.Errorf("of another version: got %v, %v", got, got.Err)
	}
	must[struct{ B string }](t)(load(ctx))
	if got := explain(handle.Explain(ctx)); got.State != decorators.Fresh {
		t.Errorf("of both: got %v", got)
	}

	client := memcache.New(server.Addr())
	if err := client.Set(&memcache.Item{Key: ":1:[cached]versions()", Value: []byte("garbage"), Flags: 0xCA << 16}); err != nil {
		t.Fatal(err)
	}
	got := explain(handle.Explain(ctx))
	if got.State != decorators.Unreadable || !errors.Is(got.Err, cacheutils.ErrUndecodable) || got.Size != len("garbage") {
		t.Errorf("of garbage: got %v, %v", got, got.Err)
	}
	if text := got.String(); !strings.HasPrefix(text, "[cached]versions(): unreadable (") {
		t.Errorf("its text is %q", text)
	}
}

// Groups that an entry is in and the function does not name any more count, and cost a second lookup; nothing else does.
func TestExplain_Requests(t *testing.T) {
	ctx := context.Background()
	server := memcachedtest.Start(t)
	spy := new(counter)
	settings := memcached(server)
	inner := must[*backends.Caches](t)(backends.New(backends.Config{"default": settings}))
	t.Cleanup(func() { inner.Close() })
	set := newSet(t, backends.Settings{Open: func(s engine.Settings) (engine.Engine, error) {
		s.Location = []string{server.Addr()}
		var err error
		spy.Engine, err = memcachedengine.Open(s)
		return spy, err
	}})
	explain := must[decorators.Explanation](t)
	f := func(context.Context) (int, error) { return 1, nil }
	before, _ := decorators.Cached0(f, decorators.Key("groups"), decorators.On(inner), decorators.Group("a", "b", "c"))
	_, now := decorators.Cached0(f, decorators.Key("groups"), decorators.On(set), decorators.Group("a", "b"))
	must[int](t)(before(ctx))
	spy.calls.Store(0)
	got := explain(now.Explain(ctx))
	want := []decorators.GroupState{{Name: "a", Holds: true}, {Name: "b", Holds: true}, {Name: "c", Holds: true}}
	if got.State != decorators.Fresh || !cmp.Equal(got.Groups, want) || spy.calls.Load() > 3 {
		t.Errorf("got %v in %d requests, %s", got, spy.calls.Load(), cmp.Diff(want, got.Groups))
	}
	if err := cache.InvalidateGroup(ctx, "c", cache.On(inner)); err != nil {
		t.Fatal(err)
	}
	want[2].Holds = false
	if got = explain(now.Explain(ctx)); got.State != decorators.Outdated || !cmp.Equal(got.Groups, want) {
		t.Errorf("after c was invalidated: got %v, %s", got, cmp.Diff(want, got.Groups))
	}
	must[int](t)(now.ForceRecalc(ctx))
	spy.calls.Store(0)
	if got = explain(now.Explain(ctx)); got.State != decorators.Fresh || spy.calls.Load() != 1 {
		t.Errorf("got %v in %d requests, want one multi-get", got, spy.calls.Load())
	}
	_, more := decorators.Cached0(f, decorators.Key("groups"), decorators.On(set), decorators.Group("a", "b", "d"))
	want = []decorators.GroupState{{Name: "a", Holds: true}, {Name: "b", Holds: true}, {Name: "d"}}
	if got = explain(more.Explain(ctx)); got.State != decorators.Outdated || !cmp.Equal(got.Groups, want) {
		t.Errorf("for a reader in one more group: got %v, %s", got, cmp.Diff(want, got.Groups))
	}
	server.Stop()
	if got, err := now.Explain(ctx); err == nil || strings.Contains(err.Error(), "[cached]") {
		t.Errorf("of a server that is down: got %v, %v", got, err)
	}
}

// A counter counts the requests to an engine.
type counter struct {
	engine.Engine
	calls atomic.Int64
}

func (c *counter) Get(ctx context.Context, key string) (engine.Item, error) {
	c.calls.Add(1)
	return c.Engine.Get(ctx, key)
}

func (c *counter) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	c.calls.Add(1)
	return c.Engine.GetMany(ctx, keys)
}

// Arguments that are none of the function's are an error, as is a set without the backend.
func TestExplain_Mistakes(t *testing.T) {
	set := cachetest.New(t)
	_, handle := decorators.Cached(func(n int) int { return n }, decorators.Key("mistakes"), decorators.On(set), decorators.Backend("none"))
	if _, err := handle.Explain("text"); !errors.Is(err, cacheutils.ErrArguments) {
		t.Errorf("got %v, want ErrArguments", err)
	}
	if _, err := handle.Explain(1); !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Errorf("got %v, want ErrUnknownBackend", err)
	}
}
