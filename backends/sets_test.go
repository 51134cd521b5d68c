package backends_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/engine"
)

func newSet(t *testing.T, config backends.Config) *backends.Caches {
	t.Helper()
	caches, err := backends.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { caches.Close() })
	return caches
}

func in(t *testing.T, caches *backends.Caches, name string) *backends.Cache {
	t.Helper()
	c, err := caches.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A library's or a test's own set touches nothing that others use.
func ExampleNew() {
	caches, err := backends.New(backends.Config{"default": {Backend: "locmem"}, "long": {Backend: "locmem", Timeout: time.Hour}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer caches.Close()
	fmt.Println(caches.Names())
	c, err := caches.Get("long")
	fmt.Println(c.Timeout(), err)
	// Output:
	// [default long]
	// 1h0m0s <nil>
}

// Under a context with a set, cached functions and package cache use that one: each tenant has its own.
func ExampleWith() {
	rome, err := backends.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rome.Close()
	ctx := backends.With(context.Background(), rome)
	fmt.Println(cache.Set(ctx, "mayor", "Numa"))
	mayor, err := cache.Get[string](ctx, "mayor")
	fmt.Println(mayor, err)
	_, err = cache.Get[string](context.Background(), "mayor")
	fmt.Println(errors.Is(err, cacheutils.ErrCacheMiss))
	// Output:
	// <nil>
	// Numa <nil>
	// true
}

// Stores of locmem without a Location belong to their set, in which they are one, as in Django. A Location says
// to share.
func TestNew_LocmemStores(t *testing.T) {
	named := backends.Settings{Backend: "locmem", Location: []string{t.Name()}}
	config := backends.Config{"a": {Backend: "locmem"}, "b": {Backend: "locmem"}, "named": named}
	one, two := newSet(t, config), newSet(t, config)
	configure(t, config)
	ctx := context.Background()
	set := func(c *backends.Cache, value string) {
		t.Helper()
		if err := c.Set(ctx, "k", value); err != nil {
			t.Error(err)
		}
	}
	has := func(c *backends.Cache, want string) {
		t.Helper()
		got := "nothing"
		if err := c.Get(ctx, "k", &got); err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Error(err)
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	set(in(t, one, "a"), "one")
	has(in(t, one, "b"), "one")
	has(in(t, two, "a"), "nothing")
	has(get(t, "a"), "nothing")
	set(in(t, two, "a"), "two")
	has(in(t, one, "a"), "one")
	set(get(t, "a"), "program")
	configure(t, config) // what is stored outlasts it
	has(get(t, "b"), "program")

	set(in(t, one, "named"), "shared")
	has(in(t, two, "named"), "shared")
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	has(in(t, two, "named"), "shared")
	has(in(t, two, "a"), "two")
	if err := in(t, one, "a").Set(ctx, "k", 1); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("Set in a closed set: got %v, want ErrClosed", err)
	}
	if err := one.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// New and Configure change nothing when they return an error: what they have opened by then is closed.
func TestNew_Errors(t *testing.T) {
	configure(t, backends.Config{"default": {Backend: "locmem", Timeout: time.Minute}})
	before := get(t, "default")
	config := backends.Config{
		"a": {Backend: "spy", Location: []string{t.Name()}},
		"b": {Backend: "locmem", Options: map[string]any{"nope": 1}},
	}
	for name, open := range map[string]func() error{
		"New":       func() error { _, err := backends.New(config); return err },
		"Configure": func() error { return backends.Configure(config) },
	} {
		err := open()
		if !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), `"b"`) || strings.Count(err.Error(), "cacheutils: ") != 1 {
			t.Errorf("%s: got %v, want ErrConfig that names the backend, with one prefix", name, err)
		}
		e, _ := spies.Load(t.Name())
		want(t, name+": calls of the engine that was opened before", e.(*spy).noted(), []string{"Close"})
	}
	if get(t, "default") != before || before.Set(context.Background(), "k", 1) != nil {
		t.Error("the program's set has changed")
	}
	var none *backends.Caches
	for name, caches := range map[string]*backends.Caches{"nil": none, "zero": new(backends.Caches)} {
		if _, err := caches.Get("default"); !errors.Is(err, cacheutils.ErrUnknownBackend) || !strings.Contains(err.Error(), "backends.New") {
			t.Errorf("%s: Get: got %v, want ErrUnknownBackend with what to do", name, err)
		}
		if err := errors.Join(caches.Check(), caches.Close()); err != nil || len(caches.Names()) != 0 {
			t.Errorf("%s: %v, %v", name, err, caches.Names())
		}
	}
	if _, err := newSet(t, nil).Get("other"); !errors.Is(err, cacheutils.ErrUnknownBackend) || !strings.Contains(err.Error(), `"default"`) {
		t.Errorf("got %v, want ErrUnknownBackend with the names there are", err)
	}
}

// A hung engine's stores don't end.
type hung struct{ engine.Engine }

func (hung) Traits() engine.Traits { return engine.Traits{} }

func (h hung) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	time.Sleep(time.Hour) // whatever ctx says
	return false, ctx.Err()
}

// Close waits for the stores of all backends at once, as long as an operation may take, and not for computations.
func TestCaches_CloseAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := backends.Config{}
		for i := range 10 {
			config[fmt.Sprint("b", i)] = backends.Settings{
				Open:    func(s engine.Settings) (engine.Engine, error) { e, err := locmem.Open(s); return hung{e}, err },
				Options: map[string]any{"operation_timeout": "1s"},
			}
		}
		caches, err := backends.New(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		release := make(chan struct{})
		for i := range 10 {
			c := in(t, caches, fmt.Sprint("b", i))
			go c.GetOrSet(ctx, "k", new(int), func(context.Context) (any, error) { return 1, nil })
			if i == 0 {
				go c.GetOrSet(ctx, "slow", new(int), func(context.Context) (any, error) { <-release; return 1, nil })
			}
		}
		synctest.Wait()
		start := time.Now()
		if err := caches.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("Close took %v, want one operation_timeout for all backends", d)
		}
		close(release)
		time.Sleep(3 * time.Hour)
	})
}

// After Close the program's set stays closed until the next Configure.
func TestClose(t *testing.T) {
	configure(t, nil)
	c := get(t, "default")
	if err := backends.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(context.Background(), "k", 1); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("Set: got %v, want ErrClosed", err)
	}
	if get(t, "default") != c {
		t.Error("Close opens another set")
	}
	configure(t, nil)
	if err := get(t, "default").Set(context.Background(), "k", 1); err != nil {
		t.Errorf("after Configure: %v", err)
	}
}

// So it is when a function that opens an engine panics, and the next Configure isn't kept waiting.
func TestConfigure_OpenPanics(t *testing.T) {
	configure(t, backends.Config{"default": {Backend: "locmem", Timeout: time.Minute}})
	before := get(t, "default")
	func() {
		defer func() {
			if v := recover(); v != "no client" {
				t.Errorf("panicked with %v, want what Open did", v)
			}
		}()
		_ = backends.Configure(backends.Config{
			"a": {Backend: "spy", Location: []string{t.Name()}},
			"b": {Open: func(engine.Settings) (engine.Engine, error) { panic("no client") }},
		})
	}()
	e, _ := spies.Load(t.Name())
	want(t, "calls of the engine that was opened before", e.(*spy).noted(), []string{"Close"})
	if get(t, "default") != before || before.Set(context.Background(), "k", 1) != nil {
		t.Error("the program's set has changed")
	}
	configure(t, nil)
}
