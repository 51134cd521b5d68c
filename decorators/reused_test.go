package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// A reused is an argument that its caller uses again for something else, once it has left.
type reused[A any] struct {
	fresh  func() A
	change func(A)
	show   func(A) string
	opts   []decorators.Option
	lost   bool // the result is nobody's: what the function has read may be another argument
}

type (
	hidden struct {
		words []string
		tags  map[string]int
		next  *hidden
		limit *int
		any   any
	}
	stringer interface{ String() string }
	name     struct{ text []byte }
	// textual has a text that gives it back, and memory that is not seen.
	textual struct{ words *[]string }
	// keyed names itself.
	keyed struct{ id, name string }
	// partly has a part that doesn't count.
	partly struct {
		Words []string
		cache map[string]int `cachekey:"-"`
	}
)

func (n *name) String() string { return string(n.text) }

func (t textual) MarshalText() ([]byte, error) { return []byte(strings.Join(*t.words, " ")), nil }
func (t *textual) UnmarshalText(b []byte) error {
	words := strings.Split(string(b), " ")
	t.words = &words
	return nil
}

func (e *keyed) CacheKey() string { return e.id + e.name }

func newHidden() *hidden {
	limit := 1
	return &hidden{words: []string{"alpha"}, tags: map[string]int{"a": 1}, next: &hidden{words: []string{"beta"}}, limit: &limit, any: []any{map[string]any{"k": []byte("v")}}}
}

func (h *hidden) change() {
	h.words[0], h.next.words[0], *h.limit = "OMEGA", "OMEGA", 99
	h.tags["b"] = 2
	delete(h.tags, "a")
	h.any.([]any)[0].(map[string]any)["k"].([]byte)[0] = 'X'
}

func (h *hidden) show() string {
	return fmt.Sprint(h.words, h.tags, h.next.words, *h.limit, h.any)
}

// pooled makes a text of a buffer, as some web frameworks do.
func pooled(buf []byte) string { return unsafe.String(&buf[0], len(buf)) }

func overwrite(s string) { copy(unsafe.Slice(unsafe.StringData(s), len(s)), "OMEGA") }

