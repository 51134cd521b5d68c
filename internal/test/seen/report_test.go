package seen

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachetest"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// outcomes returns what the calls of a report have come to.
func outcomes(r *cacheutils.Report) string {
	var all []string
	for _, c := range r.Calls() {
		all = append(all, c.Outcome.String())
	}
	return strings.Join(all, " ")
}

// A kind is a decorated function of some shape, for one argument.
type kind struct {
	name                 string
	call, force, require func(ctx context.Context, n int) error
}

// kinds decorates functions of all shapes.
func kinds(prefix string, opts ...decorators.Option) []kind {
	with := func(name string) []decorators.Option {
		return append([]decorators.Option{decorators.Key(prefix + name)}, opts...)
	}
	f := func(ctx context.Context, n int) (int, error) { return n, ctx.Err() }
	reflected, h := decorators.Cached(f, with("reflected")...)
	typed, h1 := decorators.Cached1(f, with("typed")...)
	zero, h0 := decorators.Cached0(func(context.Context) (int, error) { return 1, nil }, with("zero")...)
	two, h2 := decorators.Cached2(func(context.Context, int, string) (int, error) { return 1, nil }, with("two")...)
	three, h3 := decorators.Cached3(func(context.Context, int, string, bool) (int, error) { return 1, nil }, with("three")...)
	many, hm := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) {
		found := map[int]int{}
		for _, key := range keys {
			found[key] = key
		}
		return found, nil
	}, with("many")...)
	grouped, hg := decorators.Cached(f, append(with("grouped"), decorators.Group("seen"))...)
	second := func(_ any, err error) error { return err }
	return []kind{
		{"reflected",
			func(ctx context.Context, n int) error { return second(reflected(ctx, n)) },
			func(ctx context.Context, n int) error { return second(h.ForceRecalc(ctx, n)) },
			func(ctx context.Context, n int) error { return second(h.RequireCache(ctx, n)) }},
		{"typed",
			func(ctx context.Context, n int) error { return second(typed(ctx, n)) },
			func(ctx context.Context, n int) error { return second(h1.ForceRecalc(ctx, n)) },
			func(ctx context.Context, n int) error { return second(h1.RequireCache(ctx, n)) }},
		{"zero",
			func(ctx context.Context, n int) error { return second(zero(ctx)) },
			func(ctx context.Context, n int) error { return second(h0.ForceRecalc(ctx)) },
			func(ctx context.Context, n int) error { return second(h0.RequireCache(ctx)) }},
		{"two",
			func(ctx context.Context, n int) error { return second(two(ctx, n, "")) },
			func(ctx context.Context, n int) error { return second(h2.ForceRecalc(ctx, n, "")) },
			func(ctx context.Context, n int) error { return second(h2.RequireCache(ctx, n, "")) }},
		{"three",
			func(ctx context.Context, n int) error { return second(three(ctx, n, "", true)) },
			func(ctx context.Context, n int) error { return second(h3.ForceRecalc(ctx, n, "", true)) },
			func(ctx context.Context, n int) error { return second(h3.RequireCache(ctx, n, "", true)) }},
		{"many",
			func(ctx context.Context, n int) error { return second(many(ctx, []int{n})) },
			func(ctx context.Context, n int) error { return second(hm.ForceRecalc(ctx, []int{n})) },
			func(ctx context.Context, n int) error { return second(hm.RequireCache(ctx, []int{n})) }},
		{"grouped",
			func(ctx context.Context, n int) error { return second(grouped(ctx, n)) },
			func(ctx context.Context, n int) error { return second(hg.ForceRecalc(ctx, n)) },
			func(ctx context.Context, n int) error { return second(hg.RequireCache(ctx, n)) }},
	}
}

