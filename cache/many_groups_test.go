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

// A value may be in a thousand groups. A reader who names none of more than 16 is told so, unless the value was in this
// process's memory all the time.
func TestManyGroups(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		b, err := backends.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		remote := len(b.Servers()) > 0
		for _, n := range []int{16, 17, 1000, 1001} {
			var groups []string
			for i := range n {
				groups = append(groups, fmt.Sprint("g", i), "g0") // one again and again is one
			}
			for what, err := range map[string]error{
				"cache.Set": cache.Set(ctx, "k", n, cache.Group(groups[:2]...), cache.Group(groups...)),
				"Set":       b.Set(ctx, "k", n, backends.Group(groups...)),
				"GetOrSet": b.GetOrSet(ctx, "other", new(int), func(context.Context) (any, error) { return n, nil },
					backends.Group(groups[:n]...), backends.Group(groups[n:]...)),
			} {
				switch {
				case n <= 1000 && err != nil:
					t.Errorf("%s in %d groups: %v", what, n, err)
				case n > 1000 && (!errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), "1001 groups, and there may be 1000")):
					t.Errorf("%s in %d groups: %v, want an error that says how many there may be", what, n, err)
				}
			}
			if n > 1000 {
				continue
			}
			if v, err := cache.Get[int](ctx, "k", cache.Group(groups...)); v != n || err != nil {
				t.Errorf("what was stored in %d groups: %d, %v", n, v, err)
			}
			v, err := cache.Get[int](ctx, "k")
			switch {
			case n > 16 && remote && (!errors.Is(err, cacheutils.ErrCacheMiss) || !strings.Contains(err.Error(), "name them")):
				t.Errorf("in %d groups that are not named: %d, %v, want an error that says to name them", n, v, err)
			case (n <= 16 || !remote) && (v != n || err != nil):
				t.Errorf("in %d groups that are not named: %d, %v", n, v, err)
			}
			if _, err := b.Delete(ctx, "other"); err != nil {
				t.Fatal(err)
			}
		}
	})
}
