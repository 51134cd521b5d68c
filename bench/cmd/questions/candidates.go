package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/1mb-dev/obcache-go/v2/pkg/obcache"
	"github.com/Yiling-J/theine-go"
	"github.com/ahuigo/gofnext"
	"github.com/alicebob/miniredis/v2"
	"github.com/bluele/gcache"
	rediscache "github.com/go-redis/cache/v9"
	"github.com/maypok86/otter/v2"
	"github.com/redis/go-redis/v9"
	"github.com/viccon/sturdyc"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/bench/internal/memcached"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/fivequestions"
)

// A candidate is a cache to ask, loaded and invalidated as its documentation says.
type candidate struct {
	name   string
	module string // its path; empty for this module
	label  string // for this module
	open   func() (c fivequestions.Cache, stop func(), err error)
}

var candidates = []candidate{
	{name: "locmem", label: "cacheutils, locmem", open: func() (fivequestions.Cache, func(), error) {
		return openOurs(backends.Settings{Backend: "locmem"})
	}},
	{name: "memcached", label: "cacheutils, memcached", open: func() (fivequestions.Cache, func(), error) {
		return openOursOnMemcached("memcached")
	}},
	{name: "group", label: "cacheutils, group", open: func() (fivequestions.Cache, func(), error) {
		return openOursOnMemcached("group")
	}},
	{name: "otter", module: "github.com/maypok86/otter/v2", open: openOtter},
	{name: "theine", module: "github.com/Yiling-J/theine-go", open: openTheine},
	{name: "sturdyc", module: "github.com/viccon/sturdyc", open: openSturdyc},
	{name: "go-redis", module: "github.com/go-redis/cache/v9", open: openRedis},
	{name: "obcache", module: "github.com/1mb-dev/obcache-go/v2", open: openObcache},
	{name: "gofnext", module: "github.com/ahuigo/gofnext", open: openGofnext},
	{name: "gcache", module: "github.com/bluele/gcache", open: openGcache},
}

func nothing() {}

// ours is a decorated function.
type ours struct {
	fivequestions.Loads
	f func(context.Context, string) (string, error)
	h *decorators.Handle[func(context.Context, string) (string, error)]
}

func openOurs(settings backends.Settings) (fivequestions.Cache, func(), error) {
	if err := backends.Configure(backends.Config{"default": settings}); err != nil {
		return nil, nil, err
	}
	c := &ours{}
	c.f, c.h = decorators.Cached(c.Run, decorators.Key("questions"))
	return c, nothing, nil
}

func openOursOnMemcached(backend string) (fivequestions.Cache, func(), error) {
	addr, stop, err := memcached.Start()
	if err != nil {
		return nil, nil, err
	}
	c, _, err := openOurs(backends.Settings{Backend: backend, Location: []string{addr}})
	return c, stop, err
}

func (c *ours) Load(ctx context.Context, key string, compute fivequestions.Compute) (string, error) {
	c.Set(key, compute)
	return c.f(ctx, key)
}

func (c *ours) Invalidate(ctx context.Context, key string) error { return c.h.Invalidate(ctx, key) }

// otterCache loads with Cache.Get.
type otterCache struct{ *otter.Cache[string, string] }

func openOtter() (fivequestions.Cache, func(), error) {
	c, err := otter.New(&otter.Options[string, string]{
		MaximumSize:      1000,
		ExpiryCalculator: otter.ExpiryWriting[string, string](time.Minute),
	})
	return otterCache{c}, nothing, err
}

func (c otterCache) Load(ctx context.Context, key string, compute fivequestions.Compute) (string, error) {
	return c.Get(ctx, key, otter.LoaderFunc[string, string](func(ctx context.Context, key string) (string, error) {
		return compute(ctx)
	}))
}

func (c otterCache) Invalidate(ctx context.Context, key string) error {
	c.Cache.Invalidate(key)
	return nil
}

// theineCache is a loading cache.
type theineCache struct {
	fivequestions.Loads
	cache *theine.LoadingCache[string, string]
}

func openTheine() (fivequestions.Cache, func(), error) {
	c := &theineCache{}
	var err error
	c.cache, err = theine.NewBuilder[string, string](1000).Loading(func(ctx context.Context, key string) (theine.Loaded[string], error) {
		value, err := c.Run(ctx, key)
		return theine.Loaded[string]{Value: value, Cost: 1, TTL: time.Minute}, err
	}).Build()
	return c, nothing, err
}

