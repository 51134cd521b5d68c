package decorators_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
)

// ended is how a call ended.
type ended struct {
	panicked any
	returned bool // otherwise it has panicked, or ended its goroutine
}

// run runs call on a goroutine of its own.
func run(call func()) (e ended) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { e.panicked = recover() }()
		call()
		e.returned = true
	}()
	<-done
	return e
}

// Whatever a function panics with, and whatever calls it, its callers panic: none of them returns as if it had not.
// errors.Is finds an error that it has panicked with.
func TestPanics_OfAnyValue(t *testing.T) {
	var nilPanic *cacheutils.PanicError
	var nilError *problem
	set := newSet(t, nil)
	on := decorators.On(set)
	contexts := map[string]context.Context{"a context without an end": context.Background(), "a context with an end": t.Context()}
	for name, value := range map[string]any{
		"nil": nil, "a nil PanicError": nilPanic, "a nil error": nilError, "a PanicError": cacheutils.PanicError{},
		"an abort": http.ErrAbortHandler, "a text": "text", "a PanicError of nothing": &cacheutils.PanicError{},
	} {
		fail := func() { panic(value) }
		one := func(context.Context, int) (int, error) { fail(); return 1, nil }
		key := decorators.Key("panics." + name)
		F, h := decorators.Cached(one, on, key)
		F1, h1 := decorators.Cached1(one, on, key)
		FM, hm := decorators.CachedMany(func(context.Context, []int) (map[int]int, error) { fail(); return nil, nil }, on, key)
		for of, ctx := range contexts {
			for what, call := range map[string]func(){
				"Cached":                    func() { F(ctx, 1) },
				"Cached1":                   func() { F1(ctx, 1) },
				"CachedMany":                func() { FM(ctx, []int{1, 2}) },
				"ForceRecalc":               func() { h.ForceRecalc(ctx, 1) },
				"ForceRecalc of Cached1":    func() { h1.ForceRecalc(ctx, 1) },
				"ForceRecalc of CachedMany": func() { hm.ForceRecalc(ctx, []int{1, 2}) },
				"GetOrSet": func() {
					cache.GetOrSet(ctx, "panics", func(context.Context) (int, error) { fail(); return 1, nil }, cache.On(set))
				},
			} {
				e := run(call)
				if value == any(http.ErrAbortHandler) { // a server compares with it
					if e.returned || e.panicked != value {
						t.Errorf("%s with %s: got %+v, want http.ErrAbortHandler itself", what, of, e)
					}
					continue
				}
				p, ok := e.panicked.(*cacheutils.PanicError)
				if e.returned || !ok || p == nil {
					t.Errorf("%s with %s, which panics with %s: got %+v, want a PanicError", what, of, name, e)
					continue
				}
				_ = p.Error()
				var asNil *runtime.PanicNilError
				switch err, isError := value.(error); {
				case value == nil && !errors.As(p, &asNil):
					t.Errorf("%s: panicked with %v", name, p.Value)
				case isError && value != any(p) && !errors.Is(p, err):
					t.Errorf("%s with %s: errors.Is doesn't find %v", what, of, err)
				}
				if errors.Is(p, cacheutils.ErrClosed) {
					t.Errorf("%s with %s: matches any error", what, of)
				}
			}
		}
	}
}

// A function that ends its goroutine ends those of its callers.
func TestGoexit(t *testing.T) {
	on := decorators.On(newSet(t, nil))
	F, h := decorators.Cached1(func(context.Context, int) (int, error) { runtime.Goexit(); return 1, nil }, on, decorators.Key("goexit"))
	for name, call := range map[string]func(){
		"a call": func() { F(context.Background(), 1) }, "a call that can end": func() { F(t.Context(), 1) }, "ForceRecalc": func() { h.ForceRecalc(t.Context(), 1) },
	} {
		if e := run(call); e.returned || e.panicked != nil {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}

// What an option's function panics with reaches the caller, and the next call is as any other.
func TestPanics_OfOptions(t *testing.T) {
	set := newSet(t, nil)
	fails := true
	check := func() {
		if fails {
			panic(http.ErrAbortHandler)
		}
	}
	for name, opt := range map[string]decorators.Option{
		"KeyOf":     decorators.KeyOf(func(_ context.Context, n int) int { check(); return n }),
		"GroupsOf":  decorators.GroupsOf(func(context.Context, int) []string { check(); return nil }),
		"TimeoutOf": decorators.TimeoutOf(func(int) time.Duration { check(); return cacheutils.Forever }),
		"Unless":    decorators.Unless(func(int) bool { check(); return false }),
	} {
		F, _ := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.On(set), decorators.Key("panics.of."+name), opt)
		fails = true
		e := run(func() { F(t.Context(), 1) })
		if err, ok := e.panicked.(error); e.returned || !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("%s: got %+v", name, e)
		}
		fails = false
		if got, err := F(t.Context(), 1); got != 1 || err != nil {
			t.Errorf("%s: the next call: got %d, %v", name, got, err)
		}
	}
}
