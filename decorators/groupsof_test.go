package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// What names or deletes an entry needs no groups: the function of GroupsOf, which may be slow, isn't called.
func TestGroupsOf_OnlyWhereGroupsCount(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		ctx := context.Background()
		runs := 0
		groups := decorators.GroupsOf(func(context.Context, int64) []string { runs++; return []string{"g"} })
		load := func(_ context.Context, id int64) (string, error) { return fmt.Sprint(id), nil }
		F, f := decorators.Cached(load, groups, decorators.Key("groups.reflected"))
		G, g := decorators.Cached1(load, groups, decorators.Key("groups.typed"))
		M, m := decorators.CachedMany(func(_ context.Context, ids []int64) (map[int64]string, error) {
			found := make(map[int64]string)
			for _, id := range ids {
				found[id] = fmt.Sprint(id)
			}
			return found, nil
		}, groups, decorators.Key("groups.many"))
		for range 2 { // with nothing stored, and with a result
			runs = 0
			if _, err := f.CacheKey(ctx, int64(1)); err != nil {
				t.Error(err)
			}
			if _, err := g.CacheKey(1); err != nil {
				t.Error(err)
			}
			if _, err := m.CacheKey(1); err != nil {
				t.Error(err)
			}
			if err := errors.Join(f.Invalidate(ctx, int64(1)), g.Invalidate(ctx, 1), m.Invalidate(ctx, []int64{1})); err != nil {
				t.Error(err)
			}
			if runs != 0 {
				t.Errorf("GroupsOf's function was called %d times", runs)
			}
			F(ctx, 1)
			G(ctx, 1)
			M(ctx, []int64{1})
			if runs == 0 {
				t.Error("GroupsOf's function was not called by calls")
			}
		}
		for name, stats := range map[string]decorators.Stats{"Cached": f.Stats(), "Cached1": g.Stats(), "CachedMany": m.Stats()} {
			if stats.Computations != 2 {
				t.Errorf("%s: %d computations, want 2: what was stored was invalidated", name, stats.Computations)
			}
		}
	})
}

// Functions of GroupsOf are called without reflection where the decorated one is typed, and by reflection if their type has a
// name. They are given the same, and the results are in the groups that they return.
func TestGroupsOf_Typed(t *testing.T) {
	type (
		groups0      func(context.Context) []string
		groups1      func(context.Context, string) []string
		groups2      func(context.Context, string, int) []string
		groups3      func(context.Context, string, int, bool) []string
		contextValue struct{}
	)
	cachetest.Each(t, func(t *testing.T) {
		ctx := context.WithValue(context.Background(), contextValue{}, "its context")
		var given []any
		groups := func(ctx context.Context, args ...any) []string {
			given = append([]any{ctx.Value(contextValue{})}, args...)
			return []string{"typed of " + fmt.Sprint(args...)}
		}
		of0 := func(ctx context.Context) []string { return groups(ctx) }
		of1 := func(ctx context.Context, a string) []string { return groups(ctx, a) }
		of2 := func(ctx context.Context, a string, b int) []string { return groups(ctx, a, b) }
		of3 := func(ctx context.Context, a string, b int, c bool) []string { return groups(ctx, a, b, c) }
		calls := 0
		load := func() (int, error) { calls++; return calls, nil }
		for name, of := range map[string][4]any{
			"without a name": {of0, of1, of2, of3},
			"with a name":    {groups0(of0), groups1(of1), groups2(of2), groups3(of3)},
		} {
			opts := func(n int) (o []decorators.Option) {
				return append(o, decorators.Key(fmt.Sprint(name, n)), decorators.GroupsOf(of[n%10]), decorators.IgnoreContext[any]())
			}
			F0, _ := decorators.Cached0(func(context.Context) (int, error) { return load() }, opts(0)...)
			F1, _ := decorators.Cached1(func(context.Context, string) (int, error) { return load() }, opts(1)...)
			F2, _ := decorators.Cached2(func(context.Context, string, int) (int, error) { return load() }, opts(2)...)
			F3, _ := decorators.Cached3(func(context.Context, string, int, bool) (int, error) { return load() }, opts(3)...)
			FM, _ := decorators.CachedMany(func(_ context.Context, keys []string) (map[string]int, error) {
				n, err := load()
				return map[string]int{keys[0]: n}, err
			}, opts(11)...)
			for i, f := range []struct {
				call func() (int, error)
				want []any
			}{
				{func() (int, error) { return F0(ctx) }, []any{}},
				{func() (int, error) { return F1(ctx, "a") }, []any{"a"}},
				{func() (int, error) { return F2(ctx, "a", 2) }, []any{"a", 2}},
				{func() (int, error) { return F3(ctx, "a", 2, true) }, []any{"a", 2, true}},
				{func() (int, error) { m, err := FM(ctx, []string{"a"}); return m["a"], err }, []any{"a"}},
			} {
				first, err := f.call()
				again, errAgain := f.call()
				if err != nil || errAgain != nil || first != again {
					t.Errorf("%s, %d: got %d, %v and %d, %v", name, i, first, err, again, errAgain)
				}
				if want := append([]any{"its context"}, f.want...); fmt.Sprint(given) != fmt.Sprint(want) {
					t.Errorf("%s, %d: GroupsOf was given %v, want %v", name, i, given, want)
				}
				if err := cache.InvalidateGroup(ctx, "typed of "+fmt.Sprint(f.want...)); err != nil {
					t.Fatal(err)
				}
				if later, err := f.call(); err != nil || later == first {
					t.Errorf("%s, %d: after the group was invalidated: got %d, %v", name, i, later, err)
				}
			}
		}
	})
}
