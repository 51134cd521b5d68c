// Package measure says what a call costs, by testing.Benchmark.
package measure

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
)

// A Cost is what a call takes.
type Cost struct{ NS, Bytes, Allocs float64 }

// Run measures f once. A call that fails has to panic, since testing.Benchmark doesn't report it.
func Run(f func(b *testing.B)) Cost {
	r := testing.Benchmark(f)
	n := float64(r.N)
	return Cost{float64(r.T.Nanoseconds()) / n, float64(r.MemBytes) / n, float64(r.MemAllocs) / n}
}

// Median returns the medians of what there are costs of.
func Median(costs []Cost) Cost {
	of := func(f func(Cost) float64) float64 {
		var all []float64
		for _, c := range costs {
			all = append(all, f(c))
		}
		return SpreadOf(all).Median
	}
	return Cost{
		of(func(c Cost) float64 { return c.NS }),
		of(func(c Cost) float64 { return c.Bytes }),
		of(func(c Cost) float64 { return c.Allocs }),
	}
}

// String returns the cells of a table: ns, B and allocs.
func (c Cost) String() string {
	return fmt.Sprintf("%s | %.0f | %.0f", Figure(c.NS), c.Bytes, math.Round(c.Allocs))
}

// A Spread is a median between the quartiles.
type Spread struct{ Low, Median, High float64 }

// SpreadOf returns that of one or more values.
func SpreadOf(values []float64) Spread {
	values = slices.Sorted(slices.Values(values))
	at := func(part float64) float64 {
		place := part * float64(len(values)-1)
		i := int(place)
		if i+1 == len(values) {
			return values[i]
		}
		return values[i] + (place-float64(i))*(values[i+1]-values[i])
	}
	return Spread{at(0.25), at(0.5), at(0.75)}
}

func (s Spread) String() string {
	return fmt.Sprintf("%s (%s–%s)", Figure(s.Median), Figure(s.Low), Figure(s.High))
}

// Figure writes x with the digits that count.
func Figure(x float64) string {
	switch {
	case x >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}
