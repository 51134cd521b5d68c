package codecs_test

//lint:file-ignore U1000 some fields are there for reflection to find

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/codecs"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

type (
	// client is what entities of an ORM have in them.
	client struct {
		driver fmt.Stringer
		debug  bool
	}

	// entity is as ent generates them.
	entity struct {
		client `json:"-"`
		ID     int
		Name   string
		Edges  edges
		loaded map[string]any
	}

	edges struct {
		Pets        []*entity
		loadedTypes [1]bool
	}

	// token is as oauth2.Token is.
	token struct {
		Access string    `json:"access"`
		Expiry time.Time `json:"expiry"`
		raw    any
	}

	// shape is an interface of which there are two types.
	shape interface{ area() int }

	square struct{ side int }
	disc   struct{ radius int }
)

func (s *square) area() int { return s.side * s.side }
func (d *disc) area() int   { return 3 * d.radius * d.radius }

// tall has the methods of what it embeds, whose codec would leave out its height.
type tall struct {
	*square
	Height int
}

var (
	_ = codecs.Register(codecs.JSON(codecs.EqualExported[*entity]))
	_ = codecs.Register(codecs.JSON(codecs.EqualExported[*token]))
	_ = codecs.Register(codecs.Codec[shape]{
		Name: "shape 1",
		Encode: func(s shape) ([]byte, error) {
			switch s := s.(type) {
			case *square:
				return []byte{byte(s.side)}, nil
			case *disc:
				return []byte{byte(s.radius)}, nil
			}
			return nil, fmt.Errorf("a shape of type %T", s)
		},
		Decode: func(b []byte, t reflect.Type) (shape, error) {
			switch {
			case len(b) != 1:
				return nil, errors.New("not a shape")
			case t == reflect.TypeFor[*square]():
				return &square{int(b[0])}, nil
			default:
				return &disc{int(b[0])}, nil
			}
		},
	})
)

// options let cmp compare entities and shapes.
var options = cmp.Options{
	cmp.AllowUnexported(square{}, disc{}, tall{}),
	cmpopts.IgnoreUnexported(entity{}, edges{}, token{}),
	cmpopts.EquateNaNs(),
}

// Values of types with a codec come back as they were, at any depth, and belong to the caller.
func TestLaw8_DepthOfCodecs(t *testing.T) {
	rome := func() *entity {
		return &entity{ID: 1, Name: "Rome", Edges: edges{Pets: []*entity{{ID: 2, Name: "Remus"}}}}
	}
	type country struct {
		Capital *entity
		Cities  []*entity
		ByName  map[string]*entity
		Any     any
		Shape   shape
		Shapes  []shape
		Far     **entity
	}
	values := []func() any{
		func() any { return (*entity)(nil) },
		func() any { return &entity{} },
		func() any { return rome() },
		func() any { return []*entity{rome(), nil, {}} },
		func() any { return []*entity{} },
		func() any { return map[string]*entity{"rome": rome(), "none": nil} },
		func() any { far := rome(); return &far },
		func() any { return []any{rome(), &square{2}, 7, nil, (*entity)(nil)} },
		func() any { return []shape{&square{1}, &disc{1}, nil, (*disc)(nil)} },
		func() any { return map[int]shape{1: &square{3}} },
		func() any {
			far := rome()
			return country{
				rome(), []*entity{rome()}, map[string]*entity{"a": rome()}, rome(), &disc{2}, []shape{&square{1}, nil}, &far,
			}
		},
		func() any { return country{} },
	}
	cachetest.Each(t, func(t *testing.T) {
		runs := 0
		load, _ := decorators.Cached1(func(_ context.Context, i int) (any, error) {
			runs++
			return values[i](), nil
		}, decorators.Key(t.Name()), decorators.CacheNil())
		// Types behind an any are those of signatures, or what this process has encoded before.
		for i, value := range values {
			for call := range 3 {
				got, err := load(t.Context(), i)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(value(), got, options); diff != "" {
					t.Errorf("value %d, call %d (-want +got):\n%s", i, call, diff)
				}
				spoil(got)
			}
			if runs != i+1 {
				t.Fatalf("value %d (%T): it was computed %d times in three calls, want once", i, value(), runs-i)
			}
		}
	})
}

// spoil changes what it finds of entities.
func spoil(v any) {
	switch v := v.(type) {
	case *entity:
		if v != nil {
			v.Name = "spoilt"
			for _, pet := range v.Edges.Pets {
				spoil(pet)
			}
		}
	case []*entity:
		for _, e := range v {
			spoil(e)
		}
	case map[string]*entity:
		for _, e := range v {
			spoil(e)
		}
	case *square:
		v.side = 99
	case []any:
		for _, x := range v {
			spoil(x)
		}
	case []shape:
		for _, x := range v {
			if s, ok := x.(*square); ok {
				spoil(s)
			}
		}
	}
}

