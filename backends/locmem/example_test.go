package locmem_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
)

func ExampleOpen() {
	e, err := locmem.Open(engine.Settings{
		Location: []string{"sessions"},
		Options:  map[string]any{"max_entries": 10_000, "max_cost": 64 << 20},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()

	ctx := context.Background()
	e.Set(ctx, "city", engine.Item{Value: []byte("Roma")}, time.Hour)
	item, err := e.Get(ctx, "city")
	fmt.Println(string(item.Value), err)
	// Output: Roma <nil>
}

// What is wrong with the options is said with the options there are.
func ExampleOpen_wrongOption() {
	_, err := locmem.Open(engine.Settings{Options: map[string]any{"max_size": 1000}})
	fmt.Println(err)
	// Output: cacheutils: bad configuration: locmem has no option max_size; all backends have compress_above, group_prefix, key_secret, key_secret_env, lease, max_decoded_size, open_groups, operation_timeout, secret, secret_env, stale, store_later; its options are max_cost, max_entries
}
