package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
)

// endsOfTime are durations at which computations of a timeout end that is over, or that has no end.
var endsOfTime = []time.Duration{
	time.Until(time.Time{}), math.MinInt64, math.MinInt64 + 1, -cacheutils.Forever,
	-cacheutils.Forever / 2, -time.Hour, -1, 0,
}

// A timeout that is over stores nothing, however long ago that was, whatever it was made of and wherever it is given.
func TestTimeouts_ThatAreOver(t *testing.T) {
	for _, d := range endsOfTime {
		t.Run(d.String(), func(t *testing.T) {
			set := newSet(t, nil)
			on := decorators.On(set)
			runs := 0
			load := func(_ context.Context, n int) (int, error) { runs++; return n, nil }
			of := decorators.TimeoutOf(func(int) time.Duration { return d })
			for name, opts := range map[string][]decorators.Option{
				"Timeout":                             {decorators.Timeout(d)},
				"TimeoutOf":                           {of},
				"Timeout after another one":           {decorators.Timeout(time.Hour), decorators.Timeout(d)},
				"Timeout with Jitter":                 {decorators.Timeout(d), decorators.Jitter(1)},
				"TimeoutOf with Jitter":               {of, decorators.Jitter(1)},
				"Timeout with Stale":                  {decorators.Timeout(d), decorators.Stale(time.Hour)},
				"Timeout with Stale without an end":   {decorators.Timeout(d), decorators.Stale(cacheutils.Forever)},
				"TimeoutOf with Stale and in a group": {of, decorators.Stale(time.Hour), decorators.Group("g")},
			} {
				F, h := decorators.Cached1(load, append(opts, on, decorators.Key(name))...)
				runs = 0
				for range 2 {
					if _, err := F(context.Background(), 1); err != nil {
						t.Fatal(err)
					}
				}
				if runs != 2 {
					t.Errorf("%s: %d runs for 2 calls, want 2", name, runs)
				}
				if err := h.Set(context.Background(), 1, 1); err != nil {
					t.Errorf("%s: Set: %v", name, err)
				}
				if _, err := h.RequireCache(context.Background(), 1); !errors.Is(err, cacheutils.ErrNoCachedValue) {
					t.Errorf("%s: after Set RequireCache returns %v, want %v", name, err, cacheutils.ErrNoCachedValue)
				}
			}
			many, _ := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) {
				runs++
				return map[int]int{1: 1}, nil
			}, on, decorators.Key("many"), decorators.Timeout(d), decorators.Absent(d), decorators.Jitter(0.5))
			runs = 0
			for range 2 {
				many(context.Background(), []int{1, 2})
			}
			if runs != 2 {
				t.Errorf("CachedMany: %d runs for 2 calls, want 2", runs)
			}
		})
	}
}

// Stale and Linger that are zero or less switch it off, and those without an end have none.
func TestStaleAndLinger_Extremes(t *testing.T) {
	for _, d := range append(endsOfTime, cacheutils.Forever, cacheutils.Forever-1, cacheutils.Forever/2) {
		t.Run(d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := newSet(t, nil)
				runs := 0
				F, h := decorators.Cached1(func(_ context.Context, n int) (int, error) { runs++; return runs, nil }, decorators.On(set),
					decorators.Key("stale"), decorators.Timeout(time.Minute), decorators.Stale(d), decorators.Linger(d))
				ctx := context.Background()
				F(ctx, 1)
				time.Sleep(2 * time.Minute)
				got, err := F(ctx, 1)
				if want := map[bool]int{true: 1, false: 2}[d > 0]; got != want || err != nil {
					t.Errorf("past the timeout: got %d, %v, want %d", got, err, want)
				}
				synctest.Wait()
				if got, err := F(ctx, 1); got != 2 || err != nil {
					t.Errorf("after that: got %d, %v, want 2: the stale value was refreshed", got, err)
				}
				if n := h.Stats().Computations; n != 2 {
					t.Errorf("%d computations, want 2", n)
				}
			})
		})
	}
}

// A computation that may linger forever is not given up by a caller who joins it.
func TestLinger_Forever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := newSet(t, nil)
		F, h := decorators.Cached1(func(context.Context, int) (int, error) { time.Sleep(time.Minute); return 1, nil },
			decorators.On(set), decorators.Key("linger"), decorators.Linger(cacheutils.Forever))
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		for range 3 {
			go F(ctx, 1)
			synctest.Wait()
		}
		if got, err := F(ctx, 1); got != 1 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
		if n := h.Stats().Computations; n != 1 {
			t.Errorf("%d computations, want 1", n)
		}
	})
}

