package decorators_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils/decorators"
)

// A draft is shown as it is at the moment, and what is published comes from the cache.
func ExampleBypassIf() {
	Article, _ := decorators.Cached2(func(ctx context.Context, id int, draft bool) (string, error) {
		fmt.Println("loading", id)
		return fmt.Sprint("article ", id), nil
	}, decorators.Key("article-or-draft"), decorators.BypassIf(func(ctx context.Context, id int, draft bool) bool { return draft }))

	ctx := context.Background()
	fmt.Println(Article(ctx, 7, true))
	fmt.Println(Article(ctx, 7, true))
	fmt.Println(Article(ctx, 7, false))
	fmt.Println(Article(ctx, 7, false))
	// Output:
	// loading 7
	// article 7 <nil>
	// loading 7
	// article 7 <nil>
	// loading 7
	// article 7 <nil>
	// article 7 <nil>
}

// With OwnGroup all results of the function can be dropped, whatever their arguments.
func ExampleOwnGroup() {
	Price, prices := decorators.Cached1(func(ctx context.Context, sku string) (int, error) {
		fmt.Println("loading", sku)
		return 12, nil
	}, decorators.Key("price-of-sku"), decorators.OwnGroup())

	ctx := context.Background()
	fmt.Println(Price(ctx, "chair"))
	fmt.Println(Price(ctx, "table"))
	fmt.Println("invalidate:", prices.InvalidateAll(ctx))
	fmt.Println(Price(ctx, "chair"))
	// Output:
	// loading chair
	// 12 <nil>
	// loading table
	// 12 <nil>
	// invalidate: <nil>
	// loading chair
	// 12 <nil>
}

// That there is no row is remembered for ten seconds, and found by errors.Is as ever.
func ExampleCacheErrors() {
	User, _ := decorators.Cached1(func(ctx context.Context, id int) (string, error) {
		fmt.Println("asking for", id)
		return "", fmt.Errorf("user %d: %w", id, sql.ErrNoRows)
	}, decorators.Key("user-or-no-rows"), decorators.CacheErrors(10*time.Second, sql.ErrNoRows))

	ctx := context.Background()
	for range 2 {
		_, err := User(ctx, 7)
		fmt.Println(err, errors.Is(err, sql.ErrNoRows))
	}
	// Output:
	// asking for 7
	// user 7: sql: no rows in result set true
	// user 7: sql: no rows in result set true
}
