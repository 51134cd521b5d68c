package cache_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
)

type Offer struct {
	ID    int
	Title string
}

func Example() {
	ctx := context.Background()
	key := cachekey.Tuple{"offer", 42}
	if err := cache.Set(ctx, key, Offer{42, "Two nights in Rome"}, cache.Timeout(time.Hour)); err != nil {
		fmt.Println(err)
	}
	offer, err := cache.Get[Offer](ctx, key)
	fmt.Println(offer.Title, err)
	fmt.Println(cache.Delete(ctx, key))
	// Output:
	// Two nights in Rome <nil>
	// true <nil>
}

func ExampleGet() {
	ctx := context.Background()
	_, err := cache.Get[Offer](ctx, "nothing")
	fmt.Println(errors.Is(err, cacheutils.ErrCacheMiss))
	// Output: true
}

// Keys that differ in their type are two keys.
func ExampleSet() {
	ctx := context.Background()
	cache.Set(ctx, 5, "by number")
	cache.Set(ctx, "5", "by text")
	fmt.Println(cache.Get[string](ctx, 5))
	fmt.Println(cache.Get[string](ctx, "5"))
	// Output:
	// by number <nil>
	// by text <nil>
}

func ExampleDelete() {
	ctx := context.Background()
	cache.Set(ctx, "key", []int{1, 2})
	fmt.Println(cache.Delete(ctx, "key"))
	fmt.Println(cache.Delete(ctx, "key"))
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleGetOrSet() {
	ctx := context.Background()
	load := func(context.Context) ([]Offer, error) {
		fmt.Println("loading")
		return []Offer{{1, "Rome"}, {2, "Tivoli"}}, nil
	}
	for range 2 {
		offers, err := cache.GetOrSet(ctx, "offers", load, cache.Timeout(time.Minute))
		fmt.Println(offers, err)
	}
	cache.Delete(ctx, "offers")
	// Output:
	// loading
	// [{1 Rome} {2 Tivoli}] <nil>
	// [{1 Rome} {2 Tivoli}] <nil>
}

func ExampleTimeout() {
	ctx := context.Background()
	cache.Set(ctx, "key", "forever", cache.Timeout(cacheutils.Forever))
	fmt.Println(cache.Get[string](ctx, "key"))
	cache.Set(ctx, "key", "not at all", cache.Timeout(0))
	_, err := cache.Get[string](ctx, "key")
	fmt.Println(errors.Is(err, cacheutils.ErrCacheMiss))
	// Output:
	// forever <nil>
	// true
}

func ExampleBackend() {
	ctx := context.Background()
	_, err := cache.Get[string](ctx, "key", cache.Backend("sessions"))
	fmt.Println(err)
	// Output: cacheutils: unknown backend "sessions": configured are "default"
}

// A value may be in several groups, and one of them invalidated drops it.
func ExampleGroup() {
	ctx := context.Background()
	cities := cache.Group("cities", "country-it")
	cache.Set(ctx, cachekey.Tuple{"city", 42}, "Roma", cities, cache.Timeout(time.Hour))
	fmt.Println(cache.Get[string](ctx, cachekey.Tuple{"city", 42}, cities))

	fmt.Println(cache.InvalidateGroup(ctx, "country-it"))
	_, err := cache.Get[string](ctx, cachekey.Tuple{"city", 42}, cities)
	fmt.Println(errors.Is(err, cacheutils.ErrCacheMiss))
	// Output:
	// Roma <nil>
	// <nil>
	// true
}

// Other groups, and what is in none, stay.
func ExampleInvalidateGroup() {
	ctx := context.Background()
	cache.Set(ctx, "rome", "a city", cache.Group("cities"))
	cache.Set(ctx, "italy", "a country", cache.Group("countries"))
	fmt.Println(cache.InvalidateGroup(ctx, "cities"))

	_, err := cache.Get[string](ctx, "rome", cache.Group("cities"))
	fmt.Println(errors.Is(err, cacheutils.ErrCacheMiss))
	fmt.Println(cache.Get[string](ctx, "italy", cache.Group("countries")))
	// Output:
	// <nil>
	// true
	// a country <nil>
}

func ExampleInvalidateGroups() {
	ctx := context.Background()
	load := func(context.Context) (string, error) {
		fmt.Println("loading")
		return "a city", nil
	}
	for range 2 {
		city, err := cache.GetOrSet(ctx, "rome", load, cache.Group("cities", "capitals"))
		fmt.Println(city, err)
		fmt.Println(cache.InvalidateGroups(ctx, []string{"cities", "countries"}))
	}
	// Output:
	// loading
	// a city <nil>
	// <nil>
	// loading
	// a city <nil>
	// <nil>
}
