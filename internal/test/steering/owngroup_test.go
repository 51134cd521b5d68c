//go:build linux

package steering

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
)

// A grouped is a function with its handle's InvalidateAll, decorated in one way.
type grouped struct {
	call          func(context.Context, int) (int, error)
	invalidateAll func(context.Context) error
	name          string
}

// groupedForms returns counted.run, decorated in each way under a name that begins with that one.
func groupedForms(name string, opts ...decorators.Option) map[string]grouped {
	with := func(form string) []decorators.Option {
		return append([]decorators.Option{decorators.Key(name + form)}, opts...)
	}
	c := new(counted)
	reflected, h := decorators.Cached(c.run, with("reflected")...)
	one, h1 := decorators.Cached1(c.run, with("1")...)
	none, h0 := decorators.Cached0(func(ctx context.Context) (int, error) { return c.run(ctx, 1) }, with("0")...)
	two, h2 := decorators.Cached2(func(ctx context.Context, n int, _ string) (int, error) { return c.run(ctx, n) }, with("2")...)
	three, h3 := decorators.Cached3(func(ctx context.Context, n int, _, _ string) (int, error) { return c.run(ctx, n) }, with("3")...)
	many, hm := decorators.CachedMany(c.runMany, with("many")...)
	return map[string]grouped{
		"reflected": {reflected, h.InvalidateAll, h.Name()},
		"1":         {one, h1.InvalidateAll, h1.Name()},
		"0":         {func(ctx context.Context, _ int) (int, error) { return none(ctx) }, h0.InvalidateAll, h0.Name()},
		"2":         {func(ctx context.Context, n int) (int, error) { return two(ctx, n, "") }, h2.InvalidateAll, h2.Name()},
		"3":         {func(ctx context.Context, n int) (int, error) { return three(ctx, n, "", "") }, h3.InvalidateAll, h3.Name()},
		"many": {func(ctx context.Context, n int) (int, error) {
			answers, err := many(ctx, []int{n})
			return answers[n], err
		}, hm.InvalidateAll, hm.Name()},
	}
}

// invalidated reports whether a call computes once more after invalidate.
func invalidated(t *testing.T, g grouped, invalidate func() error) bool {
	t.Helper()
	before := got(t, g.call, background)
	if n := got(t, g.call, background); n != before {
		t.Fatalf("%d is not cached: %d", before, n)
	}
	if err := invalidate(); err != nil {
		t.Fatal(err)
	}
	return got(t, g.call, background) != before
}

// InvalidateAll of each kind of handle drops what its function has, and nothing else; so does an invalidation of the group
// by its name.
func TestOwnGroup(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		others := groupedForms("other", decorators.On(caches), decorators.OwnGroup())
		for name, g := range groupedForms("f", decorators.On(caches), decorators.OwnGroup(), decorators.Group("more"), decorators.Hashed()) {
			t.Run(name, func(t *testing.T) {
				for what, invalidate := range map[string]func() error{
					"InvalidateAll":           func() error { return g.invalidateAll(background) },
					"an ended context":        func() error { return g.invalidateAll(ended()) },
					"no context":              func() error { return g.invalidateAll(nil) },
					"the group of that name":  func() error { return cache.InvalidateGroup(background, g.name, cache.On(caches)) },
					"another group of theirs": func() error { return cache.InvalidateGroup(background, "more", cache.On(caches)) },
				} {
					if !invalidated(t, g, invalidate) {
						t.Errorf("after %s the result is cached", what)
					}
				}
				if invalidated(t, g, func() error { return others[name].invalidateAll(background) }) {
					t.Error("InvalidateAll of another function drops the result")
				}
			})
		}
	})
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(background)
	cancel()
	return ctx
}

// Without OwnGroup InvalidateAll says what is missing.
func TestOwnGroup_Missing(t *testing.T) {
	for name, g := range groupedForms("without") {
		err := g.invalidateAll(background)
		if want := "cacheutils: wrong arguments: InvalidateAll needs a group of the results of " + g.name + ": decorate it with OwnGroup()"; !errors.Is(err, cacheutils.ErrArguments) || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// An error of the store is one of InvalidateAll.
func TestOwnGroup_Closed(t *testing.T) {
	caches := open(t, backends.Settings{Backend: "locmem"})
	g := groupedForms("closed", decorators.On(caches), decorators.OwnGroup())["1"]
	if err := caches.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.invalidateAll(background); !errors.Is(err, cacheutils.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// Each instance has its own group, and a name that is too long for a group's has one of its own all the same.
func TestOwnGroup_Names(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		long := strings.Repeat("città ", 300)
		for name, pair := range map[string][2][]decorators.Option{
			"instances":  {{decorators.Key("f"), decorators.Instance(1)}, {decorators.Key("f"), decorators.Instance(2)}},
			"long names": {{decorators.Key(long + "1")}, {decorators.Key(long + "2")}},
		} {
			t.Run(name, func(t *testing.T) {
				var both [2]grouped
				for i, opts := range pair {
					c := new(counted)
					call, h := decorators.Cached1(c.run, append(opts, decorators.On(caches), decorators.OwnGroup())...)
					both[i] = grouped{call: call, invalidateAll: h.InvalidateAll}
				}
				got(t, both[0].call, background)
				if !invalidated(t, both[1], func() error { return both[1].invalidateAll(background) }) {
					t.Error("InvalidateAll has no effect")
				}
				if invalidated(t, both[0], func() error { return both[1].invalidateAll(background) }) {
					t.Error("InvalidateAll of one drops what the other has")
				}
			})
		}
	})
}

// A computation that is under way at an InvalidateAll is not stored.
func TestOwnGroup_Meanwhile(t *testing.T) {
	each(t, func(t *testing.T, caches *backends.Caches) {
		var all func(context.Context) error
		c := new(counted)
		call, h := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
			run, err := c.run(ctx, n)
			if run == 1 {
				err = all(ctx)
			}
			return run, err
		}, decorators.Key("f"), decorators.On(caches), decorators.OwnGroup())
		all = h.InvalidateAll
		results := []int{got(t, call, background), got(t, call, background), got(t, call, background)}
		if want := []int{1, 2, 2}; !cmp.Equal(results, want) {
			t.Errorf("got %v, want %v", results, want)
		}
	})
}