// A number without a unit, which counts nanoseconds, is refused where a duration is given. Results of TimeoutOf may be of
// any length.
func TestDurationsWithoutUnit(t *testing.T) {
	load := func(_ context.Context, n int) (int, error) { return n, nil }
	loadMany := func(context.Context, []int) (map[int]int, error) { return nil, nil }
	for _, d := range []time.Duration{1, 300, 3600, 86400, time.Millisecond - 1} {
		for option, opt := range map[string]decorators.Option{
			"Timeout": decorators.Timeout(d), "Stale": decorators.Stale(d), "Linger": decorators.Linger(d), "Absent": decorators.Absent(d),
		} {
			want := fmt.Sprintf("%s(%v) is less than a millisecond, since a number without a unit counts nanoseconds: did you mean %s(%d*time.Second)?", option, d, option, int64(d))
			mustPanic(t, want, func() { decorators.CachedMany(loadMany, opt, decorators.Key("unit")) })
			if option != "Absent" {
				mustPanic(t, want, func() { decorators.Cached1(load, opt, decorators.Key("unit")) })
				mustPanic(t, want, func() { decorators.Cached(load, opt, decorators.Key("unit")) })
			}
		}
	}
	decorators.Cached1(load, decorators.Timeout(time.Millisecond), decorators.Stale(time.Millisecond), decorators.Key("unit"))
	runs := 0
	F, _ := decorators.Cached1(func(context.Context, int) (int, error) { runs++; return runs, nil }, decorators.On(newSet(t, nil)),
		decorators.Key("unit.of"), decorators.TimeoutOf(func(int) time.Duration { return 300 }))
	if got, err := F(context.Background(), 1); got != 1 || err != nil {
		t.Errorf("TimeoutOf: got %d, %v", got, err)
	}
}

type problem struct{}

func (*problem) Error() string { return "problem" }

type problems []string

func (problems) Error() string { return "problems" }

type failure interface {
	error
	Code() int
}

// number is an error as syscall.Errno, which is not everywhere.
type number uintptr

func (n number) Error() string { return fmt.Sprint("error ", uintptr(n)) }