// Every kind of call is in a report, also those that the table of hot hits would answer; calls elsewhere aren't.
func TestReport(t *testing.T) {
	for name, newSet := range sets(t) {
		t.Run(name, func(t *testing.T) {
			set := newSet(t)
			for _, k := range kinds(t.Name(), decorators.On(set)) {
				ctx, report := cacheutils.WithReport(context.Background())
				do := func(f func(context.Context, int) error, fails bool) {
					t.Helper()
					if err := f(ctx, 1); (err != nil) != fails {
						t.Errorf("%s: got %v", k.name, err)
					}
				}
				do(k.require, true)
				do(k.call, false)
				for range 3 { // until the table has it
					if err := k.call(context.Background(), 1); err != nil {
						t.Error(err)
					}
				}
				do(k.call, false)
				do(k.call, false)
				do(k.require, false)
				do(k.force, false)
				do(k.call, false)
				if got, want := outcomes(report), "miss miss hit hit hit forced hit"; got != want {
					t.Errorf("%s: got %s, want %s\n%v", k.name, got, want, report)
				}
				for i, c := range report.Calls() {
					if c.Caller != -1 || c.Took <= 0 || c.Err != nil || c.Function == "" || k.name != "many" && !strings.HasPrefix(c.Key, "[cached]"+c.Function) {
						t.Errorf("%s: call %d is %+v", k.name, i, c)
					}
				}
				if report.Count(cacheutils.Hit) != 4 || report.Count(cacheutils.Miss) != 2 || report.Count(cacheutils.UnderWay) != 0 {
					t.Errorf("%s: got the counts %d, %d, %d", k.name, report.Count(cacheutils.Hit), report.Count(cacheutils.Miss), report.Count(cacheutils.UnderWay))
				}
			}
		})
	}
}

// A report says how old results are, and that they are past their timeout.
func TestReport_Age(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := cachetest.New(t)
		ctx, report := cacheutils.WithReport(t.Context())
		load, handle := decorators.Cached1(func(_ context.Context, n int) (int, error) {
			time.Sleep(time.Second)
			return n, nil
		}, decorators.Key("aged"), decorators.On(set), decorators.Timeout(time.Minute), decorators.Stale(time.Hour))
		double, _ := decorators.Cached(func(n int) int { return 2 * n }, decorators.Key("double"), decorators.On(set))
		quadruple, _ := decorators.Cached(func(_ context.Context, n int) int { return 2 * double(n) }, decorators.Key("quadruple"), decorators.On(set))
		must[int](t)(load(ctx, 1))
		quadruple(ctx, 1)
		time.Sleep(10 * time.Second)
		must[int](t)(load(ctx, 1))
		quadruple(ctx, 1)
		double(1) // under no context that has a report
		time.Sleep(time.Minute)
		must[int](t)(load(ctx, 1))
		must[int](t)(handle.RequireCache(ctx, 1))
		time.Sleep(2 * time.Second) // while it is recomputed
		must[int](t)(load(ctx, 1))
		want := []cacheutils.Call{
			{Function: "aged", Key: "[cached]aged((1,))", Outcome: cacheutils.Miss, Took: time.Second, Caller: -1},
			{Function: "quadruple", Key: "[cached]quadruple((1,))", Outcome: cacheutils.Miss, Caller: -1},
			{Function: "double", Key: "[cached]double((1,))", Outcome: cacheutils.Miss, Caller: 1},
			{Function: "aged", Key: "[cached]aged((1,))", Outcome: cacheutils.Hit, Age: 10 * time.Second, Caller: -1},
			{Function: "quadruple", Key: "[cached]quadruple((1,))", Outcome: cacheutils.Hit, Age: 10 * time.Second, Caller: -1},
			{Function: "aged", Key: "[cached]aged((1,))", Outcome: cacheutils.Stale, Age: 70 * time.Second, Caller: -1},
			{Function: "aged", Key: "[cached]aged((1,))", Outcome: cacheutils.Stale, Age: 70 * time.Second, Caller: -1},
			{Function: "aged", Key: "[cached]aged((1,))", Outcome: cacheutils.Hit, Age: time.Second, Caller: -1},
		}
		if diff := cmp.Diff(want, report.Calls()); diff != "" {
			t.Error(diff)
		}
		if text := report.String(); !strings.Contains(text, "[cached]quadruple((1,)): miss, took 0s\n  [cached]double((1,)): miss, took 0s\n[cached]aged((1,)): hit, 10s old, took 0s\n") {
			t.Errorf("its text is\n%s", text)
		}
	})
}

