package backends_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/workers"
)

func ExampleConfigure() {
	err := backends.Configure(backends.Config{
		"default":  {Backend: "locmem", Timeout: time.Hour, KeyPrefix: "shop"},
		"sessions": {Backend: "memcached", Location: []string{"10.0.0.1:11211", "10.0.0.2:11211"}},
		"off":      {Backend: "dummy"},
	})
	fmt.Println(err)
	fmt.Println(backends.Names())

	err = backends.Configure(backends.Config{"sessions": {Backend: "memcached", Location: []string{"10.0.0.1:port"}}})
	fmt.Println(errors.Is(err, cacheutils.ErrConfig))
	backends.Configure(nil) // an embedded default, as before
	// Output:
	// <nil>
	// [default off sessions]
	// true
}

// An engine's package registers it, so that its users only import it:
//
//	func init() { backends.Register("shelf", Open) }
func ExampleRegister() {
	err := backends.Configure(backends.Config{"books": {Backend: "shelf", Location: []string{"upper"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer backends.Configure(nil)
	books, err := backends.Get("books")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(books.Set(context.Background(), "isbn", "978-0"))
	// Output: <nil>
}

func ExampleGet() {
	c, err := backends.Get("default")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Name(), c.Timeout())

	_, err = backends.Get("sessions")
	fmt.Println(err)
	// Output:
	// default 5m0s
	// cacheutils: unknown backend "sessions": configured are "default"
}

// configure sets the backends for the time of the test.
func configure(t *testing.T, config backends.Config) {
	t.Helper()
	if err := backends.Configure(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := backends.Configure(nil); err != nil {
			t.Error(err)
		}
	})
}

func get(t *testing.T, name string) *backends.Cache {
	t.Helper()
	c, err := backends.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultWithoutConfiguration(t *testing.T) {
	if !workers.Alone(t) {
		return
	}
	c := get(t, "default")
	want(t, "names", backends.Names(), []string{"default"})
	want(t, "timeout", c.Timeout(), 300*time.Second)
	if err := c.Set(context.Background(), "key", "value"); err != nil {
		t.Error(err)
	}
	if _, err := backends.Get("other"); !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Errorf("got error %v, want ErrUnknownBackend", err)
	}
	if c != get(t, "default") {
		t.Error("Get twice: got two caches, want one")
	}
}

// A configured default takes the place of the embedded one; other names are added to it.
func TestDefaultIsAlwaysThere(t *testing.T) {
	configure(t, backends.Config{"other": {Backend: "dummy", Timeout: cacheutils.Forever}})
	want(t, "names", backends.Names(), []string{"default", "other"})
	want(t, "timeout", get(t, "other").Timeout(), cacheutils.Forever)
	configure(t, backends.Config{"default": {Backend: "locmem", Timeout: time.Minute}})
	want(t, "names", backends.Names(), []string{"default"})
	want(t, "timeout", get(t, "default").Timeout(), time.Minute)
}

// What is wrong is named.
func TestConfigure_Errors(t *testing.T) {
	configure(t, backends.Config{"before": {Backend: "locmem"}})
	before := get(t, "before")
	for _, test := range []struct {
		name     string
		settings backends.Settings
		want     error
		names    []string
	}{
		{"no engine", backends.Settings{}, cacheutils.ErrUnknownBackend, []string{`""`, "locmem", "memcached"}},
		{"unknown engine", backends.Settings{Backend: "redis"}, cacheutils.ErrUnknownBackend, []string{"redis", "locmem"}},
		{"unknown option", backends.Settings{Backend: "locmem", Options: map[string]any{"max_entry": 1}},
			cacheutils.ErrConfig, []string{"max_entry", "max_entries"}},
		{"option of the wrong type", backends.Settings{Backend: "locmem", Options: map[string]any{"max_entries": "many"}},
			cacheutils.ErrConfig, []string{"max_entries", "many"}},
		{"option of every engine", backends.Settings{Backend: "dummy", Options: map[string]any{"compress_above": 1.5}},
			cacheutils.ErrConfig, []string{"compress_above", "1.5"}},
		{"two stores", backends.Settings{Backend: "locmem", Location: []string{"a", "b"}}, cacheutils.ErrConfig, []string{"location"}},
		{"location of dummy", backends.Settings{Backend: "dummy", Location: []string{"here"}}, cacheutils.ErrConfig, []string{"here"}},
		{"address", backends.Settings{Backend: "memcached", Location: []string{"h:port"}}, cacheutils.ErrConfig, []string{"h:port"}},
		{"memcached's options", backends.Settings{Backend: "memcached", Options: map[string]any{"operation_timeout": "soon"}},
			cacheutils.ErrConfig, []string{"operation_timeout", "soon"}},
		{"prefix", backends.Settings{Backend: "locmem", KeyPrefix: "two words"}, cacheutils.ErrConfig, []string{"KeyPrefix", "two words"}},
		{"version", backends.Settings{Backend: "locmem", Version: "a\nb"}, cacheutils.ErrConfig, []string{"Version", `a\nb`}},
		{"long prefix", backends.Settings{Backend: "locmem", KeyPrefix: strings.Repeat("p", 150)}, cacheutils.ErrConfig, []string{"KeyPrefix", "153"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := backends.Configure(backends.Config{"default": {Backend: "locmem"}, "mistaken": test.settings})
			if !errors.Is(err, test.want) {
				t.Fatalf("got error %v, want %v", err, test.want)
			}
			for _, name := range append(test.names, `"mistaken"`) {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("got error %q, want %q in it", err, name)
				}
			}
			if get(t, "before") != before {
				t.Error("the configuration in force has changed")
			}
		})
	}
	if err := before.Set(context.Background(), "key", 1); err != nil {
		t.Errorf("the cache that was there: %v", err)
	}
}

// Configure opens each engine once and calls none of its methods.
func TestConfigureIsLazy(t *testing.T) {
	c, e := spied(t, backends.Settings{
		KeyPrefix: "p", Timeout: cacheutils.Forever, Options: map[string]any{"mine": 1, "compress_above": 10},
	})
	want(t, "calls of the engine", e.noted(), nil)
	want(t, "settings given to open", e.settings, engine.Settings{
		Location: []string{t.Name()}, OperationTimeout: 250 * time.Millisecond, Options: map[string]any{"mine": 1},
	})
	if err := backends.Configure(nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(context.Background(), "key", 1); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("a cache that was replaced: %v, want ErrClosed", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close of one that was replaced: %v", err)
	}
	want(t, "calls once it was replaced", e.noted(), []string{"Close"})
}

// Configure succeeds when the server is down.
func TestConfigureWithoutTheServer(t *testing.T) {
	configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{"127.0.0.1:1", "no-such-host.invalid"}}})
	c := get(t, "default")
	for _, key := range []string{"a", "b", "c", "d"} {
		if err := c.Set(context.Background(), key, 1); err == nil || errors.Is(err, cacheutils.ErrConfig) {
			t.Errorf("Set: got error %v, want that of the connection", err)
		}
	}
	log := logTo(t, false)
	got := 0
	if err := c.GetOrSet(context.Background(), "key", &got, func(context.Context) (any, error) { return 7, nil }); err != nil || got != 7 {
		t.Errorf("GetOrSet: got %d, %v, want 7", got, err)
	}
	if len(log.logged()) == 0 {
		t.Error("got nothing in the log, want a FAULT")
	}
}

