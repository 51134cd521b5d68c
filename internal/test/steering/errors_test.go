//go:build linux

package steering

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
)

var (
	errNone   = errors.New("no such row")
	errClosed = errors.New("the shop is closed")
	errOther  = errors.New("another error")
)

// A codeError is found by its code, and can't be compared.
type codeError struct {
	code   int
	detail []string
}

func (e codeError) Error() string { return fmt.Sprint("code ", e.code, e.detail) }

func (e codeError) Is(target error) bool {
	other, ok := target.(codeError)
	return ok && other.code == e.code
}

// A row is a result that comes with errors, too.
type row struct {
	Name string
	Tags []string
}

// A failing is a function that returns what it is told to, and counts.
type failing struct {
	runs atomic.Int64
	row  row
	err  error
}

func (f *failing) run(context.Context, int) (*row, error) {
	f.runs.Add(1)
	r := f.row
	return &r, f.err
}

func (f *failing) none(context.Context, int) (*row, error) {
	f.runs.Add(1)
	return nil, f.err
}

// decoratings are the ways to decorate run.
func decoratings(run func(context.Context, int) (*row, error), opts ...decorators.Option) map[string]func(ctx context.Context, n int) (*row, error) {
	with := func(name string) []decorators.Option {
		return append([]decorators.Option{decorators.Key(name)}, opts...)
	}
	typed, _ := decorators.Cached1(run, with("typed")...)
	reflected, _ := decorators.Cached(run, with("reflected")...)
	wide, _ := decorators.Cached(func(ctx context.Context, a, b, c int) (*row, error) { return run(ctx, a) }, with("wide")...)
	several, _ := decorators.Cached(func(ctx context.Context, n int) (*row, int, error) {
		r, err := run(ctx, n)
		return r, 12, err
	}, with("several")...)
	return map[string]func(context.Context, int) (*row, error){
		"typed": typed, "reflected": reflected,
		"wide": func(ctx context.Context, n int) (*row, error) { return wide(ctx, n, 0, 0) },
		"several": func(ctx context.Context, n int) (*row, error) {
			r, twelve, err := several(ctx, n)
			if twelve != 12 {
				err = fmt.Errorf("the second result is %d: %w", twelve, err)
			}
			return r, err
		},
	}
}

// found says which of targets errors.Is finds in err.
func found(err error, targets ...error) string {
	var all []string
	for _, target := range targets {
		if errors.Is(err, target) {
			all = append(all, target.Error())
		}
	}
	return strings.Join(all, ", ")
}

// An error that CacheErrors names is a result: the function runs once, and errors.Is finds the same targets ever after, with the
// other results. Others are not cached.
func TestCacheErrors(t *testing.T) {
	targets := []error{errNone, errClosed, fs.ErrNotExist, codeError{code: 404}}
	each(t, func(t *testing.T, caches *backends.Caches) {
		for i, test := range []struct {
			name string
			err  error
			runs int64
			same bool // a hit returns the very target
		}{
			{"the target", errNone, 1, true},
			{"wrapped", fmt.Errorf("load row 42: %w", errNone), 1, false},
			{"two of them", errors.Join(errNone, errClosed), 1, false},
			{"with another error", fmt.Errorf("%w: %w", errOther, errClosed), 1, false},
			{"by its method", codeError{404, []string{"x"}}, 1, false},
			{"of the standard library", &fs.PathError{Op: "open", Path: "f", Err: fs.ErrNotExist}, 1, false},
			{"another error", errOther, 3, true},
			{"of another code", codeError{code: 500}, 3, false},
			{"with the end of a context", fmt.Errorf("%w: %w", errNone, context.Canceled), 3, false},
			{"an empty text", fmt.Errorf("%w", emptyError{errNone}), 1, false},
			{"a long text", fmt.Errorf("%s%w", strings.Repeat("x", 64<<10), errNone), 3, false},
			{"no text", fmt.Errorf("\xff\x00 %w", errNone), 1, false},
			{"none", nil, 1, true},
		} {
			for _, empty := range []bool{false, true} {
				f := &failing{row: row{"Roma", []string{"a"}}, err: test.err}
				run := f.run
				if empty {
					if run = f.none; test.err == nil {
						continue // it is not cached, without CacheNil
					}
				}
				for name, call := range decoratings(run, decorators.On(caches), decorators.CacheErrors(time.Minute, targets...)) {
					t.Run(fmt.Sprint(test.name, " ", name, " ", empty), func(t *testing.T) {
						f.runs.Store(0)
						for range 3 {
							got, err := call(background, 100*i+len(name)+map[bool]int{true: 50}[empty])
							want := &row{"Roma", []string{"a"}}
							if empty {
								want = nil
							}
							if diff := cmp.Diff(want, got); diff != "" {
								t.Errorf("the other results (-want +got):\n%s", diff)
							}
							if got != nil {
								got.Tags[0] = "changed by a caller"
							}
							if fmt.Sprint(err) != fmt.Sprint(test.err) || found(err, targets...) != found(test.err, targets...) || test.same && err != test.err {
								t.Errorf("the error is %v, with %q; want %v, with %q", err, found(err, targets...), test.err, found(test.err, targets...))
							}
							f.row.Tags = []string{"a"}
						}
						if n := f.runs.Load(); n != test.runs {
							t.Errorf("%d runs, want %d", n, test.runs)
						}
					})
				}
			}
		}
	})
}

