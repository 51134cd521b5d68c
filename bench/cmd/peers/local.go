package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/1mb-dev/obcache-go/v2/pkg/obcache"
	"github.com/ahuigo/gofnext"
	"github.com/dgraph-io/ristretto/v2"
	rediscache "github.com/go-redis/cache/v9"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/maypok86/otter/v2"
	gocache "github.com/patrickmn/go-cache"
	"github.com/viccon/sturdyc"

	"github.com/cacheutils/cacheutils/decorators"
)

// What all of them are configured with, where they have such an option.
const (
	capacity = 10_000
	timeout  = time.Hour
)

// A contender is a way of having the results of a function cached in the memory of the process,
// set up as its documentation says.
type contender[V any] struct {
	name   string
	cached func(fn load[V]) (load[V], error)
}

// id is a key without text.
type id struct {
	number int64
	lang   string
}

func text(number int64, lang string) string { return fmt.Sprintf("place:%d:%s", number, lang) }

// ours are compared with every peer.
func ours[V any]() []contender[V] {
	return []contender[V]{
		{typed, func(fn load[V]) (load[V], error) {
			cached, _ := decorators.Cached2(fn, key[V]("typed"))
			return cached, nil
		}},
		{reflected, func(fn load[V]) (load[V], error) {
			cached, _ := decorators.Cached(fn, key[V]("reflected"))
			return cached, nil
		}},
		{shared, func(fn load[V]) (load[V], error) {
			cached, _ := decorators.Cached2(fn, key[V]("shared"), decorators.Shared())
			return cached, nil
		}},
	}
}

const (
	typed     = "Cached2"
	reflected = "Cached"
	shared    = "Cached2, Shared()"
)

// key is a key for a decorated function of results of type V.
func key[V any](name string) decorators.Option {
	return decorators.Key(fmt.Sprintf("%s-%v", name, reflect.TypeFor[V]()))
}

func peers[V any]() []contender[V] {
	return []contender[V]{
		{bareMakeFunc, cachedByMakeFunc[V]},
		{otterByHand, cachedByHand[V]},
		{otterLoading, cachedByOtter[V]},
		{otterSprintf, cachedByOtterText[V]},
		{obcacheWrap, cachedByObcache[V]},
		{gofnextCacheFn, cachedByGofnext[V]},
		{sturdycFetch, cachedBySturdyc[V]},
		{ristrettoByHand, cachedByRistretto[V]},
		{goRedisOnce, cachedByGoRedis[V]},
		{goCacheByHand, cachedByGoCache[V]},
		{golangLRUByHand, cachedByGolangLRU[V]},
	}
}

// cachedByMakeFunc is a wrapper by reflection that returns results made before.
func cachedByMakeFunc[V any](fn load[V]) (load[V], error) {
	value, err := fn(context.Background(), hotID, "it")
	results := []reflect.Value{reflect.ValueOf(value), reflect.Zero(reflect.TypeFor[error]())}
	return reflect.MakeFunc(reflect.TypeFor[load[V]](), func([]reflect.Value) []reflect.Value {
		return results
	}).Interface().(load[V]), err
}

// cachedByHand is what people write.
func cachedByHand[V any](fn load[V]) (load[V], error) {
	cache, err := otter.New(&otter.Options[string, V]{
		MaximumSize:      capacity,
		ExpiryCalculator: otter.ExpiryWriting[string, V](timeout),
	})
	return func(ctx context.Context, number int64, lang string) (V, error) {
		key := text(number, lang)
		if value, ok := cache.GetIfPresent(key); ok {
			return value, nil
		}
		value, err := fn(ctx, number, lang)
		if err == nil {
			cache.Set(key, value)
		}
		return value, err
	}, err
}

func cachedByOtter[V any](fn load[V]) (load[V], error) {
	cache, err := otter.New(&otter.Options[id, V]{
		MaximumSize:      capacity,
		ExpiryCalculator: otter.ExpiryWriting[id, V](timeout),
	})
	loader := otter.LoaderFunc[id, V](func(ctx context.Context, k id) (V, error) { return fn(ctx, k.number, k.lang) })
	return func(ctx context.Context, number int64, lang string) (V, error) {
		return cache.Get(ctx, id{number, lang}, loader)
	}, err
}

