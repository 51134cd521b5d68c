package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/cachetest"
	"github.com/cacheutils/cacheutils/internal/memcachedtest"
)

func TestLaw9_Cause(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		why := errors.New("the client has gone")
		causes := make(chan error, 1)
		started := make(chan struct{})
		F, _ := decorators.Cached1(func(ctx context.Context, _ int) (int, error) {
			close(started)
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return 0, ctx.Err()
		}, decorators.Key("law9.cause"))
		ctx, cancel := context.WithCancelCause(context.Background())
		a := ask(func() (int, error) { return F(ctx, 1) })
		within(t, "the function", started)
		cancel(why)
		if a := within(t, "the caller", a); !errors.Is(a.err, context.Canceled) {
			t.Errorf("the caller got %v", a.err)
		}
		if cause := within(t, "the end of the context", causes); cause != why {
			t.Errorf("the cause is %v, want the caller's", cause)
		}
	})
}

func TestLaw9_ContextOutlivesTheFunction(t *testing.T) {
	cachetest.Locmem(t)
	for name, program := range map[string]func() (context.Context, context.CancelFunc){
		"cancel": func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) },
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), time.Hour)
		},
		"none": func() (context.Context, context.CancelFunc) { return context.Background(), func() {} },
	} {
		type client struct{ ctx context.Context }
		F, h := decorators.Cached1(func(ctx context.Context, _ int) (*client, error) { return &client{ctx}, nil },
			decorators.Key("law9.client."+name), decorators.Shared())
		Many, _ := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]*client, error) {
			return map[int]*client{ids[0]: {ctx}}, nil
		}, decorators.Key("law9.clients."+name), decorators.Shared())
		for what, call := range map[string]func(context.Context) (*client, error){
			"call":        func(ctx context.Context) (*client, error) { return F(ctx, 1) },
			"ForceRecalc": func(ctx context.Context) (*client, error) { return h.ForceRecalc(ctx, 2) },
			"CachedMany":  func(ctx context.Context) (*client, error) { m, err := Many(ctx, []int{1}); return m[1], err },
		} {
			ctx, cancel := program()
			c, err := call(ctx)
			if err != nil || c == nil {
				t.Fatalf("%s, %s: %v", name, what, err)
			}
			for range 3 { // the garbage collector ends nothing that is in use
				runtime.GC()
				if err := c.ctx.Err(); err != nil {
					t.Fatalf("%s, %s: the caller lives, and the context has ended: %v", name, what, err)
				}
			}
			derived, end := context.WithCancel(c.ctx)
			if err := derived.Err(); err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			end()
			cancel()
		}
	}
}

func TestLaw4_LeftComputationIsUsed(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			decorate func(name string, run func(ctx context.Context) (int, error), opts ...decorators.Option) (call func(context.Context) (int, error), stored func() bool)
			opts     []decorators.Option
			cancels  bool // the caller is cancelled, else its deadline passes
			cut      bool // the function's context ends before it returns
			want     bool
		}{
			"deadline":                            {decorate: withError, want: true},
			"deadline, Linger":                    {decorate: withError, opts: []decorators.Option{decorators.Linger(time.Hour)}, want: true},
			"deadline, no Linger":                 {decorate: withError, opts: []decorators.Option{decorators.Linger(0)}, cut: true, want: true},
			"cancelled":                           {decorate: withError, cancels: true, cut: true, want: true},
			"cancelled, Linger":                   {decorate: withError, cancels: true, opts: []decorators.Option{decorators.Linger(time.Hour)}, want: true},
			"cancelled, no error to tell":         {decorate: withContext, cancels: true, cut: true, want: false},
			"cancelled, no error to tell, Linger": {decorate: withContext, cancels: true, opts: []decorators.Option{decorators.Linger(time.Hour)}, want: true},
		} {
			ended := make(chan bool, 1)
			release := make(chan struct{})
			started := make(chan struct{}, 10)
			var runs atomic.Int64
			call, stored := test.decorate("left."+name, func(ctx context.Context) (int, error) {
				if runs.Add(1) > 1 { // for the caller alone, who can't be told otherwise that its context has ended
					return 0, nil
				}
				started <- struct{}{}
				<-release
				ended <- ctx.Err() != nil
				return 1, nil
			}, test.opts...)
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			if test.cancels {
				ctx, cancel = context.WithCancel(context.Background())
			}
			a := ask(func() (int, error) { return call(ctx) })
			within(t, name+": the function", started)
			if test.cancels {
				cancel()
			}
			<-ctx.Done()
			if a := within(t, name+": the caller", a); a.run == 1 {
				t.Errorf("%s: the caller got %v", name, a)
			}
			time.Sleep(20 * time.Millisecond) // for the context to end, if it does
			close(release)
			if cut := within(t, name+": the function's end", ended); cut != test.cut {
				t.Errorf("%s: its context had ended: %v, want %v", name, cut, test.cut)
			}
			if test.want {
				eventually(t, name+": it is stored", stored)
			} else {
				time.Sleep(50 * time.Millisecond)
				if stored() {
					t.Errorf("%s: it is stored", name)
				}
			}
			cancel()
		}
	})
}

