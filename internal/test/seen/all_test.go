package seen

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
)

// named returns what All says of the functions whose names begin so.
func named(prefix string) []decorators.Function {
	return slices.DeleteFunc(decorators.All(), func(f decorators.Function) bool { return !strings.HasPrefix(f.Name, prefix) })
}

func one(_ context.Context, n int) (int, error) { return n, nil }

// All lists functions of every kind, with what has happened to them, until they can't be used any more. A set that is closed
// takes none away.
func TestAll(t *testing.T) {
	ctx := context.Background()
	set, err := backends.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	call, h1 := decorators.Cached1(one, decorators.Key("all b"), decorators.On(set))
	_, h := decorators.Cached(func(n int) int { return n }, decorators.Key("all a"), decorators.Backend("pages"))
	_, again := decorators.Cached1(one, decorators.Key("all b"), decorators.On(set))
	many, hm := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) { return nil, nil }, decorators.Key("all c"), decorators.On(set))
	for range 3 {
		if _, err := call(ctx, 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := many(ctx, []int{1, 2}); err != nil {
		t.Fatal(err)
	}
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	all := named(`all\x20`)
	if len(all) != 4 {
		t.Fatalf("got %d functions, want 4: %v", len(all), all)
	}
	a, b, b2, c := all[0], all[1], all[2], all[3]
	if a.Name != h.Name() || a.Backend != "pages" || a.Set != nil || a.Stats != (decorators.Stats{}) {
		t.Errorf("got %+v for one that was not called", a)
	}
	if b.Name != h1.Name() || b2.Name != again.Name() || b.Backend != "default" || b.Set != set || b.Stats != h1.Stats() || b.Stats.Hits != 2 || b2.Stats != again.Stats() {
		t.Errorf("got %+v and %+v for two of one name, want the stats %+v", b, b2, h1.Stats())
	}
	if c.Name != hm.Name() || c.Stats.Misses != 2 {
		t.Errorf("got %+v for one of many keys", c)
	}
	for _, f := range all {
		if !strings.Contains(f.Place, "all_test.go:") {
			t.Errorf("%s is decorated at %s", f.Name, f.Place)
		}
	}
	runtime.KeepAlive(call)
	runtime.KeepAlive(many)
}

// All doesn't keep functions from being collected, or their sets, and lists none that is.
func TestAll_Collected(t *testing.T) {
	var gone []decorators.Function
	for i := range 3 {
		set, err := backends.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		call, _ := decorators.Cached1(one, decorators.Key("collected"), decorators.On(set))
		if _, err := call(context.Background(), i); err != nil {
			t.Error(err)
		}
		if gone = named("collected"); len(gone) == 0 {
			t.Fatal("got no function while it was used")
		}
		runtime.KeepAlive(call)
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}
	clear(gone)
	for n := 0; len(named("collected")) > 0; n++ {
		if n > 1000 {
			t.Fatalf("%d functions stay that nobody can use", len(named("collected")))
		}
		runtime.GC()
	}
}