type emptyError struct{ error }

func (emptyError) Error() string   { return "" }
func (e emptyError) Unwrap() error { return e.error }

// The option ends what it can't keep, in a sentence.
func TestCacheErrors_Refused(t *testing.T) {
	one := new(failing).run
	type uncomparable struct {
		error
		more []int
	}
	for name, test := range map[string]struct {
		decorate func()
		want     string
	}{
		"no target": {func() { decorators.Cached1(one, decorators.Key("f"), decorators.CacheErrors(time.Second)) }, "CacheErrors names no errors"},
		"nil": {func() {
			decorators.Cached1(one, decorators.Key("f"), decorators.CacheErrors(time.Second, errNone, nil))
		}, "error 2 of CacheErrors is nil"},
		"cancelled": {func() {
			decorators.Cached1(one, decorators.Key("f"), decorators.CacheErrors(time.Second, context.Canceled))
		}, "comes of a context's end"},
		"deadline": {func() {
			decorators.Cached1(one, decorators.Key("f"), decorators.CacheErrors(time.Second, fmt.Errorf("x: %w", context.DeadlineExceeded)))
		}, "comes of a context's end"},
		"no unit": {func() { decorators.Cached1(one, decorators.Key("f"), decorators.CacheErrors(30, errNone)) }, "did you mean CacheErrors(30*time.Second)?"},
		"alike": {func() {
			decorators.Cached1(one, decorators.Key("f"), decorators.CacheErrors(time.Second, errNone, errors.New("no such row")))
		}, "have the same type and the same text"},
		"uncomparable": {func() {
			decorators.Cached1(one, decorators.Key("f"), decorators.CacheErrors(time.Second, uncomparable{errNone, nil}))
		}, "in which errors.Is doesn't find itself"},
		"without error": {func() { decorators.Cached(func(int) int { return 1 }, decorators.CacheErrors(time.Second, errNone)) }, "its last result is not an error"},
		"another type": {func() {
			decorators.Cached(func(int) (int, *fs.PathError) { return 1, nil }, decorators.CacheErrors(time.Second, errNone))
		}, "and not of type *fs.PathError"},
		"many": {func() {
			decorators.CachedMany(new(counted).runMany, decorators.Key("f"), decorators.CacheErrors(time.Second, errNone))
		}, "doesn't say which of its keys"},
		"too many": {func() {
			decorators.Cached1(one, decorators.Key("f"), decorators.CacheErrors(time.Second, make([]error, 101)...))
		}, "names 101 errors, and there may be 100"},
	} {
		t.Run(name, func(t *testing.T) {
			if said := refusal(test.decorate); !strings.Contains(said, test.want) {
				t.Errorf("%q doesn't say %q", said, test.want)
			}
		})
	}
}

