package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/cachetest"
)

// gate is a function that waits until it is let through, so that a test decides what
// happens while it runs.
type gate struct {
	started chan int // receives the number of each run when it starts
	release chan struct{}
	runs    atomic.Int64
}

func newGate() *gate {
	return &gate{started: make(chan int, 100), release: make(chan struct{})}
}

func (g *gate) wait(ctx context.Context) (run int, err error) {
	run = int(g.runs.Add(1))
	g.started <- run
	select {
	case <-g.release:
		return run, nil
	case <-ctx.Done():
		return run, context.Cause(ctx)
	}
}

func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: nothing after 20 s", what)
		panic("not reached")
	}
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 20 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

type answer struct {
	run int
	err error
}

// ask calls f on a goroutine of its own.
func ask(f func() (int, error)) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		run, err := f()
		c <- answer{run, err}
	}()
	return c
}

func TestLaw1_ServerGoneAndBack(t *testing.T) {
	server := cachetest.Memcached(t)
	F, h := decorators.Cached(func(n int) int { return n * n }, decorators.Key("law1"))
	check := func(when string) {
		t.Helper()
		for n := range 20 {
			if got := F(n); got != n*n {
				t.Fatalf("%s: F(%d) = %d", when, n, got)
			}
		}
	}
	check("up")
	server.Stop()
	check("down")
	if err := h.Invalidate(1); err == nil {
		t.Error("Invalidate while the server is down reports success")
	}
	if got := h.ForceRecalc(3); got != 9 {
		t.Errorf("ForceRecalc while the server is down: %d", got)
	}
	if n := h.Stats().Errors; n == 0 {
		t.Error("no fault was counted")
	}
	server.Restart()
	eventually(t, "a hit after the restart", func() bool {
		before := h.Stats().Hits
		check("back")
		return h.Stats().Hits > before
	})
}

func TestLaw1_ServerDownAtStart(t *testing.T) {
	server := cachetest.Memcached(t)
	server.Stop()
	cachetest.Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}}})
	F, _ := decorators.Cached(func(n int) (int, error) { return -n, nil }, decorators.Key("law1.start"))
	for n := range 100 {
		if got, err := F(n); got != -n || err != nil {
			t.Fatalf("F(%d) = %d, %v", n, got, err)
		}
	}
}

func TestLaw1_UnknownBackend(t *testing.T) {
	cachetest.Locmem(t)
	F, h := decorators.Cached(func(n int) int { return n + 1 }, decorators.Key("law1.unknown"), decorators.Backend("not there"))
	if got := F(1); got != 2 {
		t.Errorf("F(1) = %d", got)
	}
	if err := h.Invalidate(1); !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Errorf("Invalidate: got %v, want ErrUnknownBackend", err)
	}
	forgotten(t, "law1.unknown")
}

// A value over memcached's limit is returned, and the one stored before is gone.
func TestLaw1_ValueTooLarge(t *testing.T) {
	cachetest.Memcached(t)
	size := 10
	F, h := decorators.Cached(func() []byte {
		b := make([]byte, size)
		rng := rand.NewChaCha8([32]byte{})
		rng.Read(b)
		return b
	}, decorators.Key("law1.large"))
	F()
	size = 3 << 20
	if got := len(h.ForceRecalc()); got != size {
		t.Fatalf("ForceRecalc returned %d bytes, want %d", got, size)
	}
	if got := len(F()); got != size {
		t.Errorf("the next call got %d bytes, want %d: the old value is still there", got, size)
	}
}

// R1: what was read before an invalidation is not stored after it.
func TestLaw2_InvalidateDuringComputation(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached(g.wait, decorators.Key("law2"))
		ctx := context.Background()
		old := ask(func() (int, error) { return F(ctx) })
		within(t, "the first run", g.started)
		if err := h.Invalidate(ctx); err != nil {
			t.Fatal(err)
		}
		late := ask(func() (int, error) { return F(ctx) })
		within(t, "a second run: the late caller has joined the old one", g.started)
		close(g.release)
		if a := within(t, "the first caller", old); a.run != 1 || a.err != nil {
			t.Errorf("the first caller got %v", a)
		}
		if a := within(t, "the late caller", late); a.run != 2 || a.err != nil {
			t.Errorf("the late caller got %v, want run 2", a)
		}
		if run, _ := F(ctx); run != 2 {
			t.Errorf("stored is run %d, want 2", run)
		}
		if n := h.Stats().Refusals; n != 1 {
			t.Errorf("%d results were refused, want 1", n)
		}
	})
}

