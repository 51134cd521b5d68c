// Package geo holds functions of each shape, most of them easy to inline.
package geo

type City struct{ ID int }

func (c City) Offers(n int) int { return c.ID + n }

func (c *City) Visit(n int) int { return c.ID * n }

func (c City) hidden(n int) int { return n }

var Hidden = City.hidden

func helper(n int) int {

	return n * 3
}

// Leaf begins with what is inlined into it.
func Leaf(n int) int {

	return helper(n)
}

var Named = func(n int) int {
	return n
}

func Loader(n int) func(int) int {
	return func(m int) int {
		return n + m
	}
}

func Nested() func() func(int) int {
	return func() func(int) int {
		return func(n int) int {
			return n
		}
	}
}

func (c City) Loader() func() int {
	return func() int { return c.ID }
}

type Store interface{ Load(int) int }

type Capital struct {
	City
	Since int
}

type Remote struct{ Store }

type Box[T any] struct{ Value T }

func (b Box[T]) Get(v T) T { return v }

func (b *Box[T]) Put(v T) T { return v }

func Same[T any](v T) T { return v }

func Maker[T any]() func(T) T {
	return func(v T) T { return v }
}

// City1 is a plain function whose first parameter is a City.
func City1(c City) int { return c.ID }

// func1 is named as the compiler names literals.
func func1(c City) int { return c.ID }

var Func1 = func1

func (c City) func2(n int) int { return n }

var Func2 = City.func2

// Generic shows literals of functions that are not generic, and of methods.
func Generic[T any](show func(shape string, fn any)) {
	show("literal of a function, in a generic one", plain(1))
	show("literal of a method, in a generic function", City{}.plain())
	show("literal of a pointer's method, in a generic function", (&City{}).pointer())
	show("literal of a generic pointer's method, in a generic function", (&Box[T]{}).pointer())
}

func plain(n int) func(int) int { return func(m int) int { return n + m } }

func (c City) plain() func(int) int { return func(n int) int { return n } }

func (c *City) pointer() func(int) int { return func(n int) int { return n } }

func (b Box[T]) Literal() func(int) int { return func(n int) int { return n } }

func (b *Box[T]) pointer() func(int) int { return func(n int) int { return n } }
