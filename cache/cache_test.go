package cache_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

var ctx = context.Background()

// configure has two backends for the time of the test.
func configure(t *testing.T, s backends.Settings) {
	t.Helper()
	other := s
	other.KeyPrefix = "other"
	if err := backends.Configure(backends.Config{"default": s, "other": other}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backends.Configure(nil); err != nil {
			t.Error(err)
		}
	})
}

// eachBackend runs a test on a backend that holds values as they are and on one that sends them to a server.
func eachBackend(t *testing.T, test func(t *testing.T)) {
	t.Run("locmem", func(t *testing.T) {
		configure(t, backends.Settings{Backend: "locmem", Location: []string{t.Name()}})
		test(t)
	})
	t.Run("memcached", func(t *testing.T) {
		server := memcachedtest.Start(t)
		configure(t, backends.Settings{
			Backend: "memcached", Location: []string{server.Addr()}, Options: map[string]any{"operation_timeout": "5s"},
		})
		test(t)
	})
}

func mustSet(t *testing.T, key, value any, opts ...cache.Option) {
	t.Helper()
	if err := cache.Set(ctx, key, value, opts...); err != nil {
		t.Fatalf("set %v: %v", key, err)
	}
}

func wantValue[T any](t *testing.T, key any, want T, opts ...cache.Option) {
	t.Helper()
	got, err := cache.Get[T](ctx, key, opts...)
	if err != nil {
		t.Fatalf("get %v: %v", key, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("get %v: (-want +got)\n%s", key, diff)
	}
}

func wantMiss(t *testing.T, key any, opts ...cache.Option) {
	t.Helper()
	if got, err := cache.Get[any](ctx, key, opts...); !errors.Is(err, cacheutils.ErrCacheMiss) || got != nil {
		t.Fatalf("get %v: got %v, %v, want ErrCacheMiss", key, got, err)
	}
}

type city struct {
	ID   int
	Lang string
}

// Keys with similar texts are different keys.
func TestKeysAreExact(t *testing.T) {
	long := strings.Repeat("long key ", 100)
	keys := []any{
		cachekey.Tuple{"a", "b"}, "a-b", "ab", []any{"a", "b"}, []string{"a", "b"}, cachekey.Tuple{"a-b"}, "('a','b')", cachekey.Tuple{"a,b"},
		"5", 5, int64(5), uint8(5), 5.0, cachekey.Tuple{5}, []byte("5"), true, "True", cachekey.Tuple{nil}, []any{nil}, "None", "", "nil",
		long + "a", long + "b", cachekey.Tuple{long, "a"}, cachekey.Tuple{long + "a"}, strings.Repeat("й", 300),
		"with space", "with\\x20space", "line\r\nbreak", "\x00", "\x7f", "quote'", `quote"`, `back\slash`, "ключ", "🎈", "\xff",
		city{1, "it"}, city{1, "en"}, "city{ID=1,Lang='it'}", map[string]any{"k": 1}, cachekey.Kwargs{"k": 2}, math.Inf(1), -0.5,
		time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), time.Hour,
	}
	eachBackend(t, func(t *testing.T) {
		for i, key := range keys {
			wantMiss(t, key)
			mustSet(t, key, i)
		}
		for i, key := range keys {
			wantValue(t, key, i)
		}
		for _, key := range keys {
			if had, err := cache.Delete(ctx, key); !had || err != nil {
				t.Errorf("delete %v: got %v, %v, want true", key, had, err)
			}
			wantMiss(t, key)
		}
	})
}

func TestEqualKeysAreOne(t *testing.T) {
	eachBackend(t, func(t *testing.T) {
		one, two := &city{1, "it"}, &city{1, "it"}
		mustSet(t, one, "by pointer")
		wantValue(t, two, "by pointer")
		mustSet(t, map[string]any{"a": 1, "b": 2, "c": []any{math.NaN()}}, "by map")
		wantValue(t, map[string]any{"c": []any{math.NaN()}, "b": 2, "a": 1}, "by map")
	})
}

func TestValues(t *testing.T) {
	eachBackend(t, func(t *testing.T) {
		mustSet(t, "city", city{1, "it"})
		wantValue(t, "city", city{1, "it"})
		mustSet(t, "list", []city{{1, "it"}, {2, "en"}})
		wantValue(t, "list", []city{{1, "it"}, {2, "en"}})
		mustSet(t, "pointer", &city{1, "it"})
		wantValue(t, "pointer", &city{1, "it"})
		mustSet(t, "nil", nil)
		wantValue[any](t, "nil", nil)
		wantValue[*city](t, "nil", nil)
		wantValue[[]int](t, "nil", nil)
		mustSet(t, "zero", 0)
		wantValue(t, "zero", 0)
		mustSet(t, "any", map[string]any{"n": 1, "c": city{1, "it"}})
		wantValue(t, "any", map[string]any{"n": 1, "c": city{1, "it"}})

		got, err := cache.Get[string](ctx, "city")
		if !errors.Is(err, cacheutils.ErrCacheMiss) || !errors.Is(err, cacheutils.ErrUndecodable) || got != "" {
			t.Errorf("a city as string: got %q, %v, want ErrCacheMiss and ErrUndecodable", got, err)
		}
		if err := cache.Set(ctx, "city", make(chan int)); !errors.Is(err, cacheutils.ErrUnsupportedValue) {
			t.Errorf("set a channel: got error %v, want ErrUnsupportedValue", err)
		}
		wantValue(t, "city", city{1, "it"})
	})
}

