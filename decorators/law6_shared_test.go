package decorators_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
)

// What a function with Shared has stored, readers get who haven't said that they only read, too: by the low-level
// operations, or by another function of its Key. What they do to it shows nowhere else.
func TestLaw6_ReadersOfShared(t *testing.T) {
	set := newSet(t, nil)
	c, err := set.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	name, on := decorators.Key("law6.shared"), decorators.On(set)
	load := func(_ context.Context, n int) ([]int, error) { return []int{n}, nil }
	shared, handle := decorators.Cached1(load, name, on, decorators.Shared())
	own, ownHandle := decorators.Cached1(load, name, on)
	ofAny, _ := decorators.Cached(load, name, on)
	stale, _ := decorators.Cached1(load, name, on, decorators.Stale(time.Second))
	many, manyHandle := decorators.CachedMany(func(context.Context, []int) (map[int][]int, error) { return nil, nil }, name, on)
	key, err := handle.CacheKey(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, reader := range []struct {
		name string
		read func() ([]int, error)
	}{
		{"Cache.Get", func() (v []int, err error) { return v, c.Get(ctx, key, &v) }},
		{"Cache.Get into any", func() ([]int, error) {
			var v any
			err := c.Get(ctx, key, &v)
			list, _ := v.([]int)
			return list, err
		}},
		{"Cache.GetMany", func() ([]int, error) {
			found := map[string][]int{}
			err := c.GetMany(ctx, []string{key}, found)
			return found[key], err
		}},
		{"GetOrSet", func() (v []int, err error) {
			s, storeKey, err := stored(set, key)
			if err != nil {
				return nil, err
			}
			return v, s.GetOrSet(ctx, storeKey, &v, func(context.Context) (any, error) { return nil, errors.New("it was there") }, time.Hour)
		}},
		{"Cached1", func() ([]int, error) { return own(ctx, 1) }},
		{"Cached", func() ([]int, error) { return ofAny(ctx, 1) }},
		{"Stale", func() ([]int, error) { return stale(ctx, 1) }},
		{"RequireCache", func() ([]int, error) { return ownHandle.RequireCache(ctx, 1) }},
		{"CachedMany", func() ([]int, error) { found, err := many(ctx, []int{1}); return found[1], err }},
		{"RequireCache of CachedMany", func() ([]int, error) { found, err := manyHandle.RequireCache(ctx, []int{1}); return found[1], err }},
	} {
		t.Run(reader.name, func(t *testing.T) {
			got[[]int](t, "before", []int{1})(shared(ctx, 1))
			for range 3 {
				v, err := reader.read()
				if diff := cmp.Diff([]int{1}, v); err != nil || diff != "" {
					t.Fatalf("error %v (-want +got)\n%s", err, diff)
				}
				v[0] = 99
			}
			got[[]int](t, "after", []int{1})(shared(ctx, 1))
			if v, err := handle.RequireCache(ctx, 1); err != nil || v[0] != 1 {
				t.Errorf("what is stored is %v, %v", v, err)
			}
			if err := handle.Invalidate(ctx, 1); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Of what can't be copied there is nothing for a reader who would share it.
func TestLaw6_ReadersOfSharedWithoutACopy(t *testing.T) {
	set := newSet(t, nil)
	type service struct{ Calls chan int }
	f, handle := decorators.Cached1(func(context.Context, int) (*service, error) { return &service{}, nil },
		decorators.Key("law6.service"), decorators.On(set), decorators.Shared())
	ctx := context.Background()
	if _, err := f(ctx, 1); err != nil {
		t.Fatal(err)
	}
	key, err := handle.CacheKey(1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := set.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	var v *service
	if err := c.Get(ctx, key, &v); v != nil || !errors.Is(err, cacheutils.ErrCacheMiss) || !errors.Is(err, cacheutils.ErrUndecodable) {
		t.Errorf("got %v, %v, want a miss of what can't be read", v, err)
	}
	if _, err := cache.Get[*service](ctx, 1, cache.On(set)); !errors.Is(err, cacheutils.ErrCacheMiss) {
		t.Error(err)
	}
}

// RequireCache of a function with Shared has the value that its calls have, also one of which there is no copy.
func TestShared_RequireCache(t *testing.T) {
	load, handle := decorators.Cached1(func(context.Context, int) (chan int, error) { return make(chan int), nil },
		decorators.Key("shared.require"), decorators.On(newSet(t, nil)), decorators.Shared())
	want, err := load(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := handle.RequireCache(t.Context(), 1); got != want || err != nil {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

// Two backends of one store have the same entries: what a function with Shared has stored in one of them, a function
// without it, on the other, gets a copy of, whichever way it is read.
func TestLaw6_TwoNamesOfOneStore(t *testing.T) {
	locmem := backends.Settings{Backend: "locmem", Location: []string{t.Name()}}
	set := newSet(t, backends.Config{"default": locmem, "twin": locmem})
	other := newSet(t, backends.Config{"default": locmem})
	type row struct{ Tags map[string]int }
	load := func(_ context.Context, n int) (*row, error) { return &row{map[string]int{"n": n}}, nil }
	name := decorators.Key("law6.twins")
	shared, handle := decorators.Cached1(load, name, decorators.On(set), decorators.Shared())
	ctx := context.Background()
	twin, twinHandle := decorators.Cached1(load, name, decorators.On(set), decorators.Backend("twin"))
	elsewhere, _ := decorators.Cached(load, name, decorators.On(other))
	if err := handle.Invalidate(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for who, read := range map[string]func() (*row, error){
		"twin":              func() (*row, error) { return twin(ctx, 1) },
		"twin.RequireCache": func() (*row, error) { return twinHandle.RequireCache(ctx, 1) },
		"another set":       func() (*row, error) { return elsewhere(ctx, 1) },
	} {
		want, err := shared(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // the second and third may be hits of the table of hot results
			r, err := read()
			if err != nil {
				t.Fatal(err)
			}
			if r == want || r.Tags["n"] != 1 {
				t.Errorf("%s: got %v, which is the value of the others: %v", who, r, r == want)
			}
			r.Tags["n"] = 99
		}
		if again, err := shared(ctx, 1); err != nil || again != want || again.Tags["n"] != 1 {
			t.Errorf("%s: the function with Shared has %v, %v", who, again, err)
		}
	}
	if n := twinHandle.Stats().Computations; n != 0 {
		t.Errorf("the twin has computed %d times, want what is in the store", n)
	}
}