// Those that wait for another call's results, in this process or another one, have joined. The first one computes.
func TestReport_Joined(t *testing.T) {
	ctx := context.Background()
	server := memcachedtest.Start(t)
	for _, c := range []struct {
		name  string
		a, b  *backends.Caches
		waits func(a, b decorators.Stats) bool
	}{
		{"a process", cachetest.New(t), nil, func(a, b decorators.Stats) bool { return a.Joins > 0 }},
		{"two processes", newSet(t, memcached(server)), newSet(t, memcached(server)), func(a, b decorators.Stats) bool { return b.Waits > 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun, release := make(chan struct{}, 9), make(chan struct{})
			decorate := func(set *backends.Caches) (func(context.Context) (int, error), *decorators.Handle0[int]) {
				return decorators.Cached0(func(context.Context) (int, error) {
					begun <- struct{}{}
					<-release
					return 1, nil
				}, decorators.Key("joined"), decorators.On(set))
			}
			load, first := decorate(c.a)
			other, second := load, first
			if c.b != nil {
				other, second = decorate(c.b)
			}
			ctx, report := cacheutils.WithReport(ctx)
			var wg sync.WaitGroup
			wg.Go(func() { must[int](t)(load(ctx)) })
			<-begun
			wg.Go(func() { must[int](t)(other(ctx)) })
			for !c.waits(first.Stats(), second.Stats()) {
				time.Sleep(time.Millisecond)
			}
			if got := outcomes(report); got != "under way under way" || report.Count(cacheutils.UnderWay) != 2 {
				t.Errorf("meanwhile: got %s", got)
			}
			close(release)
			wg.Wait()
			if got := outcomes(report); got != "miss joined" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// A cache that can't be used is a fault, with the reason; a call that is not to use it has bypassed it.
func TestReport_Faults(t *testing.T) {
	server := memcachedtest.Start(t)
	set := newSet(t, memcached(server))
	for _, k := range kinds(t.Name(), decorators.On(set)) {
		ctx, report := cacheutils.WithReport(context.Background())
		if err := k.call(cacheutils.Bypass(ctx), 1); err != nil {
			t.Error(err)
		}
		if err := k.call(cacheutils.Refresh(ctx), 1); err != nil {
			t.Error(err)
		}
		if got := outcomes(report); got != "bypassed forced" {
			t.Errorf("%s: under Bypass and Refresh: got %s", k.name, got)
		}
	}
	server.Stop()
	for _, k := range kinds(t.Name(), decorators.On(set)) {
		ctx, report := cacheutils.WithReport(context.Background())
		if err := k.call(ctx, 2); err != nil {
			t.Error(err)
		}
		if err := k.require(ctx, 2); err == nil {
			t.Errorf("%s: RequireCache of a server that is down", k.name)
		}
		if got := outcomes(report); got != "fault fault" {
			t.Errorf("%s: of a server that is down: got %s", k.name, got)
		}
		for _, c := range report.Calls() {
			if c.Err == nil || !strings.Contains(c.Err.Error(), server.Addr()) || strings.Contains(c.Err.Error(), "(2,)") {
				t.Errorf("%s: of a server that is down: got the error %v", k.name, c.Err)
			}
		}
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	for _, opts := range [][]decorators.Option{{decorators.On(set)}, {decorators.Backend("none")}} {
		for _, k := range kinds(t.Name()+"without", opts...) {
			ctx, report := cacheutils.WithReport(context.Background())
			if err := k.call(ctx, 1); err != nil {
				t.Error(err)
			}
			if calls := report.Calls(); len(calls) != 1 || calls[0].Outcome != cacheutils.Fault || calls[0].Err == nil {
				t.Errorf("%s: without a backend: got %v", k.name, calls)
			}
		}
	}
}

// BypassIf is as Bypass, for a key by itself.
func TestReport_BypassIf(t *testing.T) {
	odd := decorators.BypassIf(func(_ context.Context, n int) bool { return n%2 == 1 })
	set := cachetest.New(t)
	load, handle := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.Key("odd"), odd, decorators.On(set))
	many, _ := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) { return map[int]int{2: 2}, nil }, decorators.Key("odd many"), odd, decorators.On(set))
	ctx, report := cacheutils.WithReport(context.Background())
	must[int](t)(load(ctx, 1))
	must[int](t)(load(ctx, 2))
	if _, err := handle.RequireCache(ctx, 1); err == nil {
		t.Error("RequireCache of what is not cached")
	}
	must[map[int]int](t)(many(ctx, []int{1, 2, 3}))
	if got := outcomes(report); got != "bypassed miss miss bypassed" {
		t.Errorf("got %s", got)
	}
	if got, want := report.Calls()[3].Keys, (map[cacheutils.Outcome]int{cacheutils.Miss: 1, cacheutils.Bypassed: 2}); !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

// An error that counts as a result is a hit, and explained as what it is.
func TestReport_CacheErrors(t *testing.T) {
	errNone := errors.New("none")
	for name, newSet := range sets(t) {
		t.Run(name, func(t *testing.T) {
			load, handle := decorators.Cached1(func(context.Context, int) (int, error) { return 0, errNone },
				decorators.Key(t.Name()), decorators.On(newSet(t)), decorators.CacheErrors(time.Minute, errNone))
			ctx, report := cacheutils.WithReport(context.Background())
			for range 2 {
				if _, err := load(ctx, 1); !errors.Is(err, errNone) {
					t.Errorf("got %v, want the error", err)
				}
			}
			if got := outcomes(report); got != "miss hit" || report.Calls()[1].Err != nil {
				t.Errorf("got %s, %v", got, report.Calls())
			}
			if x := must[decorators.Explanation](t)(handle.Explain(ctx, 1)); x.State != decorators.Failed || !errors.Is(x.Err, errNone) || x.Left > time.Minute {
				t.Errorf("got %v, %v", x, x.Err)
			}
		})
	}
}

// A call for many keys is one, which counts them.
func TestReport_Many(t *testing.T) {
	for name, newSet := range sets(t) {
		t.Run(name, func(t *testing.T) {
			load, handle := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]string, error) {
				found := map[int]string{}
				for _, key := range keys {
					if key < 10 {
						found[key] = fmt.Sprint(key)
					}
				}
				return found, nil
			}, decorators.Key(t.Name()), decorators.On(newSet(t)), decorators.Absent(time.Minute))
			ctx, report := cacheutils.WithReport(context.Background())
			must[map[int]string](t)(load(ctx, []int{1, 2, 3}))
			must[map[int]string](t)(load(ctx, []int{2, 3, 4, 11}))
			must[map[int]string](t)(load(ctx, []int{1, 2, 3, 4, 11}))
			if _, err := handle.RequireCache(ctx, []int{1, 2, 5}); !errors.Is(err, cacheutils.ErrNoCachedValue) {
				t.Errorf("got %v", err)
			}
			must[map[int]string](t)(handle.ForceRecalc(ctx, []int{1, 6}))
			type keys = map[cacheutils.Outcome]int
			want := []cacheutils.Call{
				{Outcome: cacheutils.Miss, Keys: keys{cacheutils.Miss: 3}},
				{Outcome: cacheutils.Miss, Keys: keys{cacheutils.Hit: 2, cacheutils.Miss: 2}},
				{Outcome: cacheutils.Hit, Keys: keys{cacheutils.Hit: 5}},
				{Outcome: cacheutils.Miss, Keys: keys{cacheutils.Hit: 2, cacheutils.Miss: 1}},
				{Outcome: cacheutils.Forced, Keys: keys{cacheutils.Forced: 2}},
			}
			if diff := cmp.Diff(want, report.Calls(), cmpopts.IgnoreFields(cacheutils.Call{}, "Function", "Took", "Caller")); diff != "" {
				t.Error(diff)
			}
			if text := report.Calls()[1].String(); !strings.Contains(text, ": 2 hit, 2 miss, took ") {
				t.Errorf("its text is %q", text)
			}
		})
	}
}

