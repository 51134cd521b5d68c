package decorators_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/cacheutils/cacheutils/decorators"
)

// The compiler checks the arguments of the handle's methods.
func ExampleCached2() {
	greet := func(ctx context.Context, name, lang string) (string, error) {
		fmt.Println("computing")
		return map[string]string{"it": "Ciao ", "en": "Hello "}[lang] + name, nil
	}
	Greet, greetings := decorators.Cached2(greet, decorators.Key("greeting"))
	ctx := context.Background()

	fmt.Println(Greet(ctx, "Ada", "it"))
	fmt.Println(Greet(ctx, "Ada", "it"))
	fmt.Println(greetings.CacheKey("Ada", "it"))
	fmt.Println(greetings.Invalidate(ctx, "Ada", "it"))
	fmt.Println(greetings.RequireCache(ctx, "Ada", "it"))
	// Output:
	// computing
	// Ciao Ada <nil>
	// Ciao Ada <nil>
	// [cached]greeting(('Ada','it')) <nil>
	// <nil>
	//  cacheutils: no cached value: greeting, key 2f2738a7f8c8b448
}

func ExampleCached0() {
	version := 1
	Version, versions := decorators.Cached0(func(context.Context) (int, error) { return version, nil }, decorators.Key("version"))
	ctx := context.Background()

	fmt.Println(Version(ctx))
	version = 2
	fmt.Println(Version(ctx))
	fmt.Println(versions.ForceRecalc(ctx))
	// Output:
	// 1 <nil>
	// 1 <nil>
	// 2 <nil>
}

func ExampleCached1() {
	Shout, _ := decorators.Cached1(func(ctx context.Context, word string) (string, error) {
		return strings.ToUpper(word), nil
	}, decorators.Key("shout"))

	fmt.Println(Shout(context.Background(), "hey"))
	// Output: HEY <nil>
}

func ExampleCached3() {
	Area, areas := decorators.Cached3(func(ctx context.Context, width, height int, unit string) (string, error) {
		return fmt.Sprint(width*height, " ", unit, "²"), nil
	}, decorators.Key("rectangle"))
	ctx := context.Background()

	fmt.Println(Area(ctx, 3, 4, "m"))
	err := areas.Set(ctx, 3, 4, "m", "a dozen m²")
	fmt.Println(Area(ctx, 3, 4, "m"))
	fmt.Println(err)
	// Output:
	// 12 m² <nil>
	// a dozen m² <nil>
	// <nil>
}
