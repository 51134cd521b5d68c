package backends_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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

// A key may be made of any text. It is addressed by the methods with Key in their names.
func ExampleCache_Key() {
	ctx, c := context.Background(), store()
	key := c.Key("a text with spaces, and of any length")
	c.SetKey(ctx, key, 1)
	var n int
	fmt.Println(c.GetKey(ctx, key, &n), n)
	fmt.Println(key)
	// Output:
	// <nil> 1
	// a\x20text\x20with\x20spaces,\x20and\x20of\x20any\x20length-71e410d41518d226cea6bdebb8d1fe76
}

// Fetch is what decorated functions are made of.
func ExampleCache_Fetch() {
	ctx, c := context.Background(), store()
	squares := backends.NewTask("squares", reflect.TypeFor[int](), false)
	square := func(n int) (int, error) {
		r := c.Fetch(ctx, c.Key(fmt.Sprint("square ", n)), squares, func(ctx context.Context) backends.Result {
			fmt.Println("computing")
			value := n * n
			return backends.Result{Value: &value, Timeout: time.Hour}
		})
		if r.Err != nil {
			return 0, r.Err
		}
		return *r.Value.(*int), nil
	}
	fmt.Println(square(12))
	fmt.Println(square(12))
	fmt.Println(squares.Stats.Hits.Load(), squares.Stats.Computations.Load())
	// Output:
	// computing
	// 144 <nil>
	// 144 <nil>
	// 1 1
}

// A reference can be made before the backends are configured, in a package's variables, say.
func ExampleRef() {
	sessions := backends.NewRef("sessions")
	_, err := sessions.Cache()
	fmt.Println(err)
	backends.Configure(backends.Config{"sessions": {Backend: "locmem", Location: []string{"sessions"}}})
	defer backends.Configure(nil)
	c, err := sessions.Cache()
	fmt.Println(c.Name(), err)
	fmt.Println(backends.Names())
	// Output:
	// cacheutils: unknown backend "sessions": configured are "default"
	// sessions <nil>
	// [default sessions]
}
