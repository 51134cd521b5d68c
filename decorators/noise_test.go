package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/race"
	"github.com/cacheutils/cacheutils/logging"
)

// A broken engine has its items in a map, and fails as it is told.
type broken struct {
	mu    sync.Mutex
	items map[string]engine.Item
	ends  map[string]time.Time
	cas   uint64
	fails func(operation, key string) error // nil: never
	lies  bool                              // it says that it has, and swaps, nothing
}

func (b *broken) open(engine.Settings) (engine.Engine, error) {
	b.items, b.ends = make(map[string]engine.Item), make(map[string]time.Time)
	return b, nil
}

func (b *broken) Traits() engine.Traits { return engine.Traits{} }

func (b *broken) failure(operation, key string) error {
	if b.fails == nil {
		return nil
	}
	return b.fails(operation, key)
}

func (b *broken) Get(_ context.Context, key string) (engine.Item, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.failure("get", key); err != nil {
		return engine.Item{}, err
	}
	b.expire(key)
	if item, ok := b.items[key]; ok && !b.lies {
		return item, nil
	}
	return engine.Item{}, cacheutils.ErrCacheMiss
}

func (b *broken) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	found := make(map[string]engine.Item)
	for _, key := range keys {
		item, err := b.Get(ctx, key)
		switch {
		case err == nil:
			found[strings.Clone(key)] = item
		case !errors.Is(err, cacheutils.ErrCacheMiss):
			return found, err
		}
	}
	return found, nil
}

func (b *broken) put(operation, key string, item engine.Item, timeout time.Duration, replaces func(old engine.Item, there bool) bool) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.failure(operation, key); err != nil {
		return false, err
	}
	b.expire(key)
	old, there := b.items[key]
	if b.lies || !replaces(old, there) {
		return false, nil
	}
	b.cas++
	item.CAS = b.cas
	b.items[strings.Clone(key)], b.ends[strings.Clone(key)] = item, time.Now().Add(timeout)
	return true, nil
}

func (b *broken) expire(key string) {
	if end, ok := b.ends[key]; ok && !time.Now().Before(end) {
		delete(b.items, key)
	}
}

func (b *broken) Set(_ context.Context, key string, item engine.Item, timeout time.Duration) error {
	_, err := b.put("set", key, item, timeout, func(engine.Item, bool) bool { return true })
	return err
}

func (b *broken) Add(_ context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	return b.put("add", key, item, timeout, func(_ engine.Item, there bool) bool { return !there })
}

func (b *broken) CompareAndSwap(_ context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	return b.put("swap", key, item, timeout, func(old engine.Item, there bool) bool { return there && old.CAS == item.CAS })
}

func (b *broken) Delete(_ context.Context, key string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.failure("delete", key); err != nil {
		return false, err
	}
	_, had := b.items[key]
	delete(b.items, key)
	return had, nil
}

func (b *broken) Incr(context.Context, string, int64) (int64, error) {
	return 0, cacheutils.ErrNotNumber
}

func (b *broken) Clear(context.Context, string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.items)
	return nil
}

func (b *broken) Close() error { return nil }

var errBroken = errors.New("broken")

func failsAt(operations ...string) func(operation, key string) error {
	return func(operation, key string) error {
		if slices.Contains(operations, operation) {
			return errBroken
		}
		return nil
	}
}

