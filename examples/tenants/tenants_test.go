package tenants_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachetest"
	"github.com/cacheutils/cacheutils/examples/tenants"
)

// rows are a Database that counts how often it was asked.
type rows struct {
	cents   map[string]int
	selects int
}

func (r *rows) Price(ctx context.Context, sku string) (int, error) {
	r.selects++
	return r.cents[sku], nil
}

func (r *rows) SetPrice(ctx context.Context, sku string, cents int) error {
	r.cents[sku] = cents
	return nil
}

func Example() {
	ctx := context.Background()
	acme := tenants.NewPrices("acme", &rows{cents: map[string]int{"anvil": 9900}})
	globex := tenants.NewPrices("globex", &rows{cents: map[string]int{"anvil": 12000}})
	fmt.Println(acme.Price(ctx, "anvil"))
	fmt.Println(globex.Price(ctx, "anvil"))
	fmt.Println(acme.SetPrice(ctx, "anvil", 8900))
	fmt.Println(acme.Price(ctx, "anvil"))
	// Output:
	// 9900 <nil>
	// 12000 <nil>
	// <nil>
	// 8900 <nil>
}

func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	ctx := backends.With(t.Context(), cachetest.New(t))
	all := map[string]*rows{}
	prices := map[string]*tenants.Prices{}
	for i, tenant := range []string{"initech", "umbrella", `a "quoted" one`} {
		all[tenant] = &rows{cents: map[string]int{"anvil": i}}
		prices[tenant] = tenants.NewPrices(tenant, all[tenant])
	}
	check := func(when string, selects map[string]int) {
		t.Helper()
		for tenant, p := range prices {
			for range 2 {
				if got, err := p.Price(ctx, "anvil"); err != nil || got != all[tenant].cents["anvil"] {
					t.Errorf("%s: %s: got %d, %v, want %d", when, tenant, got, err, all[tenant].cents["anvil"])
				}
			}
			if got := all[tenant].selects; got != selects[tenant] {
				t.Errorf("%s: %s: %d selects, want %d", when, tenant, got, selects[tenant])
			}
		}
	}
	check("at first", map[string]int{"initech": 1, "umbrella": 1, `a "quoted" one`: 1})

	if err := prices["initech"].SetPrice(ctx, "anvil", 7); err != nil {
		t.Fatal(err)
	}
	check("after a price was set", map[string]int{"initech": 2, "umbrella": 1, `a "quoted" one`: 1})

	all["umbrella"].cents["anvil"] = 8
	if err := tenants.Imported(ctx, "umbrella"); err != nil {
		t.Fatal(err)
	}
	check("after an import", map[string]int{"initech": 2, "umbrella": 2, `a "quoted" one`: 1})
}