// A result of an interface type has the type that it had, and no other is put there.
func TestCodecOfInterface(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		runs := 0
		load, _ := decorators.Cached1(func(_ context.Context, n int) (shape, error) {
			runs++
			if n%2 == 0 {
				return &square{n}, nil
			}
			return &disc{n}, nil
		}, decorators.Key(t.Name()), decorators.Types(&square{}, &disc{}))
		for n := range 4 {
			for range 3 {
				got, err := load(t.Context(), n+1)
				var want shape = &disc{n + 1}
				if n%2 == 1 {
					want = &square{n + 1}
				}
				if diff := cmp.Diff(want, got, options); diff != "" || err != nil {
					t.Errorf("%d: %v, (-want +got):\n%s", n+1, err, diff)
				}
			}
		}
		if runs != 4 {
			t.Errorf("%d runs for 4 arguments in 12 calls", runs)
		}
	})
}

// A type that has the methods of an interface from a field that it embeds is encoded by its parts.
func TestCodecOfInterface_Embedded(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		runs := 0
		load, h := decorators.Cached1(func(_ context.Context, in tall) (tall, error) {
			runs++
			return in, nil
		}, decorators.Key(t.Name()))
		for range 2 {
			for height := range 3 {
				want := tall{&square{2}, height}
				got, err := load(t.Context(), tall{&square{2}, height})
				if diff := cmp.Diff(want, got, options); diff != "" || err != nil {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
			}
		}
		if runs != 3 {
			t.Errorf("%d runs for 3 arguments", runs)
		}
		if key, err := h.CacheKey(tall{&square{2}, 1}); err != nil || !strings.Contains(key, "Height=1") {
			t.Errorf("got key %q, %v", key, err)
		}
	})
}

// In keys a value stands by its Key, or by its encoding, with its type.
func TestLaw3_Codecs(t *testing.T) {
	type pair struct {
		E *entity
		S shape
	}
	seen := make(map[string]any)
	for _, x := range []any{
		&entity{ID: 1}, &entity{ID: 2}, &entity{ID: 1, Name: "Rome"}, (*entity)(nil), &entity{},
		&square{1}, &disc{1}, &square{2}, (*square)(nil), (*disc)(nil),
		[]*entity{nil}, []*entity{{}}, []*entity{}, pair{}, pair{E: &entity{}}, pair{S: &square{1}}, pair{S: &disc{1}}, nil,
	} {
		key, err := cachekey.Repr(x)
		if err != nil {
			t.Errorf("%#v: %v", x, err)
		}
		if other, ok := seen[key]; ok {
			t.Errorf("%#v and %#v have one key: %s", x, other, key)
		}
		seen[key] = x
	}
	for name, opts := range map[string][]decorators.Option{
		"{ID=7}": {decorators.ObjectAttrs(entity{}, "ID")},
		`('{"ID":7,"Name":"Rome","Edges":{"Pets":null}}')`: nil,
	} {
		_, h := decorators.Cached1(func(context.Context, *entity) (int, error) { return 0, nil }, append(opts, decorators.Key(name))...)
		if key, err := h.CacheKey(&entity{ID: 7, Name: "Rome"}); err != nil || !strings.Contains(key, name) {
			t.Errorf("got key %s, %v, want %s in it", key, err, name)
		}
	}
	a, errA := cachekey.Repr(&entity{ID: 1, loaded: map[string]any{"a": 1}})
	b, errB := cachekey.Repr(&entity{ID: 1})
	if a != b || errA != nil || errB != nil {
		t.Errorf("entities that are equal have the keys %s and %s (%v, %v)", a, b, errA, errB)
	}
}

// What a caller does to an argument that has a codec, once it has left, changes nothing.
func TestLaw6_CodecsOfArguments(t *testing.T) {
	cachetest.Locmem(t)
	entered, proceed := make(chan struct{}), make(chan struct{})
	seen := make(chan string, 1)
	load, h := decorators.Cached1(func(_ context.Context, e *entity) (string, error) {
		close(entered)
		<-proceed
		seen <- e.Name
		return e.Name, nil
	}, decorators.Key(t.Name()), decorators.Linger(time.Minute))
	ctx, cancel := context.WithCancel(t.Context())
	rome := &entity{ID: 1, Name: "Rome"}
	go func() {
		<-entered
		cancel()
	}()
	if _, err := load(ctx, rome); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the error of the caller's context", err)
	}
	rome.Name = "Milan"
	close(proceed)
	if name := <-seen; name != "Rome" {
		t.Errorf("the function saw %q", name)
	}
	// A caller who asks for Rome now waits for that computation, or finds what it has stored.
	if name, err := load(t.Context(), &entity{ID: 1, Name: "Rome"}); name != "Rome" || err != nil {
		t.Errorf("got %q, %v for Rome", name, err)
	}
	if s := h.Stats(); s.Computations != 1 {
		t.Errorf("%d computations", s.Computations)
	}
}

