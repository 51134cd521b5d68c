package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/engine"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/cachetest"
	"github.com/cacheutils/cacheutils/internal/memcachedtest"
)

// A watchedEngine calls before with the name of each operation, ahead of it.
type watchedEngine struct {
	backends.Engine
	before func(ctx context.Context, operation, key string) error
	timed  bool
}

func (w *watchedEngine) KeepsTime() bool { return w.timed }

func (w *watchedEngine) Get(ctx context.Context, key string) (backends.Item, error) {
	if err := w.before(ctx, "get", key); err != nil {
		return backends.Item{}, err
	}
	return w.Engine.Get(ctx, key)
}

func (w *watchedEngine) GetMany(ctx context.Context, keys []string) (map[string]backends.Item, error) {
	if err := w.before(ctx, "get", keys[0]); err != nil {
		return nil, err
	}
	return w.Engine.GetMany(ctx, keys)
}

func (w *watchedEngine) Set(ctx context.Context, key string, item backends.Item, timeout time.Duration) error {
	if err := w.before(ctx, "set", key); err != nil {
		return err
	}
	return w.Engine.Set(ctx, key, item, timeout)
}

func (w *watchedEngine) Add(ctx context.Context, key string, item backends.Item, timeout time.Duration) (bool, error) {
	if err := w.before(ctx, "add", key); err != nil {
		return false, err
	}
	return w.Engine.Add(ctx, key, item, timeout)
}

func (w *watchedEngine) CompareAndSwap(ctx context.Context, key string, item backends.Item, timeout time.Duration) (bool, error) {
	if err := w.before(ctx, "cas", key); err != nil {
		return false, err
	}
	return w.Engine.CompareAndSwap(ctx, key, item, timeout)
}

func (w *watchedEngine) Delete(ctx context.Context, key string) (bool, error) {
	if err := w.before(ctx, "delete", key); err != nil {
		return false, err
	}
	return w.Engine.Delete(ctx, key)
}

func (w *watchedEngine) Clear(ctx context.Context) error {
	if err := w.before(ctx, "clear", ""); err != nil {
		return err
	}
	return w.Engine.Clear(ctx)
}

func (w *watchedEngine) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	if err := w.before(ctx, "incr", key); err != nil {
		return 0, err
	}
	return w.Engine.Incr(ctx, key, delta)
}

// watching is what a watched engine calls, by its location.
var watching sync.Map

type watch struct {
	before func(ctx context.Context, operation, key string) error
	server string // memcached's; empty: locmem, whose values are encoded as on a server
	timed  bool
}

var registerWatched = sync.OnceFunc(func() {
	backends.Register("watched", func(s backends.Settings) (backends.Engine, error) {
		found, _ := watching.Load(s.Location[0])
		w := found.(watch)
		open := locmem.Open
		if w.server != "" {
			open, s.Location = memcached.Open, []string{w.server}
		}
		e, err := open(s)
		return &watchedEngine{e, w.before, w.timed}, err
	})
})

// watched returns settings of a backend that calls w.before ahead of each operation.
func watched(t *testing.T, name string, w watch, options map[string]any) backends.Settings {
	t.Helper()
	registerWatched()
	location := t.Name() + name
	watching.Store(location, w)
	t.Cleanup(func() { watching.Delete(location) })
	return backends.Settings{Backend: "watched", Location: []string{location}, Options: options}
}

// slack is what a busy machine may add to a time that is promised.
const slack = time.Second

