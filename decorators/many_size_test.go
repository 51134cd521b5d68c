package decorators_test

import (
	"context"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A peak is the largest number of goroutines that were seen.
type peak struct{ most atomic.Int64 }

func (p *peak) look() { raise(&p.most, int64(runtime.NumGoroutine())) }

// watch looks until stop is called.
func (p *peak) watch() (stop func()) {
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Microsecond):
				p.look()
			}
		}
	})
	return func() {
		close(done)
		watching.Wait()
	}
}

// 5,000 keys that no call has computed, or whose results are past their timeout, make at most 100 goroutines,
// while their leases are taken, while the function runs, and while the results are stored.
func TestLaw10_CachedManyGoroutines(t *testing.T) {
	const keys, bound = 5000, 100
	ids := upTo(keys)
	for _, engine := range []string{"locmem", "locmem, encoded", "memcached", "memcached, stored later"} {
		for name, ctx := range map[string]context.Context{"without end": context.Background(), "with an end": cancellable(t)} {
			t.Run(engine+"/"+name, func(t *testing.T) {
				var p peak
				at := func(context.Context, string, string) error { p.look(); return nil }
				var s backends.Settings
				switch engine {
				case "locmem":
					s = backends.Settings{Backend: "locmem", Location: []string{t.Name()}}
				case "locmem, encoded":
					s = watched(t, "", watch{before: at}, nil)
				default:
					server := memcachedtest.Start(t)
					s = watched(t, "", watch{before: at, server: server.Addr()}, map[string]any{
						"store_later": engine == "memcached, stored later", "operation_timeout": "20s"})
				}
				cachetest.Configure(t, backends.Config{"default": s})
				var runs atomic.Int64
				F, h := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]int, error) {
					runs.Add(1)
					p.look()
					time.Sleep(20 * time.Millisecond)
					p.look()
					return echo(ctx, ids)
				}, decorators.Key(t.Name()), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
				before := int64(runtime.NumGoroutine())
				stop := p.watch()
				defer stop()
				call := func(what string, f func(context.Context, []int) (map[int]int, error), run int64) {
					t.Helper()
					p.most.Store(0)
					if found, err := f(ctx, ids); len(found) != keys || err != nil {
						t.Errorf("%s: %d results, %v", what, len(found), err)
					}
					eventually(t, what, func() bool { return runs.Load() == run && h.Stats().Stores == uint64(run*keys) })
					if n := p.most.Load() - before; n > bound {
						t.Errorf("%s: %d goroutines, want at most %d", what, n, bound)
					} else {
						t.Logf("%s: %d goroutines", what, n)
					}
				}
				call("cold", F, 1)
				time.Sleep(20 * time.Millisecond) // they are past their timeout then
				call("stale", F, 2)
				call("forced", h.ForceRecalc, 3)
			})
		}
	}
}

