package backends_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// store returns a backend with nothing in it.
func store() *backends.Cache {
	c, err := backends.Get("default")
	if err != nil {
		panic(err)
	}
	if err := c.Clear(context.Background()); err != nil {
		panic(err)
	}
	return c
}

func ExampleCache_Add() {
	ctx, c := context.Background(), store()
	fmt.Println(c.Add(ctx, "owner", "ann"))
	fmt.Println(c.Add(ctx, "owner", "bob"))
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleCache_Incr() {
	ctx, c := context.Background(), store()
	_, err := c.Incr(ctx, "visits", 1)
	fmt.Println(errors.Is(err, cacheutils.ErrCacheMiss))
	c.Set(ctx, "visits", 10)
	fmt.Println(c.Incr(ctx, "visits", 5))
	fmt.Println(c.Decr(ctx, "visits", 1))
	// Output:
	// true
	// 15 <nil>
	// 14 <nil>
}

func ExampleCache_GetMany() {
	ctx, c := context.Background(), store()
	failed, err := c.SetMany(ctx, map[string]int{"a": 1, "b": 2})
	fmt.Println(failed, err)
	found := make(map[string]int)
	err = c.GetMany(ctx, []string{"a", "b", "c"}, found)
	fmt.Println(found, err)
	// Output:
	// [] <nil>
	// map[a:1 b:2] <nil>
}

func ExampleCache_SetMany() {
	ctx, c := context.Background(), store()
	failed, err := c.SetMany(ctx, map[string]any{"good": 1, "bad": make(chan int)})
	fmt.Println(failed, errors.Is(err, cacheutils.ErrUnsupportedValue))
	// Output: [bad] true
}

func ExampleCache_Touch() {
	ctx, c := context.Background(), store()
	c.Set(ctx, "session", "ann")
	fmt.Println(c.Touch(ctx, "session", backends.Timeout(time.Hour)))
	fmt.Println(c.Touch(ctx, "nothing"))
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleCache_Delete() {
	ctx, c := context.Background(), store()
	c.Set(ctx, "a", 1)
	fmt.Println(c.Delete(ctx, "a"))
	fmt.Println(c.Delete(ctx, "a"))
	fmt.Println(c.DeleteMany(ctx, []string{"b", "c"}))
	// Output:
	// true <nil>
	// false <nil>
	// <nil>
}

func ExampleCache_Has() {
	ctx, c := context.Background(), store()
	c.Set(ctx, "nothing", nil)
	fmt.Println(c.Has(ctx, "nothing"))
	fmt.Println(c.Has(ctx, "else"))
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleVersion() {
	ctx, c := context.Background(), store()
	c.Set(ctx, "page", "old")
	c.Set(ctx, "page", "new", backends.Version("2"))
	var page string
	c.Get(ctx, "page", &page)
	fmt.Println(page)
	c.Get(ctx, "page", &page, backends.Version("2"))
	fmt.Println(page)
	// Output:
	// old
	// new
}

func ExampleTimeout() {
	ctx, c := context.Background(), store()
	c.Set(ctx, "hour", 1, backends.Timeout(time.Hour))
	c.Set(ctx, "ever", 1, backends.Timeout(cacheutils.Forever))
	c.Set(ctx, "never", 1, backends.Timeout(0)) // over already
	fmt.Println(c.Has(ctx, "hour"))
	fmt.Println(c.Has(ctx, "never"))
	// Output:
	// true <nil>
	// false <nil>
}
