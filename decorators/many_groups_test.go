package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// Results in more groups than there may be are refused where they are known, and otherwise not stored, without a request.
func TestManyGroups(t *testing.T) {
	groups := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprint("g", i))
		}
		return names
	}
	f := func(context.Context, int) (int, error) { return 1, nil }
	mustPanic(t, "1001 groups, and there may be 1000", func() {
		decorators.Cached(f, decorators.Key("many.groups.panic"), decorators.Group(groups(1001)...))
	})
	cachetest.Each(t, func(t *testing.T) {
		F, handle := decorators.Cached(f, decorators.Key("many.groups"), decorators.Group("g0"),
			decorators.GroupsOf(func(_ context.Context, n int) []string { return groups(n) }))
		for _, n := range []int{1000, 1001} {
			for range 2 {
				if v, err := F(context.Background(), n); v != 1 || err != nil {
					t.Errorf("in %d groups: %d, %v", n, v, err)
				}
			}
			err := handle.Set([]any{context.Background(), n}, 1)
			if n > 1000 && (!errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), "Group and GroupsOf: 1001 groups")) || n <= 1000 && err != nil {
				t.Errorf("Set in %d groups: %v", n, err)
			}
		}
		if stats := handle.Stats(); stats.Hits != 1 || stats.Computations != 3 {
			t.Errorf("%d hits and %d computations, want 1 and 3", stats.Hits, stats.Computations)
		}
	})
}
