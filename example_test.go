package cacheutils_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
)

type City struct {
	ID   int
	Name string
}

func loadCity(ctx context.Context, id int, lang string) (City, error) {
	fmt.Println("loading", id, lang)
	if id == 0 {
		return City{}, errors.New("no such city")
	}
	return City{ID: id, Name: "Roma"}, nil
}

// The function is decorated once and called as before. The handle is for what is cached.
func Example() {
	LoadCity, cities := decorators.Cached(loadCity, decorators.Key("city"), decorators.Timeout(time.Hour))
	ctx := context.Background()

	fmt.Println(LoadCity(ctx, 42, "it"))
	fmt.Println(LoadCity(ctx, 42, "it"))
	fmt.Println(cities.CacheKey(ctx, 42, "it"))

	fmt.Println("invalidate:", cities.Invalidate(ctx, 42, "it"))
	fmt.Println(LoadCity(ctx, 42, "it"))
	fmt.Println(cities.ForceRecalc(ctx, 42, "it"))
	fmt.Println(cities.RequireCache(ctx, 42, "it"))
	// Output:
	// loading 42 it
	// {42 Roma} <nil>
	// {42 Roma} <nil>
	// [cached]city((42,'it')) <nil>
	// invalidate: <nil>
	// loading 42 it
	// {42 Roma} <nil>
	// loading 42 it
	// {42 Roma} <nil>
	// {42 Roma} <nil>
}

// Errors are returned as they are and never cached.
func Example_errors() {
	LoadCity, cities := decorators.Cached(loadCity, decorators.Key("city-or-error"))
	ctx := context.Background()

	_, err := LoadCity(ctx, 0, "it")
	fmt.Println(err)
	_, err = LoadCity(ctx, 0, "it")
	fmt.Println(err)

	_, err = cities.RequireCache(ctx, 0, "it")
	fmt.Println(errors.Is(err, cacheutils.ErrNoCachedValue))
	// Output:
	// loading 0 it
	// no such city
	// loading 0 it
	// no such city
	// true
}

// Backends are configured by name.
func Example_configure() {
	err := backends.Configure(backends.Config{
		"default":  {Backend: "locmem", Timeout: time.Minute, Options: map[string]any{"max_entries": 5000}},
		"nothing":  {Backend: "dummy"},
		"sessions": {Backend: "memcached", Location: []string{"10.0.0.1:11211", "10.0.0.2:11211"}, KeyPrefix: "shop"},
	})
	fmt.Println(err, backends.Names())

	_, err = backends.Get("session")
	fmt.Println(err)
	fmt.Println(backends.Configure(nil), backends.Names())
	// Output:
	// <nil> [default nothing sessions]
	// cacheutils: unknown backend "session": configured are "default", "nothing", "sessions"
	// <nil> [default]
}

// The setting CACHES of a Django project can be read as JSON.
func Example_configureFromJSON() {
	var config backends.Config
	err := json.Unmarshal([]byte(`{
		"default": {
			"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
			"LOCATION": "10.0.0.1:11211;10.0.0.2:11211",
			"KEY_PREFIX": "shop",
			"TIMEOUT": 3600
		}
	}`), &config)
	d := config["default"]
	fmt.Println(d.Backend, d.Location, d.KeyPrefix, d.Timeout, err)
	// Output: memcached [10.0.0.1:11211 10.0.0.2:11211] shop 1h0m0s <nil>
}

// Package cache is for values that no function computes.
func Example_cache() {
	ctx := context.Background()
	key := cachekey.Tuple{"city", 42}

	_, err := cache.Get[City](ctx, key)
	fmt.Println(errors.Is(err, cacheutils.ErrCacheMiss))

	fmt.Println(cache.Set(ctx, key, City{42, "Roma"}, cache.Timeout(time.Hour)))
	fmt.Println(cache.Get[City](ctx, key))
	fmt.Println(cache.Delete(ctx, key))
	// Output:
	// true
	// <nil>
	// {42 Roma} <nil>
	// true <nil>
}

