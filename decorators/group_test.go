package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// eachGrouping runs test with each kind of backend that results can be in groups on: group, whose
// results stay for a while after their timeout, and the plain engines. There is another cache
// on the same store, as another process would have it: "another".
func eachGrouping(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	use := func(s backends.Settings) func(*testing.T) {
		return func(t *testing.T) {
			if s.Location == nil {
				s.Location = []string{t.Name()}
			}
			cachetest.Configure(t, backends.Config{"default": s, "another": s})
			test(t)
		}
	}
	server := memcachedtest.Start(t)
	patient := map[string]any{"operation_timeout": "5s"}
	t.Run("locmem", use(backends.Settings{Backend: "locmem"}))
	t.Run("memcached", use(backends.Settings{Backend: "memcached", Location: []string{server.Addr()}, Options: patient}))
	server.Flush(t)
	t.Run("group", use(backends.Settings{Backend: "group", Location: []string{server.Addr()}, Options: patient}))
	server.Flush(t)
	t.Run("group+locmem", use(backends.Settings{Backend: "group+locmem"}))
}

func invalidateGroup(t *testing.T, backend string, groups ...string) {
	t.Helper()
	if err := cache.InvalidateGroups(context.Background(), groups, cache.Backend(backend)); err != nil {
		t.Fatalf("invalidate %q on %s: %v", groups, backend, err)
	}
}

// numbering returns a function whose results count its runs for each argument.
func numbering() func(context.Context, string) (string, error) {
	var mu sync.Mutex
	runs := make(map[string]int)
	return func(_ context.Context, arg string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		runs[arg]++
		return fmt.Sprint(arg, runs[arg]), nil
	}
}

func TestGroup(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		ctx := context.Background()
		City, city := decorators.Cached(numbering(), decorators.Key("city"), decorators.Group("places", "cities"))
		Lake, _ := decorators.Cached(numbering(), decorators.Key("lake"), decorators.Group("places"))
		User, _ := decorators.Cached(numbering(), decorators.Key("user"))
		want := func(when, rome, turin, garda, ann string) {
			t.Helper()
			for range 2 {
				got(t, when, rome)(City(ctx, "rome"))
				got(t, when, turin)(City(ctx, "turin"))
				got(t, when, garda)(Lake(ctx, "garda"))
				got(t, when, ann)(User(ctx, "ann"))
			}
		}
		want("at first", "rome1", "turin1", "garda1", "ann1")
		invalidateGroup(t, "default", "cities")
		want("cities are invalidated", "rome2", "turin2", "garda1", "ann1")
		invalidateGroup(t, "another", "places")
		want("places are invalidated", "rome3", "turin3", "garda2", "ann1")
		if err := city.Invalidate(ctx, "rome"); err != nil {
			t.Fatal(err)
		}
		want("one city is invalidated", "rome4", "turin3", "garda2", "ann1")
		got(t, "RequireCache", "rome4")(city.RequireCache(ctx, "rome"))
		invalidateGroup(t, "default", "cities")
		if name, err := city.RequireCache(ctx, "rome"); !errors.Is(err, cacheutils.ErrNoCachedValue) {
			t.Errorf("RequireCache of an invalidated group: got %q, %v, want ErrNoCachedValue", name, err)
		}
		if err := city.Set([]any{ctx, "rome"}, "set"); err != nil {
			t.Fatal(err)
		}
		want("one is set", "set", "turin4", "garda2", "ann1")
		got(t, "ForceRecalc", "rome5")(city.ForceRecalc(ctx, "rome"))
		want("one is forced", "rome5", "turin4", "garda2", "ann1")
	})
}

func TestGroupsOf(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		ctx := context.Background()
		groups := func(_ context.Context, name string) []string {
			country, _, _ := strings.Cut(name, "-")
			return []string{"country " + country}
		}
		City, _ := decorators.Cached(numbering(), decorators.Key("city"), decorators.Group("cities"), decorators.GroupsOf(groups))
		want := func(when, rome, paris string) {
			t.Helper()
			for range 2 {
				got(t, when, rome)(City(ctx, "it-rome"))
				got(t, when, paris)(City(ctx, "fr-paris"))
			}
		}
		want("at first", "it-rome1", "fr-paris1")
		invalidateGroup(t, "default", "country it")
		want("one country is invalidated", "it-rome2", "fr-paris1")
		invalidateGroup(t, "default", "country fr", "country de")
		want("another is invalidated", "it-rome2", "fr-paris2")
		invalidateGroup(t, "default", "cities")
		want("the group of Group is invalidated", "it-rome3", "fr-paris3")
	})
	for name, fn := range map[string]any{
		"no func": 1, "other parameters": func(int) []string { return nil }, "another result": func(context.Context, string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			mustPanic(t, "GroupsOf takes a func(context.Context, string) []string", func() {
				decorators.Cached(numbering(), decorators.Key("city"), decorators.GroupsOf(fn))
			})
		})
	}
}

// After a deploy that adds a group, results without it are misses: nothing would invalidate them.
func TestGroup_Added(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		ctx := context.Background()
		fn := numbering()
		Before, _ := decorators.Cached(fn, decorators.Key("city"), decorators.Group("cities"))
		After, _ := decorators.Cached(fn, decorators.Key("city"), decorators.Group("cities", "places"))
		got(t, "before", "rome1")(Before(ctx, "rome"))
		got(t, "before", "rome1")(Before(ctx, "rome"))
		got(t, "after", "rome2")(After(ctx, "rome"))
		got(t, "after", "rome2")(After(ctx, "rome"))
		invalidateGroup(t, "default", "places")
		got(t, "after the new group's invalidation", "rome3")(After(ctx, "rome"))
		got(t, "what is in more groups is found", "rome3")(Before(ctx, "rome"))
	})
}

// A group and a key of the same text are apart, and so are the groups of two Versions.
func TestGroup_Versions(t *testing.T) {
	server := memcachedtest.Start(t)
	one := backends.Settings{Backend: "group", Location: []string{server.Addr()}, Version: "v1."}
	two := one
	two.Version = "v2."
	cachetest.Configure(t, backends.Config{"one": one, "two": two})
	ctx := context.Background()
	One, _ := decorators.Cached(numbering(), decorators.Key("city"), decorators.Group("g"), decorators.Backend("one"))
	Two, _ := decorators.Cached(numbering(), decorators.Key("city"), decorators.Group("g"), decorators.Backend("two"))
	want := func(when, one, two string) {
		t.Helper()
		for range 2 {
			got(t, when, one)(One(ctx, "rome"))
			got(t, when, two)(Two(ctx, "rome"))
		}
	}
	want("at first", "rome1", "rome1")
	invalidateGroup(t, "one", "g")
	want("invalidated in one", "rome2", "rome1")
	invalidateGroup(t, "two", "g")
	want("invalidated in two", "rome2", "rome2")
}