func TestLaw6_ReusedArguments(t *testing.T) {
	sprint := func(x any) string { return fmt.Sprint(x) }
	testReused(t, "bytes", reused[[]byte]{
		func() []byte { return []byte("alpha") }, func(b []byte) { copy(b, "OMEGA") }, func(b []byte) string { return string(b) }, nil, false})
	testReused(t, "a text of a buffer", reused[string]{
		func() string { return pooled([]byte("alpha")) }, overwrite, func(s string) string { return strings.Clone(s) }, nil, false})
	testReused(t, "a map", reused[map[string][]int]{
		func() map[string][]int { return map[string][]int{"a": {1}} },
		func(m map[string][]int) { m["a"][0] = 9; m["b"] = nil }, func(m map[string][]int) string { return sprint(m) }, nil, false})
	testReused(t, "unexported fields", reused[*hidden]{newHidden, (*hidden).change, (*hidden).show, nil, false})
	testReused(t, "a struct by value", reused[hidden]{
		func() hidden { return *newHidden() }, func(h hidden) { h.change() }, func(h hidden) string { return h.show() }, nil, false})
	testReused(t, "behind any", reused[any]{
		func() any { return newHidden() }, func(x any) { x.(*hidden).change() }, func(x any) string { return x.(*hidden).show() }, nil, false})
	testReused(t, "behind an interface with methods", reused[stringer]{
		func() stringer { return &name{[]byte("alpha")} }, func(x stringer) { copy(x.(*name).text, "OMEGA") }, stringer.String, nil, false})
	testReused(t, "pointers to pointers", reused[**[]*int]{
		func() **[]*int { n := 1; p := &[]*int{&n}; return &p }, func(p **[]*int) { *(**p)[0] = 2 }, func(p **[]*int) string { return sprint(*(**p)[0]) }, nil, false})
	testReused(t, "an array of slices", reused[[2][]string]{
		func() [2][]string { return [2][]string{{"a"}, {"b"}} }, func(a [2][]string) { a[1][0] = "z" }, func(a [2][]string) string { return sprint(a) }, nil, false})
	testReused(t, "a tuple", reused[cachekey.Tuple]{
		func() cachekey.Tuple { return cachekey.Tuple{1, []byte("a")} }, func(x cachekey.Tuple) { x[0] = 2; x[1].([]byte)[0] = 'b' }, func(x cachekey.Tuple) string { return sprint(x) }, nil, false})
	testReused(t, "kwargs", reused[cachekey.Kwargs]{
		func() cachekey.Kwargs { return cachekey.Kwargs{"a": []byte("a")} }, func(x cachekey.Kwargs) { x["b"] = 1; x["a"].([]byte)[0] = 'b' }, func(x cachekey.Kwargs) string { return sprint(x) }, nil, false})
	testReused(t, "a big integer", reused[*big.Int]{
		func() *big.Int { return big.NewInt(5) }, func(n *big.Int) { n.Add(n, n) }, func(n *big.Int) string { return n.String() }, nil, false})
	testReused(t, "a pointer to a time", reused[*time.Time]{
		func() *time.Time { at := time.Unix(5, 0).UTC(); return &at }, func(at *time.Time) { *at = at.Add(5) }, func(at *time.Time) string { return at.String() }, nil, false})
	testReused(t, "a pointer to an address", reused[*netip.Addr]{
		func() *netip.Addr { a := netip.MustParseAddr("::1"); return &a }, func(a *netip.Addr) { *a = a.Next() }, func(a *netip.Addr) string { return a.String() }, nil, false})
	testReused(t, "a text of its own", reused[textual]{
		func() textual { return textual{&[]string{"a", "b"}} }, func(x textual) { (*x.words)[0] = "z" }, func(x textual) string { return sprint(*x.words) }, nil, false})
	testReused(t, "a part that doesn't count", reused[*partly]{
		func() *partly { return &partly{[]string{"a"}, map[string]int{"x": 1}} }, func(p *partly) { p.Words[0] = "z" }, func(p *partly) string { return sprint(p.Words) }, nil, false})
	testReused(t, "attributes", reused[*partly]{
		func() *partly { return &partly{Words: []string{"a"}} }, func(p *partly) { p.Words[0] = "z" }, func(p *partly) string { return sprint(p.Words) },
		[]decorators.Option{decorators.ObjectAttrs(partly{}, "Words")}, false})
	testReused(t, "KeyOf of a slice", reused[[]string]{
		func() []string { return []string{"a"} }, func(s []string) { s[0] = "z" }, func(s []string) string { return s[0] },
		[]decorators.Option{decorators.KeyOf(func(_ context.Context, s []string) string { return s[0] })}, false})
	// What names itself may be a service, and stays what it is.
	testReused(t, "a Keyer", reused[*keyed]{
		func() *keyed { return &keyed{"1", "alpha"} }, func(e *keyed) { e.name = "OMEGA" }, func(e *keyed) string { return e.name }, nil, true})
	testReused(t, "a Keyer inside", reused[[]any]{
		func() []any { return []any{&keyed{"1", "alpha"}} }, func(x []any) { x[0].(*keyed).name = "OMEGA" }, func(x []any) string { return x[0].(*keyed).name }, nil, true})
	testReused(t, "KeyOf of a pointer", reused[*partly]{
		func() *partly { return &partly{Words: []string{"a"}} }, func(p *partly) { p.Words[0] = "z" }, func(p *partly) string { return sprint(p.Words) },
		[]decorators.Option{decorators.KeyOf(func(_ context.Context, p *partly) []string { return p.Words })}, true})
}