// A server that stops at any step of a miss keeps no caller beyond its deadline, or beyond two operation
// timeouts, and takes no result away: who leads and who has joined has it.
func TestLaw1_StopsAtAnyStep(t *testing.T) {
	const operationTimeout, takes = 400 * time.Millisecond, 30 * time.Millisecond
	for _, deadline := range []time.Duration{0, 300 * time.Millisecond} {
		for _, timed := range []bool{true, false} {
			for step, stop := range []struct {
				operation string
				nth       int
			}{{"get", 1}, {"add", 1}, {"function", 1}, {"get", 2}, {"cas", 1}} {
				name := fmt.Sprintf("%s-%d/deadline %v/timed %v", stop.operation, stop.nth, deadline, timed)
				t.Run(name, func(t *testing.T) {
					server := memcachedtest.Start(t)
					var seen [5]atomic.Int32
					reach := func(operation string) {
						if operation == stop.operation && int(seen[step].Add(1)) == stop.nth {
							server.Pause()
						}
					}
					s := watched(t, "", watch{func(_ context.Context, operation, _ string) error {
						reach(operation)
						return nil
					}, server.Addr(), timed}, map[string]any{"operation_timeout": operationTimeout})
					cachetest.Configure(t, backends.Config{"default": s})
					t.Cleanup(server.Resume)
					F, h := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
						reach("function")
						time.Sleep(takes)
						return n, ctx.Err()
					}, decorators.Key("stops"))
					start := time.Now()
					a := ask(func() (int, error) { return callBy(F, deadline, 7) })
					if stop.operation != "get" || stop.nth > 1 { // one that joins while the function runs
						eventually(t, "the function runs", func() bool { return h.Stats().Computations > 0 })
					}
					joined := time.Now()
					b := ask(func() (int, error) { return callBy(F, deadline, 7) })
					most := 2*operationTimeout + takes
					if deadline > 0 {
						most = deadline
					}
					want(t, "the caller", 7, a)
					if d := time.Since(start); d > most+slack {
						t.Errorf("it took %v, want at most %v", d, most)
					}
					want(t, "who has joined", 7, b)
					if d := time.Since(joined); d > most+takes+slack {
						t.Errorf("who has joined took %v, want at most %v", d, most)
					}
					if seen[step].Load() < int32(stop.nth) {
						t.Error("the server was not stopped: not a test")
					}
				})
			}
		}
	}
}