func TestLaw2_SetDuringComputation(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached(g.wait, decorators.Key("law2.set"))
		ctx := context.Background()
		old := ask(func() (int, error) { return F(ctx) })
		within(t, "the first run", g.started)
		if err := h.Set([]any{ctx}, 42); err != nil {
			t.Fatal(err)
		}
		close(g.release)
		within(t, "the first caller", old)
		if run, _ := F(ctx); run != 42 {
			t.Errorf("stored is %d, want 42: the old computation has overwritten it", run)
		}
	})
}

func TestLaw2_ClearDuringComputation(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, _ := decorators.Cached(g.wait, decorators.Key("law2.clear"))
		ctx := context.Background()
		old := ask(func() (int, error) { return F(ctx) })
		within(t, "the first run", g.started)
		c, err := backends.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Clear(ctx); err != nil {
			t.Fatal(err)
		}
		close(g.release)
		within(t, "the first caller", old)
		if run, _ := F(ctx); run != 2 {
			t.Errorf("got run %d, want a new one", run)
		}
	})
}

// Nobody gets a value older than the source was when the last invalidation before the call
// returned, whatever else is under way.
func TestLaw2_RandomInterleavings(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		const keys, workers = 3, 8
		rounds := 4000
		if testing.Short() {
			rounds = 200
		}
		var source, floor [keys]atomic.Int64
		F, h := decorators.Cached(func(ctx context.Context, key int) (int64, error) {
			v := source[key].Load()
			for range rand.IntN(4) {
				runtime.Gosched()
			}
			if rand.IntN(10) == 0 {
				time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
			}
			return v, nil
		}, decorators.Key("law2.random"))
		background, cancel := context.WithCancel(context.Background())
		defer cancel()
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				ctx := context.Background()
				if w%2 == 0 {
					ctx = background // these run on goroutines of their own
				}
				for range rounds {
					key := rand.IntN(keys)
					switch rand.IntN(8) {
					case 0:
						v := source[key].Add(1)
						if err := h.Invalidate(ctx, key); err != nil {
							t.Errorf("Invalidate: %v", err)
						}
						raise(&floor[key], v)
					case 1:
						before := floor[key].Load()
						now := source[key].Load()
						got, err := h.ForceRecalc(ctx, key)
						if err != nil || got < before || got < now {
							t.Errorf("ForceRecalc: got %d, %v, source was at %d", got, err, now)
						}
						raise(&floor[key], now) // nobody gets anything older than this computation
					default:
						before := floor[key].Load()
						got, err := F(ctx, key)
						if err != nil || got < before {
							t.Errorf("stale: got %d, %v after version %d was invalidated", got, err, before)
						}
					}
				}
			})
		}
		wg.Wait()
		s := h.Stats()
		t.Logf("%+v", s)
		if s.Hits == 0 || s.Joins == 0 || s.Refusals == 0 {
			t.Errorf("the test has not met a hit, a join and a refused store: %+v", s)
		}
	})
}

func raise(a *atomic.Int64, v int64) {
	for {
		old := a.Load()
		if old >= v || a.CompareAndSwap(old, v) {
			return
		}
	}
}

func TestLaw4_OneComputationPerKey(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		var now, most, runs atomic.Int64
		F, h := decorators.Cached(func(ctx context.Context, key int) (string, error) {
			runs.Add(1)
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			time.Sleep(5 * time.Millisecond)
			return fmt.Sprint(key), nil
		}, decorators.Key("law4"))
		const waves, callers = 20, 64
		for key := range waves {
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					ctx := context.Background()
					if i%2 == 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, time.Minute)
						defer cancel()
					}
					if got, err := F(ctx, key); got != fmt.Sprint(key) || err != nil {
						t.Errorf("F(%d) = %q, %v", key, got, err)
					}
				})
			}
			wg.Wait()
		}
		if runs.Load() != waves || most.Load() != 1 {
			t.Errorf("%d waves of %d callers ran it %d times, %d at once at most; want once each", waves, callers, runs.Load(), most.Load())
		}
		if s := h.Stats(); s.Hits+s.Misses != waves*callers || s.Computations != waves {
			t.Errorf("the counts don't add up: %+v", s)
		}
	})
}