func TestRegister_Panics(t *testing.T) {
	for _, test := range []struct {
		name  string
		open  func(engine.Settings) (engine.Engine, error)
		names string
	}{
		{"shelf", openShelf, `"shelf"`},
		{"memcached", openShelf, `"memcached"`},
		{"group", openShelf, `"group"`},
		{"", openShelf, "lower-case"},
		{"Upper", openShelf, "lower-case"},
		{"with space", openShelf, "lower-case"},
		{"nil-open", nil, "nil"},
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, test.names) || !strings.HasPrefix(text, "cacheutils: Register") {
					t.Errorf("Register %q: panicked with %s, want cacheutils: Register and %q in it", test.name, text, test.names)
				}
			}()
			backends.Register(test.name, test.open)
		}()
	}
}

// Calls go on while the configuration changes under them, with right results.
func TestConfigureDuringCalls(t *testing.T) {
	defer func() {
		if err := backends.Configure(nil); err != nil {
			t.Error(err)
		}
	}()
	ctx := context.Background()
	load, h := decorators.Cached(func(_ context.Context, n int) ([]int, error) {
		return []int{n, n + 1}, nil
	}, decorators.Key("during"), decorators.Timeout(time.Minute))
	configs := []backends.Config{
		nil,
		{"default": {Backend: "shelf", Location: []string{"during"}}},
		{"default": {Backend: "locmem", Location: []string{"during"}, KeyPrefix: "p"}},
		{"default": {Backend: "dummy"}, "other": {Backend: "locmem"}},
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key := fmt.Sprintf("key-%d", i)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				got, err := load(ctx, n%10)
				if err != nil || !cmp.Equal(got, []int{n % 10, n%10 + 1}) {
					t.Errorf("a decorated call: got %v, %v", got, err)
				}
				c, err := backends.Get("default")
				if err != nil {
					t.Error(err)
					continue
				}
				closed := func(err error) bool { return errors.Is(err, cacheutils.ErrClosed) }
				if err := c.Set(ctx, key, key); err != nil && !closed(err) {
					t.Errorf("Set: %v", err)
				}
				text := key
				if err := c.Get(ctx, key, &text); text != key || err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) && !closed(err) {
					t.Errorf("Get: got %q, %v", text, err)
				}
				if err := c.GetOrSet(ctx, key, &text, func(context.Context) (any, error) { return key, nil }); text != key || err != nil && !closed(err) {
					t.Errorf("GetOrSet: got %q, %v", text, err)
				}
				if err := cache.Set(ctx, key, key); err != nil {
					t.Errorf("cache.Set, which looks the backend up itself: %v", err)
				}
				if err := h.Invalidate(ctx, n%10); err != nil {
					t.Errorf("Invalidate: %v", err)
				}
			}
		})
	}
	for i := range 60 {
		if err := backends.Configure(configs[i%len(configs)]); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond) // for some calls in each
	}
	close(stop)
	wg.Wait()
}