// Errors are kept for their own time, and zero doesn't keep them.
func TestCacheErrors_Time(t *testing.T) {
	inBubble(t, func(t *testing.T, caches *backends.Caches) {
		f := &failing{err: errNone}
		call, h := decorators.Cached1(f.run, decorators.Key("f"), decorators.On(caches), decorators.Timeout(time.Hour), decorators.Stale(time.Hour),
			decorators.CacheErrors(time.Second, errNone))
		not, _ := decorators.Cached1(f.run, decorators.Key("not"), decorators.On(caches), decorators.CacheErrors(0, errNone))
		ask := func(want error, runs int64) {
			t.Helper()
			if _, err := call(background, 1); err != want || f.runs.Load() != runs {
				t.Errorf("got %v after %d runs, want %v after %d", err, f.runs.Load(), want, runs)
			}
		}
		ask(errNone, 1)
		time.Sleep(999 * time.Millisecond)
		ask(errNone, 1)
		if _, err := h.RequireCache(background, 1); err != errNone {
			t.Errorf("RequireCache: %v", err)
		}
		x, err := h.Explain(background, 1)
		if err != nil || x.State != decorators.Failed || x.Err != errNone || x.Left != time.Millisecond {
			t.Errorf("Explain: %v, %v", x, err)
		}
		time.Sleep(time.Millisecond)
		if _, err := h.RequireCache(background, 1); !errors.Is(err, cacheutils.ErrNoCachedValue) {
			t.Errorf("RequireCache past its time: %v", err)
		}
		f.err = nil
		ask(nil, 2) // an error is not served past its time
		time.Sleep(90 * time.Minute)
		f.err = errOther
		ask(nil, 2) // the old value, while it is refreshed
		synctestWait()
		if n := f.runs.Load(); n != 3 {
			t.Fatalf("%d runs, want a refresh that fails", n)
		}
		time.Sleep(time.Minute)
		f.err = errNone
		ask(nil, 3)
		synctestWait()
		ask(errNone, 4) // the refresh has found that there is none any more
		time.Sleep(time.Second)
		ask(errNone, 5)
		f.runs.Store(0)
		for range 2 {
			_, _ = not(background, 1)
		}
		if n := f.runs.Load(); n != 2 {
			t.Errorf("with CacheErrors(0): %d runs, want 2", n)
		}
	})
}

// What is said of results holds for such errors.
func TestCacheErrors_Operations(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		f := &failing{err: errNone}
		call, h := decorators.Cached1(f.run, decorators.Key("f"), decorators.On(caches), decorators.Group("g"), decorators.CacheErrors(time.Minute, errNone))
		ask := func(what string, runs int64) {
			t.Helper()
			if _, err := call(background, 1); err != errNone || f.runs.Load() != runs {
				t.Errorf("%s: %v after %d runs, want %v after %d", what, err, f.runs.Load(), errNone, runs)
			}
		}
		ask("at first", 1)
		if err := h.Invalidate(background, 1); err != nil {
			t.Error(err)
		}
		ask("after Invalidate", 2)
		if err := cache.InvalidateGroup(background, "g", cache.On(caches)); err != nil {
			t.Error(err)
		}
		ask("after InvalidateGroup", 3)
		if _, err := h.ForceRecalc(background, 1); err != errNone {
			t.Errorf("ForceRecalc: %v", err)
		}
		ask("after ForceRecalc", 4)
		if _, err := call(cacheutils.Refresh(background), 1); err != errNone {
			t.Errorf("under Refresh: %v", err)
		}
		ask("after Refresh", 5)
		if _, err := call(cacheutils.Bypass(background), 1); err != errNone {
			t.Errorf("under Bypass: %v", err)
		}
		ask("after Bypass", 6)
		if s, want := h.Stats(), (decorators.Stats{Hits: 3, Misses: 3, Computations: 6, Stores: 5, Invalidations: 1, Bypasses: 1}); s != want {
			t.Errorf("counted %s", cmp.Diff(want, s))
		}
		f.err = errOther
		if _, err := h.ForceRecalc(background, 1); err != errOther {
			t.Errorf("ForceRecalc: %v", err)
		}
		if _, err := call(background, 1); err != errNone {
			t.Errorf("after a ForceRecalc that has failed: %v, want what was cached", err)
		}
		if err := h.Set(background, 1, &row{Name: "Roma"}); err != nil {
			t.Error(err)
		}
		if r, err := call(background, 1); err != nil || r.Name != "Roma" {
			t.Errorf("after Set: %v, %v", r, err)
		}
		c, err := caches.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		f.err = errNone
		if _, err := h.ForceRecalc(background, 1); err != errNone {
			t.Errorf("ForceRecalc: %v", err)
		}
		key, _ := h.CacheKey(1)
		if err := c.Get(background, key, new(*row)); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("Get of the key: %v, want a miss", err)
		}
		if has, err := c.Has(background, key); err != nil || has {
			t.Errorf("Has: %v, %v; want that there is no value", has, err)
		}
	})
}