func TestLaw4_OnDummyToo(t *testing.T) {
	cachetest.Configure(t, backends.Config{"default": {Backend: "dummy"}})
	g := newGate()
	F, h := decorators.Cached(g.wait, decorators.Key("law4.dummy"))
	first := ask(func() (int, error) { return F(context.Background()) })
	within(t, "the run", g.started)
	var others []<-chan answer
	for range 10 {
		others = append(others, ask(func() (int, error) { return F(context.Background()) }))
	}
	eventually(t, "all have joined", func() bool { return h.Stats().Joins == 10 })
	close(g.release)
	for _, c := range append(others, first) {
		if a := within(t, "a caller", c); a.run != 1 {
			t.Errorf("got run %d", a.run)
		}
	}
}

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
		for _, ctx := range []context.Context{context.Background(), newContext(t)} {
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

func newContext(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx
}

func TestLaw5_GoexitReachesAll(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		for _, ctx := range []context.Context{context.Background(), newContext(t)} {
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

// V4: what comes from the cache is a copy.
func TestLaw6_CallersAreIsolated(t *testing.T) {
	type deep struct {
		List []int
		Map  map[string]*int
		Any  any
	}
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached(func(ctx context.Context) (*deep, []string, error) {
			_, err := g.wait(ctx)
			one := 1
			return &deep{List: []int{1}, Map: map[string]*int{"a": &one}, Any: []any{"x"}}, []string{"y"}, err
		}, decorators.Key("law6"))
		spoil := func() (int, error) {
			d, s, err := F(context.Background())
			if d.List[0] != 1 || *d.Map["a"] != 1 || d.Any.([]any)[0] != "x" || s[0] != "y" {
				t.Errorf("another caller's changes show: %v %v", d, s)
			}
			d.List[0], *d.Map["a"], d.Any.([]any)[0], s[0] = 2, 2, "spoilt", "spoilt"
			d.Map["b"] = nil
			return 0, err
		}
		var all []<-chan answer
		for range 10 {
			all = append(all, ask(spoil))
		}
		within(t, "the run", g.started)
		eventually(t, "all have joined", func() bool { return h.Stats().Joins == 9 })
		close(g.release)
		for _, c := range all {
			within(t, "a caller", c)
		}
		spoil()
		spoil()
		if n := g.runs.Load(); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
	})
}

func TestLaw6_SharedGivesTheSame(t *testing.T) {
	cachetest.Locmem(t)
	F, _ := decorators.Cached(func() *int { return new(int) }, decorators.Key("law6.shared"), decorators.Shared())
	if a, b := F(), F(); a != b {
		t.Error("two callers got two copies in spite of Shared")
	}
}

func TestLaw8_UnencodableResults(t *testing.T) {
	type conn struct{ fd func() }
	cachetest.Locmem(t)
	mustPanic(t, "func", func() {
		decorators.Cached(func() *conn { return &conn{} }, decorators.Key("law8"))
	})
	F, _ := decorators.Cached(func() *conn { return &conn{fd: func() {}} }, decorators.Key("law8"), decorators.Shared())
	if a, b := F(), F(); a != b {
		t.Error("a shared value that can't be encoded is not kept by locmem")
	}
	err := backends.Configure(backends.Config{"default": {Backend: "memcached"}})
	if !errors.Is(err, cacheutils.ErrUnsupportedValue) || !strings.Contains(err.Error(), "law8") {
		t.Errorf("Configure with memcached: got %v, want an error that names the function", err)
	}
	if c := F(); c.fd == nil {
		t.Error("no result")
	}
	mustPanic(t, "can't be cached", func() {
		decorators.Cached(func() *conn { return nil }, decorators.Key("law8.later"), decorators.Shared())
	})
	type point struct{ x, y int } // nobody can change a copy, so locmem keeps it, but memcached can't
	mustPanic(t, "point.x", func() {
		decorators.Cached(func() point { return point{1, 2} }, decorators.Key("law8.point"))
	})
}

// After a deploy that renamed a field the old entries are misses.
func TestLaw8_ChangedTypeIsAMiss(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		type before struct{ Name string }
		type after struct{ Title string }
		Old, _ := decorators.Cached(func() before { return before{"Rome"} }, decorators.Key("law8.type"))
		New, h := decorators.Cached(func() after { return after{"Paris"} }, decorators.Key("law8.type"))
		Old()
		if got := New(); got.Title != "Paris" {
			t.Errorf("got %+v from the entry of another type", got)
		}
		if got := New(); got.Title != "Paris" || h.Stats().Hits != 1 {
			t.Errorf("the entry was not overwritten: %+v, %+v", got, h.Stats())
		}
	})
}

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

// A caller whose context has ended already starts nothing, but what it invalidates is invalidated.
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