// What callers do to their values doesn't show in the cache.
func TestValuesAreIsolated(t *testing.T) {
	eachBackend(t, func(t *testing.T) {
		list := []string{"a", "b"}
		mustSet(t, "list", list)
		list[0] = "changed"
		got, err := cache.Get[[]string](ctx, "list")
		if err != nil {
			t.Fatal(err)
		}
		got[1] = "changed"
		wantValue(t, "list", []string{"a", "b"})
	})
}

func TestTimeout(t *testing.T) {
	eachBackend(t, func(t *testing.T) {
		mustSet(t, "key", "old")
		mustSet(t, "key", "new", cache.Timeout(0))
		wantMiss(t, "key")
		mustSet(t, "key", "value", cache.Timeout(-time.Second))
		wantMiss(t, "key")
		mustSet(t, "key", "value", cache.Timeout(cacheutils.Forever))
		wantValue(t, "key", "value")
		mustSet(t, "brief", "value", cache.Timeout(500*time.Millisecond))
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if _, err := cache.Get[string](ctx, "brief"); errors.Is(err, cacheutils.ErrCacheMiss) {
				break
			}
			if time.Now().After(end) {
				t.Fatal("an entry of half a second is still there")
			}
		}
		wantValue(t, "key", "value")
	})
}

func TestBackend(t *testing.T) {
	eachBackend(t, func(t *testing.T) {
		other := cache.Backend("other")
		mustSet(t, "key", "default")
		wantMiss(t, "key", other)
		mustSet(t, "key", "other", other, cache.Timeout(time.Hour))
		wantValue(t, "key", "default")
		wantValue(t, "key", "other", other)
		if had, err := cache.Delete(ctx, "key", other); !had || err != nil {
			t.Errorf("delete: got %v, %v, want true", had, err)
		}
		wantMiss(t, "key", other)
		wantValue(t, "key", "default")
		if had, err := cache.Delete(ctx, "key", other); had || err != nil {
			t.Errorf("delete again: got %v, %v, want false", had, err)
		}
	})
}

func TestErrors(t *testing.T) {
	configure(t, backends.Settings{Backend: "locmem", Location: []string{t.Name()}})
	compute := func(context.Context) (int, error) { panic("computed") }
	for _, test := range []struct {
		name  string
		key   any
		opts  []cache.Option
		want  error
		names string
	}{
		{"unknown backend", "key", []cache.Option{cache.Backend("nowhere")}, cacheutils.ErrUnknownBackend, `"nowhere": configured are "default", "other"`},
		{"key that can't be one", make(chan int), nil, cacheutils.ErrInvalidKey, "chan"},
		{"nil key", nil, nil, cacheutils.ErrInvalidKey, "the key is nil"},
		{"part that can't be in a key", []any{1, func() {}}, nil, cacheutils.ErrInvalidKey, "func"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, get := cache.Get[any](ctx, test.key, test.opts...)
			_, del := cache.Delete(ctx, test.key, test.opts...)
			_, getOrSet := cache.GetOrSet(ctx, test.key, compute, test.opts...)
			for method, err := range map[string]error{
				"Get": get, "Set": cache.Set(ctx, test.key, 1, test.opts...), "Delete": del, "GetOrSet": getOrSet,
			} {
				if !errors.Is(err, test.want) {
					t.Errorf("%s: got error %v, want %v", method, err, test.want)
				} else if !strings.Contains(err.Error(), test.names) {
					t.Errorf("%s: got error %q, want %q in it", method, err, test.names)
				}
			}
		})
	}
}

func TestGetOrSet(t *testing.T) {
	eachBackend(t, func(t *testing.T) {
		calls := 0
		compute := func(context.Context) ([]int, error) {
			calls++
			return []int{calls}, nil
		}
		key := cachekey.Tuple{strings.Repeat("long ", 100), 1}
		for range 3 {
			got, err := cache.GetOrSet(ctx, key, compute, cache.Timeout(time.Hour))
			if err != nil || !cmp.Equal(got, []int{1}) {
				t.Fatalf("got %v, %v, want [1]", got, err)
			}
			got[0] = -1
		}
		wantValue(t, key, []int{1})

		broken := errors.New("broken")
		got, err := cache.GetOrSet(ctx, "broken", func(context.Context) (int, error) { return 7, broken })
		if err != broken || got != 0 {
			t.Errorf("got %d, %v, want 0 and the error of compute as it is", got, err)
		}
		wantMiss(t, "broken")

		for range 2 {
			none, err := cache.GetOrSet(ctx, "nil", func(context.Context) (any, error) {
				calls++
				return nil, nil
			})
			if none != nil || err != nil {
				t.Errorf("got %v, %v, want nil", none, err)
			}
		}
		if calls != 2 {
			t.Errorf("got %d computations, want 2", calls)
		}
	})
}

