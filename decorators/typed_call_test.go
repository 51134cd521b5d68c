package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/race"
	"github.com/cacheutils/cacheutils/logging"
)

func TestTyped_NilResult(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		runs := 0
		fn := func(context.Context, int) (*page, error) { runs++; return nil, nil }
		F, _ := decorators.Cached1(fn, decorators.Key("nil"))
		N, _ := decorators.Cached1(fn, decorators.Key("nil kept"), decorators.CacheNil())
		for range 2 {
			F(context.Background(), 1)
			N(context.Background(), 1)
		}
		if runs != 3 {
			t.Errorf("%d runs, want 2 without CacheNil and 1 with it", runs)
		}
	})
}

func TestTyped_Isolated(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		p := new(pager)
		F, _ := decorators.Cached2(p.find, decorators.Key("isolated"))
		for range 3 {
			got, _ := F(context.Background(), query{Text: "t"}, "it")
			if got.Lines[0] != "t" {
				t.Fatalf("a caller sees what another has written: %v", got.Lines)
			}
			got.Lines[0] = "written"
		}
	})
}

func TestTyped_OnlyGoodResults(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		for _, ctx := range []context.Context{context.Background(), cancellable(t)} {
			end := ""
			F, h := decorators.Cached1(func(ctx context.Context, how string) (int, error) {
				switch end = how; how {
				case "error":
					return 7, errors.New("an error")
				case "panic":
					panic("a panic")
				default:
					runtime.Goexit()
					return 0, nil
				}
			}, decorators.Key(fmt.Sprintf("bad %v", ctx.Done() == nil)))
			if n, err := F(ctx, "error"); n != 7 || err == nil || err.Error() != "an error" {
				t.Errorf("error: got %d, %v", n, err)
			}
			func() {
				defer func() {
					p, _ := recover().(*cacheutils.PanicError)
					if p == nil || p.Value != "a panic" || !strings.Contains(string(p.Stack), "TestTyped_OnlyGoodResults") {
						t.Errorf("panic: recovered %v", p)
					}
				}()
				F(ctx, "panic")
			}()
			returned := false
			var wg sync.WaitGroup
			wg.Go(func() {
				F(ctx, "exit")
				returned = true
			})
			wg.Wait()
			if returned || end != "exit" {
				t.Errorf("exit: returned %v after %q", returned, end)
			}
			if s := h.Stats(); s.Stores != 0 || s.Computations != 3 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestTyped_OneComputationAndContexts(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		type valueKey struct{}
		g := newGate()
		var got any
		F, h := decorators.Cached2(func(ctx context.Context, _ int64, _ string) (int, error) {
			got = ctx.Value(valueKey{})
			return g.wait(ctx)
		}, decorators.Key("together"))
		leader, leave := context.WithCancel(context.WithValue(cancellable(t), valueKey{}, "value"))
		left := make(chan error, 1)
		go func() {
			_, err := F(leader, 1, "a")
			left <- err
		}()
		within(t, "the run", g.started)
		results := make(chan int, 3)
		for range 3 {
			go func() {
				n, err := F(context.Background(), 1, "a")
				if err != nil {
					t.Error(err)
				}
				results <- n
			}()
		}
		eventually(t, "all have joined", func() bool { return h.Stats().Joins == 3 })
		leave()
		if err := within(t, "the leader's return", left); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that left got %v", err)
		}
		close(g.release)
		for range 3 {
			if n := within(t, "a result", results); n != 1 {
				t.Errorf("got %d, want 1", n)
			}
		}
		if got != "value" || g.runs.Load() != 1 {
			t.Errorf("the function saw %v and ran %d times", got, g.runs.Load())
		}
	})
}