func cachedByOtterText[V any](fn load[V]) (load[V], error) {
	cache, err := otter.New(&otter.Options[string, V]{
		MaximumSize:      capacity,
		ExpiryCalculator: otter.ExpiryWriting[string, V](timeout),
	})
	return func(ctx context.Context, number int64, lang string) (V, error) {
		return cache.Get(ctx, text(number, lang), otter.LoaderFunc[string, V](func(ctx context.Context, _ string) (V, error) {
			return fn(ctx, number, lang)
		}))
	}, err
}

func cachedByObcache[V any](fn load[V]) (load[V], error) {
	cache, err := obcache.New(obcache.NewSimpleConfig(capacity, timeout))
	if err != nil {
		return nil, err
	}
	return obcache.Wrap(cache, fn), nil
}

// cachedByGofnext leaves out the context, which would be part of the key.
func cachedByGofnext[V any](fn load[V]) (load[V], error) {
	cached := gofnext.CacheFn2Err(func(number int64, lang string) (V, error) {
		return fn(context.Background(), number, lang)
	}, &gofnext.Config{TTL: timeout})
	return func(_ context.Context, number int64, lang string) (V, error) { return cached(number, lang) }, nil
}

func cachedBySturdyc[V any](fn load[V]) (load[V], error) {
	cache := sturdyc.New[V](capacity, 10, timeout, 10)
	return func(ctx context.Context, number int64, lang string) (V, error) {
		return cache.GetOrFetch(ctx, text(number, lang), func(ctx context.Context) (V, error) {
			return fn(ctx, number, lang)
		})
	}, nil
}

func cachedByRistretto[V any](fn load[V]) (load[V], error) {
	cache, err := ristretto.NewCache(&ristretto.Config[string, V]{
		NumCounters: 10 * capacity, MaxCost: capacity, BufferItems: 64, IgnoreInternalCost: true,
	})
	return func(ctx context.Context, number int64, lang string) (V, error) {
		key := text(number, lang)
		if value, ok := cache.Get(key); ok {
			return value, nil
		}
		value, err := fn(ctx, number, lang)
		if err == nil {
			cache.SetWithTTL(key, value, 1, timeout)
		}
		return value, err
	}, err
}

// cachedByGoRedis has the local cache of go-redis/cache only, and no Redis.
func cachedByGoRedis[V any](fn load[V]) (load[V], error) {
	cache := rediscache.New(&rediscache.Options{LocalCache: rediscache.NewTinyLFU(capacity, timeout)})
	return func(ctx context.Context, number int64, lang string) (value V, err error) {
		err = cache.Once(&rediscache.Item{
			Ctx: ctx, Key: text(number, lang), Value: &value, TTL: timeout,
			Do: func(item *rediscache.Item) (any, error) { return fn(item.Context(), number, lang) },
		})
		return value, err
	}, nil
}

func cachedByGoCache[V any](fn load[V]) (load[V], error) {
	cache := gocache.New(timeout, timeout)
	return func(ctx context.Context, number int64, lang string) (V, error) {
		key := text(number, lang)
		if value, ok := cache.Get(key); ok {
			return value.(V), nil
		}
		value, err := fn(ctx, number, lang)
		if err == nil {
			cache.SetDefault(key, value)
		}
		return value, err
	}, nil
}

func cachedByGolangLRU[V any](fn load[V]) (load[V], error) {
	cache := expirable.NewLRU[id, V](capacity, nil, timeout)
	return func(ctx context.Context, number int64, lang string) (V, error) {
		key := id{number, lang}
		if value, ok := cache.Get(key); ok {
			return value, nil
		}
		value, err := fn(ctx, number, lang)
		if err == nil {
			cache.Add(key, value)
		}
		return value, err
	}, nil
}

// warm opens c and calls what it caches until it is a hit, which has to be what fn returns.
func (c contender[V]) warm(fn load[V]) (load[V], error) {
	ctx := context.Background()
	var computations atomic.Int64
	cached, err := c.cached(func(ctx context.Context, number int64, lang string) (V, error) {
		computations.Add(1)
		return fn(ctx, number, lang)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	want, err := fn(ctx, hotID, "it")
	for range 100 {
		before := computations.Load()
		got, failed := cached(ctx, hotID, "it")
		if err := errors.Join(err, failed); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if !reflect.DeepEqual(got, want) {
			return nil, fmt.Errorf("%s: got %v, want %v", c.name, got, want)
		}
		if computations.Load() == before {
			return cached, nil
		}
		time.Sleep(time.Millisecond) // ristretto stores it later, or not at all
	}
	return nil, fmt.Errorf("%s: never a hit", c.name)
}
