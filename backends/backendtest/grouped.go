package backendtest

import (
	"context"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/store"
)

// What follows are the operations of Cache, in the groups of the suite as well.

func (c cache) in(opts []backends.Option) []backends.Option {
	return append([]backends.Option{backends.Group(c.groups...)}, opts...)
}

func (c cache) Key(text string, groups ...string) store.Key {
	return c.store.Key(text, append(groups, c.groups...)...)
}

func (c cache) Get(ctx context.Context, key string, into any, opts ...backends.Option) error {
	return c.Cache.Get(ctx, key, into, c.in(opts)...)
}

func (c cache) GetMany(ctx context.Context, keys []string, into any, opts ...backends.Option) error {
	return c.Cache.GetMany(ctx, keys, into, c.in(opts)...)
}

func (c cache) Set(ctx context.Context, key string, value any, opts ...backends.Option) error {
	return c.Cache.Set(ctx, key, value, c.in(opts)...)
}

func (c cache) SetMany(ctx context.Context, values any, opts ...backends.Option) ([]string, error) {
	return c.Cache.SetMany(ctx, values, c.in(opts)...)
}

func (c cache) Add(ctx context.Context, key string, value any, opts ...backends.Option) (bool, error) {
	return c.Cache.Add(ctx, key, value, c.in(opts)...)
}

func (c cache) Touch(ctx context.Context, key string, opts ...backends.Option) (bool, error) {
	return c.Cache.Touch(ctx, key, c.in(opts)...)
}

func (c cache) Incr(ctx context.Context, key string, delta int64, opts ...backends.Option) (int64, error) {
	return c.Cache.Incr(ctx, key, delta, c.in(opts)...)
}

func (c cache) Decr(ctx context.Context, key string, delta int64, opts ...backends.Option) (int64, error) {
	return c.Cache.Decr(ctx, key, delta, c.in(opts)...)
}

func (c cache) Delete(ctx context.Context, key string, opts ...backends.Option) (bool, error) {
	return c.Cache.Delete(ctx, key, c.in(opts)...)
}

func (c cache) DeleteMany(ctx context.Context, keys []string, opts ...backends.Option) error {
	return c.Cache.DeleteMany(ctx, keys, c.in(opts)...)
}

func (c cache) Has(ctx context.Context, key string, opts ...backends.Option) (bool, error) {
	return c.Cache.Has(ctx, key, c.in(opts)...)
}

func (c cache) GetOrSet(ctx context.Context, key string, into any, compute func(context.Context) (any, error), opts ...backends.Option) error {
	return c.Cache.GetOrSet(ctx, key, into, compute, c.in(opts)...)
}