// gauge has only what its package knows. Its codecs are those of the tests.
type gauge struct{ n int }

func gaugeCodec(name string) codecs.Codec[gauge] {
	return codecs.Codec[gauge]{
		Name:   name,
		Encode: func(g gauge) ([]byte, error) { return json.Marshal(g.n) },
		Decode: func(b []byte, _ reflect.Type) (g gauge, err error) {
			err = json.Unmarshal(b, &g.n)
			return g, err
		},
	}
}

func refusal(f func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r)
		}
	}()
	f()
	return ""
}

// A codec that is wrong is refused where the function is decorated, or where it is registered.
func TestLaw8_RefusalsOfCodecs(t *testing.T) {
	type named struct {
		ID   int
		note string
	}
	type hidden struct{ notes []string }
	type late struct{ n int }
	type twice struct{ n int }
	with := func(opts ...decorators.Option) func() {
		return func() {
			_, _ = decorators.Cached1(func(context.Context, int) (gauge, error) { return gauge{}, nil }, append(opts, decorators.Key("gauge"))...)
		}
	}
	c := gaugeCodec("gauge 1")
	changed := func(change func(*codecs.Codec[gauge])) decorators.Option {
		c := gaugeCodec("gauge 1")
		change(&c)
		return decorators.Codec(c)
	}
	for _, test := range []struct {
		name string
		f    func()
		want string
	}{
		{"right", with(decorators.Codec(c)), ""},
		{"no codec", func() {
			_, _ = decorators.Cached1(func(context.Context, int) (hidden, error) { return hidden{}, nil }, decorators.Key("hidden"))
		}, "hidden.notes of type []string: an unexported field of a type that has no marshaler; export it, " +
			"give the type MarshalBinary and UnmarshalBinary, or have a codec encode it: codecs.Register, or the option Codec"},
		{"no name", with(changed(func(c *codecs.Codec[gauge]) { c.Name = "" })), "Codec[codecs_test.gauge]: it has no Name; give it one that changes"},
		{"no Decode", with(changed(func(c *codecs.Codec[gauge]) { c.Decode = nil })), "it needs both Encode and Decode"},
		{"zero value altered", with(changed(func(c *codecs.Codec[gauge]) {
			c.Decode = func([]byte, reflect.Type) (gauge, error) { return gauge{7}, nil }
		})), "the codec gauge 1: it alters codecs_test.gauge.n; if that doesn't matter, give it an Equal"},
		{"other values altered", with(changed(func(c *codecs.Codec[gauge]) {
			c.Decode = func([]byte, reflect.Type) (gauge, error) { return gauge{}, nil }
		})), "it alters codecs_test.gauge.n"},
		{"altered, says Equal", with(changed(func(c *codecs.Codec[gauge]) {
			c.Equal = func(gauge, gauge) bool { return false }
		})), "its Equal says that what it decodes is not what it has encoded"},
		{"Equal panics", with(changed(func(c *codecs.Codec[gauge]) {
			c.Equal = func(gauge, gauge) bool { panic("no") }
		})), "Equal panics: a string, \"no\""},
		{"Schema panics", with(changed(func(c *codecs.Codec[gauge]) {
			c.Schema = func(reflect.Type) (string, error) { panic("no") }
		})), "Schema panics: a string, "},
		{"JSON of what it leaves out", func() {
			_, _ = decorators.Cached1(func(context.Context, int) (named, error) { return named{}, nil },
				decorators.Key("named"), decorators.Codec(codecs.JSON[named](nil)))
		}, "the codec json: it alters codecs_test.named.note"},
		{"JSON where that doesn't matter", func() {
			_, _ = decorators.Cached1(func(context.Context, int) (named, error) { return named{}, nil },
				decorators.Key("named"), decorators.Codec(codecs.JSON(codecs.EqualExported[named])))
		}, ""},
		{"nothing of the type", func() {
			_, _ = decorators.Cached1(func(context.Context, int) (int, error) { return 0, nil }, decorators.Key("int"), decorators.Codec(c))
		}, "Codec[codecs_test.gauge] has no meaning, since there is nothing of that type in the parameters and results of func(context.Context, int) (int, error)"},
		{"perhaps something of the type", func() {
			_, _ = decorators.Cached1(func(context.Context, int) (any, error) { return 0, nil }, decorators.Key("any"), decorators.Codec(c))
		}, ""},
		{"a key", func() { codecs.Register(codecs.JSON[string](nil)) }, "neither a type with a name"},
		{"any", func() { codecs.Register(codecs.JSON[any](nil)) }, "each type implements it"},
		{"a slice", func() { codecs.Register(codecs.JSON[[]gauge](nil)) }, "neither a type with a name"},
		{"times", func() { codecs.Register(codecs.JSON[time.Time](nil)) }, "times are encoded exactly"},
		{"no Encode", func() { codecs.Register(codecs.Codec[gauge]{Name: "gauge 1"}) }, "it needs both Encode and Decode"},
		{"late", func() {
			_, _ = decorators.Cached1(func(context.Context, int) ([]late, error) { return nil, nil }, decorators.Key("late"), decorators.Shared())
			codecs.Register(codecs.JSON[late](nil))
		}, "Register[codecs_test.late] at "},
		{"late, in a key, of an interface", func() {
			_, _ = cachekey.Repr(struct{ L *lateImplementation }{&lateImplementation{}})
			codecs.Register(codecs.JSON[interface{ lateMethod() }](nil))
		}, "it comes too late: a Cached, a key or a cache.Set has met the type *codecs_test.lateImplementation without it"},
		{"twice", func() {
			codecs.Register(codecs.JSON(codecs.EqualExported[twice]))
			codecs.Register(codecs.JSON(codecs.EqualExported[twice]))
		}, "it has a codec already, registered at "},
	} {
		if got := refusal(test.f); !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

type lateImplementation struct{ N int }

func (*lateImplementation) lateMethod() {}

// No panic of a codec reaches a caller, nor does a frame for which it panics.
func TestLaw1_CodecsThatPanic(t *testing.T) {
	var broken atomic.Value
	broken.Store("")
	at := func(name string) {
		if broken.Load() == name {
			panic("broken " + name)
		}
	}
	right := gaugeCodec("panicking 1")
	c := codecs.Codec[gauge]{
		Name:   right.Name,
		Encode: func(g gauge) ([]byte, error) { at("Encode"); return right.Encode(g) },
		Decode: func(b []byte, t reflect.Type) (gauge, error) { at("Decode"); return right.Decode(b, t) },
		Clone:  func(g gauge) gauge { at("Clone"); return g },
		Equal:  func(a, b gauge) bool { at("Equal"); return a == b },
		Key:    func(g gauge) (string, error) { at("Key"); return fmt.Sprint(g.n), nil },
		Memory: func(b []byte, _ reflect.Type) int { at("Memory"); return len(b) },
	}
	cachetest.Each(t, func(t *testing.T) {
		var runs atomic.Int32
		load, h := decorators.Cached1(func(_ context.Context, g gauge) (*gauge, error) {
			runs.Add(1)
			return &g, nil
		}, decorators.Key(t.Name()), decorators.Codec(c), decorators.Stale(0))
		call := func(n int) (ran bool) {
			t.Helper()
			before := runs.Load()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			got, err := load(ctx, gauge{n})
			if err != nil || got == nil || *got != (gauge{n}) {
				t.Fatalf("%s broken: got %v, %v", broken.Load(), got, err)
			}
			return runs.Load() > before
		}
		if !call(1) || call(1) {
			t.Fatal("the second call is not a hit")
		}
		for i, name := range []string{"Encode", "Decode", "Clone", "Equal", "Key", "Memory"} {
			broken.Store(name)
			ran := call(1)
			if name == "Decode" && !ran {
				t.Errorf("%s broken: a hit", name)
			}
			if name == "Key" && (!ran || h.Stats().Errors == 0) {
				t.Errorf("%s broken: ran %t, %d errors", name, ran, h.Stats().Errors)
			}
			call(10 + i)
			broken.Store("")
			call(1)
			if call(1) {
				t.Errorf("%s was broken: no hit since", name)
			}
		}
	})
}

// What a codec writes under another name is another program's version: a miss, beside which that program goes on.
func TestLaw8_NamesOfCodecs(t *testing.T) {
	server := cachetest.Memcached(t)
	version := func(name string, n int) (func() int, *atomic.Int32) {
		set, err := backends.New(backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { set.Close() })
		var runs atomic.Int32
		load, _ := decorators.Cached0(func(context.Context) (gauge, error) {
			runs.Add(1)
			return gauge{n}, nil
		}, decorators.Key(t.Name()), decorators.On(set), decorators.Codec(gaugeCodec(name)))
		return func() int {
			g, err := load(t.Context())
			if err != nil {
				t.Error(err)
			}
			return g.n
		}, &runs
	}
	old, oldRuns := version("gauge 1", 1)
	again, againRuns := version("gauge 1", 1)
	next, nextRuns := version("gauge 2", 2)
	for range 3 {
		if a, b, c := old(), again(), next(); a != 1 || b != 1 || c != 2 {
			t.Errorf("got %d, %d and %d", a, b, c)
		}
	}
	if a, b, c := oldRuns.Load(), againRuns.Load(), nextRuns.Load(); a != 1 || b != 0 || c != 1 {
		t.Errorf("ran %d, %d and %d times, want 1, 0 and 1", a, b, c)
	}
}

// The codec of a function comes before the one that is registered, and of two for one type the last one counts.
func TestCodecOption_Precedence(t *testing.T) {
	named := func(name string) decorators.Option {
		c := codecs.JSON(codecs.EqualExported[*entity])
		c.Key = func(*entity) (string, error) { return name, nil }
		return decorators.Codec(c)
	}
	for want, opts := range map[string][]decorators.Option{
		`{"ID":7`: nil,
		"one":     {named("one")},
		"two":     {named("one"), named("two")},
	} {
		_, h := decorators.Cached1(func(context.Context, []*entity) (int, error) { return 0, nil }, append(opts, decorators.Key("precedence "+want))...)
		key, err := h.CacheKey([]*entity{{ID: 7}})
		if !strings.Contains(key, "[*codecs_test.entity('"+want) || err != nil {
			t.Errorf("got key %s, %v, want %s in it", key, err, want)
		}
	}
}

// What Memory says is in max_decoded_size: such a value is returned, and not stored, nor is one decoded.
func TestLaw10_MemoryOfCodecs(t *testing.T) {
	server := cachetest.Memcached(t)
	var decoded atomic.Int32
	load := func(memory int) (func() gauge, *decorators.Handle0[gauge]) {
		set, err := backends.New(backends.Config{"default": {
			Backend: "memcached", Location: []string{server.Addr()}, Options: map[string]any{"max_decoded_size": 1 << 20},
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { set.Close() })
		c := gaugeCodec("big 1")
		right := c.Decode
		c.Memory = func([]byte, reflect.Type) int { return memory }
		c.Decode = func(b []byte, t reflect.Type) (gauge, error) { decoded.Add(1); return right(b, t) }
		f, h := decorators.Cached0(func(context.Context) (gauge, error) { return gauge{1}, nil },
			decorators.Key(t.Name()), decorators.On(set), decorators.Codec(c))
		return func() gauge {
			g, err := f(t.Context())
			if err != nil {
				t.Error(err)
			}
			return g
		}, h
	}
	small, smallStats := load(1)
	big, bigStats := load(2 << 20)
	small()
	if small(); smallStats.Stats().Hits != 1 {
		t.Errorf("%d hits on a small value", smallStats.Stats().Hits)
	}
	before := decoded.Load()
	if g := big(); g.n != 1 {
		t.Errorf("got %v", g)
	}
	if s := bigStats.Stats(); s.Hits != 0 || s.Unstorable != 1 {
		t.Errorf("a big value: %d hits, %d unstorable", s.Hits, s.Unstorable)
	}
	if n := decoded.Load() - before; n != 1 {
		t.Errorf("a value that is too big was decoded %d times, besides once to compare what it became", n-1)
	}
}

// Shared values are kept as they are, where they can be.
func TestShared(t *testing.T) {
	cachetest.Locmem(t)
	load, _ := decorators.Cached0(func(context.Context) (*entity, error) { return &entity{ID: 1}, nil }, decorators.Key(t.Name()), decorators.Shared())
	a, errA := load(t.Context())
	b, errB := load(t.Context())
	if a != b || errA != nil || errB != nil {
		t.Errorf("got %p, %v and %p, %v", a, errA, b, errB)
	}
}

// Codecs are used by several goroutines at once.
func TestConcurrent(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		load, _ := decorators.Cached1(func(_ context.Context, e *entity) (*entity, error) { return e, nil }, decorators.Key(t.Name()))
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 50 {
					e, err := load(t.Context(), &entity{ID: i % 7, Name: "x"})
					if err != nil || e.ID != i%7 || e.Name != "x" {
						t.Errorf("goroutine %d: got %v, %v", g, e, err)
						return
					}
					e.Name = "spoilt"
				}
			})
		}
		wg.Wait()
	})
}
