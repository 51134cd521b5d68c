package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
)

// Results of several functions are in one group, and one call drops them all.
func ExampleGroup() {
	ctx := context.Background()
	City, _ := decorators.Cached(func(ctx context.Context, id int) (string, error) {
		fmt.Println("loading city", id)
		return "Roma", nil
	}, decorators.Key("example.city"), decorators.Group("places"))
	Lake, _ := decorators.Cached(func(ctx context.Context, id int) (string, error) {
		fmt.Println("loading lake", id)
		return "Garda", nil
	}, decorators.Key("example.lake"), decorators.Group("places", "lakes"))

	City(ctx, 42)
	Lake(ctx, 1)
	fmt.Println(cache.InvalidateGroup(ctx, "lakes"))
	City(ctx, 42)
	Lake(ctx, 1)
	fmt.Println(cache.InvalidateGroup(ctx, "places"))
	City(ctx, 42)
	Lake(ctx, 1)
	// Output:
	// loading city 42
	// loading lake 1
	// <nil>
	// loading lake 1
	// <nil>
	// loading city 42
	// loading lake 1
}

// The arguments say which groups a result is in.
func ExampleGroupsOf() {
	ctx := context.Background()
	Offers, _ := decorators.Cached(func(ctx context.Context, country, city string) ([]string, error) {
		fmt.Println("searching", country, city)
		return []string{"two nights in " + city}, nil
	}, decorators.Key("example.offers"), decorators.Group("offers"),
		decorators.GroupsOf(func(ctx context.Context, country, city string) []string {
			return []string{"country-" + country}
		}))

	Offers(ctx, "it", "Roma")
	Offers(ctx, "fr", "Paris")
	fmt.Println(cache.InvalidateGroup(ctx, "country-it"))
	Offers(ctx, "it", "Roma")
	Offers(ctx, "fr", "Paris")
	// Output:
	// searching it Roma
	// searching fr Paris
	// <nil>
	// searching it Roma
}

// The source fails when the result has expired: callers get the stale one.
func ExampleStale() {
	ctx := context.Background()
	broken := false
	Rate, _ := decorators.Cached(func(ctx context.Context, currency string) (float64, error) {
		if broken {
			return 0, errors.New("the source is down")
		}
		return 1.08, nil
	}, decorators.Key("example.rate"), decorators.Timeout(10*time.Millisecond), decorators.Stale(time.Hour))

	fmt.Println(Rate(ctx, "USD"))
	broken = true
	time.Sleep(20 * time.Millisecond)
	fmt.Println(Rate(ctx, "USD"))
	// Output:
	// 1.08 <nil>
	// 1.08 <nil>
}

// A caller with little time leaves, and what it has begun is there for the next one.
func ExampleLinger() {
	Report, report := decorators.Cached0(func(ctx context.Context) (string, error) {
		select {
		case <-time.After(50 * time.Millisecond): // a slow query
			return "the report", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}, decorators.Key("example.linger"), decorators.Linger(time.Minute))

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := Report(ctx)
	fmt.Println(err)

	text, err := Report(context.Background())
	fmt.Println(text, err, "after", report.Stats().Computations, "query")
	// Output:
	// context deadline exceeded
	// the report <nil> after 1 query
}