// Whatever goes wrong at each call, the log has a line a second for each cause, and says how many it has left out.
func TestNoise(t *testing.T) {
	calls := 100_000
	if race.Enabled {
		calls /= 10
	}
	one := func(t *testing.T, set *backends.Caches, opts ...decorators.Option) func(n int) {
		F, _ := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil },
			append(opts, decorators.Key("noise"), decorators.On(set))...)
		return func(n int) {
			if got, err := F(context.Background(), n); got != n || err != nil {
				t.Fatalf("got %d, %v, want %d", got, err, n)
			}
		}
	}
	set := func(t *testing.T, b *broken) *backends.Caches {
		return newSet(t, backends.Config{"default": {Open: b.open}})
	}
	type tree struct{ Up *tree }
	for _, c := range []struct {
		name   string
		causes int // at most
		want   string
		few    bool // calls take longer
		call   func(t *testing.T) func(n int)
	}{
		{"a backend that isn't there", 1, "unknown backend", false, func(t *testing.T) func(int) {
			return one(t, newSet(t, nil), decorators.Backend("missing"))
		}},
		{"a backend that isn't there, for many functions", 1, "unknown backend", false, func(t *testing.T) func(int) {
			s := newSet(t, nil)
			var list []func(context.Context) (int, error)
			for i := range 100 {
				F, _ := decorators.Cached0(func(context.Context) (int, error) { return i, nil }, decorators.Key(fmt.Sprint("noise", i)),
					decorators.On(s), decorators.Backend("missing"))
				list = append(list, F)
			}
			return func(n int) { list[n%len(list)](context.Background()) }
		}},
		{"a closed backend", 1, "closed", false, func(t *testing.T) func(int) {
			s := newSet(t, nil)
			s.Close()
			return one(t, s)
		}},
		{"a set that a context names", 1, "closed", false, func(t *testing.T) func(int) {
			s := newSet(t, nil)
			s.Close()
			ctx := backends.With(context.Background(), s)
			F, _ := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.Key("noise.with"))
			return func(n int) { F(ctx, n) }
		}},
		{"a key that can't be made", 1, "the key of noise", false, func(t *testing.T) func(int) {
			F, _ := decorators.Cached1(func(context.Context, any) (int, error) { return 1, nil }, decorators.Key("noise"), decorators.On(newSet(t, nil)))
			c := make(chan int)
			return func(int) { F(context.Background(), c) }
		}},
		{"keys that can't be made, of CachedMany", 1, "the key of noise", false, func(t *testing.T) func(int) {
			F, _ := decorators.CachedMany(func(context.Context, []any) (map[any]int, error) { return nil, nil }, decorators.Key("noise"), decorators.On(newSet(t, nil)))
			c := make(chan int)
			return func(int) { F(context.Background(), []any{1, c}) }
		}},
		{"results that can't be encoded", 1, "encode a result of noise", false, func(t *testing.T) func(int) {
			F, _ := decorators.Cached(func(int) any { return make(chan int) }, decorators.Key("noise"), decorators.On(set(t, &broken{})))
			return func(n int) { F(n % 100) }
		}},
		{"results that contain themselves", 1, "encode a result of noise", false, func(t *testing.T) func(int) {
			F, _ := decorators.Cached(func(int) *tree { r := &tree{}; r.Up = r; return r }, decorators.Key("noise"), decorators.On(set(t, &broken{})))
			return func(n int) { F(n % 100) }
		}},
		{"values too large", 1, "too large", false, func(t *testing.T) func(int) {
			return one(t, set(t, &broken{fails: func(operation, key string) error {
				if operation == "swap" {
					return cacheutils.ErrTooLarge
				}
				return nil
			}}))
		}},
		{"leases that are refused", 2, "refused", true, func(t *testing.T) func(int) {
			return one(t, set(t, &broken{lies: true}))
		}},
		{"entries that can't be decoded", 1, "undecodable", false, func(t *testing.T) func(int) {
			b := &broken{}
			b.fails = func(operation, key string) error {
				if operation == "get" {
					b.cas++
					b.items[strings.Clone(key)] = engine.Item{Value: []byte("x"), Flags: 1, CAS: b.cas}
				}
				return nil
			}
			return one(t, set(t, b))
		}},
		{"lookups that fail", 1, "broken", false, func(t *testing.T) func(int) { return one(t, set(t, &broken{fails: failsAt("get")})) }},
		{"lookups of groups that fail", 1, "broken", false, func(t *testing.T) func(int) {
			return one(t, set(t, &broken{fails: func(operation, key string) error {
				if strings.Contains(key, "_group::") {
					return errBroken
				}
				return nil
			}}), decorators.Group("g"))
		}},
		{"groups that can't begin", 2, "broken", false, func(t *testing.T) func(int) {
			return one(t, set(t, &broken{fails: func(operation, key string) error {
				if operation == "add" && strings.Contains(key, "_group::") {
					return errBroken
				}
				return nil
			}}), decorators.Group("g"))
		}},
		{"leases that fail", 1, "broken", false, func(t *testing.T) func(int) { return one(t, set(t, &broken{fails: failsAt("add")})) }},
		{"results that can't be stored", 1, "broken", false, func(t *testing.T) func(int) { return one(t, set(t, &broken{fails: failsAt("swap")})) }},
		{"everything fails", 4, "broken", false, func(t *testing.T) func(int) {
			return one(t, set(t, &broken{fails: failsAt("get", "add", "swap", "set", "delete")}))
		}},
		{"every second thing fails", 5, "broken", false, func(t *testing.T) func(int) {
			n := 0
			return one(t, set(t, &broken{fails: func(operation, key string) error {
				if n++; n%2 == 0 {
					return errBroken
				}
				return nil
			}}))
		}},
		{"ForceRecalc while everything fails", 4, "broken", false, func(t *testing.T) func(int) {
			_, h := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.Key("noise"),
				decorators.On(set(t, &broken{fails: failsAt("get", "add", "swap", "set", "delete")})))
			return func(n int) { h.ForceRecalc(context.Background(), n) }
		}},
		{"many keys of which each fails", 3, "broken", true, func(t *testing.T) func(int) {
			F, _ := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) {
				return map[int]int{keys[0]: 1}, nil
			}, decorators.Key("noise"), decorators.On(set(t, &broken{fails: failsAt("add", "swap")})))
			keys := make([]int, 100)
			for i := range keys {
				keys[i] = i
			}
			return func(int) { F(context.Background(), keys) }
		}},
		{"GetMany of what can't be decoded", 1, "decode the entry", true, func(t *testing.T) func(int) {
			c, err := newSet(t, nil).Get("default")
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			keys := make([]string, 100)
			for i := range keys {
				keys[i] = fmt.Sprint("k", i)
				if err := c.Set(ctx, keys[i], "text"); err != nil {
					t.Fatal(err)
				}
			}
			return func(int) { c.GetMany(ctx, keys, map[string]int{}) }
		}},
		{"keys that are not portable", 1, "memcached would refuse it", false, func(t *testing.T) func(int) {
			c, err := newSet(t, nil).Get("default")
			if err != nil {
				t.Fatal(err)
			}
			return func(n int) { c.Has(context.Background(), fmt.Sprint("a key ", n)) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				call, n := c.call(t), calls
				if c.few {
					n = calls / 100
				}
				sink := recorder{off: logging.LevelWarn}
				logging.SetSink(&sink)
				defer logging.SetSink(nil)
				for i := range n {
					call(i)
				}
				first := sink.events()
				if len(first) == 0 || len(first) > c.causes {
					t.Fatalf("%d calls at once: %d lines, want 1 to %d: %v", n, len(first), c.causes, texts(first))
				}
				if !slices.ContainsFunc(first, func(e logging.Event) bool { return strings.Contains(lineOf(e), c.want) }) {
					t.Errorf("got %q, want %q in it", texts(first), c.want)
				}
				time.Sleep(time.Second)
				call(n)
				call(n + 1)
				next := sink.events()[len(first):]
				if len(next) == 0 || len(next) > c.causes {
					t.Fatalf("a second later: %d lines, want 1 to %d: %v", len(next), c.causes, texts(next))
				}
				if next[0].LeftOut == 0 {
					t.Errorf("a second later the line doesn't say what was left out: %+v", next[0])
				}
			})
		})
	}
}

func lineOf(e logging.Event) string { return fmt.Sprint(e.Message(), " ", e.Err) }

func texts(events []logging.Event) []string {
	all := make(map[string]bool)
	for _, e := range events {
		all[lineOf(e)] = true
	}
	return slices.Sorted(maps.Keys(all))
}
