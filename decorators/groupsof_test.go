package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

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