func withError(name string, run func(ctx context.Context) (int, error), opts ...decorators.Option) (func(context.Context) (int, error), func() bool) {
	F, h := decorators.Cached0(run, append(opts, decorators.Key(name))...)
	return F, func() bool { _, err := h.RequireCache(context.Background()); return err == nil }
}

func withContext(name string, run func(ctx context.Context) (int, error), opts ...decorators.Option) (func(context.Context) (int, error), func() bool) {
	F, h := decorators.Cached(func(ctx context.Context) int { n, _ := run(ctx); return n }, append(opts, decorators.Key(name))...)
	return func(ctx context.Context) (int, error) { return F(ctx), nil }, func() bool { return h.Stats().Stores > 0 }
}

func TestLaw9_OneMoreTogether(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		var runs atomic.Int64
		started := make(chan int64, 10)
		F, h := decorators.Cached1(func(ctx context.Context, _ int) (int64, error) {
			n := runs.Add(1)
			started <- n
			if n == 1 {
				<-ctx.Done()
				return 0, fmt.Errorf("the query was canceled") // as drivers say it
			}
			time.Sleep(20 * time.Millisecond)
			return n, nil
		}, decorators.Key("law9.onemore"), decorators.Linger(50*time.Millisecond))
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		first := ask(func() (int, error) { n, err := F(ctx, 1); return int(n), err })
		within(t, "the function", started)
		var others []<-chan answer
		for range 8 {
			others = append(others, ask(func() (int, error) { n, err := F(context.Background(), 1); return int(n), err }))
		}
		eventually(t, "they have joined", func() bool { return h.Stats().Joins == 8 })
		if a := within(t, "the first", first); !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("the first got %v", a)
		}
		for _, c := range others {
			want(t, "another", 2, c)
		}
		if n := runs.Load(); n != 2 {
			t.Errorf("%d runs, want 2", n)
		}
	})
}

func TestLaw9_HangingFunction(t *testing.T) {
	server := memcachedtest.Start(t)
	brief := map[string]any{"lease": "300ms"}
	onServer := backends.Settings{Backend: "memcached", Location: []string{server.Addr()}, Options: brief}
	for store, config := range map[string]backends.Config{
		"locmem":    {"default": {Backend: "locmem", Location: []string{t.Name()}, Options: brief}, "another": {Backend: "locmem", Location: []string{t.Name()}, Options: brief}},
		"memcached": {"default": onServer, "another": onServer},
	} {
		t.Run(store, func(t *testing.T) {
			cachetest.Configure(t, config)
			var runs atomic.Int64
			hang := make(chan struct{})
			defer close(hang)
			load := func(_ context.Context, n int) (int, error) {
				if runs.Add(1) == 1 {
					<-hang
				}
				return 2, nil
			}
			F, _ := decorators.Cached1(load, decorators.Key("hangs"))
			G, _ := decorators.Cached1(load, decorators.Key("hangs"), decorators.Backend("another"))
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
			defer cancel()
			if _, err := F(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("the first got %v", err)
			}
			early := ask(func() (int, error) { return F(context.Background(), 1) }) // waits before it counts as hanging
			other := ask(func() (int, error) { return G(context.Background(), 1) })
			want(t, "a caller", 2, early)
			want(t, "a caller in another process", 2, other)
			want(t, "a later one", 2, ask(func() (int, error) { return F(context.Background(), 1) }))
			if n := runs.Load(); n > 3 {
				t.Errorf("%d runs", n)
			}
		})
	}
}
