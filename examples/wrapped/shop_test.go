package wrapped_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/cachetest"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/examples/wrapped"
)

// A fake is a Store that counts how often it was asked.
type fake struct {
	mu    sync.Mutex
	cents map[string]int
	asked int
}

func (f *fake) Price(ctx context.Context, sku string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return f.cents[sku], nil
}

func (f *fake) Stock(ctx context.Context, sku, shop string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return 3, nil
}

func (f *fake) SetPrice(ctx context.Context, sku string, cents int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cents[sku] = cents
	return nil
}

func Example() {
	ctx := context.Background()
	var shop wrapped.Store = wrapped.NewCached("shop", &fake{cents: map[string]int{"anvil": 9900}})
	fmt.Println(shop.Price(ctx, "anvil"))
	fmt.Println(shop.SetPrice(ctx, "anvil", 8900))
	fmt.Println(shop.Price(ctx, "anvil"))
	// Output:
	// 9900 <nil>
	// <nil>
	// 8900 <nil>
}

// Tests that run at once have stores of one name, and a set each.
func TestParallel(t *testing.T) {
	for i := range 10 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			f := &fake{cents: map[string]int{"anvil": i}}
			shop := wrapped.NewCached("shop", f, decorators.On(cachetest.New(t)))
			for range 2 {
				if got, err := shop.Price(t.Context(), "anvil"); err != nil || got != i {
					t.Errorf("got %d, %v, want %d", got, err, i)
				}
			}
			if f.asked != 1 {
				t.Errorf("asked %d times, want once", f.asked)
			}
		})
	}
}

// A last option switches caching off, for one test or one store.
func TestOff(t *testing.T) {
	f := &fake{cents: map[string]int{"anvil": 1}}
	shop := wrapped.NewCached("shop", f, decorators.On(cachetest.New(t)), decorators.Timeout(0))
	shop.Price(t.Context(), "anvil")
	shop.Price(t.Context(), "anvil")
	if f.asked != 2 {
		t.Errorf("asked %d times, want 2", f.asked)
	}
}

// Time passes as synctest says.
func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{cents: map[string]int{"anvil": 1}}
		shop := wrapped.NewCached("shop", f, decorators.On(cachetest.New(t)))
		for _, step := range []struct {
			later time.Duration
			asked int // by then
		}{
			{0, 2},                           // both methods
			{time.Second - 1, 2},             // none
			{1, 3},                           // Stock
			{time.Hour - time.Second - 1, 4}, // Stock
			{1, 5},                           // Price
			{time.Second, 6}, {time.Hour, 8},
		} {
			time.Sleep(step.later)
			shop.Price(t.Context(), "anvil")
			shop.Stock(t.Context(), "anvil", "Roma")
			if f.asked != step.asked {
				t.Errorf("%v later: asked %d times, want %d", step.later, f.asked, step.asked)
			}
		}
	})
}
