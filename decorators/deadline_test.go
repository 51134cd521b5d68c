package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// slack is what a busy machine may add to a time that is promised.
const slack = time.Second

// A server that stops at any step of a miss keeps no caller beyond its deadline, or beyond two operation
// timeouts. The caller that leads and the one that joined get the result all the same.
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
					d := time.Since(start)
					if t.Logf("the caller had its result after %v, of at most %v", d.Round(time.Millisecond), most); d > most+slack {
						t.Errorf("it took %v, want at most %v", d, most)
					}
					want(t, "the joined caller", 7, b)
					if d := time.Since(joined); d > most+takes+slack {
						t.Errorf("the joined caller took %v, want at most %v", d, most)
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

// An engine that does nothing until its context ends keeps no caller for long: calls return the function's
// result, and operations an error.
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
		"many Invalidate": {func() (int, error) { return 0, many.Invalidate(bg, []int{1, 2, 3}) }, true},
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

// Callers with less time than the function takes don't run it for nothing: what it returns is stored, and it
// runs once for each timeout, in one of two processes. With stale values callers get those meanwhile, and none
// is older than the timeout and the function's time.
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
				// The last refresh may have begun a moment ago, for a caller that got the stale value.
				eventually(t, "each run goes to its end", func() bool { return started.Load() == finished.Load() })
				t.Logf("in %v the function was started %d times and ended by itself %d times; %d results were served, %d of them too old", runFor, started.Load(), finished.Load(), served.Load(), late.Load())
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

// A CachedMany of many keys over a store that hangs takes no longer than one of few.
func TestLaw1_ManyKeysOverAStoreThatHangs(t *testing.T) {
	const operationTimeout, keys = 100 * time.Millisecond, 500
	ids := make([]int, keys)
	for i := range ids {
		ids[i] = i
	}
	for _, hang := range []string{"add", "cas", "get"} {
		for _, deadline := range []time.Duration{0, 2 * time.Second} {
			t.Run(fmt.Sprintf("%s/deadline %v", hang, deadline), func(t *testing.T) {
				var looked atomic.Bool
				s := watched(t, "", watch{before: func(ctx context.Context, operation, _ string) error {
					if operation == hang && (hang != "get" || looked.Swap(true)) {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				}}, map[string]any{"operation_timeout": operationTimeout})
				cachetest.Configure(t, backends.Config{"default": s})
				F, h := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]int, error) {
					found := map[int]int{}
					for _, id := range ids {
						found[id] = id
					}
					return found, ctx.Err()
				}, decorators.Key("hangs.many"))
				ctx := context.Background()
				if deadline > 0 {
					limited, cancel := context.WithTimeout(ctx, deadline)
					defer cancel()
					ctx = limited
				}
				start := time.Now()
				found, err := F(ctx, ids)
				if err != nil || len(found) != keys {
					t.Errorf("got %d results, %v", len(found), err)
				}
				if d := time.Since(start); d > 2*operationTimeout+slack { // and not one for each 32 keys
					t.Errorf("it took %v", d)
				}
				if h.Stats().Errors == 0 {
					t.Error("no fault was met: not a test")
				}
			})
		}
	}
}

// Callers with less time than two runs of the function take don't wait for a run whose result they can't have.
func TestLaw1_StreamOfCallersWithoutTheServer(t *testing.T) {
	down := errors.New("down")
	cachetest.Configure(t, backends.Config{"default": watched(t, "", watch{before: func(context.Context, string, string) error { return down }}, nil)})
	const takes, deadline = 300 * time.Millisecond, 900 * time.Millisecond
	var at, most atomic.Int64
	F, _ := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
		now := at.Add(1)
		defer at.Add(-1)
		for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
		}
		select {
		case <-time.After(takes):
			return n, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}, decorators.Key("stream"))
	if n, err := F(context.Background(), 7); n != 7 || err != nil { // how long it takes is known then
		t.Fatal(n, err)
	}
	var all []<-chan answer
	for range 30 {
		all = append(all, ask(func() (int, error) { return callBy(F, deadline, 7) }))
		time.Sleep(35 * time.Millisecond)
	}
	for _, a := range all {
		want(t, "a caller", 7, a)
	}
	if n := most.Load(); n > 4 {
		t.Errorf("%d runs at once, for 30 callers", n)
	}
}