// callBy calls f under a context with that deadline, or without one.
func callBy(f func(context.Context, int) (int, error), deadline time.Duration, n int) (int, error) {
	if deadline == 0 {
		return f(context.Background(), n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	return f(ctx, n)
}

// An engine that does nothing until its context ends keeps nobody for long: calls return what the function
// does, and operations an error.
func TestLaw1_EngineThatBlocks(t *testing.T) {
	const operationTimeout = 50 * time.Millisecond
	block := func(ctx context.Context, _, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}
	cachetest.Configure(t, backends.Config{"default": watched(t, "", watch{before: block}, map[string]any{"operation_timeout": operationTimeout})})
	bg := context.Background()
	c, err := backends.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	F, h := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.Key("blocks"), decorators.Group("g"))
	Many, many := decorators.CachedMany(func(_ context.Context, ids []int) (map[int]int, error) {
		found := map[int]int{}
		for _, id := range ids {
			found[id] = id
		}
		return found, nil
	}, decorators.Key("blocks.many"))
	plain := func(n int) (int, error) { return n, nil }
	Plain, _ := decorators.Cached(plain, decorators.Key("blocks.plain"), decorators.Stale(time.Hour))
	var n int
	for name, test := range map[string]struct {
		do    func() (int, error)
		fails bool
	}{
		"call":         {func() (int, error) { return F(bg, 7) }, false},
		"ForceRecalc":  {func() (int, error) { return h.ForceRecalc(bg, 7) }, false},
		"reflected":    {func() (int, error) { return Plain(7) }, false},
		"CachedMany":   {func() (int, error) { m, err := Many(bg, []int{7, 8}); return m[7], err }, false},
		"many's Force": {func() (int, error) { m, err := many.ForceRecalc(bg, []int{7, 8}); return m[7], err }, false},
		"GetOrSet": {func() (int, error) {
			return cache.GetOrSet(bg, "k", func(context.Context) (int, error) { return 7, nil })
		}, false},
		"RequireCache":    {func() (int, error) { return h.RequireCache(bg, 7) }, true},
		"Invalidate":      {func() (int, error) { return 0, h.Invalidate(bg, 7) }, true},
		"many Invalidate": {func() (int, error) { return 0, many.Invalidate(bg, 1, 2, 3) }, true},
		"many Set":        {func() (int, error) { return 0, many.Set(bg, map[int]int{1: 1, 2: 2}) }, true},
		"handle's Set":    {func() (int, error) { return 0, h.Set(bg, 7, 7) }, true},
		"InvalidateGroup": {func() (int, error) { return 0, cache.InvalidateGroups(bg, []string{"a", "b"}) }, true},
		"Get":             {func() (int, error) { return 0, c.Get(bg, "k", &n) }, true},
		"GetMany":         {func() (int, error) { return 0, c.GetMany(bg, []string{"k", "l"}, map[string]int{}) }, true},
		"Set":             {func() (int, error) { return 0, c.Set(bg, "k", 1, backends.Group("g")) }, true},
		"SetMany":         {func() (int, error) { _, err := c.SetMany(bg, map[string]int{"k": 1}); return 0, err }, true},
		"Add":             {func() (int, error) { _, err := c.Add(bg, "k", 1); return 0, err }, true},
		"Touch":           {func() (int, error) { _, err := c.Touch(bg, "k"); return 0, err }, true},
		"Incr":            {func() (int, error) { _, err := c.Incr(bg, "k", 1); return 0, err }, true},
		"Has":             {func() (int, error) { _, err := c.Has(bg, "k"); return 0, err }, true},
		"Delete":          {func() (int, error) { _, err := c.Delete(bg, "k"); return 0, err }, true},
		"Clear":           {func() (int, error) { return 0, c.Clear(bg) }, true},
		"Close":           {func() (int, error) { return 7, nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			a := within(t, "it", ask(test.do))
			if test.fails && a.err == nil || !test.fails && (a.err != nil || a.run != 7) {
				t.Errorf("got %v, %v", a.run, a.err)
			}
			if d := time.Since(start); d > 3*operationTimeout+slack {
				t.Errorf("it took %v", d)
			}
		})
	}
}

// Callers with less time than the function takes don't run it for nothing: what it returns is stored, and
// it runs once for each timeout, in one of two processes. With stale values they get those meanwhile, and
// none is older than the timeout and the function's time.
func TestLaw4_CallersWithLittleTime(t *testing.T) {
	const takes, timeout, runFor = 100 * time.Millisecond, time.Second, 3500 * time.Millisecond
	server := memcachedtest.Start(t)
	onServer := backends.Settings{Backend: "memcached", Location: []string{server.Addr()}}
	for store, config := range map[string]backends.Config{
		"locmem":    {"default": {Backend: "locmem", Location: []string{t.Name()}}},
		"memcached": {"default": onServer, "another": onServer},
	} {
		for _, stale := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprintf("%s/stale %v", store, stale), func(t *testing.T) {
				cachetest.Configure(t, config)
				var started, finished, at atomic.Int64
				begin := time.Now()
				load := func(ctx context.Context, n int) (int64, error) {
					started.Add(1)
					select {
					case <-time.After(takes):
						finished.Add(1)
						return int64(time.Since(begin)), nil
					case <-ctx.Done():
						return 0, ctx.Err()
					}
				}
				var all sync.WaitGroup
				var served, late atomic.Int64
				for name := range config {
					F, _ := decorators.Cached1(load, decorators.Key("little.time"), decorators.Backend(name), decorators.Timeout(timeout), decorators.Stale(stale))
					for i := range 64 / len(config) {
						all.Go(func() {
							for time.Since(begin) < runFor {
								ctx, cancel := context.WithTimeout(context.Background(), time.Duration(5+i%46)*time.Millisecond)
								when := time.Since(begin)
								made, err := F(ctx, 1)
								cancel()
								switch {
								case err == nil:
									served.Add(1)
									if age := when - time.Duration(made); age > timeout+takes+slack {
										late.Add(1)
									}
									for was := at.Load(); made > was && !at.CompareAndSwap(was, made); was = at.Load() {
									}
								case !errors.Is(err, context.DeadlineExceeded):
									t.Errorf("got %v", err)
								}
								time.Sleep(time.Millisecond)
							}
						})
					}
				}
				all.Wait()
				most := int64(runFor/timeout) + 1
				if s, f := started.Load(), finished.Load(); s != f || f < 2 || f > most {
					t.Errorf("the function ran %d times, to its end %d times; want each to the end, and 2 to %d", s, f, most)
				}
				if served.Load() == 0 || late.Load() > 0 {
					t.Errorf("of %d results %d were older than the timeout and the function's time", served.Load(), late.Load())
				}
			})
		}
	}
}

