package cachetest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachetest"
	"github.com/cacheutils/cacheutils/decorators"
)

// What docs/testing.md shows is here, and runs: a program, and the tests of it.

// A Shop sells things, whose prices it caches.
type Shop struct {
	Price  func(ctx context.Context, sku string) (int, error)
	prices *decorators.Handle1[string, int]
	table  Table
}

// A Table has the prices.
type Table interface {
	Price(ctx context.Context, sku string) (int, error)
	SetPrice(ctx context.Context, sku string, price int) error
}

func NewShop(table Table, opts ...decorators.Option) *Shop {
	s := &Shop{table: table}
	opts = append([]decorators.Option{decorators.Key("price"), decorators.Timeout(time.Minute)}, opts...)
	s.Price, s.prices = decorators.Cached1(table.Price, opts...)
	return s
}

func (s *Shop) SetPrice(ctx context.Context, sku string, price int) error {
	if err := s.table.SetPrice(ctx, sku, price); err != nil {
		return err
	}
	return s.prices.Invalidate(ctx, sku)
}

// A fakeTable counts how often it is asked.
type fakeTable struct {
	mu     sync.Mutex
	prices map[string]int
	asked  int
}

func (f *fakeTable) Price(ctx context.Context, sku string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	price, ok := f.prices[sku]
	if !ok {
		return 0, errors.New("no such thing: " + sku)
	}
	return price, nil
}

func (f *fakeTable) SetPrice(ctx context.Context, sku string, price int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prices[sku] = price
	return nil
}

func TestShop(t *testing.T) {
	t.Parallel()
	table := &fakeTable{prices: map[string]int{"tea": 3}}
	shop := NewShop(table, decorators.On(cachetest.New(t)))

	for range 2 {
		if price, err := shop.Price(t.Context(), "tea"); price != 3 || err != nil {
			t.Errorf("got %d, %v, want 3", price, err)
		}
	}
	if table.asked != 1 {
		t.Errorf("the table was asked %d times, want once", table.asked)
	}
	if err := shop.SetPrice(t.Context(), "tea", 4); err != nil {
		t.Fatal(err)
	}
	if price, err := shop.Price(t.Context(), "tea"); price != 4 || err != nil {
		t.Errorf("got %d, %v, want the new price, 4", price, err)
	}
}

// Rate is decorated at package level.
var Rate, _ = decorators.Cached2(queryRate, decorators.Key("rate"), decorators.Group("rates"), decorators.Ignore[Bank]())

func queryRate(ctx context.Context, bank Bank, currency string) (float64, error) {
	return bank.Rate(ctx, currency)
}

// A Bank knows the rates of currencies.
type Bank interface {
	Rate(ctx context.Context, currency string) (float64, error)
}

type fakeBank map[string]float64

func (f fakeBank) Rate(_ context.Context, currency string) (float64, error) { return f[currency], nil }

func TestRate(t *testing.T) {
	t.Parallel()
	ctx := backends.With(t.Context(), cachetest.New(t))
	bank := fakeBank{"EUR": 1.1}

	if got, err := Rate(ctx, bank, "EUR"); got != 1.1 || err != nil {
		t.Errorf("got %v, %v, want 1.1", got, err)
	}
	bank["EUR"] = 1.2
	if got, err := Rate(ctx, bank, "EUR"); got != 1.1 || err != nil {
		t.Errorf("got %v, %v, want 1.1 from the cache", got, err)
	}
	if err := cache.InvalidateGroup(ctx, "rates"); err != nil {
		t.Fatal(err)
	}
	if got, err := Rate(ctx, bank, "EUR"); got != 1.2 || err != nil {
		t.Errorf("got %v, %v, want 1.2 after the invalidation", got, err)
	}
}

func TestShop_Timeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := &fakeTable{prices: map[string]int{"tea": 3}}
		shop := NewShop(table, decorators.On(cachetest.New(t)), decorators.Stale(time.Hour))
		price := func() int {
			price, err := shop.Price(t.Context(), "tea")
			if err != nil {
				t.Error(err)
			}
			synctest.Wait() // until what runs in the background has ended
			return price
		}

		price()
		table.prices["tea"] = 4 // without an invalidation
		time.Sleep(59 * time.Second)
		if got := price(); got != 3 {
			t.Errorf("within the timeout: got %d, want 3", got)
		}
		time.Sleep(2 * time.Second)
		if got := price(); got != 3 {
			t.Errorf("past the timeout: got %d, want the stale price, 3", got)
		}
		if got := price(); got != 4 {
			t.Errorf("after it was recomputed in the background: got %d, want 4", got)
		}
	})
}

func TestShop_Hits(t *testing.T) {
	t.Parallel()
	table := &fakeTable{prices: map[string]int{"tea": 3}}
	shop := NewShop(table, decorators.On(cachetest.New(t)))
	ctx, report := cacheutils.WithReport(t.Context())

	for range 3 {
		if _, err := shop.Price(ctx, "tea"); err != nil {
			t.Error(err)
		}
	}
	if report.Count(cacheutils.Miss) != 1 || report.Count(cacheutils.Hit) != 2 {
		t.Errorf("want one miss and two hits, got\n%v", report)
	}
}