// testReused has the caller of a computation that others wait for, and the one who has started a refresh, use their
// argument again.
func testReused[A any](t *testing.T, name string, r reused[A]) {
	for _, how := range []string{"typed", "reflected", "variadic"} {
		t.Run(name+"/"+how, func(t *testing.T) {
			cachetest.Locmem(t)
			bg := context.Background()
			started, goOn := make(chan struct{}, 10), make(chan struct{})
			load := func(_ context.Context, a A) (string, error) {
				started <- struct{}{}
				<-goOn
				return r.show(a), nil
			}
			want := r.show(r.fresh())
			call, stats, require := decorateReused(t, how, load, r.opts)
			// The first caller leaves, while another waits.
			arg := r.fresh()
			ctx, cancel := context.WithCancel(bg)
			left := ask(func() (int, error) { _, err := call(ctx, arg); return 0, err })
			within(t, "the function", started)
			joined := make(chan string, 1)
			go func() {
				s, _ := call(bg, r.fresh())
				joined <- s
			}()
			eventually(t, "one has joined", func() bool { return stats().Joins == 1 })
			cancel()
			if a := within(t, "the caller that left", left); !errors.Is(a.err, context.Canceled) {
				t.Errorf("the caller that left got %v", a)
			}
			r.change(arg)
			close(goOn)
			if s := within(t, "the joined caller", joined); s != want {
				t.Errorf("the joined caller got %q, want %q", s, want)
			}
			if s, err := require(bg, r.fresh()); s != want || err != nil {
				t.Errorf("stored is %q, %v, want %q", s, err, want)
			}
			if n := stats().Computations; n != 1 && !r.lost {
				t.Errorf("%d computations", n)
			}
		})
	}
}

// decorateReused decorates load, with the argument as the last one.
func decorateReused[A any](t *testing.T, how string, load func(context.Context, A) (string, error), opts []decorators.Option) (call func(context.Context, A) (string, error), stats func() decorators.Stats, require func(context.Context, A) (string, error)) {
	opts = append([]decorators.Option{decorators.Key("law6.reused"), decorators.Linger(time.Minute)}, opts...)
	switch how {
	case "typed":
		F, f := decorators.Cached1(load, opts...)
		return F, f.Stats, f.RequireCache
	case "reflected":
		F, f := decorators.Cached(load, opts...)
		return F, f.Stats, f.RequireCache
	}
	if len(opts) > 2 {
		t.Skip("the option's function has another type")
	}
	F, f := decorators.Cached(func(ctx context.Context, all ...A) (string, error) { return load(ctx, all[0]) }, opts...)
	return func(ctx context.Context, a A) (string, error) { return F(ctx, a) }, f.Stats,
		func(ctx context.Context, a A) (string, error) { return f.RequireCache(ctx, a) }
}

// The ids of CachedMany are the caller's too, and so is what they refer to.
func TestLaw6_ReusedKeys(t *testing.T) {
	for name, id := range map[string]struct {
		fresh  func() any
		change func(any)
		show   func(any) string
	}{
		"a pointer":          {func() any { return newHidden() }, func(x any) { x.(*hidden).change() }, func(x any) string { return x.(*hidden).show() }},
		"a text of a buffer": {func() any { return pooled([]byte("alpha")) }, func(x any) { overwrite(x.(string)) }, func(x any) string { return strings.Clone(x.(string)) }},
		"a Keyer":            {func() any { return &keyed{"1", "alpha"} }, func(x any) { x.(*keyed).name = "OMEGA" }, func(x any) string { return x.(*keyed).name }},
	} {
		for _, forced := range []bool{false, true} {
			t.Run(fmt.Sprint(name, forced), func(t *testing.T) {
				cachetest.Locmem(t)
				started, goOn, bg := make(chan struct{}, 10), make(chan struct{}), context.Background()
				F, f := decorators.CachedMany(func(_ context.Context, ids []any) (map[any]string, error) {
					started <- struct{}{}
					<-goOn
					return map[any]string{ids[0]: id.show(ids[0])}, nil
				}, decorators.Key("law6.reused keys"), decorators.Linger(time.Minute))
				call, arg, want := F, id.fresh(), id.show(id.fresh())
				if forced {
					call = f.ForceRecalc
				}
				ctx, cancel := context.WithCancel(bg)
				left := ask(func() (int, error) { _, err := call(ctx, []any{arg}); return 0, err })
				within(t, "the function", started)
				joined := make(chan string, 1)
				go func() {
					mine := id.fresh()
					all, _ := F(bg, []any{mine})
					joined <- all[mine]
				}()
				eventually(t, "one has joined", func() bool { return f.Stats().Joins == 1 })
				cancel()
				within(t, "the caller that left", left)
				id.change(arg)
				close(goOn)
				if s := within(t, "the joined caller", joined); s != want {
					t.Errorf("the joined caller got %q, want %q", s, want)
				}
				mine := id.fresh()
				if all, err := f.RequireCache(bg, []any{mine}); all[mine] != want || err != nil {
					t.Errorf("stored is %v, %v, want %q", all, err, want)
				}
			})
		}
	}
}