// A refresh is nobody's to wait for, whatever the store does, also not its lease's.
func TestStale_NobodyWaits(t *testing.T) {
	var held atomic.Bool
	s := watched(t, "", watch{before: func(ctx context.Context, operation, _ string) error {
		if held.Load() && operation == "cas" {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}, map[string]any{"operation_timeout": "10s"})
	cachetest.Configure(t, backends.Config{"default": s})
	F, h := decorators.Cached1(func(context.Context, int) (int, error) { return 2, nil },
		decorators.Key("nobody.waits"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
	Many, many := decorators.CachedMany(func(_ context.Context, ids []int) (map[int]int, error) {
		found := map[int]int{}
		for _, id := range ids {
			found[id] = 2
		}
		return found, nil
	}, decorators.Key("nobody.waits"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
	bg := context.Background()
	if err := many.Set(bg, map[int]int{1: 1, 2: 1, 3: 1}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Millisecond)
	held.Store(true)
	start := time.Now()
	got(t, "a call", 1)(F(bg, 1))
	if found, err := Many(bg, []int{1, 2, 3}); err != nil || found[1] != 1 || found[3] != 1 {
		t.Errorf("CachedMany: got %v, %v", found, err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("they waited for the lease: %v", d)
	}
	if n := h.Stats().Computations; n != 0 {
		t.Errorf("%d computations without the lease", n)
	}
}

// The keys that are stale in one call are computed anew by one call of the function.
func TestStale_ManyTogether(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		rows := newTable(1, 2, 3, 4)
		Load, h := decorators.CachedMany(rows.load, decorators.Key("stale.many"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
		bg := context.Background()
		if err := h.Set(bg, map[int64]string{1: "old", 2: "old", 3: "old"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Millisecond)
		found, err := Load(bg, []int64{1, 2, 3})
		if err != nil || found[1] != "old" || found[3] != "old" {
			t.Fatalf("got %v, %v", found, err)
		}
		eventually(t, "they are stored", func() bool { return h.Stats().Stores == 3 })
		wantAsked(t, "three that were stale", rows, []int64{1, 2, 3})
	})
}

// The context of a computation ends with the cause of its last caller's.
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

// That a computation returns doesn't end its context while its caller lives: what was made with it can be used.
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

// What a computation returns that all have left is stored, as far as it says that it is a result.
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

// An ended context's error is nobody's who has time left: those start one more computation, together.
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

// A function that hangs after all have left keeps nobody from its key for longer than a lease, in no process.
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

// Two lost answers in a healthy process: it computes without the lease, another process invalidates, and a later
// caller of the first loses the answer to its own look. It gets nothing from before.
func TestLaw2_TwoLostAnswers(t *testing.T) {
	server := memcachedtest.Start(t)
	lost := errors.New("the answer is lost")
	var loseAdd, loseGet atomic.Bool
	s := watched(t, "", watch{func(_ context.Context, operation, key string) error {
		if operation == "add" && loseAdd.CompareAndSwap(true, false) || operation == "get" && loseGet.CompareAndSwap(true, false) {
			return lost
		}
		return nil
	}, server.Addr(), true}, nil)
	cachetest.Configure(t, backends.Config{
		"default": s,
		"another": {Backend: "memcached", Location: []string{server.Addr()}},
	})
	row := atomic.Int64{}
	row.Store(2)
	read, goOn := make(chan struct{}, 10), make(chan struct{})
	load := func(context.Context, int) (int64, error) {
		n := row.Load()
		read <- struct{}{}
		<-goOn
		return n, nil
	}
	F, h := decorators.Cached1(load, decorators.Key("f"), decorators.Group("all"))
	_, another := decorators.Cached1(load, decorators.Key("f"), decorators.Group("all"), decorators.Backend("another"))
	call := func() (int, error) { n, err := F(context.Background(), 0); return int(n), err }

	loseAdd.Store(true) // of the group's key
	first := ask(call)
	within(t, "the function has read the row", read)
	row.Store(3)
	if err := another.Invalidate(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	loseGet.Store(true) // of the look
	later := []<-chan answer{ask(call)}
	eventually(t, "it has joined", func() bool { return h.Stats().Joins == 1 })
	for range 4 { // and some who could look
		later = append(later, ask(call))
	}
	eventually(t, "they have joined", func() bool { return h.Stats().Joins == 5 })
	if loseAdd.Load() || loseGet.Load() {
		t.Fatal("nothing was lost: not a test")
	}
	close(goOn)
	want(t, "the first caller", 2, first)
	for _, c := range later {
		want(t, "a caller from after the invalidation", 3, c)
	}
	if n := h.Stats().Computations; n != 2 {
		t.Errorf("%d computations, want one next for all", n)
	}
}

// One call that invalidates two targets leaves nothing that was computed, between its writes, with what the
// other target had.
func TestLaw2_TwoTargetsOneCall(t *testing.T) {
	type invalidate func(ctx context.Context) error
	for name, options := range map[string][2][]decorators.Option{
		"groups": {{decorators.Group("a")}, {decorators.Group("b")}},
		"keys":   {},
	} {
		for _, order := range []string{"ab", "ba"} { // the groups are written in the order of their names
			t.Run(name+"/"+order, func(t *testing.T) {
				var between atomic.Pointer[func()]
				s := watched(t, "", watch{before: func(_ context.Context, operation, key string) error {
					if operation == "set" || operation == "delete" {
						if f := between.Load(); f != nil {
							(*f)()
						}
					}
					return nil
				}}, nil)
				cachetest.Configure(t, backends.Config{"default": s})
				bg := context.Background()
				row := atomic.Int64{}
				row.Store(1)
				var Outer func(context.Context, string) (int64, error)
				var do invalidate
				if name == "groups" {
					Inner, _ := decorators.Cached1(func(context.Context, string) (int64, error) { return row.Load(), nil },
						append(options[1], decorators.Key("inner"))...)
					Outer, _ = decorators.Cached1(func(ctx context.Context, s string) (int64, error) { return Inner(ctx, s) },
						append(options[0], decorators.Key("outer"))...)
					if order == "ba" {
						Inner, _ = decorators.Cached1(func(context.Context, string) (int64, error) { return row.Load(), nil },
							append(options[0], decorators.Key("inner"))...)
						Outer, _ = decorators.Cached1(func(ctx context.Context, s string) (int64, error) { return Inner(ctx, s) },
							append(options[1], decorators.Key("outer"))...)
					}
					do = func(ctx context.Context) error { return cache.InvalidateGroups(ctx, []string{"a", "b"}) }
				} else {
					keys := []string{"outer", "inner"}
					if order == "ba" {
						keys = []string{"inner", "outer"}
					}
					var F func(context.Context, []string) (map[string]int64, error)
					var h *decorators.HandleMany[string, int64]
					F, h = decorators.CachedMany(func(ctx context.Context, asked []string) (map[string]int64, error) {
						found := map[string]int64{}
						for _, key := range asked {
							if found[key] = row.Load(); key == "outer" {
								inner, err := F(ctx, []string{"inner"})
								if err != nil {
									return nil, err
								}
								found[key] = inner["inner"]
							}
						}
						return found, nil
					}, decorators.Key("tree"))
					Outer = func(ctx context.Context, key string) (int64, error) {
						m, err := F(ctx, []string{"outer"})
						return m["outer"], err
					}
					do = func(ctx context.Context) error { return h.Invalidate(ctx, keys...) }
				}
				got(t, "before", int64(1))(Outer(bg, "x"))
				row.Store(2)
				reads := 0
				var mu sync.Mutex
				read := func() { // in between the writes of both, and after the first of each
					mu.Lock()
					defer mu.Unlock()
					if reads++; reads > 100 {
						return
					}
					between.Store(nil)
					if _, err := Outer(bg, "x"); err != nil {
						t.Error(err)
					}
				}
				between.Store(&read)
				again := func() { read(); between.Store(&read) }
				between.Store(&again)
				if err := do(bg); err != nil {
					t.Fatal(err)
				}
				between.Store(nil)
				if reads == 0 {
					t.Fatal("nobody has read in between: not a test")
				}
				got(t, "after the invalidation", int64(2))(Outer(bg, "x"))
			})
		}
	}
}

// However many leases are due, only some are renewed at a time.
func TestLaw10_RenewalsAtOnce(t *testing.T) {
	var renewing, most atomic.Int64
	var counts atomic.Bool
	s := watched(t, "", watch{before: func(_ context.Context, operation, _ string) error {
		if operation == "cas" && counts.Load() {
			n := renewing.Add(1)
			for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
			}
			time.Sleep(5 * time.Millisecond)
			renewing.Add(-1)
		}
		return nil
	}}, map[string]any{"lease": "1s"})
	cachetest.Configure(t, backends.Config{"default": s})
	const keys = 500
	ids := make([]int, keys)
	for i := range ids {
		ids[i] = i
	}
	F, h := decorators.CachedMany(func(_ context.Context, ids []int) (map[int]int, error) {
		counts.Store(true)
		time.Sleep(1500 * time.Millisecond)
		counts.Store(false)
		found := map[int]int{}
		for _, id := range ids {
			found[id] = id
		}
		return found, nil
	}, decorators.Key("renewals"))
	if found, err := F(context.Background(), ids); err != nil || len(found) != keys {
		t.Fatalf("got %d results, %v", len(found), err)
	}
	if n := most.Load(); n == 0 || n > 32 {
		t.Errorf("%d renewals at once, want some, and at most 32", n)
	}
	if s := h.Stats(); s.Stores != keys || s.Refusals != 0 {
		t.Errorf("%d results were stored and %d refused, want all of %d", s.Stores, s.Refusals, keys)
	}
}

var _ engine.Timed = (*watchedEngine)(nil)

// ForceRecalc returns without an error only when nothing older is stored: a caller whose time is up before that
// is told so, and what was computed is stored all the same.
func TestLaw2_ForceRecalcInLittleTime(t *testing.T) {
	var held atomic.Pointer[chan struct{}]
	s := watched(t, "", watch{before: func(ctx context.Context, operation, _ string) error {
		if hold := held.Load(); hold != nil && operation == "cas" {
			<-*hold
		}
		return nil
	}}, map[string]any{"operation_timeout": "20s"})
	cachetest.Configure(t, backends.Config{"default": s})
	hold := make(chan struct{})
	F, h := decorators.Cached1(func(context.Context, int) (int, error) {
		if h := held.Load(); h == nil {
			held.Store(&hold)
		}
		return 2, nil
	}, decorators.Key("force.little"))
	if err := h.Set(context.Background(), 1, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	a := within(t, "ForceRecalc", ask(func() (int, error) { return h.ForceRecalc(ctx, 1) }))
	got(t, "a call meanwhile", 1)(F(context.Background(), 1))
	if !errors.Is(a.err, context.DeadlineExceeded) {
		t.Errorf("ForceRecalc: got %v, while an older result is served", a)
	}
	close(hold)
	eventually(t, "the new result is stored", func() bool {
		n, err := F(context.Background(), 1)
		return n == 2 && err == nil
	})
}
