package codec

import (
	"errors"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/test/race"
)

// A dag is tiny in memory, and has 2^depth nodes when it is written out.
type dag struct {
	L, R *dag
	Note string
}

func newDag(depth int) *dag {
	n := new(dag)
	for range depth {
		n = &dag{L: n, R: n}
	}
	return n
}

// Work on a value that will be refused is bounded, and the error says that it was much.
func TestAppendIsBounded(t *testing.T) {
	if race.Enabled {
		t.Skip("much work in one goroutine")
	}
	type pair struct{ A, B any }
	nested, lists, maps := any(1), []any{}, map[string]any{}
	for range 40 {
		nested = pair{nested, nested}
		lists = []any{lists, lists}
		maps = map[string]any{"a": maps, "b": maps}
	}
	for name, v := range map[string]any{
		"pointers": newDag(40), "interfaces": []any{nested}, "slices": lists, "maps": maps,
		"late": []any{newDag(19), make(chan int)},
	} {
		_, err := encode(v)
		if !errors.Is(err, cacheutils.ErrUnsupportedValue) || !IsCostly(err) {
			t.Errorf("%s: got %v, want a costly ErrUnsupportedValue", name, err)
		}
	}
	for name, v := range map[string]any{"at once": []any{make(chan int)}, "hidden": struct{ v int }{}} {
		if _, err := encode(v); err == nil || IsCostly(err) {
			t.Errorf("%s: got %v, want an error that is not costly", name, err)
		}
	}
	if _, err := encode(newDag(15)); err != nil {
		t.Error(err)
	}
}
