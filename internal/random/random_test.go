package random

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// draw returns some draws of each kind for a name.
func draw(what string) []any {
	var all []any
	for range 5 {
		all = append(all, Uint64("a", what), Below(time.Second, "b", what), Float64("c", what), UUID("d", what))
	}
	return all
}

func TestSimulate(t *testing.T) {
	simulate := func(seed uint64, names ...string) [][]any {
		defer Simulate(seed)()
		drawn := make([][]any, len(names))
		var all sync.WaitGroup
		for i, name := range names {
			all.Go(func() { drawn[i] = draw(name) })
		}
		all.Wait()
		return drawn
	}
	both := simulate(7, "x", "y")
	if again := simulate(7, "y", "x"); !slices.Equal(both[0], again[1]) || !slices.Equal(both[1], again[0]) {
		t.Errorf("one seed, and different draws: %v and %v", both, again)
	}
	others := append(simulate(8, "x"), draw("x"))
	for i, a := range both[0] {
		if slices.Contains(both[0][i+1:], a) {
			t.Errorf("%v is drawn twice", a)
		}
		for _, other := range append(others, both[1]) {
			if other[i] == a {
				t.Errorf("%v is drawn for two seeds, names, or outside", a)
			}
		}
	}
}

func TestDraws(t *testing.T) {
	check := func() {
		t.Helper()
		for range 1000 {
			if d := Below(3, "a", "b"); d < 0 || d >= 3 {
				t.Errorf("Below(3) = %d", d)
			}
			if f := Float64("a", "b"); f < 0 || f >= 1 {
				t.Errorf("Float64() = %v", f)
			}
			if id, err := uuid.Parse(UUID("a", "b")); err != nil || id.Version() != 4 || id.Variant() != uuid.RFC4122 {
				t.Errorf("UUID() = %v, %v", id, err)
			}
		}
	}
	check()
	defer Simulate(1)()
	check()
}
