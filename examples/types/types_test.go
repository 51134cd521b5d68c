package types_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/samber/mo"
	"github.com/shopspring/decimal"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachetest"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/examples/types"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

func order() *types.Order {
	return &types.Order{
		ID:       uuid.MustParse("5ac4263d-8dbe-41ee-81d7-79d12a443e59"),
		Event:    ulid.MustParse("01M8BZRS2R95VYJXCNBN0SCNJR"),
		Total:    decimal.RequireFromString("12.30"),
		Discount: mo.Some(5),
		Coupon:   mo.None[string](),
		Note:     sql.Null[string]{V: "fragile", Valid: true},
		Weight:   new(big.Int).Lsh(big.NewInt(1), 100),
		Created:  time.Date(2026, 5, 1, 12, 0, 0, 1, time.UTC),
		Within:   time.Hour,
		Client:   netip.MustParseAddr("2001:db8::1"),
		Referrer: &url.URL{Scheme: "https", Host: "example.com", Path: "/a b"},
		Headers:  http.Header{"Accept": {"text/html", "text/plain"}},
		Extra:    json.RawMessage(`{"a": 1}`),
		Quantity: "5",
		Label:    "<b>new</b>",
		Severity: slog.LevelWarn,
		Tags:     map[string]any{"a": 1.5, "b": []any{nil, "x"}},
		Stock:    map[[2]string]int{{"Roma", "red"}: 1},
	}
}

// sets are options for a set of each kind.
func sets(t *testing.T) map[string]decorators.Option {
	t.Helper()
	shared, err := backends.New(backends.Config{"default": {
		Backend: "memcached", Location: []string{memcachedtest.Start(t).Addr()},
		Options: map[string]any{"operation_timeout": "5s"}, // a busy machine is not a fault
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shared.Close() })
	return map[string]decorators.Option{"locmem": decorators.On(cachetest.New(t)), "memcached": decorators.On(shared)}
}

func TestResults(t *testing.T) {
	for backend, on := range sets(t) {
		load, handle := types.NewLoader(func(ctx context.Context, id uuid.UUID) (*types.Order, error) { return order(), nil }, on)
		want := order()
		for _, when := range []string{"computed", "cached", "cached, after a caller has changed its own"} {
			got, err := load(t.Context(), want.ID)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: got %v and\n%+v, want\n%+v", backend, when, err, got, want)
				continue
			}
			got.Headers.Set("Accept", "nothing")
			got.Weight.SetInt64(0)
			got.Tags["b"].([]any)[1] = "y"
		}
		if s := handle.Stats(); s.Computations != 1 || s.Hits != 2 {
			t.Errorf("%s: %+v", backend, s)
		}
	}
}

// Each field counts in the key.
func TestArguments(t *testing.T) {
	for backend, on := range sets(t) {
		calls := 0
		describe, handle := types.NewDescriber(func(ctx context.Context, o *types.Order) (string, error) {
			calls++
			return fmt.Sprint("order ", calls), nil
		}, on)
		first, err := describe(t.Context(), order())
		again, errAgain := describe(t.Context(), order())
		if err != nil || errAgain != nil || first != again || calls != 1 {
			t.Errorf("%s: equal orders: got %q, %v and %q, %v", backend, first, err, again, errAgain)
		}
		key, err := handle.CacheKey(order())
		if err != nil {
			t.Fatal(err)
		}
		fields := reflect.TypeFor[types.Order]()
		for i := range fields.NumField() {
			other := order()
			switch fields.Field(i).Name {
			case "Coupon":
				other.Coupon = mo.Some("")
			case "Shipped":
				other.Shipped = sql.NullTime{Valid: true}
			default:
				reflect.ValueOf(other).Elem().Field(i).SetZero()
			}
			if otherKey, err := handle.CacheKey(other); err != nil || otherKey == key {
				t.Errorf("%s: with another %s: got %s, %v", backend, fields.Field(i).Name, otherKey, err)
			}
		}
	}
}

// What can't be carried as it is is refused when the function is decorated, by the name of the field.
func TestRefusals(t *testing.T) {
	for name, decorate := range map[string]func(){
		"Err of type error":        func() { decorate[struct{ Err error }]() },
		"http.Response.Body":       func() { decorate[*http.Response]() },
		"time.Location.name":       func() { decorate[*time.Location]() },
		"sql.DB":                   func() { decorate[*sql.DB]() },
		"have a concrete type":     func() { decorate[fmt.Stringer]() },
		"type chan int: a channel": func() { decorate[chan int]() },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, name) {
					t.Errorf("got %q, want a refusal with %q", text, name)
				}
			}()
			decorate()
		}()
	}
}

func decorate[T any]() {
	decorators.Cached1(func(context.Context, int) (t T, err error) { return t, nil }, decorators.Key("refused"))
}