// Unless is asked of an error if it takes it, and TimeoutOf is not.
func TestCacheErrors_OtherOptions(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		none := func(*row) time.Duration { t.Error("TimeoutOf is asked of an error"); return 0 }
		for name, test := range map[string]struct {
			opts []decorators.Option
			runs int64
		}{
			"Unless of results":       {[]decorators.Option{decorators.Unless(func(r *row) bool { return r == nil })}, 1},
			"Unless with the error":   {[]decorators.Option{decorators.Unless(func(_ *row, err error) bool { return err == errNone })}, 2},
			"Unless of another error": {[]decorators.Option{decorators.Unless(func(_ *row, err error) bool { return err == errOther })}, 1},
			"TimeoutOf":               {[]decorators.Option{decorators.TimeoutOf(none)}, 1},
			"Timeout":                 {[]decorators.Option{decorators.Timeout(0)}, 1},
			"Jitter":                  {[]decorators.Option{decorators.Jitter(0.1)}, 1},
			"CacheNil":                {[]decorators.Option{decorators.CacheNil()}, 1},
			"Shared":                  {[]decorators.Option{decorators.Shared()}, 1},
			"the last one counts":     {[]decorators.Option{decorators.CacheErrors(time.Second, errOther)}, 2},
		} {
			t.Run(name, func(t *testing.T) {
				f := &failing{err: errNone}
				opts := append([]decorators.Option{decorators.Key(t.Name()), decorators.On(caches), decorators.CacheErrors(time.Minute, errNone)}, test.opts...)
				call, _ := decorators.Cached1(f.none, opts...)
				for range 2 {
					if r, err := call(background, 1); r != nil || err != errNone {
						t.Errorf("got %v, %v", r, err)
					}
				}
				if n := f.runs.Load(); n != test.runs {
					t.Errorf("%d runs, want %d", n, test.runs)
				}
			})
		}
	})
}

// Processes with other targets, or with none, run side by side: what one can't tell it computes, and what it leaves doesn't push
// the other's out where there is room for both.
func TestCacheErrors_Versions(t *testing.T) {
	both := fmt.Errorf("%w: %w", errNone, errClosed)
	for _, test := range []struct {
		name              string
		err               error
		before, after     []error
		runsOf, runsAfter int64 // of the one that calls first, and of the other, in three calls each by turns
	}{
		{"the option is new", errNone, nil, []error{errNone}, 3, 1},
		{"the option goes", errNone, []error{errNone}, nil, 1, 3},
		{"the same in another order", both, []error{errNone, errClosed}, []error{errClosed, errNone}, 1, 0},
		{"a target more", errNone, []error{errNone}, []error{errNone, errClosed}, 1, 1},
		{"a target less", errNone, []error{errNone, errClosed}, []error{errNone}, 1, 0},
		{"a target that is not the same", errNone, []error{errClosed, errNone}, []error{errClosed, errOther}, 1, 3},
		{"a target less of two", both, []error{errNone, errClosed}, []error{errNone}, 1, 0},
		{"a target more of two", both, []error{errNone}, []error{errNone, errClosed}, 1, 1},
		{"one target each", both, []error{errNone}, []error{errClosed}, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, caches *backends.Caches) {
				var fs [2]failing
				var calls [2]func(context.Context, int) (*row, error)
				for i, targets := range [][]error{test.before, test.after} {
					opts := []decorators.Option{decorators.Key(t.Name()), decorators.On(caches)}
					if targets != nil {
						opts = append(opts, decorators.CacheErrors(time.Minute, targets...))
					}
					fs[i].err = test.err
					calls[i], _ = decorators.Cached1(fs[i].run, opts...)
				}
				for range 3 {
					for i := range calls {
						_, err := calls[i](background, 1)
						if targets := [][]error{test.before, test.after}[i]; found(err, targets...) != found(test.err, targets...) {
							t.Errorf("function %d: %v, with %q", i, err, found(err, targets...))
						}
					}
				}
				if strings.HasSuffix(t.Name(), "locmem") {
					return // there is no room for both
				}
				if a, b := fs[0].runs.Load(), fs[1].runs.Load(); a != test.runsOf || b != test.runsAfter {
					t.Errorf("%d and %d runs, want %d and %d", a, b, test.runsOf, test.runsAfter)
				}
			})
		})
	}
}

