package backends_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// operations are the operations of a Cache that take options.
var operations = map[string]func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error{
	"Get": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		return c.Get(ctx, "k", new(int), opts...)
	},
	"GetMany": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		return c.GetMany(ctx, []string{"k"}, map[string]int{}, opts...)
	},
	"Set": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		return c.Set(ctx, "k", 1, opts...)
	},
	"SetMany": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		failed, err := c.SetMany(ctx, map[string]int{"k": 1}, opts...)
		if err != nil && len(failed) != 1 {
			return fmt.Errorf("failed are %q with %w", failed, err)
		}
		return err
	},
	"Add": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		_, err := c.Add(ctx, "k", 1, opts...)
		return err
	},
	"Touch": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		_, err := c.Touch(ctx, "k", opts...)
		return err
	},
	"Delete": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		_, err := c.Delete(ctx, "k", opts...)
		return err
	},
	"DeleteMany": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		return c.DeleteMany(ctx, []string{"k"}, opts...)
	},
	"Has": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		_, err := c.Has(ctx, "k", opts...)
		return err
	},
	"GetOrSet": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		return c.GetOrSet(ctx, "k", new(int), func(context.Context) (any, error) { return 1, nil }, opts...)
	},
	"Incr": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		_, err := c.Incr(ctx, "k", 1, opts...)
		return err
	},
	"Decr": func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error {
		_, err := c.Decr(ctx, "k", 1, opts...)
		return err
	},
}

// A timeout that is over is over, however long ago that was.
func TestTimeout_ThatIsOver(t *testing.T) {
	locations := map[string][]string{"locmem": nil, "memcached": {memcachedtest.Start(t).Addr()}}
	for backend, location := range locations {
		options := map[string]any{"operation_timeout": "10s"} // the machine may be busy
		if backend == "memcached" {
			options["clear"] = "flush_all"
		}
		c := in(t, newSet(t, backends.Config{"default": {Backend: backend, Location: location, Options: options}}), "default")
		ctx := context.Background()
		for _, d := range []time.Duration{time.Until(time.Time{}), math.MinInt64, math.MinInt64 + 1,
			-cacheutils.Forever, -1, 0} {
			for _, opts := range [][]backends.Option{{backends.Timeout(d)}, {backends.Timeout(time.Hour), backends.Timeout(d)}, {backends.Timeout(d), backends.Group("g")}} {
				for _, name := range []string{"Set", "SetMany", "Add", "Touch", "GetOrSet"} {
					if err := c.Clear(ctx); err != nil {
						t.Fatal(err)
					}
					if name != "Add" && name != "GetOrSet" {
						if err := c.Set(ctx, "k", 1, append(opts, backends.Timeout(time.Hour))...); err != nil {
							t.Fatal(err)
						}
					}
					if err := operations[name](ctx, c, opts...); err != nil {
						t.Errorf("%s: %v: %s: %v", backend, d, name, err)
					}
					if there, err := c.Has(ctx, "k"); there || err != nil {
						t.Errorf("%s: %v: after %s: Has returns %v, %v, want none", backend, d, name, there, err)
					}
				}
			}
		}
	}
}

// What is wrong with an option, or with the context, is said before anything is done.
func TestOptions_Wrong(t *testing.T) {
	cachetest.Locmem(t)
	c, err := backends.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for want, opts := range map[string][]backends.Option{
		"option 2 is nil: leave it out":                                                                        {backends.Timeout(time.Hour), nil},
		"backends.Group: the name of a group is empty: was a variable not set?":                                {backends.Group("a", "")},
		"backends.Group: the name of a group has 1025 bytes, and 1024 at most: name it by an id or a hash":     {backends.Group("a", strings.Repeat("g", 1025))},
		"backends.Timeout(300ns) is less than a millisecond, since a number without a unit counts nanoseconds": {backends.Timeout(300)},
	} {
		for name, do := range operations {
			err := do(ctx, c, opts...)
			if !errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want one that says %q", name, err, want)
			}
		}
	}
	const noContext = "the context is nil: pass context.Background()"
	all := map[string]func(ctx context.Context, c *backends.Cache, opts ...backends.Option) error{
		"InvalidateGroup": func(ctx context.Context, c *backends.Cache, _ ...backends.Option) error {
			return c.InvalidateGroup(ctx, "g")
		},
		"Clear": func(ctx context.Context, c *backends.Cache, _ ...backends.Option) error { return c.Clear(ctx) },
		"Ping":  func(ctx context.Context, c *backends.Cache, _ ...backends.Option) error { return c.Ping(ctx) },
	}
	maps.Copy(all, operations)
	for name, do := range all {
		if err := do(nil, c); !errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), noContext) {
			t.Errorf("%s: got %v, want one that says %q", name, err, noContext)
		}
	}
	if there, err := c.Has(ctx, "k"); there || err != nil {
		t.Errorf("something was stored: %v, %v", there, err)
	}
	for _, groups := range [][]string{{""}, {"a", ""}} {
		if err := c.InvalidateGroup(ctx, groups...); !errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), "InvalidateGroup: the name of a group is empty") {
			t.Errorf("InvalidateGroup(%q): got %v", groups, err)
		}
	}
	if err := c.InvalidateGroup(ctx); err != nil {
		t.Errorf("InvalidateGroup of none: %v", err)
	}
}

func TestWith_Nil(t *testing.T) {
	defer func() {
		const want = "cacheutils: backends.With has a nil context: pass context.Background()"
		if got := recover(); got != want {
			t.Errorf("panicked with %v, want %q", got, want)
		}
	}()
	//lint:ignore SA1012 it is about a nil context
	backends.With(nil, backends.Default())
}
