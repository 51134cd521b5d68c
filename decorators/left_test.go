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
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// The context of a computation ends with the cause of the last caller's context.
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

// The context of a computation doesn't end when the function returns, while its caller lives: what was made with it
// can be used.
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

// What a computation returns after all callers have left is stored, as far as it says that it is a result.
func TestLaw4_LeftComputationIsUsed(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			decorate func(name string, run func(ctx context.Context) (int, error), opts ...decorators.Option) (call func(context.Context) (int, error), stored func() bool)
			opts     []decorators.Option
			cancels  bool // the caller is cancelled; otherwise its deadline passes
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
				if runs.Add(1) > 1 { // for the caller alone, which can't learn otherwise that its context has ended
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

// The error of an ended context goes to no caller that has time left: those start one more computation, together.
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

// A function that hangs after all callers have left keeps no caller from its key for longer than a lease, in any
// process.
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

// What a function returns because its context has ended goes to no caller that has time left, also where the
// function has no error to say so, or panics.
func TestLaw9_CutShort(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		for name, ends := range map[string]func(n int) int{
			"a part":  func(n int) int { return n },
			"a panic": func(int) int { panic("its context has ended") },
		} {
			started := make(chan struct{}, 10)
			F, h := decorators.Cached(func(ctx context.Context, _ int) int {
				if ctx.Err() != nil { // for the first caller alone, after its deadline
					return 0
				}
				started <- struct{}{}
				for n := range 10 {
					select {
					case <-ctx.Done():
						return ends(n)
					case <-time.After(20 * time.Millisecond):
					}
				}
				return 10
			}, decorators.Key("law9.cut."+name), decorators.Linger(0))
			ctx, cancel := context.WithTimeout(context.Background(), 70*time.Millisecond)
			defer cancel()
			go func() {
				defer func() { recover() }()
				F(ctx, 1)
			}()
			within(t, name+": the function", started)
			joined := make(chan any, 1)
			go func() {
				defer func() {
					if v := recover(); v != nil {
						joined <- v
					}
				}()
				joined <- F(context.Background(), 1)
			}()
			eventually(t, name+": one has joined", func() bool { return h.Stats().Joins == 1 })
			if got := within(t, name+": the joined caller", joined); got != 10 {
				t.Errorf("%s: the joined caller got %v, want all of the result", name, got)
			}
		}
	})
}

// A joined caller gets what the function returned, in one run, also when the first caller has left.
func TestLaw4_FirstCallerLeaves(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		failed := errors.New("failed")
		for name, test := range map[string]struct {
			result []string
			err    error
		}{
			"an error": {nil, failed},
			"nil":      {nil, nil},
			"a result": {[]string{"row"}, nil},
		} {
			var runs atomic.Int64
			started, release := make(chan struct{}, 10), make(chan struct{})
			F, h := decorators.Cached1(func(ctx context.Context, _ int) ([]string, error) {
				runs.Add(1)
				started <- struct{}{}
				<-release
				return test.result, test.err
			}, decorators.Key("law4.leaves."+name))
			ctx, cancel := context.WithCancel(context.Background())
			first := ask(func() (int, error) { _, err := F(ctx, 1); return 0, err })
			within(t, name+": the function", started)
			joined := ask(func() (int, error) { rows, err := F(context.Background(), 1); return len(rows), err })
			eventually(t, name+": one has joined", func() bool { return h.Stats().Joins == 1 })
			cancel()
			within(t, name+": the first caller", first)
			close(release)
			if a := within(t, name+": the joined caller", joined); a.run != len(test.result) || a.err != test.err {
				t.Errorf("%s: the joined caller got %d rows, %v", name, a.run, a.err)
			}
			if n := runs.Load(); n != 1 {
				t.Errorf("%s: %d runs, want 1", name, n)
			}
		}
	})
}

// A goroutine that the function leaves behind, and that has only its context's Done, ends with the caller.
func TestLaw9_DoneIsHeard(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		ended := make(chan struct{})
		F, _ := decorators.Cached1(func(ctx context.Context, _ int) (int, error) {
			go func() {
				<-ctx.Done()
				close(ended)
			}()
			return 1, nil
		}, decorators.Key("law9.done"))
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := F(ctx, 1); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			runtime.GC()
		}
		select {
		case <-ended:
			t.Fatal("it has ended, though the caller lives")
		case <-time.After(20 * time.Millisecond):
		}
		cancel()
		within(t, "the goroutine's end", ended)
	})
}

// What a computation has used is not retained for as long as its caller's context lives.
func TestLaw10_ContextsAreNotKept(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		const calls, size = 2000, 50_000
		F, _ := decorators.Cached1(func(ctx context.Context, n int) (int, error) { return n, ctx.Err() },
			decorators.Key("law10.contexts"), decorators.Timeout(0))
		live := func() uint64 {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		type key struct{}
		before := live()
		long, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		for n := range calls {
			ctx := context.WithValue(long, key{}, make([]byte, size)) // what a request has
			if _, err := F(ctx, n); err != nil {
				t.Fatal(err)
			}
		}
		var after uint64
		eventually(t, "what the calls had is collected", func() bool { after = live(); return after < before+calls*size/10 })
	})
}

// A function that hangs without a lease, since the server is down, does not retain a set that was replaced.
func TestLaw10_HangingWithoutLease(t *testing.T) {
	down := errors.New("down")
	closed := make(chan struct{})
	s := watched(t, "", watch{before: func(context.Context, string, string) error { return down }}, map[string]any{"lease": "200ms"})
	cachetest.Configure(t, backends.Config{"default": s})
	opened, _ := watching.Load(s.Location[0] + "/engine")
	opened.(*watchedEngine).closed = closed
	hang := make(chan struct{})
	defer close(hang)
	F, _ := decorators.Cached1(func(context.Context, int) (int, error) { <-hang; return 1, nil }, decorators.Key("law10.hangs"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := F(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if err := backends.Configure(nil); err != nil {
		t.Fatal(err)
	}
	within(t, "the engine's Close", closed)
}
