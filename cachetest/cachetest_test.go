package cachetest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachetest"
	"github.com/cacheutils/cacheutils/decorators"
)

// Parallel tests whose functions have one Key see nothing of each other, be they decorated by each of them or at package
// level.
func TestNew_Parallel(t *testing.T) {
	const tests, ids = 40, 20
	for i := range tests {
		own := func(_ context.Context, id int) (string, error) { return fmt.Sprintf("row %d of test %d", id, i), nil }
		t.Run(fmt.Sprint("On/", i), func(t *testing.T) {
			t.Parallel()
			set := cachetest.New(t)
			load, handle := decorators.Cached1(own, decorators.Key("row"), decorators.Group("rows"), decorators.On(set))
			useRows(t, t.Context(), i, load, handle.Invalidate, cache.On(set))
		})
		t.Run(fmt.Sprint("With/", i), func(t *testing.T) {
			t.Parallel()
			ctx := backends.With(context.WithValue(t.Context(), ownerKey{}, i), cachetest.New(t))
			useRows(t, ctx, i, loadRow, rows.Invalidate)
			if got, err := twiceRow(ctx, ids); got != fmt.Sprintf("row %d of test %d, twice", ids, i) || err != nil {
				t.Errorf("a function that calls another: got %q, %v", got, err)
			}
		})
	}
}

type ownerKey struct{}

var (
	loadRow, rows = decorators.Cached1(func(ctx context.Context, id int) (string, error) {
		return fmt.Sprintf("row %d of test %d", id, ctx.Value(ownerKey{})), nil
	}, decorators.Key("row of a package"), decorators.Group("rows"), decorators.IgnoreContext[ownerKey]())
	twiceRow, _ = decorators.Cached(func(ctx context.Context, id int) (string, error) {
		row, err := loadRow(ctx, id)
		return row + ", twice", err
	}, decorators.Key("twice"), decorators.IgnoreContext[ownerKey]())
)

// useRows calls load from several goroutines, while its results are invalidated.
func useRows(t *testing.T, ctx context.Context, test int, load func(context.Context, int) (string, error), invalidate func(context.Context, int) error, opts ...cache.Option) {
	t.Helper()
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for n := range 60 {
				id := n % 20
				if got, err := load(ctx, id); got != fmt.Sprintf("row %d of test %d", id, test) || err != nil {
					t.Errorf("test %d, id %d: got %q, %v", test, id, got, err)
				}
				var err error
				switch {
				case n%7 == g:
					err = invalidate(ctx, id)
				case n%20 == g:
					err = cache.InvalidateGroup(ctx, "rows", opts...)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := cache.Get[int](ctx, "mine", opts...); !errors.Is(err, cacheutils.ErrCacheMiss) {
		t.Errorf("test %d: got %v for what it has not set, want ErrCacheMiss", test, err)
	}
	if err := cache.Set(ctx, "mine", test, opts...); err != nil {
		t.Error(err)
	}
	if got, err := cache.Get[int](ctx, "mine", opts...); got != test || err != nil {
		t.Errorf("test %d: got %d, %v", test, got, err)
	}
}

// The set is closed when its test has ended, and not before its subtests have.
func TestNew_Closes(t *testing.T) {
	var set *backends.Caches
	use := func() error {
		c, err := set.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		return c.Set(context.Background(), "k", 1)
	}
	t.Run("test", func(t *testing.T) {
		set = cachetest.New(t)
		t.Run("subtest", func(t *testing.T) {
			t.Parallel()
			if err := use(); err != nil {
				t.Error(err)
			}
		})
	})
	if err := use(); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("after the test: got %v, want ErrClosed", err)
	}
}

// A set has the backends that were named, each with a store and groups of its own.
func TestNew_Names(t *testing.T) {
	ctx := context.Background()
	set := cachetest.New(t, "sessions", "pages")
	if got := fmt.Sprint(set.Names()); got != "[default pages sessions]" {
		t.Fatalf("got %s", got)
	}
	for _, name := range set.Names() {
		c, err := set.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		var before string
		if err := c.Get(ctx, "k", &before); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("%s: got %q, %v, want nothing of the others", name, before, err)
		}
		if err := c.Set(ctx, "k", name, backends.Group("g")); err != nil {
			t.Error(err)
		}
	}
	c, err := set.Get("pages")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.InvalidateGroup(ctx, "g"); err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		c, err := set.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if has, err := c.Has(ctx, "k"); has == (name == "pages") || err != nil {
			t.Errorf("%s: after the group of pages was invalidated: has it %v, %v", name, has, err)
		}
	}
}

// A noTest is a test that does no more than fail.
type noTest struct {
	testing.TB
	failed string
}

func (n *noTest) Helper()                           {}
func (n *noTest) Errorf(format string, args ...any) { n.failed = fmt.Sprintf(format, args...) }
func (n *noTest) Fatal(args ...any)                 { n.failed = fmt.Sprint(args...); panic(n) }
func (n *noTest) Cleanup(func())                    {}

