package dummy_test

import (
	"context"
	"fmt"

	"github.com/cacheutils/cacheutils/backends"
)

// In a development setting nothing is kept, so that every change shows at once.
func Example() {
	ctx := context.Background()
	err := backends.Configure(backends.Config{"default": {Backend: "dummy"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer backends.Configure(nil)
	c, _ := backends.Get("default")
	fmt.Println(c.Set(ctx, "a", 1))
	fmt.Println(c.Has(ctx, "a"))
	// Output:
	// <nil>
	// false <nil>
}
