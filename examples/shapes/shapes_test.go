package shapes

import (
	"context"
	"fmt"
	"slices"
)

func Example_recursion() {
	fmt.Println(Fib(90))
	// Output: 2880067194370816120
}

func Example_generic() {
	ctx := context.Background()
	city, _ := FindCity(ctx, 1)
	country, _ := FindCountry(ctx, 1)
	fmt.Printf("%T %T\n", city, country)
	fmt.Println(cities.Name())
	fmt.Println(countries.Name())
	// Output:
	// shapes.City shapes.Country
	// find[func(context.Context,int)(github.com/cacheutils/cacheutils/examples/shapes.City,error)]
	// find[func(context.Context,int)(github.com/cacheutils/cacheutils/examples/shapes.Country,error)]
}

func Example_genericType() {
	ctx := context.Background()
	names := NewTable(map[int]string{1: "Roma"})
	sizes := NewTable(map[int]int{1: 2_800_000})
	fmt.Println(names.Find(ctx, 1))
	fmt.Println(sizes.Find(ctx, 1))
	fmt.Println(names.name)
	fmt.Println(sizes.name)
	// Output:
	// Roma <nil>
	// 2800000 <nil>
	// table[func(context.Context,int)(string,error)]
	// table[func(context.Context,int)(int,error)]
}

func Example_methodOfManyReceivers() {
	ctx := context.Background()
	a, b := &Account{1, 500}, &Account{2, 700}
	fmt.Println(Statement(a, ctx, "May"))
	fmt.Println(Statement(b, ctx, "May"))
	a.Cents = 900
	fmt.Println(Statement(a, ctx, "May"))
	fmt.Println(statements.Invalidate(a, ctx, "May"))
	fmt.Println(Statement(a, ctx, "May"))
	fmt.Println(statements.CacheKey(a, ctx, "May"))
	// Output:
	// account 1, May: 500 cents <nil>
	// account 2, May: 700 cents <nil>
	// account 1, May: 500 cents <nil>
	// <nil>
	// account 1, May: 900 cents <nil>
	// [cached]statement((Account{ID=1},'May')) <nil>
}

func Example_variadic() {
	ctx := context.Background()
	fmt.Println(Sum(ctx, 1, 2, 3))
	fmt.Println(sums.CacheKey(ctx, 1, 2, 3))
	fmt.Println(sums.CacheKey(ctx))
	// Output:
	// 6 3 <nil>
	// [cached]sum((1,2,3)) <nil>
	// [cached]sum() <nil>
}

func Example_closures() {
	ctx := context.Background()
	toEuro, toYen := NewConverter("EUR", 0.5), NewConverter("JPY", 150)
	fmt.Println(toEuro(ctx, 10))
	fmt.Println(toYen(ctx, 10))
	// Output:
	// 5 <nil>
	// 1500 <nil>
}

func Example_iterator() {
	fmt.Println(slices.Collect(Primes(20)))
	// Output: [2 3 5 7 11 13 17 19]
}