func TestRecursion(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		t.Run("other arguments", func(t *testing.T) {
			var fib func(int) int
			fib, _ = decorators.Cached(func(n int) int {
				if n < 2 {
					return n
				}
				return fib(n-1) + fib(n-2)
			}, decorators.Key("fib"))
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if got := fib(40); got != 102334155 {
						t.Errorf("fib(40) = %d", got)
					}
				})
			}
			wg.Wait()
		})
		t.Run("same arguments, without context", func(t *testing.T) {
			var f func(int) int
			f, _ = decorators.Cached(func(n int) int { return f(n) }, decorators.Key("same"))
			defer func() {
				err, _ := recover().(error)
				if !errors.Is(err, cacheutils.ErrRecursion) {
					t.Errorf("got %v, want a panic with ErrRecursion", err)
				}
			}()
			f(1)
		})
		t.Run("same arguments, with an error", func(t *testing.T) {
			var f func(context.Context, int) (int, error)
			f, _ = decorators.Cached(func(ctx context.Context, n int) (int, error) { return f(ctx, n) }, decorators.Key("same err"))
			for _, ctx := range []context.Context{context.Background(), newContext(t)} {
				if _, err := f(ctx, 1); !errors.Is(err, cacheutils.ErrRecursion) {
					t.Errorf("got %v, want ErrRecursion", err)
				}
			}
		})
		t.Run("same arguments, context lost", func(t *testing.T) {
			var f func(context.Context, int) (int, error)
			f, _ = decorators.Cached(func(ctx context.Context, n int) (int, error) { return f(context.Background(), n) }, decorators.Key("same lost"))
			if _, err := f(newContext(t), 1); !errors.Is(err, cacheutils.ErrRecursion) {
				t.Errorf("got %v, want ErrRecursion", err)
			}
		})
		t.Run("same arguments, from a goroutine", func(t *testing.T) {
			var f func(context.Context, int) (int, error)
			f, _ = decorators.Cached(func(ctx context.Context, n int) (int, error) {
				a := <-ask(func() (int, error) { return f(ctx, n) })
				return a.run, a.err
			}, decorators.Key("same goroutine"))
			if _, err := f(context.Background(), 1); !errors.Is(err, cacheutils.ErrRecursion) {
				t.Errorf("got %v, want ErrRecursion", err)
			}
		})
		t.Run("a circle of two callers", func(t *testing.T) {
			// 1 needs 2 and 2 needs 1, and both are under way before either asks.
			var f func(context.Context, int) (int, error)
			var both sync.WaitGroup
			both.Add(2)
			f, _ = decorators.Cached(func(ctx context.Context, n int) (int, error) {
				both.Done()
				both.Wait()
				return f(ctx, 3-n)
			}, decorators.Key("circle"))
			one := ask(func() (int, error) { return f(context.Background(), 1) })
			two := ask(func() (int, error) { return f(context.Background(), 2) })
			for _, c := range []<-chan answer{one, two} {
				if a := within(t, "a caller", c); !errors.Is(a.err, cacheutils.ErrRecursion) {
					t.Errorf("got %v, want ErrRecursion", a.err)
				}
			}
		})
	})
}

func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		got := fmt.Sprint(recover())
		if !strings.Contains(got, want) || !strings.HasPrefix(got, "decorators: ") {
			t.Errorf("panicked with %q, want one of package decorators that says %q", got, want)
		}
	}()
	f()
}

// A computation that a new configuration overtakes is not stored in the store that both have.
func TestLaw2_ConfigureDuringComputation(t *testing.T) {
	server := cachetest.Memcached(t)
	g := newGate()
	F, h := decorators.Cached(g.wait, decorators.Key("law2.configure"))
	ctx := context.Background()
	old := ask(func() (int, error) { return F(ctx) })
	within(t, "the first run", g.started)
	cachetest.Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}}})
	if err := h.Invalidate(ctx); err != nil {
		t.Fatal(err)
	}
	close(g.release)
	if a := within(t, "the first caller", old); a.run != 1 || a.err != nil {
		t.Errorf("the first caller got %v", a)
	}
	if run, _ := F(ctx); run != 2 {
		t.Errorf("stored is run %d, from before the invalidation", run)
	}
}

// lossy is an engine that loses its next lostAnswers answers to add: the item is stored, the
// caller gets an error.
type lossy struct{ engine.Engine }

var lostAnswers atomic.Int64

func (l lossy) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	added, err := l.Engine.Add(ctx, key, item, timeout)
	if lostAnswers.Add(-1) >= 0 {
		return false, context.DeadlineExceeded
	}
	return added, err
}

// A lease of which its taker doesn't know keeps nobody waiting for its whole life.
func TestLaw4_LeaseTakenUnknowingly(t *testing.T) {
	register.Do(func() {
		backends.Register("lossy", func(s engine.Settings) (engine.Engine, error) {
			e, err := locmem.Open(s)
			return lossy{e}, err
		})
	})
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "lossy", Location: []string{t.Name()}, Options: map[string]any{"lease": time.Hour},
	}})
	F, h := decorators.Cached(func(n int) (int, error) { return n, nil }, decorators.Key("law4.lossy"))
	lostAnswers.Store(1)
	if n, err := F(1); n != 1 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	if a := within(t, "the next caller", ask(func() (int, error) { return F(1) })); a.run != 1 || a.err != nil {
		t.Errorf("the next caller got %v", a)
	}
	if s := h.Stats(); s.Computations != 2 || s.Stores != 1 {
		t.Errorf("%+v, want two computations, of which the second is stored", s)
	}
}

// register has an engine registered once, whatever -count says.
var register sync.Once
