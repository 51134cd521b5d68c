// Package tenants has one repository for each tenant, with a database each, in one cache. The tenant is a part of the
// function's name in keys, so none of them is served what another one has. See docs/methods.md.
package tenants

import (
	"context"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
)

// A Database has the prices of one tenant.
type Database interface {
	Price(ctx context.Context, sku string) (cents int, err error)
	SetPrice(ctx context.Context, sku string, cents int) error
}

// Prices are those of one tenant.
type Prices struct {
	tenant string
	db     Database
	price  func(ctx context.Context, sku string) (int, error)
	prices *decorators.Handle1[string, int]
}

// NewPrices is called once for each tenant, and not for each request.
func NewPrices(tenant string, db Database) *Prices {
	p := &Prices{tenant: tenant, db: db}
	p.price, p.prices = decorators.Cached1(db.Price,
		decorators.Key("price"), decorators.Instance(tenant), // price['acme'] in keys
		decorators.Group(group(tenant)),
		decorators.Timeout(time.Hour))
	return p
}

// group is that of all that a tenant has.
func group(tenant string) string { return fmt.Sprintf("tenant-%q", tenant) }

// Price returns a price in cents.
func (p *Prices) Price(ctx context.Context, sku string) (int, error) { return p.price(ctx, sku) }

// SetPrice sets one price.
func (p *Prices) SetPrice(ctx context.Context, sku string, cents int) error {
	if err := p.db.SetPrice(ctx, sku, cents); err != nil {
		return err
	}
	return p.prices.Invalidate(ctx, sku)
}

// Imported is called when all that a tenant has may have changed. What other tenants have stays cached.
func Imported(ctx context.Context, tenant string) error {
	return cache.InvalidateGroup(ctx, group(tenant))
}
