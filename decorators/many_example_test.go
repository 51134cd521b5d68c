package decorators_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils/decorators"
)

// Each key has an entry of its own, so the function is called only for those that are missing.
func ExampleCachedMany() {
	names := map[int]string{1: "Roma", 2: "Milano", 3: "Napoli"}
	load := func(ctx context.Context, ids []int) (map[int]string, error) {
		fmt.Println("loading", ids)
		found := make(map[int]string)
		for _, id := range ids {
			if name, ok := names[id]; ok {
				found[id] = name
			}
		}
		return found, nil
	}
	Load, cities := decorators.CachedMany(load, decorators.Key("city name"), decorators.Absent(time.Minute))
	ctx := context.Background()

	fmt.Println(Load(ctx, []int{1, 2}))
	fmt.Println(Load(ctx, []int{3, 2, 1, 99}))
	fmt.Println(Load(ctx, []int{99, 3}))
	fmt.Println(cities.Invalidate(ctx, []int{2}))
	fmt.Println(Load(ctx, []int{1, 2}))
	// Output:
	// loading [1 2]
	// map[1:Roma 2:Milano] <nil>
	// loading [3 99]
	// map[1:Roma 2:Milano 3:Napoli] <nil>
	// map[3:Napoli] <nil>
	// <nil>
	// loading [2]
	// map[1:Roma 2:Milano] <nil>
}
