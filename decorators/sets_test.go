package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

// A library has a set of its own, which its users' Configure and Close don't touch.
func ExampleOn() {
	caches, err := backends.New(backends.Config{"default": {Backend: "locmem", Timeout: time.Hour}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer caches.Close()
	Square, _ := decorators.Cached(func(n int) int {
		fmt.Println("computing")
		return n * n
	}, decorators.Key("library.Square"), decorators.On(caches))

	fmt.Println(Square(3))
	backends.Configure(nil) // the user's
	fmt.Println(Square(3))
	// Output:
	// computing
	// 9
	// 9
}

// newSet returns a set of its own, which is closed at the end of the test.
func newSet(t *testing.T, config backends.Config) *backends.Caches {
	t.Helper()
	caches, err := backends.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caches.Close(); err != nil {
			t.Error(err)
		}
	})
	return caches
}

// eachTwice runs test with each engine, on two sets that have one store of it, as two programs have.
func eachTwice(t *testing.T, test func(t *testing.T, one, two *backends.Caches)) {
	t.Helper()
	for engine, location := range map[string]func(t *testing.T) string{
		"locmem":    func(t *testing.T) string { return t.Name() },
		"memcached": func(t *testing.T) string { return memcachedtest.Start(t).Addr() },
	} {
		t.Run(engine, func(t *testing.T) {
			config := backends.Config{"default": {Backend: engine, Location: []string{location(t)}}}
			test(t, newSet(t, config), newSet(t, config))
		})
	}
}

// Two sets share nothing: not values, not names of functions. The warning about two functions of one name is for
// functions of one set.
func TestSets_ShareNothing(t *testing.T) {
	cachetest.Locmem(t)
	var sink recorder
	logging.SetSink(&sink)
	defer logging.SetSink(nil)
	a, b := newSet(t, nil), newSet(t, nil)
	same := func(text string, c *backends.Caches) func() string {
		opts := []decorators.Option{decorators.Key("sets.same")}
		if c != nil {
			opts = append(opts, decorators.On(c))
		}
		F, _ := decorators.Cached(func() string { return text }, opts...)
		return F
	}
	notices := func() []logging.Event {
		return slices.DeleteFunc(slices.Clone(sink.events()), func(e logging.Event) bool { return e.Action != logging.ActionNotice })
	}
	inA, inB, program := same("a", a), same("b", b), same("program", nil)
	for range 2 {
		if got := []string{inA(), inB(), program()}; !slices.Equal(got, []string{"a", "b", "program"}) {
			t.Errorf("got %q", got)
		}
	}
	if events := notices(); len(events) > 0 {
		t.Errorf("got log %v, want none", events)
	}
	same("again", a)
	if events := notices(); len(events) != 1 || !strings.Contains(events[0].Text, "sets.same") {
		t.Errorf("two of one set: got log %v, want one line", events)
	}
}

// A library's set outlives what its user does, and Check names the functions of the set alone.
func TestSets_Library(t *testing.T) {
	cachetest.Locmem(t)
	library := newSet(t, backends.Config{"small": {Backend: "locmem"}})
	var runs atomic.Int64
	F, f := decorators.Cached1(func(context.Context, int) (int64, error) { return runs.Add(1), nil },
		decorators.Key("sets.library"), decorators.On(library), decorators.Backend("small"))
	lost, _ := decorators.Cached(func() int { return 7 }, decorators.Key("sets.lost"), decorators.On(library), decorators.Backend("large"))
	ctx := context.Background()
	F(ctx, 1)
	for what, change := range map[string]func() error{
		"Configure": func() error { return backends.Configure(backends.Config{"default": {Backend: "dummy"}}) },
		"Close":     backends.Close,
	} {
		if err := change(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if n, err := F(ctx, 1); n != 1 || err != nil {
			t.Errorf("after %s: got %d, %v, want 1", what, n, err)
		}
	}
	if err := backends.Check(); err != nil && strings.Contains(err.Error(), "sets.") {
		t.Errorf("Check of the program's set: %v", err)
	}
	err := library.Check()
	if !errors.Is(err, cacheutils.ErrUnknownBackend) || !strings.Contains(err.Error(), "sets.lost") || !strings.Contains(err.Error(), "sets_test.go:") || strings.Contains(err.Error(), "sets.library") {
		t.Errorf("Check: got %v, want sets.lost alone", err)
	}
	if n := lost(); n != 7 {
		t.Errorf("got %d, want 7", n)
	}
	if err := library.Close(); err != nil {
		t.Error(err)
	}
	if n, err := F(ctx, 1); n != 2 || err != nil {
		t.Errorf("after its set was closed: got %d, %v, want 2: it computes", n, err)
	}
	if err := f.Invalidate(ctx, 1); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("Invalidate: got %v, want ErrClosed", err)
	}
	if err := cache.Set(ctx, "k", 1, cache.On(library)); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("cache.Set: got %v, want ErrClosed", err)
	}
	if err := getSmall(backends.With(ctx, library)); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("cache.Get: got %v, want ErrClosed", err)
	}
}

func getSmall(ctx context.Context) error {
	_, err := cache.Get[int](ctx, "k", cache.Backend("small"))
	return err
}

// What was set up wrong is said in a sentence.
func TestSets_Wrong(t *testing.T) {
	cachetest.Locmem(t)
	mustPanic(t, "make it with backends.New", func() {
		decorators.Cached(func() int { return 1 }, decorators.Key("sets.wrong"), decorators.On(nil))
	})
	func() {
		defer func() {
			if text := fmt.Sprint(recover()); !strings.Contains(text, "make one with backends.New") {
				t.Errorf("With a nil set: panicked with %s, want what to do", text)
			}
		}()
		backends.With(context.Background(), nil)
	}()
	var zero backends.Caches
	F, f := decorators.Cached(func() int { return 1 }, decorators.Key("sets.zero"), decorators.On(&zero))
	if n := F(); n != 1 {
		t.Errorf("got %d", n)
	}
	if err := f.Invalidate(); !errors.Is(err, cacheutils.ErrUnknownBackend) || !strings.Contains(err.Error(), "backends.New") {
		t.Errorf("On a zero set: Invalidate: got %v, want ErrUnknownBackend with what to do", err)
	}
	if err := cache.Set(context.Background(), "k", 1, cache.On(nil)); !errors.Is(err, cacheutils.ErrArguments) {
		t.Errorf("cache.On(nil): got %v, want ErrArguments", err)
	}
	if err := cache.Set(backends.With(context.Background(), &zero), "k", 1); !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Errorf("With a zero set: got %v, want ErrUnknownBackend", err)
	}
}
