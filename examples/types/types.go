// Package types has a row of types as programs have them, of the standard library and of well-known modules. All of them can
// be cached, on every backend, and be arguments. docs/results.md says what else can, and what to do about the rest.
package types

import (
	"context"
	"database/sql"
	"encoding/json"
	"html/template"
	"log/slog"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/samber/mo"
	"github.com/shopspring/decimal"

	"github.com/cacheutils/cacheutils/decorators"
)

// An Order is such a row.
type Order struct {
	ID       uuid.UUID
	Event    ulid.ULID
	Total    decimal.Decimal
	Discount mo.Option[int]
	Coupon   mo.Option[string]
	Note     sql.Null[string]
	Shipped  sql.NullTime
	Weight   *big.Int
	Created  time.Time
	Within   time.Duration
	Client   netip.Addr
	Referrer *url.URL
	Headers  http.Header
	Extra    json.RawMessage
	Quantity json.Number
	Label    template.HTML
	Severity slog.Level
	Tags     map[string]any
	Stock    map[[2]string]int
}

// NewLoader returns load with cached results.
func NewLoader(load func(ctx context.Context, id uuid.UUID) (*Order, error), opts ...decorators.Option) (func(ctx context.Context, id uuid.UUID) (*Order, error), *decorators.Handle1[uuid.UUID, *Order]) {
	return decorators.Cached1(load, append([]decorators.Option{decorators.Key("order"), decorators.Timeout(time.Minute)}, opts...)...)
}

// NewDescriber returns a function of orders, all of which counts in the key.
func NewDescriber(describe func(ctx context.Context, o *Order) (string, error), opts ...decorators.Option) (func(ctx context.Context, o *Order) (string, error), *decorators.Handle1[*Order, string]) {
	return decorators.Cached1(describe, append([]decorators.Option{decorators.Key("describe"), decorators.Timeout(time.Minute)}, opts...)...)
}
