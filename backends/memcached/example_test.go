package memcached_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
)

func ExampleOpen() {
	e, err := memcached.Open(engine.Settings{
		Location: []string{"cache1.example.com", "cache2.example.com:11212"},
		Options:  map[string]any{"operation_timeout": 100 * time.Millisecond},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()

	ctx := context.Background()
	if err := e.Set(ctx, "city", engine.Item{Value: []byte("Roma")}, time.Hour); err != nil {
		fmt.Println(err) // cacheutils: set on memcached cache1.example.com:11211: ...
	}
}