// A value that one without the option stores takes the place of an error, and the other way round.
func TestCacheErrors_ReplacedByValues(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		with, without := &failing{err: errNone}, &failing{row: row{Name: "Roma"}}
		call, h := decorators.Cached1(with.run, decorators.Key("f"), decorators.On(caches), decorators.CacheErrors(time.Minute, errNone))
		other, _ := decorators.Cached1(without.run, decorators.Key("f"), decorators.On(caches))
		if _, err := call(background, 1); err != errNone {
			t.Errorf("got %v", err)
		}
		if r, err := other(background, 1); err != nil || r.Name != "Roma" {
			t.Errorf("without the option: %v, %v", r, err)
		}
		if r, err := call(background, 1); err != nil || r.Name != "Roma" {
			t.Errorf("with the option: %v, %v; want the value, which is newer than the error", r, err)
		}
		if _, err := h.ForceRecalc(background, 1); err != errNone {
			t.Errorf("got %v", err)
		}
		if r, err := other(background, 1); err != nil || r.Name != "Roma" || without.runs.Load() != 2 {
			t.Errorf("without the option: %v, %v after %d runs, want that it computes", r, err, without.runs.Load())
		}
	})
}

// Callers at the same time share the computation of such an error as that of any result, and one whose context had ended is for none.
func TestCacheErrors_Together(t *testing.T) {
	inBubble(t, func(t *testing.T, caches *backends.Caches) {
		f := newFlight()
		call, _ := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
			run, err := f.run(ctx, n)
			if err == nil && ctx.Err() != nil {
				return 0, fmt.Errorf("%w, as the client has gone", errNone)
			}
			return run, errNone
		}, decorators.Key("f"), decorators.On(caches), decorators.CacheErrors(time.Minute, errNone))
		numbers := func(ctx context.Context, n int) (int, error) {
			run, err := call(ctx, n)
			if err != errNone {
				return -2, nil
			}
			return run, nil
		}
		var c callers
		c.start("first", numbers, background)
		c.start("joins", numbers, background)
		close(f.release)
		c.check(t, map[string][]int{"first": {1}, "joins": {1}})
		if n, err := call(background, 1); n != 1 || err != errNone {
			t.Errorf("then %d, %v", n, err)
		}
	})
	inBubble(t, func(t *testing.T, caches *backends.Caches) {
		f := newFlight()
		call, _ := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
			run, _ := f.run(ctx, n)
			if ctx.Err() != nil {
				return 0, fmt.Errorf("%w, as the client has gone", errNone)
			}
			return run, nil
		}, decorators.Key("f"), decorators.On(caches), decorators.CacheErrors(time.Minute, errNone), decorators.Linger(0))
		ctx, cancel := context.WithCancel(background)
		var c callers
		c.start("leaves", call, ctx)
		cancel()
		synctestWait()
		close(f.release)
		synctestWait()
		if n, err := call(background, 1); n != 2 || err != nil {
			t.Errorf("after an error of an ended context: %d, %v; want that it isn't cached", n, err)
		}
		c.Wait()
	})
}

// In a report a call that gets an error from the cache is a hit.
func TestCacheErrors_Report(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		f := &failing{err: errNone}
		call, _ := decorators.Cached1(f.run, decorators.Key("f"), decorators.On(caches), decorators.CacheErrors(time.Minute, errNone))
		ctx, report := cacheutils.WithReport(background)
		for range 3 {
			if _, err := call(ctx, 1); err != errNone {
				t.Errorf("got %v", err)
			}
		}
		if hits, misses := report.Count(cacheutils.Hit), report.Count(cacheutils.Miss); hits != 2 || misses != 1 {
			t.Errorf("%d hits and %d misses, want 2 and 1:\n%v", hits, misses, report)
		}
	})
}
