package backends_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/cacheutils/cacheutils/backends"
)

func ExampleCache_Info() {
	set, err := backends.New(backends.Config{"default": {Backend: "locmem", Options: map[string]any{"max_entries": 1000}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	c, err := set.Get("default")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Set(context.Background(), "page", "some text"); err != nil {
		fmt.Println(err)
	}
	info, err := c.Info(context.Background())
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Println("its engine doesn't know")
	}
	fmt.Println(info.Entries, "of", info.MaxEntries, "entries,", info.Evictions, "evicted")
	// Output: 1 of 1000 entries, 0 evicted
}
