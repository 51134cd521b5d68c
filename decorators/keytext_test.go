package decorators_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
)

type (
	// shouting names itself with a text of that many bytes.
	shouting int

	// texted is what its text says, of that many bytes.
	texted struct{ n int }

	// letterPair is a struct of which both fields count.
	letterPair struct{ A, B string }
)

func (s shouting) CacheKey() string { return strings.Repeat("x", int(s)) }

func (t texted) MarshalText() ([]byte, error) { return []byte(strings.Repeat("x", t.n)), nil }

func (t *texted) UnmarshalText(b []byte) error {
	t.n = len(b)
	return nil
}

// The text of all arguments of a call has one bound. Beyond that the call computes, and it is logged as what it is.
func TestKeyText_Sum(t *testing.T) {
	set := newSet(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}}})
	const most = 16 << 20
	x := func(n int) string { return strings.Repeat("x", n) }
	quarters := func(n int) (texts []string) {
		quarter := x(most / 4)
		for range n {
			texts = append(texts, quarter)
		}
		return texts
	}
	on := func(name string, more ...decorators.Option) []decorators.Option {
		return append([]decorators.Option{decorators.Key("keytext." + name), decorators.On(set)}, more...)
	}
	two, twoHandle := decorators.Cached2(func(_ context.Context, a, b string) (int, error) { return 1, nil }, on("two")...)
	three, threeHandle := decorators.Cached(func(a []byte, b letterPair, c map[string]string) int { return 1 }, on("three")...)
	variadic, variadicHandle := decorators.Cached(func(texts ...string) int { return 1 }, on("variadic")...)
	kwargs, kwargsHandle := decorators.Cached(func(a string, k cachekey.Kwargs) int { return 1 }, on("kwargs")...)
	keyOf, keyOfHandle := decorators.Cached(func(a, b int) int { return 1 },
		on("keyof", decorators.KeyOf(func(a, b int) (string, string) { return x(a), x(b) }))...)
	tuple, tupleHandle := decorators.Cached(func(a, b int) int { return 1 },
		on("tuple", decorators.KeyOf(func(a, b int) cachekey.Tuple { return cachekey.Tuple{x(a), x(b)} }))...)
	attrs, attrsHandle := decorators.Cached(func(a, b letterPair) int { return 1 }, on("attrs", decorators.ObjectAttrs(letterPair{}, "A"))...)
	keyers, keyersHandle := decorators.Cached(func(a, b shouting) int { return 1 }, on("keyers")...)
	texts, textsHandle := decorators.Cached(func(a, b texted) int { return 1 }, on("texts")...)
	for _, test := range []struct {
		name       string
		stats      func() decorators.Stats
		fits, over func()
	}{
		{"two arguments", twoHandle.Stats, func() { two(t.Context(), x(most/3), x(most/3)) }, func() { two(t.Context(), x(most/2), x(most/2)) }},
		{"three arguments", threeHandle.Stats,
			func() {
				three(make([]byte, most/16), letterPair{x(most / 4), "b"}, map[string]string{"a": x(most / 4)})
			},
			func() {
				three(make([]byte, most/10), letterPair{x(most / 4), "b"}, map[string]string{"a": x(most / 2)})
			}},
		{"variadic", variadicHandle.Stats, func() { variadic(quarters(3)...) }, func() { variadic(quarters(4)...) }},
		{"kwargs", kwargsHandle.Stats, func() { kwargs(x(most/3), cachekey.Kwargs{"k": x(most / 3)}) }, func() { kwargs(x(most/2), cachekey.Kwargs{"k": x(most / 2)}) }},
		{"KeyOf", keyOfHandle.Stats, func() { keyOf(most/3, most/3) }, func() { keyOf(most/2, most/2) }},
		{"KeyOf of a tuple", tupleHandle.Stats, func() { tuple(most/3, most/3) }, func() { tuple(most/2, most/2) }},
		{"ObjectAttrs", attrsHandle.Stats, func() { attrs(letterPair{x(most / 3), x(most)}, letterPair{x(most / 3), "b"}) }, func() { attrs(letterPair{x(most / 2), "b"}, letterPair{x(most / 2), "b"}) }},
		{"Keyers", keyersHandle.Stats, func() { keyers(most/3, most/3) }, func() { keyers(most/2, most/2) }},
		{"texts", textsHandle.Stats, func() { texts(texted{most / 3}, texted{most / 3}) }, func() { texts(texted{most / 2}, texted{most / 2}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.fits()
			test.fits()
			if s := test.stats(); s.Hits != 1 || s.Errors != 0 {
				t.Errorf("what fits: got %+v", s)
			}
			lines := heard(t)
			test.over()
			if s := test.stats(); s.Computations != 2 || s.Errors != 1 || s.Stores != 1 {
				t.Errorf("what doesn't: got %+v", s)
			}
			if got := lines(); len(got) != 1 || !strings.Contains(got[0], "without the cache") || !strings.Contains(got[0], "longer than 16 MiB") || len(got[0]) > 1000 {
				t.Errorf("logged %.1000q", got)
			}
		})
	}
	if _, err := cachekey.Args([]any{x(most / 2)}, cachekey.Kwargs{"k": x(most / 2)}); !errors.Is(err, cacheutils.ErrInvalidKey) {
		t.Errorf("Args: got %v, want ErrInvalidKey", err)
	}
	if _, err := cachekey.Args([]any{x(most / 2), x(most / 2)}, nil); !errors.Is(err, cacheutils.ErrInvalidKey) {
		t.Errorf("Args: got %v, want ErrInvalidKey", err)
	}
}

// The groups that arguments name are bounded, in number and length: a call beyond that computes.
func TestKeyText_Groups(t *testing.T) {
	set := newSet(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}}})
	f, h := decorators.Cached(func(names ...string) int { return len(names) }, decorators.Key("keytext.groups"), decorators.On(set),
		decorators.Group("always"), decorators.GroupsOf(func(names ...string) []string { return names }))
	many := func(n int) (names []string) {
		for i := range n {
			names = append(names, strings.Repeat("g", i%1024+1))
		}
		return names
	}
	for _, test := range []struct {
		name  string
		names []string
		fits  bool
	}{
		{"a long name", []string{strings.Repeat("x", 1024)}, true},
		{"too long a name", []string{"a", strings.Repeat("x", 1025)}, false},
		{"many", many(999), true},
		{"too many", many(1000), false},
		{"far too many", make([]string, 100_000), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := h.Stats()
			for range 2 {
				if n := f(test.names...); n != len(test.names) {
					t.Errorf("got %d", n)
				}
			}
			after := h.Stats()
			if test.fits && (after.Hits != before.Hits+1 || after.Errors != before.Errors) || !test.fits && (after.Errors != before.Errors+2 || after.Stores != before.Stores) {
				t.Errorf("got %+v, had %+v", after, before)
			}
			if err := h.Set([]any{test.names}, 1); (err == nil) != test.fits || err != nil && (!errors.Is(err, cacheutils.ErrArguments) || len(err.Error()) > 300) {
				t.Errorf("Set: got %v", err)
			}
		})
	}
	for want, names := range map[string][]string{
		"1025 bytes":  {"a", strings.Repeat("x", 1025)},
		"1001 groups": many(1001),
	} {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, want) {
					t.Errorf("got panic %q, want %q", got, want)
				}
			}()
			decorators.Cached(func(int) int { return 1 }, decorators.Key("keytext.refused"), decorators.On(set), decorators.Group(names...))
		}()
	}
}
