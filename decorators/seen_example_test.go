package decorators_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
)

func ExampleAll() {
	set, err := backends.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	Double, _ := decorators.Cached(func(n int) int { return 2 * n }, decorators.Key("example.double"), decorators.On(set))
	Double(1)
	Double(1)

	for _, f := range decorators.All() {
		if f.Set == set {
			fmt.Println(f.Name, "on", f.Backend, "hits:", f.Stats.Hits, "misses:", f.Stats.Misses)
		}
	}
	fmt.Println(Double(2))
	// Output:
	// example.double on default hits: 1 misses: 1
	// 4
}

func ExampleHandle1_Explain() {
	Offers, offers := decorators.Cached1(func(ctx context.Context, city string) ([]string, error) {
		return []string{"a weekend in " + city}, nil
	}, decorators.Key("offers.explained"), decorators.Group("explained"), decorators.Timeout(time.Hour))
	ctx := context.Background()
	explain := func() {
		x, err := offers.Explain(ctx, "Roma")
		fmt.Println(x.State, x.Groups, err)
	}

	explain()
	if _, err := Offers(ctx, "Roma"); err != nil {
		fmt.Println(err)
	}
	explain()
	if err := cache.InvalidateGroup(ctx, "explained"); err != nil {
		fmt.Println(err)
	}
	explain()
	// Output:
	// nothing [] <nil>
	// fresh [{explained true}] <nil>
	// outdated [{explained false}] <nil>
}