func (c *theineCache) Load(ctx context.Context, key string, compute fivequestions.Compute) (string, error) {
	c.Set(key, compute)
	return c.cache.Get(ctx, key)
}

func (c *theineCache) Invalidate(ctx context.Context, key string) error {
	c.cache.Delete(key)
	return nil
}

// sturdycCache loads with GetOrFetch.
type sturdycCache struct{ *sturdyc.Client[string] }

func openSturdyc() (fivequestions.Cache, func(), error) {
	return sturdycCache{sturdyc.New[string](1000, 10, time.Minute, 10)}, nothing, nil
}

func (c sturdycCache) Load(ctx context.Context, key string, compute fivequestions.Compute) (string, error) {
	return c.GetOrFetch(ctx, key, sturdyc.FetchFn[string](compute))
}

func (c sturdycCache) Invalidate(ctx context.Context, key string) error {
	c.Delete(key)
	return nil
}

// redisCache loads with Cache.Once, on a Redis in this process.
type redisCache struct{ *rediscache.Cache }

func openRedis() (fivequestions.Cache, func(), error) {
	server, err := miniredis.Run()
	if err != nil {
		return nil, nil, err
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	return redisCache{rediscache.New(&rediscache.Options{Redis: client})}, server.Close, nil
}

func (c redisCache) Load(ctx context.Context, key string, compute fivequestions.Compute) (value string, err error) {
	err = c.Once(&rediscache.Item{
		Ctx: ctx, Key: key, Value: &value, TTL: time.Minute,
		Do: func(item *rediscache.Item) (any, error) { return compute(item.Context()) },
	})
	return value, err
}

func (c redisCache) Invalidate(ctx context.Context, key string) error { return c.Delete(ctx, key) }

// gcacheCache loads with a LoaderFunc, which takes no context.
type gcacheCache struct {
	fivequestions.Loads
	cache gcache.Cache
}

func openGcache() (fivequestions.Cache, func(), error) {
	c := &gcacheCache{}
	c.cache = gcache.New(1000).LRU().Expiration(time.Minute).LoaderFunc(func(key any) (any, error) {
		return c.Run(context.Background(), key.(string))
	}).Build()
	return c, nothing, nil
}

func (c *gcacheCache) ContextFree() {}

func (c *gcacheCache) Load(ctx context.Context, key string, compute fivequestions.Compute) (string, error) {
	c.Set(key, compute)
	value, err := c.cache.Get(key)
	if err != nil {
		return "", err
	}
	return value.(string), nil
}

func (c *gcacheCache) Invalidate(ctx context.Context, key string) error {
	c.cache.Remove(key)
	return nil
}

// obcacheCache is a function decorated with Wrap; what is cached for an argument is deleted by
// its key.
type obcacheCache struct {
	fivequestions.Loads
	cache *obcache.Cache
	f     func(context.Context, string) (string, error)
}

func openObcache() (fivequestions.Cache, func(), error) {
	cache, err := obcache.New(obcache.NewDefaultConfig())
	if err != nil {
		return nil, nil, err
	}
	c := &obcacheCache{cache: cache}
	byArgument := obcache.WithKeyFunc(func(args []any) string { return fmt.Sprint(args...) })
	c.f = obcache.Wrap(cache, c.Run, byArgument)
	return c, func() { cache.Close() }, nil
}

func (c *obcacheCache) Load(ctx context.Context, key string, compute fivequestions.Compute) (string, error) {
	c.Set(key, compute)
	return c.f(ctx, key)
}

func (c *obcacheCache) Invalidate(ctx context.Context, key string) error { return c.cache.Delete(key) }

// gofnextCache is a function decorated with CacheFn1Err. A context would be part of its key, and it
// has nothing to invalidate with.
type gofnextCache struct {
	fivequestions.Loads
	f func(string) (string, error)
}

func openGofnext() (fivequestions.Cache, func(), error) {
	c := &gofnextCache{}
	c.f = gofnext.CacheFn1Err(func(key string) (string, error) {
		return c.Run(context.Background(), key)
	}, &gofnext.Config{TTL: time.Minute})
	return c, nothing, nil
}

func (c *gofnextCache) ContextFree() {}

func (c *gofnextCache) Load(ctx context.Context, key string, compute fivequestions.Compute) (string, error) {
	c.Set(key, compute)
	return c.f(key)
}

func (c *gofnextCache) Invalidate(ctx context.Context, key string) error {
	return errors.New(fivequestions.NotApplicable)
}
