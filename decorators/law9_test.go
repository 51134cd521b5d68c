package decorators_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

func TestLaw9_LeaderLeaves(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached(g.wait, decorators.Key("law9.leader"))
		leaderCtx, cancel := context.WithCancel(context.Background())
		leader := ask(func() (int, error) { return F(leaderCtx) })
		within(t, "the run", g.started)
		follower := ask(func() (int, error) { return F(context.Background()) })
		eventually(t, "the second has joined", func() bool { return h.Stats().Joins == 1 })
		cancel()
		if a := within(t, "the leader", leader); !errors.Is(a.err, context.Canceled) {
			t.Errorf("the leader got %v, want its own cancellation", a)
		}
		close(g.release)
		if a := within(t, "the follower", follower); a.run != 1 || a.err != nil {
			t.Errorf("the follower got %v, want run 1", a)
		}
		if run, err := F(context.Background()); run != 1 || err != nil {
			t.Errorf("the result was not stored: %d, %v", run, err)
		}
	})
}

func TestLaw9_WaiterKeepsItsDeadline(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, _ := decorators.Cached(g.wait, decorators.Key("law9.waiter"))
		leader := ask(func() (int, error) { return F(context.Background()) })
		within(t, "the run", g.started)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if a := within(t, "the waiter", ask(func() (int, error) { return F(ctx) })); !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("the waiter got %v, want its deadline", a)
		}
		close(g.release)
		if a := within(t, "the leader", leader); a.run != 1 || a.err != nil {
			t.Errorf("the leader got %v", a)
		}
	})
}

// When all have been cancelled the computation's context ends; the next caller's computation starts
// after that one has ended, and is not told of the cancellation.
func TestLaw9_AllLeave(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		var running atomic.Int64
		ended := make(chan error, 1)
		started := make(chan struct{}, 1)
		slowEnd := make(chan struct{})
		first := true
		F, h := decorators.Cached(func(ctx context.Context) (string, error) {
			if running.Add(1) != 1 {
				t.Error("two computations at once")
			}
			defer running.Add(-1)
			if !first {
				return "second", nil
			}
			first = false
			started <- struct{}{}
			<-ctx.Done()
			ended <- ctx.Err()
			<-slowEnd
			return "first", ctx.Err()
		}, decorators.Key("law9.all"))
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, 1))
		call := func(ctx context.Context) <-chan answer {
			return ask(func() (int, error) { _, err := F(ctx); return 0, err })
		}
		a, b := call(ctx), call(ctx)
		within(t, "the run", started)
		eventually(t, "the second has joined", func() bool { return h.Stats().Joins == 1 })
		cancel()
		within(t, "a", a)
		within(t, "b", b)
		within(t, "the end of the computation's context", ended)
		next := make(chan string, 1)
		go func() {
			got, err := F(context.Background())
			if err != nil {
				t.Errorf("the next caller got %v", err)
			}
			next <- got
		}()
		eventually(t, "the next caller waits", func() bool { return h.Stats().Joins >= 2 })
		close(slowEnd)
		if got := within(t, "the next caller", next); got != "second" {
			t.Errorf("the next caller got %q, want the second computation's result", got)
		}
	})
}

// The computation's context has the first caller's values, and its deadline with the time to linger.
func TestLaw9_ValuesAndDeadline(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		type key struct{}
		type seen struct {
			Value    string
			Deadline time.Time
		}
		const lease = 5 * time.Second
		deadline := time.Now().Add(time.Minute)
		with, cancel := context.WithDeadline(context.WithValue(context.Background(), key{}, "v"), deadline)
		defer cancel()
		without, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "v"))
		defer cancel()
		for name, test := range map[string]struct {
			ctx  context.Context
			opts []decorators.Option
			want time.Time
		}{
			"deadline":           {with, nil, deadline.Add(lease)},
			"deadline, Linger":   {with, []decorators.Option{decorators.Linger(time.Hour)}, deadline.Add(time.Hour)},
			"deadline, Linger 0": {with, []decorators.Option{decorators.Linger(0)}, deadline},
			"no deadline":        {without, nil, time.Time{}},
			"no end":             {context.WithValue(context.Background(), key{}, "v"), nil, time.Time{}},
		} {
			F, h := decorators.Cached(func(ctx context.Context) (seen, error) {
				deadline, _ := ctx.Deadline()
				return seen{ctx.Value(key{}).(string), deadline}, nil
			}, append(test.opts, decorators.Key("law9.values."+name))...)
			for what, call := range map[string]func(context.Context) (seen, error){"call": F, "ForceRecalc": h.ForceRecalc} {
				got, err := call(test.ctx)
				if err != nil || got.Value != "v" || !got.Deadline.Equal(test.want) {
					t.Errorf("%s, %s: got %+v, %v, want the deadline %v", what, name, got, err, test.want)
				}
			}
		}
	})
}

// A call whose context has ended already starts no computation, but an invalidation is carried out.
func TestLaw9_EndedBefore(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		runs := 0
		F, h := decorators.Cached(func(ctx context.Context) (int, error) { runs++; return runs, nil }, decorators.Key("law9.before"))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for name, f := range map[string]func(context.Context) (int, error){"call": F, "ForceRecalc": h.ForceRecalc} {
			if _, err := f(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want the cancellation", name, err)
			}
		}
		if err := h.Set([]any{context.Background()}, 7); err != nil {
			t.Fatal(err)
		}
		if err := h.Invalidate(ctx); err != nil {
			t.Errorf("Invalidate: got %v, want it carried out", err)
		}
		if _, err := h.RequireCache(context.Background()); !errors.Is(err, cacheutils.ErrNoCachedValue) {
			t.Errorf("after Invalidate: got %v, want ErrNoCachedValue", err)
		}
		if runs != 0 || h.Stats().Errors != 0 {
			t.Errorf("%d runs, %+v", runs, h.Stats())
		}
	})
}

// A function without a trailing error gets its ended context itself.
func TestLaw9_NoErrorToReturn(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		F, _ := decorators.Cached(func(ctx context.Context) string {
			<-ctx.Done()
			return ctx.Err().Error()
		}, decorators.Key("law9.noerror"))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if got := F(ctx); got != context.Canceled.Error() {
			t.Errorf("got %q", got)
		}
	})
}