// A name that no backend can have fails the test that gives it.
func TestNew_WrongName(t *testing.T) {
	n := new(noTest)
	func() {
		defer func() { _ = recover() }()
		cachetest.New(n, "")
	}()
	if !strings.Contains(n.failed, "name") {
		t.Errorf("got %q for a backend without a name", n.failed)
	}
}

// In a bubble all times go by its clock: timeouts, stale times, how long a computation lingers, the leases of those that
// hang, and the pause after one that has failed. Nothing is left when the bubble ends, or synctest would panic.
func TestNew_Bubble(t *testing.T) {
	for _, use := range []string{"On", "With"} {
		t.Run(use, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				set := cachetest.New(t)
				s := &source{set: set, with: use == "With"}
				s.timeouts(t)
				s.stale(t)
				s.lingers(t)
				s.hangs(t)
			})
		})
	}
}

// A source counts the runs of functions that it decorates.
type source struct {
	set  *backends.Caches
	with bool
	runs atomic.Int64
}

func (s *source) decorate(t *testing.T, name string, f func(ctx context.Context, run int64) error, opts ...decorators.Option) func(context.Context) (int64, error) {
	opts = append(opts, decorators.Key(t.Name()+name), decorators.Timeout(time.Minute))
	if !s.with {
		opts = append(opts, decorators.On(s.set))
	}
	s.runs.Store(0)
	load, _ := decorators.Cached0(func(ctx context.Context) (int64, error) {
		run := s.runs.Add(1)
		return run, f(ctx, run)
	}, opts...)
	return func(ctx context.Context) (int64, error) {
		if s.with {
			ctx = backends.With(ctx, s.set)
		}
		return load(ctx)
	}
}

func nothing(context.Context, int64) error { return nil }

func want(t *testing.T, when string, load func(context.Context) (int64, error), run int64) {
	t.Helper()
	if got, err := load(context.Background()); got != run || err != nil {
		t.Errorf("%s: got %d, %v, want the result of run %d", when, got, err, run)
	}
	synctest.Wait()
}

func (s *source) timeouts(t *testing.T) {
	load := s.decorate(t, "timeouts", nothing)
	want(t, "at first", load, 1)
	time.Sleep(time.Minute - time.Millisecond)
	want(t, "before the timeout", load, 1)
	time.Sleep(2 * time.Millisecond)
	want(t, "after the timeout", load, 2)
	time.Sleep(time.Hour)
	want(t, "after an hour", load, 3)
}

func (s *source) stale(t *testing.T) {
	load := s.decorate(t, "stale", func(_ context.Context, run int64) error {
		if run == 2 {
			return errors.New("once")
		}
		return nil
	}, decorators.Stale(time.Hour))
	want(t, "at first", load, 1)
	time.Sleep(2 * time.Minute)
	want(t, "stale, while it is recomputed in vain", load, 1)
	want(t, "stale, after that", load, 1)
	if runs := s.runs.Load(); runs != 2 {
		t.Errorf("%d runs, want 2: the next is put off", runs)
	}
	time.Sleep(2 * time.Second)
	want(t, "stale, while it is recomputed", load, 1)
	want(t, "recomputed", load, 3)
	time.Sleep(2 * time.Hour)
	want(t, "past the stale time", load, 4)
}

func (s *source) lingers(t *testing.T) {
	load := s.decorate(t, "lingers", func(ctx context.Context, _ int64) error {
		select {
		case <-time.After(10 * time.Second):
		case <-ctx.Done():
		}
		return ctx.Err()
	}, decorators.Linger(time.Minute))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := load(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller with a second: got %v", err)
	}
	time.Sleep(20 * time.Second)
	want(t, "what went on after its caller had left", load, 1)
}

// hangs has a function that doesn't heed its context: the lease, of 5 seconds, has to end before it runs again.
func (s *source) hangs(t *testing.T) {
	release := make(chan struct{})
	load := s.decorate(t, "hangs", func(_ context.Context, run int64) error {
		if run == 1 {
			<-release
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	begin := time.Now()
	if _, err := load(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller with a second: got %v", err)
	}
	want(t, "after the lease", load, 2)
	if took := time.Since(begin); took < 5*time.Second || took > 20*time.Second {
		t.Errorf("it was given up after %v, want some more than 5s", took)
	}
	close(release)
	synctest.Wait()
}

// Each test on docs/testing.md is one of this package.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("shop_test.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, m := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if !strings.Contains(m[1], "func Test") {
			continue
		}
		shown++
		if !strings.Contains(string(program), m[1]) {
			t.Errorf("shop_test.go doesn't have this of docs/testing.md:\n%s", m[1])
		}
	}
	if shown < 4 {
		t.Errorf("the page shows %d tests only", shown)
	}
}
