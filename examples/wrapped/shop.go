// Package wrapped caches the methods of an interface, whatever implements it, by hand: three lines for each method. The
// methods keep their documentation, their parameter names, and "go to definition". See docs/methods.md.
package wrapped

import (
	"context"
	"time"

	"github.com/cacheutils/cacheutils/decorators"
)

// A Store has what a shop sells.
type Store interface {
	Price(ctx context.Context, sku string) (cents int, err error)
	Stock(ctx context.Context, sku, shop string) (int, error)
	SetPrice(ctx context.Context, sku string, cents int) error
}

// Cached is a Store whose reads are cached. Methods that it doesn't have are those of the Store in it.
type Cached struct {
	Store
	price  func(ctx context.Context, sku string) (int, error)
	prices *decorators.Handle1[string, int]
	stock  func(ctx context.Context, sku, shop string) (int, error)
}

// NewCached returns s with cached reads. The name stands in keys: stores of one name share what is cached. The options
// are for all methods, and override those that stand here.
func NewCached(name string, s Store, opts ...decorators.Option) *Cached {
	c := &Cached{Store: s}
	with := func(method string, d time.Duration) []decorators.Option {
		return append([]decorators.Option{decorators.Key(name + "." + method), decorators.Timeout(d)}, opts...)
	}
	c.price, c.prices = decorators.Cached1(s.Price, with("Price", time.Hour)...)
	c.stock, _ = decorators.Cached2(s.Stock, with("Stock", time.Second)...)
	return c
}

// Price returns a price in cents. It is cached for an hour.
func (c *Cached) Price(ctx context.Context, sku string) (int, error) { return c.price(ctx, sku) }

// Stock returns how many there are in a shop. It is cached for a second.
func (c *Cached) Stock(ctx context.Context, sku, shop string) (int, error) {
	return c.stock(ctx, sku, shop)
}

// SetPrice sets a price, and drops the one that is cached.
func (c *Cached) SetPrice(ctx context.Context, sku string, cents int) error {
	if err := c.Store.SetPrice(ctx, sku, cents); err != nil {
		return err
	}
	return c.prices.Invalidate(ctx, sku)
}