// Calls of calls are found to be theirs, whatever they are given; operations of package cache are no calls.
func TestReport_Nested(t *testing.T) {
	set := cachetest.New(t)
	type own struct{ context.Context }
	inner, _ := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.Key("nested inner"), decorators.On(set))
	bare, _ := decorators.Cached(func(n int) int {
		m, _ := inner(context.Background(), n) // under no context of the caller's
		return m
	}, decorators.Key("nested bare"), decorators.On(set))
	mine, _ := decorators.Cached(func(ctx own, n int) (int, error) { return inner(ctx, n) }, decorators.Key("nested own"), decorators.On(set))
	outer, _ := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
		if _, err := cache.GetOrSet(ctx, "k", func(context.Context) (int, error) { return 1, nil }, cache.On(set)); err != nil {
			return 0, err
		}
		if n > 1 {
			panic("no more")
		}
		m, err := mine(own{ctx}, n+10)
		return bare(n) + m, err
	}, decorators.Key("nested outer"), decorators.On(set))

	ctx, report := cacheutils.WithReport(context.Background())
	must[int](t)(outer(ctx, 1))
	func() {
		defer func() { _ = recover() }()
		_, _ = outer(ctx, 2)
	}()
	must[int](t)(outer(ctx, 1))
	var got []string
	for _, c := range report.Calls() {
		got = append(got, fmt.Sprint(c.Key, " ", c.Outcome, " ", c.Caller))
	}
	want := []string{
		"[cached]nested\\x20outer((1,)) miss -1",
		"[cached]nested\\x20own((11,)) miss 0",
		"[cached]nested\\x20inner((11,)) miss 0", // a context of one's own is not changed, and says that of the call before
		"[cached]nested\\x20bare((1,)) miss 0",
		"[cached]nested\\x20inner((1,)) miss 3",
		"[cached]nested\\x20outer((2,)) miss -1",
		"[cached]nested\\x20outer((1,)) hit -1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	second, inOther := cacheutils.WithReport(ctx)
	must[int](t)(outer(second, 1))
	if len(report.Calls()) != len(want) || len(inOther.Calls()) != 1 {
		t.Errorf("under a second one: got %d and %d calls", len(report.Calls()), len(inOther.Calls()))
	}
}

