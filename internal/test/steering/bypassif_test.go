//go:build linux

package steering

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
)

// What BypassIf says true for runs the function, and neither takes a result nor leaves one, in each form.
func TestBypassIf(t *testing.T) {
	type admin struct{}
	each(t, func(t *testing.T, caches *backends.Caches) {
		isAdmin := decorators.BypassIf(func(ctx context.Context, n int) bool { return ctx.Value(admin{}) != nil })
		for name, make := range forms(decorators.On(caches), isAdmin, decorators.IgnoreContext[admin]()) {
			t.Run(name, func(t *testing.T) {
				f, _ := make()
				ctx := context.WithValue(background, admin{}, true)
				results := []int{got(t, f.call, ctx), got(t, f.call, background), got(t, f.call, ctx), got(t, f.call, cacheutils.Refresh(ctx)), got(t, f.call, background)}
				if want := []int{1, 2, 3, 4, 2}; !cmp.Equal(results, want) {
					t.Errorf("with and without: %v, want %v", results, want)
				}
				if s, want := f.stats(), (decorators.Stats{Hits: 1, Misses: 1, Computations: 4, Stores: 1, Bypasses: 3}); s != want {
					t.Errorf("counted %s", cmp.Diff(want, s))
				}
				if _, err := f.require(ctx, 1); !errors.Is(err, cacheutils.ErrNoCachedValue) {
					t.Errorf("RequireCache: %v, want ErrNoCachedValue", err)
				}
				forced := got(t, f.force, ctx)
				if n := got(t, f.call, background); n != forced {
					t.Errorf("after ForceRecalc, which returned %d: %d", forced, n)
				}
			})
		}
	})
}

// Of the keys of one CachedMany some may bypass the cache: the function is called for them, and for what is missing of the others.
func TestBypassIf_SomeKeys(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		var asked []string
		broken := errors.New("broken")
		fails := false
		call, h := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) {
			asked = append(asked, fmt.Sprint(keys))
			answers := make(map[int]int)
			for _, n := range keys {
				answers[n] = 10 * n
			}
			if fails {
				return answers, broken
			}
			return answers, nil
		}, decorators.Key("f"), decorators.On(caches), decorators.BypassIf(func(_ context.Context, n int) bool { return n%2 != 0 }))
		for range 2 {
			answers, err := call(background, []int{1, 2, 3, 4, 1})
			if want := map[int]int{1: 10, 2: 20, 3: 30, 4: 40}; err != nil || !cmp.Equal(answers, want) {
				t.Errorf("got %v, %v; want %v", answers, err, want)
			}
		}
		if want := []string{"[2 4]", "[1 3]", "[1 3]"}; !slices.Equal(asked, want) {
			t.Errorf("the function was asked for %v, want %v", asked, want)
		}
		_, err := h.RequireCache(background, []int{1, 2})
		if !errors.Is(err, cacheutils.ErrNoCachedValue) || !strings.HasSuffix(err.Error(), "1 of 2 keys") {
			t.Errorf("RequireCache: %v, want that 1 of 2 keys is missing", err)
		}
		fails = true
		answers, err := call(background, []int{2, 5, 6})
		if want := map[int]int{2: 20, 5: 50, 6: 60}; err != broken || !cmp.Equal(answers, want) {
			t.Errorf("got %v, %v; want %v and the error, once", answers, err, want)
		}
	})
}

// A function that doesn't fit is refused with a sentence that says what does.
func TestBypassIf_Refused(t *testing.T) {
	for name, fn := range map[string]any{
		"nil":               nil,
		"nil func":          (func(context.Context, int) bool)(nil),
		"no function":       true,
		"other parameters":  func(context.Context, string) bool { return true },
		"without a context": func(int) bool { return true },
		"no bool":           func(context.Context, int) int { return 1 },
		"two results":       func(context.Context, int) (bool, error) { return true, nil },
	} {
		t.Run(name, func(t *testing.T) {
			said := refusal(func() { decorators.Cached1(new(counted).run, decorators.Key("f"), decorators.BypassIf(fn)) })
			if want := "BypassIf takes a func(context.Context, int) bool, got "; !strings.Contains(said, want) {
				t.Errorf("%q doesn't say %q", said, want)
			}
		})
	}
}

// refusal returns what decorate panics with, or "".
func refusal(decorate func()) (said string) {
	defer func() { said, _ = recover().(string) }()
	decorate()
	return ""
}