// A function that computes many keys may call others on another backend: how many of these use that store at a time is
// their own affair, not the outer call's.
func TestCachedMany_NestedOnAnotherBackend(t *testing.T) {
	const keys = 200
	for nested, atOnce := range map[string]int64{"CachedMany": 32, "Cached1 by many goroutines": keys} {
		for name, ctx := range map[string]context.Context{"without end": context.Background(), "with an end": cancellable(t)} {
			t.Run(nested+"/"+name, func(t *testing.T) {
				// The inner store answers when as many use it as are wanted.
				var inside, most atomic.Int64
				together := func(_ context.Context, operation, _ string) error {
					if operation != "add" {
						return nil
					}
					raise(&most, inside.Add(1))
					defer inside.Add(-1)
					for start := time.Now(); most.Load() < atOnce && time.Since(start) < 5*time.Second; {
						time.Sleep(time.Millisecond)
					}
					return nil
				}
				quick := func(context.Context, string, string) error { return nil }
				cachetest.Configure(t, backends.Config{
					"default": watched(t, "outer", watch{before: quick}, map[string]any{"operation_timeout": "20s"}),
					"inner":   watched(t, "inner", watch{before: together}, map[string]any{"operation_timeout": "20s"}),
				})
				Many, many := decorators.CachedMany(echo, decorators.Key("inner"), decorators.Backend("inner"))
				One, one := decorators.Cached1(func(_ context.Context, id int) (int, error) { return id, nil }, decorators.Key("inner one"), decorators.Backend("inner"))
				Outer, outer := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]int, error) {
					if nested == "CachedMany" {
						return Many(ctx, ids)
					}
					var all sync.WaitGroup
					for _, id := range ids {
						all.Go(func() { One(ctx, id) })
					}
					all.Wait()
					return echo(ctx, ids)
				}, decorators.Key("outer"))
				found, err := Outer(ctx, upTo(keys))
				if len(found) != keys || err != nil {
					t.Errorf("got %d results, %v", len(found), err)
				}
				if n := most.Load(); n != atOnce {
					t.Errorf("%d keys used the inner store at once, want %d", n, atOnce)
				}
				if i, o := many.Stats().Stores+one.Stats().Stores, outer.Stats().Stores; i != keys || o != keys {
					t.Errorf("%d and %d results were stored, want %d each", i, o, keys)
				}
			})
		}
	}
}

// A usersContext is what the user calls with.
type usersContext struct{ context.Context }

// between returns the types of the keys of the values that contexts between ctx and the user's have.
func between(t *testing.T, ctx context.Context) (keys []string) {
	t.Helper()
	for depth := 0; ; depth++ {
		if _, ok := ctx.(usersContext); ok {
			return keys
		}
		v := reflect.Indirect(reflect.ValueOf(ctx))
		if v.Kind() != reflect.Struct || depth == 100 {
			t.Errorf("a %T doesn't come from the user's context", ctx)
			return nil
		}
		if key := v.FieldByName("key"); key.IsValid() {
			keys = append(keys, key.Elem().Type().String())
		}
		parent := v.FieldByName("Context")
		if !parent.IsValid() && v.NumField() == 1 { // context.WithoutCancel's
			copied := reflect.New(v.Type()).Elem()
			copied.Set(v)
			parent = reflect.NewAt(v.Field(0).Type(), copied.Field(0).Addr().UnsafePointer()).Elem()
		}
		ctx, _ = parent.Interface().(context.Context)
	}
}

// What a call of many keys needs to know of itself isn't in the contexts that the function and the engine are
// given: calls that the function makes under its context, of any function and on any backend, are as others.
func TestCachedMany_ContextsCarryNothing(t *testing.T) {
	for name, ctx := range map[string]context.Context{"without end": context.Background(), "with an end": cancellable(t)} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			seen := map[string][]string{}
			see := func(where string, ctx context.Context) {
				mu.Lock()
				defer mu.Unlock()
				seen[where] = between(t, ctx)
			}
			cachetest.Configure(t, backends.Config{"default": watched(t, "", watch{before: func(ctx context.Context, operation, _ string) error {
				see(operation, ctx)
				return nil
			}}, nil)})
			F, h := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]int, error) {
				see("function", ctx)
				return echo(ctx, ids)
			}, decorators.Key("carries nothing"))
			for what, f := range map[string]func(context.Context, []int) (map[int]int, error){"call": F, "ForceRecalc": h.ForceRecalc} {
				clear(seen)
				if found, err := f(usersContext{ctx}, upTo(5)); len(found) != 5 || err != nil {
					t.Errorf("%s: got %v, %v", what, found, err)
				}
				want := map[string][]string{"function": nil, "get": nil, "add": nil, "cas": nil}
				if what == "ForceRecalc" {
					delete(want, "add") // unless it is the first
					delete(seen, "add")
				}
				if diff := cmp.Diff(want, seen); diff != "" {
					t.Errorf("%s: values in contexts (-want +got):\n%s", what, diff)
				}
				if err := h.Invalidate(usersContext{ctx}, upTo(5)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
