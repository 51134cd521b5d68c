// Package cache stores values under keys of any type on the configured backends.
//
//	err := cache.Set(ctx, cachekey.Tuple{"city", 42}, city, cache.Timeout(time.Hour))
//	city, err := cache.Get[City](ctx, cachekey.Tuple{"city", 42})
//	found, err := cache.Delete(ctx, cachekey.Tuple{"city", 42})
//
// A key is rendered as in package cachekey, so that two values that differ in value or type
// are two keys: "5" and 5, or [a b] and "a-b". Any length and any characters will do. What is
// done is logged by package logging.
//
// Values, timeouts and errors are those of backends.Cache, which has more operations for
// those who bring the text of their keys.
package cache

import (
	"context"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachekey"
)

// An Option changes one call.
type Option func(*call)

type call struct {
	backend string
	options []backends.Option
}

// Backend names the backend to use. Without it that is "default".
func Backend(name string) Option { return func(c *call) { c.backend = name } }

// Timeout says how long the value is kept. Without it that is the backend's timeout. With
// zero or less nothing is stored, and what was there before is gone; with
// cacheutils.Forever it never expires.
func Timeout(d time.Duration) Option {
	return func(c *call) { c.options = append(c.options, backends.Timeout(d)) }
}

// Get returns the value under key. It is an error that matches cacheutils.ErrCacheMiss when
// there is none, or none of type T.
func Get[T any](ctx context.Context, key any, opts ...Option) (T, error) {
	var value T
	t, err := resolve(key, opts)
	if err != nil {
		return value, err
	}
	err = t.cache.GetKey(ctx, t.key, &value)
	return value, err
}

// Set stores value, nil too, under key.
func Set(ctx context.Context, key, value any, opts ...Option) error {
	t, err := resolve(key, opts)
	if err != nil {
		return err
	}
	return t.cache.SetKey(ctx, t.key, value, t.options...)
}

// Delete removes what is under key and tells whether there was something. Once it has
// returned without an error no caller in this process gets the old value.
func Delete(ctx context.Context, key any, opts ...Option) (bool, error) {
	t, err := resolve(key, opts)
	if err != nil {
		return false, err
	}
	return t.cache.DeleteKey(ctx, t.key)
}

// GetOrSet returns the value under key or, if there is none, that of compute, which is
// stored, a nil too. compute runs once for all callers in this process that ask meanwhile,
// under a context that ends when they have all left. Its error is returned as it is, and
// nothing is stored. That the value could not be stored is logged, not returned.
func GetOrSet[T any](ctx context.Context, key any, compute func(context.Context) (T, error), opts ...Option) (T, error) {
	var value T
	t, err := resolve(key, opts)
	if err != nil {
		return value, err
	}
	err = t.cache.GetOrSetKey(ctx, t.key, &value, func(ctx context.Context) (any, error) { return compute(ctx) }, t.options...)
	return value, err
}

// A place is where a call's key is.
type place struct {
	cache   *backends.Cache
	key     backends.Key
	options []backends.Option
}

func resolve(key any, opts []Option) (place, error) {
	c := call{backend: "default"}
	for _, opt := range opts {
		opt(&c)
	}
	text, err := cachekey.Repr(key)
	if err != nil {
		return place{}, err
	}
	b, err := backends.Get(c.backend)
	if err != nil {
		return place{}, err
	}
	return place{cache: b, key: b.Key(text), options: c.options}, nil
}