func TestTyped_InvalidateDuringComputation(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached1(func(ctx context.Context, _ int) (int, error) { return g.wait(ctx) }, decorators.Key("during"))
		ctx := context.Background()
		first := make(chan int, 1)
		go func() { n, _ := F(ctx, 1); first <- n }()
		within(t, "the run", g.started)
		if err := h.Invalidate(ctx, 1); err != nil {
			t.Fatal(err)
		}
		close(g.release)
		if n, err := F(ctx, 1); n != 2 || err != nil {
			t.Errorf("a call after Invalidate got %d, %v, want 2", n, err)
		}
		if n := within(t, "the first", first); n != 1 {
			t.Errorf("the first got %d", n)
		}
	})
}

func TestTyped_Recursion(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		var F func(context.Context, int) (int, error)
		F, _ = decorators.Cached1(func(ctx context.Context, n int) (int, error) { return F(ctx, n) }, decorators.Key("itself"))
		for _, ctx := range []context.Context{context.Background(), cancellable(t)} {
			if _, err := F(ctx, 1); !errors.Is(err, cacheutils.ErrRecursion) {
				t.Errorf("got %v, want ErrRecursion", err)
			}
		}
	})
}

func TestTyped_WithoutBackend(t *testing.T) {
	cachetest.Locmem(t)
	logging.SetSink(new(recorder))
	defer logging.SetSink(nil)
	F, h := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil },
		decorators.Key("nowhere"), decorators.Backend("nowhere"))
	if n, err := F(context.Background(), 3); n != 3 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := h.ForceRecalc(context.Background(), 4); n != 4 || err != nil {
		t.Errorf("ForceRecalc: %d, %v", n, err)
	}
	if err := h.Invalidate(context.Background(), 3); !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Errorf("Invalidate: %v", err)
	}
	if s := h.Stats(); s.Computations != 2 || s.Errors != 2 {
		t.Errorf("%+v", s)
	}
}

// The stack of the goroutine grows, and so moves, while an argument is rendered where it lies.
func TestTyped_MovingStack(t *testing.T) {
	cachetest.Locmem(t)
	type deep struct {
		Next *deep
		N    int
	}
	var d *deep
	for n := range 2000 {
		d = &deep{d, n}
	}
	F, h := decorators.Cached3(func(_ context.Context, _ deep, s string, n int) (string, error) { return fmt.Sprint(s, n), nil }, decorators.Key("deep"))
	want, err := h.CacheKey(*d, "s", 1)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 2 {
				if got, err := F(context.Background(), *d, "s", 1); got != "s1" || err != nil {
					t.Errorf("got %s, %v", got, err)
				}
			}
			if got, _ := h.CacheKey(*d, "s", 1); got != want {
				t.Errorf("another key: %s", got)
			}
		})
	}
	wg.Wait()
	if s := h.Stats(); s.Computations != 1 {
		t.Errorf("%d computations", s.Computations)
	}
}

// What a hit allocates is a promise: nothing, or for Cached what reflect.MakeFunc does.
func TestHitAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector has sync.Pool drop some of what it is given")
	}
	cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}}})
	bare := testing.AllocsPerRun(1000, func() { bareMakeFunc()(context.Background(), 42, "it") }) -
		testing.AllocsPerRun(1000, func() { bareMakeFunc() })
	for _, c := range []struct {
		name string
		load caller
		most float64
	}{
		{"Cached2", cached2(), 0},
		{"Cached2 with a group", cached2(decorators.Key("group"), decorators.Group("a", "b")), 0},
		{"Cached2 with Stale", cached2(decorators.Key("stale"), decorators.Stale(time.Hour)), 0},
		{"Cached2 hashed", cached2(decorators.Key("hashed"), decorators.Hashed()), 0},
		{"Cached", cached(decorators.Key("reflection")), bare + 1},
	} {
		ctx := cancellable(t)
		c.load(ctx, 42, "it")
		if got := testing.AllocsPerRun(1000, func() { c.load(ctx, 42, "it") }); got > c.most {
			t.Errorf("a hit of %s allocates %v times, want at most %v", c.name, got, c.most)
		}
	}
}
