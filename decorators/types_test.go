package decorators_test

import (
	"context"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cacheutils/cacheutils/decorators"
)

// gadget is a type of the program that counts how often others have it unmarshaled.
type gadget struct{ text string }

var gadgetsRun atomic.Int64

func (g gadget) MarshalBinary() ([]byte, error) { return []byte(g.text), nil }

func (g *gadget) UnmarshalBinary(b []byte) error {
	gadgetsRun.Add(1)
	g.text = string(b)
	return nil
}

type (
	town    struct{ Name string }
	capital struct{ Seat any }
)

// No code of a type runs that isn't one of the result's own.
func TestTypes_NoCodeOfOthers(t *testing.T) {
	a, set := newAttacker(t, nil)
	c, err := set.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := func(value any) uint64 {
		if err := c.Set(t.Context(), "sample", value); err != nil {
			t.Fatal(err)
		}
		return a.fingerprint("sample")
	}
	gadgets := fingerprint(gadget{"g"})
	capitals := fingerprint(capital{})
	anything, _ := decorators.Cached1(func(context.Context, int) (any, error) { return town{"Rome"}, nil }, decorators.Key("types.any"), decorators.On(set))
	anything(t.Context(), 0)
	anys := a.fingerprint(bombKey("types.any", 0))
	behind := binary.BigEndian.AppendUint64([]byte{255}, gadgets)
	behind = append(append(behind, 5), "pwned"...) // a gadget behind an interface
	towns := func(name string, more ...decorators.Option) func(context.Context, int) (town, error) {
		f, _ := decorators.Cached1(func(context.Context, int) (town, error) { return town{"Rome"}, nil },
			append(more, decorators.Key("types."+name), decorators.On(set))...)
		return f
	}
	concrete := towns("town")
	restricted, h := decorators.Cached1(func(context.Context, int) (any, error) { return town{"Rome"}, nil },
		decorators.Key("types.only"), decorators.On(set), decorators.Types(town{}, capital{}, []any{}))
	calls := map[string]func() error{
		"town": func() error {
			got, err := concrete(t.Context(), 1)
			if got.Name != "Rome" {
				t.Errorf("got %v", got)
			}
			return err
		},
		"only": func() error {
			got, err := restricted(t.Context(), 1)
			if got != any(town{"Rome"}) {
				t.Errorf("got %v", got)
			}
			return err
		},
		"low-level Get": func() error {
			var got town
			if err := c.Get(t.Context(), "[cached]types.low((1,))", &got); err == nil {
				t.Errorf("got %v", got)
			}
			return nil
		},
	}
	names := map[string]string{"town": "types.town", "only": "types.only", "low-level Get": "types.low"}
	for name, call := range calls {
		for what, item := range map[string][]byte{
			"a gadget behind any":              frame(section(anys, behind)),
			"a gadget":                         frame(section(gadgets, []byte("\x05pwned"))),
			"a gadget in a struct":             frame(section(capitals, behind)),
			"a gadget in a struct behind any":  frame(section(anys, append(binary.BigEndian.AppendUint64([]byte{255}, capitals), behind...))),
			"a gadget in a list behind any":    frame(section(anys, append([]byte{19, 2}, behind...))),
			"one beside another":               frame(section(gadgets, []byte("\x05pwned")), section(anys, behind)),
			"a gadget behind any, compressed":  frame(squeezed(section(anys, behind), 32)),
			"a gadget as a key behind any":     frame(section(anys, append(append([]byte{21, 2}, behind...), 0))),
			"a number where a town should be":  frame(section(anys, []byte{2, 2})),
			"a type that nobody in here knows": frame(section(anys, append([]byte{255}, "unknown!"...))),
		} {
			before := gadgetsRun.Load()
			a.write(bombKey(names[name], 1), item)
			if err := call(); err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if n := gadgetsRun.Load() - before; n != 0 {
				t.Errorf("%s, %s: a gadget was unmarshaled %d times", name, what, n)
			}
		}
	}
	if s := h.Stats(); s.Hits != 0 || s.Stores == 0 {
		t.Errorf("got %+v", s)
	}
	restricted(t.Context(), 2)
	restricted(t.Context(), 2)
	if s := h.Stats(); s.Hits != 1 {
		t.Errorf("got %+v, want a hit", s)
	}
}

// A result that has another type behind an interface is returned, and isn't stored.
func TestTypes_NotStored(t *testing.T) {
	_, set := newAttacker(t, nil)
	results := map[int]any{0: town{"Rome"}, 1: capital{town{"Rome"}}, 2: nil, 3: "text", 4: &town{"Rome"}, 5: capital{gadget{"g"}}}
	f, h := decorators.Cached1(func(_ context.Context, id int) (any, error) { return results[id], nil },
		decorators.Key("types.stored"), decorators.On(set), decorators.Types(town{}, capital{}), decorators.CacheNil())
	lines := heard(t)
	for id := range len(results) {
		for range 2 {
			if _, err := f(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "the stores", func() bool { return h.Stats().Stores >= 3 })
	if s := h.Stats(); s.Hits != 3 || s.Stores != 3 || s.Unstorable != 6 || s.Errors != 0 || s.Computations != 9 {
		t.Errorf("got %+v", s)
	}
	if got := lines(); len(got) == 0 || !strings.Contains(got[0], "types.stored") || !strings.Contains(got[0], "type string behind an interface") {
		t.Errorf("logged %q", got)
	}
}

// What Types can't mean is refused.
func TestTypes_Mistakes(t *testing.T) {
	for want, cached := range map[string]func(){
		"names no type":       func() { decorators.Cached(func(int) any { return 1 }, decorators.Key("t.1"), decorators.Types()) },
		"value 2 of Types is": func() { decorators.Cached(func(int) any { return 1 }, decorators.Key("t.2"), decorators.Types(1, nil)) },
		"no interface in its results (decorators_test.town)": func() {
			decorators.Cached(func(int) town { return town{} }, decorators.Key("t.3"), decorators.Types(town{}))
		},
		"which can't be cached": func() {
			decorators.Cached(func(int) any { return 1 }, decorators.Key("t.4"), decorators.Types(make(chan int)))
		},
		"Types names int, which no interface": func() {
			decorators.Cached(func(int) interface{ Error2() } { return nil }, decorators.Key("t.5"), decorators.Shared(), decorators.Types(1))
		},
	} {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, want) {
					t.Errorf("got panic %q, want %q", got, want)
				}
			}()
			cached()
		}()
	}
}
