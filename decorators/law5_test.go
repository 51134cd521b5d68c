package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// A nil that is not cached doesn't stampede.
func TestLaw5_NilDoesNotStampede(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached(func(ctx context.Context) (*int, error) {
			_, err := g.wait(ctx)
			return nil, err
		}, decorators.Key("law5.nil"))
		var all []<-chan answer
		call := func() (int, error) {
			p, err := F(context.Background())
			if p != nil {
				t.Error("got a value")
			}
			return 0, err
		}
		for range 50 {
			all = append(all, ask(call))
		}
		within(t, "the run", g.started)
		eventually(t, "all have joined", func() bool { return h.Stats().Joins == 49 })
		close(g.release)
		for _, c := range all {
			if a := within(t, "a caller", c); a.err != nil {
				t.Error(a.err)
			}
		}
		if n := g.runs.Load(); n != 1 {
			t.Errorf("50 callers at once ran it %d times, want 1", n)
		}
		call()
		if n := g.runs.Load(); n != 2 {
			t.Errorf("%d runs after another call, want 2: nil was cached", n)
		}
	})
}

func TestLaw5_ErrorsReachAllAndAreNotCached(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		boom := errors.New("boom")
		g := newGate()
		fail := true
		F, h := decorators.Cached(func(ctx context.Context) (int, error) {
			run, _ := g.wait(ctx)
			if fail {
				return -run, boom
			}
			return run, nil
		}, decorators.Key("law5.error"))
		var all []<-chan answer
		for range 5 {
			all = append(all, ask(func() (int, error) { return F(context.Background()) }))
		}
		within(t, "the run", g.started)
		eventually(t, "all have joined", func() bool { return h.Stats().Joins == 4 })
		close(g.release)
		for _, c := range all {
			if a := within(t, "a caller", c); a.run != -1 || a.err != boom {
				t.Errorf("got %v, want -1 and the function's own error", a)
			}
		}
		fail = false
		if run, err := F(context.Background()); run != 2 || err != nil {
			t.Errorf("after the error: %d, %v", run, err)
		}
	})
}

func TestLaw5_PanicReachesAll(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		for _, ctx := range []context.Context{context.Background(), cancellable(t)} {
			g := newGate()
			bad := true
			F, h := decorators.Cached(func(ctx context.Context) (int, error) {
				run, err := g.wait(ctx)
				if bad {
					panicHere()
				}
				return run, err
			}, decorators.Key(fmt.Sprintf("law5.panic %v", ctx.Done() == nil)))
			caught := make(chan any, 5)
			for range 5 {
				go func() {
					defer func() { caught <- recover() }()
					F(ctx)
				}()
			}
			within(t, "the run", g.started)
			eventually(t, "all have joined", func() bool { return h.Stats().Joins == 4 })
			close(g.release)
			for range 5 {
				p, ok := within(t, "a panic", caught).(*cacheutils.PanicError)
				if !ok || p.Value != "broken" || !strings.Contains(string(p.Stack), "panicHere") {
					t.Fatalf("got %v, want a PanicError with the stack of panicHere", p)
				}
			}
			bad = false
			if _, err := F(ctx); err != nil {
				t.Errorf("the key is not usable after the panic: %v", err)
			}
		}
	})
}

func panicHere() { panic("broken") }

func TestLaw5_GoexitReachesAll(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		for _, ctx := range []context.Context{context.Background(), cancellable(t)} {
			g := newGate()
			F, h := decorators.Cached(func(ctx context.Context) (int, error) {
				g.wait(ctx)
				runtime.Goexit()
				return 0, nil
			}, decorators.Key(fmt.Sprintf("law5.goexit %v", ctx.Done() == nil)))
			ended := make(chan bool, 3)
			for range 3 {
				go func() {
					returned := false
					defer func() { ended <- !returned && recover() == nil }()
					F(ctx)
					returned = true
				}()
			}
			within(t, "the run", g.started)
			eventually(t, "all have joined", func() bool { return h.Stats().Joins == 2 })
			close(g.release)
			for range 3 {
				if !within(t, "an end", ended) {
					t.Error("a caller came back, or panicked")
				}
			}
		}
	})
}
