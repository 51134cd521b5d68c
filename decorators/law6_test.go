package decorators_test

import (
	"context"
	"testing"

	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// What comes from the cache is a copy.
func TestLaw6_CallersAreIsolated(t *testing.T) {
	type deep struct {
		List []int
		Map  map[string]*int
		Any  any
	}
	cachetest.Each(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached(func(ctx context.Context) (*deep, []string, error) {
			_, err := g.wait(ctx)
			one := 1
			return &deep{List: []int{1}, Map: map[string]*int{"a": &one}, Any: []any{"x"}}, []string{"y"}, err
		}, decorators.Key("law6"))
		spoil := func() (int, error) {
			d, s, err := F(context.Background())
			if d.List[0] != 1 || *d.Map["a"] != 1 || d.Any.([]any)[0] != "x" || s[0] != "y" {
				t.Errorf("another caller's changes show: %v %v", d, s)
			}
			d.List[0], *d.Map["a"], d.Any.([]any)[0], s[0] = 2, 2, "spoilt", "spoilt"
			d.Map["b"] = nil
			return 0, err
		}
		var all []<-chan answer
		for range 10 {
			all = append(all, ask(spoil))
		}
		within(t, "the run", g.started)
		eventually(t, "all have joined", func() bool { return h.Stats().Joins == 9 })
		close(g.release)
		for _, c := range all {
			within(t, "a caller", c)
		}
		spoil()
		spoil()
		if n := g.runs.Load(); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
	})
}

func TestLaw6_SharedGivesTheSame(t *testing.T) {
	cachetest.Locmem(t)
	F, _ := decorators.Cached(func() *int { return new(int) }, decorators.Key("law6.shared"), decorators.Shared())
	if a, b := F(), F(); a != b {
		t.Error("two callers got two copies in spite of Shared")
	}
}