// A sink keeps the log.
type sink struct {
	mu     sync.Mutex
	events []logging.Event
}

func (s *sink) Enabled(logging.Level) bool { return true }

func (s *sink) Log(_ logging.Level, e logging.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func TestLog(t *testing.T) {
	configure(t, backends.Settings{Backend: "locmem", Location: []string{t.Name()}})
	log := new(sink)
	logging.SetSink(log)
	defer logging.SetSink(nil)

	key := cachekey.Tuple{"a b", 1}
	cache.Get[string](ctx, key)
	cache.Set(ctx, key, 12345)
	cache.Get[int](ctx, key)
	cache.Delete(ctx, key)
	cache.GetOrSet(ctx, 7, func(context.Context) (int, error) { return 12, nil }, cache.Backend("other"))
	cache.Set(ctx, strings.Repeat("k", 1000), "value")

	const rendered = `('a\x20b',1)`
	want := []logging.Event{
		{Action: logging.ActionMiss, Backend: "default", Key: rendered},
		{Action: logging.ActionSet, Backend: "default", Key: rendered, Size: 5},
		{Action: logging.ActionHit, Backend: "default", Key: rendered},
		{Action: logging.ActionDelete, Backend: "default", Key: rendered},
		{Action: logging.ActionMiss, Backend: "other", Key: "7"},
		{Action: logging.ActionSet, Backend: "other", Key: "7", Size: 2},
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if len(log.events) != len(want)+1 {
		t.Fatalf("got %d events, want %d: %v", len(log.events), len(want)+1, log.events)
	}
	if diff := cmp.Diff(want, log.events[:len(want)]); diff != "" {
		t.Errorf("log: (-want +got)\n%s", diff)
	}
	if last := log.events[len(want)]; !strings.HasPrefix(last.Message(), "Cache SET: 'kkkkk") || len(last.Key) > 250 {
		t.Errorf("got %q for a long key, want its beginning", last.Message())
	}
}

// What is wrong with an option, or with the context, is said before anything is done. A timeout that is over stores
// nothing, however long ago that was.
func TestOptions(t *testing.T) {
	cachetest.Locmem(t)
	ctx := context.Background()
	operations := map[string]func(ctx context.Context, opts ...cache.Option) error{
		"Get": func(ctx context.Context, opts ...cache.Option) error {
			_, err := cache.Get[int](ctx, "k", opts...)
			return err
		},
		"Set": func(ctx context.Context, opts ...cache.Option) error { return cache.Set(ctx, "k", 1, opts...) },
		"Delete": func(ctx context.Context, opts ...cache.Option) error {
			_, err := cache.Delete(ctx, "k", opts...)
			return err
		},
		"GetOrSet": func(ctx context.Context, opts ...cache.Option) error {
			_, err := cache.GetOrSet(ctx, "k", func(context.Context) (int, error) { return 1, nil }, opts...)
			return err
		},
		"InvalidateGroup": func(ctx context.Context, opts ...cache.Option) error {
			return cache.InvalidateGroup(ctx, "g", opts...)
		},
	}
	for name, do := range operations {
		for want, opts := range map[string][]cache.Option{
			"option 2 is nil: leave it out":                                      {cache.Timeout(time.Hour), nil},
			"cache.Group: the name of a group is empty: was a variable not set?": {cache.Group("")},
			"cache.Group: the name of a group has 1025 bytes":                    {cache.Group(strings.Repeat("g", 1025))},
			"cache.Timeout(300ns) is less than a millisecond, since a number without a unit counts nanoseconds: did you mean cache.Timeout(300*time.Second)?": {cache.Timeout(300)},
		} {
			if err := do(ctx, opts...); !errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want one that says %q", name, err, want)
			}
		}
		const want = "cacheutils: wrong arguments: the context is nil: pass context.Background()"
		if err := do(nil); !errors.Is(err, cacheutils.ErrArguments) || err.Error() != want {
			t.Errorf("%s without a context: got %v, want %q", name, err, want)
		}
	}
	if err := cache.InvalidateGroup(ctx, ""); !errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), "the name of a group is empty") {
		t.Errorf("InvalidateGroup of an empty name: got %v", err)
	}
	for _, d := range []time.Duration{time.Until(time.Time{}), math.MinInt64, -cacheutils.Forever, -1, 0} {
		if err := cache.Set(ctx, "k", 1, cache.Timeout(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := cache.Set(ctx, "k", 2, cache.Timeout(d)); err != nil {
			t.Error(err)
		}
		if v, err := cache.Get[int](ctx, "k"); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("after Set with %v: got %d, %v", d, v, err)
		}
		runs := 0
		for range 2 {
			cache.GetOrSet(ctx, "k", func(context.Context) (int, error) { runs++; return 1, nil }, cache.Timeout(d))
		}
		if runs != 2 {
			t.Errorf("GetOrSet with %v: %d runs for 2 calls", d, runs)
		}
	}
}
