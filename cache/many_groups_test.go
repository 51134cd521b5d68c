package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// What is stored can be read, also by a reader who names no group; in more groups than that it is not stored.
func TestManyGroups(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		b, err := backends.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{16, 17, 2000} {
			var groups []string
			for i := range n {
				groups = append(groups, fmt.Sprint("g", i), "g0") // one again and again is one
			}
			one := cache.Group(groups[:2]...)
			for what, err := range map[string]error{
				"cache.Set": cache.Set(ctx, "k", 1, one, cache.Group(groups...)),
				"Set":       b.Set(ctx, "k", 1, backends.Group(groups...)),
				"GetOrSet": b.GetOrSet(ctx, "other", new(int), func(context.Context) (any, error) { return 1, nil },
					backends.Group(groups[:n]...), backends.Group(groups[n:]...)),
			} {
				switch {
				case n <= 16 && err != nil:
					t.Errorf("%s in %d groups: %v", what, n, err)
				case n > 16 && (!errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), fmt.Sprintf("%d groups, and there may be 16", n))):
					t.Errorf("%s in %d groups: %v, want an error that says how many there may be", what, n, err)
				}
			}
			if n > 16 {
				continue
			}
			if v, err := cache.Get[int](ctx, "k"); v != 1 || err != nil {
				t.Errorf("what was stored in %d groups: %d, %v", n, v, err)
			}
			var v int
			if err := b.Get(ctx, "other", &v); v != 1 || err != nil {
				t.Errorf("what GetOrSet has stored in %d groups: %d, %v", n, v, err)
			}
		}
	})
}
