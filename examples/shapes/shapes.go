// Package shapes decorates functions of every shape: recursive, generic and variadic ones, methods of many receivers,
// closures, iterators. See docs/methods.md.
package shapes

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/cacheutils/cacheutils/decorators"
)

// Fib calls itself, so it is decorated in init: var Fib, _ = decorators.Cached(fib) is an initialization cycle. So it is where a
// function reaches its own handle.
var Fib func(n int) int

func init() { Fib, _ = decorators.Cached(fib, decorators.Key("fib")) }

func fib(n int) int {
	if n < 2 {
		return n
	}
	return Fib(n-1) + Fib(n-2)
}

// A City and a Country are rows.
type (
	City    struct{ Name string }
	Country struct{ Name string }
)

// find is a generic function. Its instances are told apart by their types, also under one Key.
func find[T City | Country](ctx context.Context, id int) (T, error) {
	return T{Name: fmt.Sprintf("row %d", id)}, nil
}

var (
	FindCity, cities       = decorators.Cached1(find[City], decorators.Key("find"))
	FindCountry, countries = decorators.Cached1(find[Country], decorators.Key("find"))
)

// A Table is of a generic type.
type Table[T any] struct {
	rows map[int]T
	find func(ctx context.Context, id int) (T, error)
	name string // in keys
}

// NewTable returns a table of rows. There is one for each type of rows; others would need an Instance.
func NewTable[T any](rows map[int]T) *Table[T] {
	t := &Table[T]{rows: rows}
	find, handle := decorators.Cached1(t.load, decorators.Key("table"))
	t.find, t.name = find, handle.Name()
	return t
}

// Find returns a row.
func (t *Table[T]) Find(ctx context.Context, id int) (T, error) { return t.find(ctx, id) }

func (t *Table[T]) load(ctx context.Context, id int) (T, error) { return t.rows[id], nil }

// An Account has a method that is cached for all accounts at once, as a method expression. The receiver is its first
// argument, and by default not in the key. Where the context is the second argument, Cached is the one to take.
type Account struct {
	ID    int
	Cents int
}

// Statement is about an account.
func (a *Account) Statement(ctx context.Context, month string) (string, error) {
	return fmt.Sprintf("account %d, %s: %d cents", a.ID, month, a.Cents), nil
}

var Statement, statements = decorators.Cached((*Account).Statement,
	decorators.Key("statement"), decorators.ObjectAttrs(Account{}, "ID"))

// Sum is variadic, and has several results.
var Sum, sums = decorators.Cached(func(ctx context.Context, numbers ...int) (sum, count int, err error) {
	for _, n := range numbers {
		sum += n
	}
	return sum, len(numbers), nil
}, decorators.Key("sum"))

// NewConverter returns a closure. All closures of one line look alike, so it says what it is bound to.
func NewConverter(currency string, rate float64) func(ctx context.Context, amount float64) (float64, error) {
	convert, _ := decorators.Cached1(func(ctx context.Context, amount float64) (float64, error) {
		return amount * rate, nil
	}, decorators.Key("convert"), decorators.Instance(currency))
	return convert
}

// Primes is an iterator. What is cached is a slice: a function can't be.
func Primes(below int) iter.Seq[int] { return slices.Values(primes(below)) }

var primes, _ = decorators.Cached(func(below int) (found []int) {
	for n := 2; n < below; n++ {
		if !slices.ContainsFunc(found, func(p int) bool { return n%p == 0 }) {
			found = append(found, n)
		}
	}
	return found
}, decorators.Key("primes"))