// A Cache has the operations of Django's low-level cache API.
func Example_backend() {
	ctx := context.Background()
	c, err := backends.Get("default")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Add(ctx, "visits", 10))
	fmt.Println(c.Incr(ctx, "visits", 2))

	var visits int
	fmt.Println(c.Get(ctx, "visits", &visits), visits)
	fmt.Println(c.Delete(ctx, "visits"))
	// Output:
	// true <nil>
	// 12 <nil>
	// <nil> 12
	// true <nil>
}

// A request that wants nothing of the cache runs under Bypass, one with Cache-Control: no-cache under Refresh: with all cached functions
// that are called for it.
func ExampleRefresh() {
	visits := 0
	Visits, _ := decorators.Cached1(func(ctx context.Context, page string) (int, error) {
		visits++
		return visits, nil
	}, decorators.Key("visits"))
	Page, _ := decorators.Cached1(func(ctx context.Context, page string) (string, error) {
		n, err := Visits(ctx, page)
		return fmt.Sprint(page, ": ", n), err
	}, decorators.Key("page"))

	ctx := context.Background()
	fmt.Println(Page(ctx, "home"))
	fmt.Println(Page(cacheutils.Refresh(ctx), "home"))
	fmt.Println(Page(ctx, "home"))
	// Output:
	// home: 1 <nil>
	// home: 2 <nil>
	// home: 2 <nil>
}

// Under Bypass functions run, and what is cached stays as it is.
func ExampleBypass() {
	Stock, stock := decorators.Cached1(func(ctx context.Context, sku string) (int, error) {
		fmt.Println("counting", sku)
		return 12, nil
	}, decorators.Key("stock"))

	ctx := context.Background()
	fmt.Println(Stock(cacheutils.Bypass(ctx), "chair"))
	_, err := stock.RequireCache(ctx, "chair")
	fmt.Println(errors.Is(err, cacheutils.ErrNoCachedValue))
	// Output:
	// counting chair
	// 12 <nil>
	// true
}

// A panic of the function reaches every caller that waited for it.
func Example_panics() {
	Half, _ := decorators.Cached(func(n int) int {
		if n%2 != 0 {
			panic("odd")
		}
		return n / 2
	}, decorators.Key("half"))

	defer func() {
		p := recover().(*cacheutils.PanicError)
		fmt.Println("recovered:", p.Value)
	}()
	fmt.Println(Half(8))
	fmt.Println(Half(7))
	// Output:
	// 4
	// recovered: odd
}

// A report says what each cached function under its context did, also those that another one calls.
func ExampleWithReport() {
	Population, _ := decorators.Cached1(func(ctx context.Context, city string) (int, error) {
		return len(city), nil
	}, decorators.Key("report.population"))
	Total, _ := decorators.Cached2(func(ctx context.Context, a, b string) (int, error) {
		m, err := Population(ctx, a)
		if err != nil {
			return 0, err
		}
		n, err := Population(ctx, b)
		return m + n, err
	}, decorators.Key("report.total"))

	ctx, report := cacheutils.WithReport(context.Background())
	fmt.Println(Population(ctx, "Roma"))
	fmt.Println(Total(ctx, "Roma", "Siena"))
	fmt.Println(Total(ctx, "Roma", "Siena"))
	for _, call := range report.Calls() {
		fmt.Println(call.Key, call.Outcome, call.Caller)
	}
	// Output:
	// 4 <nil>
	// 9 <nil>
	// 9 <nil>
	// [cached]report.population(('Roma',)) miss -1
	// [cached]report.total(('Roma','Siena')) miss -1
	// [cached]report.population(('Roma',)) hit 1
	// [cached]report.population(('Siena',)) miss 1
	// [cached]report.total(('Roma','Siena')) hit -1
}