// A report has the first 1000 calls, and counts the others, whatever their number, from many goroutines at once.
func TestReport_Bounded(t *testing.T) {
	load, _ := decorators.Cached1(func(_ context.Context, text string) (string, error) { return text, nil },
		decorators.Key("bounded"), decorators.On(cachetest.New(t)))
	ctx, report := cacheutils.WithReport(context.Background())
	const goroutines, each = 8, 500
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				if _, err := load(ctx, strings.Repeat("x", i%400)); err != nil {
					t.Error(err)
				}
				if i%100 == g {
					_ = report.String()
				}
			}
		})
	}
	wg.Wait()
	calls := report.Calls()
	if len(calls) != 1000 {
		t.Errorf("got %d calls, want 1000", len(calls))
	}
	for _, c := range calls {
		if len(c.Key) > 515 || c.Outcome == cacheutils.UnderWay {
			t.Fatalf("got %v", c)
		}
	}
	sum := report.Count(cacheutils.Hit) + report.Count(cacheutils.Miss) + report.Count(cacheutils.Joined)
	if sum != goroutines*each || report.Count(cacheutils.Miss) > 400*goroutines || report.Count(cacheutils.UnderWay) != 0 || report.Count(-1) != 0 || report.Count(99) != 0 {
		t.Errorf("got the counts %d, %d, %d", report.Count(cacheutils.Hit), report.Count(cacheutils.Miss), report.Count(cacheutils.Joined))
	}
	if text := report.String(); !strings.HasSuffix(text, "\nand 3000 more\n") {
		t.Errorf("its text ends with %q", text[len(text)-100:])
	}
}