// What has an Error method is never cached silently, nor silently uncached.
func TestRefusals_Errors(t *testing.T) {
	for name, c := range map[string]struct {
		want string
		fn   any
	}{
		"only an error":                  {"returns only an error, so there is nothing to cache", func(context.Context, int) error { return nil }},
		"a pointer to an error":          {"returns only a value of type *decorators_test.problem, which has an Error method", func(int) *problem { return nil }},
		"a list of errors":               {"returns only a value of type decorators_test.problems", func(int) problems { return nil }},
		"an interface with an Error":     {"returns only a value of type decorators_test.failure", func(int) failure { return nil }},
		"a number that is an error":      {"returns only a value of type decorators_test.number", func(int) number { return 0 }},
		"a number that is an error last": {"has no nil", func(int) (int, number) { return 0, 0 }},
		//lint:ignore ST1008 as users do
		"an error that is not last": {"result 1 is an error that isn't last", func(int) (error, string) { return nil, "" }},
		"two errors":                {"result 2 is an error that isn't last", func(int) (int, error, error) { return 0, nil, nil }},
	} {
		want := c.want
		if name == "a number that is an error last" {
			want = "no nil for when there is no error; return error instead"
		}
		t.Run(name, func(t *testing.T) {
			mustPanic(t, want, func() { decorators.Cached(c.fn) })
			mustPanic(t, want, func() { decorators.Cached(c.fn, decorators.Key("errors"), decorators.Shared()) })
		})
	}
	set := newSet(t, nil)
	runs := 0
	F, _ := decorators.Cached(func(n int) (int, problems) {
		if runs++; n < 0 {
			return 0, problems{"negative"}
		}
		return n, nil
	}, decorators.On(set), decorators.Key("errors.last"))
	for range 2 {
		if _, err := F(-1); err == nil {
			t.Error("the error is lost")
		}
		F(1)
	}
	if runs != 3 {
		t.Errorf("%d runs, want 2 that failed and 1", runs)
	}
	value, _ := decorators.Cached(func(int) (*problem, error) { runs++; return &problem{}, nil }, decorators.On(set), decorators.Key("errors.value"))
	runs = 0
	for range 2 {
		if got, err := value(1); got == nil || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if runs != 1 {
		t.Errorf("a value that has an Error method, before an error: %d runs, want 1", runs)
	}
}

// A nil where an option takes a function, and a nil in place of an option, is refused.
func TestRefusals_Nil(t *testing.T) {
	load := func(_ context.Context, n int) (int, error) { return n, nil }
	var none func(context.Context, int) []string
	for want, opt := range map[string]decorators.Option{
		"KeyOf takes a func(context.Context, int) that returns what stands for them, got nil": decorators.KeyOf(nil),
		"GroupsOf takes a func(context.Context, int) []string, got nil":                       decorators.GroupsOf(nil),
		"GroupsOf takes a func(context.Context, int) []string, got a nil func":                decorators.GroupsOf(none),
		"TimeoutOf takes a func(int) time.Duration, got nil":                                  decorators.TimeoutOf(nil),
		"Unless takes a func(int) bool, got nil":                                              decorators.Unless(nil),
		"Unless takes a func(int) bool, got a value of type bool":                             decorators.Unless(true),
		"option 2 is nil; leave it out":                                                       nil,
		"On has a nil set of backends":                                                        decorators.On(nil),
		"Group has no names; leave it out, or name a group":                                   decorators.Group(),
		"Group: the name of a group is empty: was a variable not set?":                        decorators.Group("a", ""),
	} {
		mustPanic(t, want, func() { decorators.Cached1(load, decorators.Key("nil"), opt) })
		mustPanic(t, want, func() { decorators.Cached(load, decorators.Key("nil"), opt) })
	}
}

// A message says where: the function with the line that it is at, and the file and line that decorate it.
func TestRefusals_Where(t *testing.T) {
	for _, opts := range [][]decorators.Option{nil, {decorators.Key("where")}} {
		mustPanic(t, "decorators_test.loadShop:", func() { decorators.Cached(loadShop, append(opts, decorators.Jitter(2))...) })
		mustPanic(t, "given_test.go:", func() { decorators.Cached(loadShop, append(opts, decorators.Jitter(2))...) })
	}
}

// A function of GroupsOf that gives an empty name: calls compute, with a line in the log, and operations return an error.
func TestGroupsOf_EmptyName(t *testing.T) {
	set := newSet(t, nil)
	ctx := context.Background()
	groupsOf := decorators.GroupsOf(func(_ context.Context, n int) []string { return []string{"a", strings.Repeat("b", n)} })
	F, h := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.On(set), decorators.Key("empty"), groupsOf)
	M, hm := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) { return map[int]int{0: 0, 1: 1}, nil },
		decorators.On(set), decorators.Key("empty.many"), groupsOf)
	for range 2 {
		F(ctx, 1)
		if got, err := F(ctx, 0); got != 0 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
		if got, err := M(ctx, []int{0, 1}); len(got) != 2 || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
		if got, err := h.ForceRecalc(ctx, 0); got != 0 || err != nil {
			t.Errorf("ForceRecalc: got %d, %v", got, err)
		}
	}
	if s := h.Stats(); s.Computations != 5 || s.Errors != 4 {
		t.Errorf("%d computations and %d errors, want 5 and 4", s.Computations, s.Errors)
	}
	_, required := h.RequireCache(ctx, 0)
	for name, err := range map[string]error{
		"Set": h.Set(ctx, 0, 1), "RequireCache": required, "Set of CachedMany": hm.Set(ctx, map[int]int{0: 1}),
	} {
		if !errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), "GroupsOf: the name of a group is empty") || !hasOnePrefix(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := h.Invalidate(ctx, 0); err != nil {
		t.Errorf("Invalidate, which needs no groups: %v", err)
	}
}

// The last of two options counts, so that a wrapper can add its own.
func TestOptions_LastCounts(t *testing.T) {
	set := newSet(t, backends.Config{"other": {Backend: "locmem"}})
	_, h := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.On(newSet(t, nil)),
		decorators.Key("first"), decorators.Key("last"), decorators.Backend("missing"), decorators.Backend("other"), decorators.On(set))
	if h.Name() != "last" {
		t.Errorf("got the name %s", h.Name())
	}
	if err := h.Set(context.Background(), 1, 1); err != nil {
		t.Error(err)
	}
}