// Functions are decorated at package level, before there is a configuration. One that names
// a backend which then isn't there, or which can't hold its results, is named by Check, and computes.
func TestCheckNamesFunctions(t *testing.T) {
	if !workers.Alone(t) {
		return
	}
	ctx := context.Background()
	lost, _ := decorators.Cached(func(_ context.Context, n int) (int, error) { return n * n, nil },
		decorators.Backend("nowhere"), decorators.Key("geo.Lost"))
	if _, err := backends.Get("nowhere"); !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Fatalf("got error %v, want ErrUnknownBackend", err)
	}

	log := logTo(t, false)
	if err := backends.Configure(backends.Config{"sessions": {Backend: "locmem"}}); err != nil {
		t.Fatal(err)
	}
	if events := log.logged(); len(events) != 1 || !strings.Contains(events[0], "geo.Lost") || !strings.Contains(events[0], "config_test.go:") ||
		!strings.Contains(events[0], `"nowhere"`) {
		t.Errorf("Configure: got log %q, want one line about geo.Lost", events)
	}
	err := backends.Check()
	if !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Fatalf("Check: got error %v, want ErrUnknownBackend", err)
	}
	for _, name := range []string{"geo.Lost", "config_test.go:", `"nowhere"`, `"default", "sessions"`} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("Check: got error %q, want %q in it", err, name)
		}
	}
	want(t, "names in force", backends.Names(), []string{"default", "sessions"})
	for range 3 {
		if n, err := lost(ctx, 3); n != 9 || err != nil {
			t.Errorf("the function without a backend: got %d, %v, want 9", n, err)
		}
	}
	if events := log.logged(); len(events) != 1 || !strings.Contains(events[0], "geo.Lost") {
		t.Errorf("got log %q, want one line about geo.Lost", events)
	}

	configure(t, backends.Config{"nowhere": {Backend: "locmem"}})
	if err := backends.Check(); err != nil {
		t.Errorf("Check with the backend that was missing: %v", err)
	}
	_, held := decorators.Cached(func(context.Context) (func(), error) { return nil, nil },
		decorators.Backend("nowhere"), decorators.Key("geo.Held"), decorators.Shared())
	if held.Name() != "geo.Held" {
		t.Errorf("got name %s", held.Name())
	}
	configure(t, backends.Config{"nowhere": {Backend: "shelf"}})
	err = backends.Check()
	if !errors.Is(err, cacheutils.ErrUnsupportedValue) || errors.Is(err, cacheutils.ErrUnknownBackend) || !strings.Contains(err.Error(), "geo.Held") {
		t.Errorf("Check with an engine that can't hold results: got error %v, want ErrUnsupportedValue and geo.Held", err)
	}
	configure(t, backends.Config{"nowhere": {Backend: "locmem"}})
	if err := backends.Check(); err != nil {
		t.Errorf("Check with all that is needed: %v", err)
	}
}
