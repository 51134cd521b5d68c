package decorators_test

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/logging"
)

type shard struct{ name string }

func (s shard) Find(id int) string { return fmt.Sprint(s.name, id) }

type finder interface{ Find(id int) string }

// A decorated method value says which receiver it is bound to.
func ExampleInstance() {
	eu, us := shard{"eu"}, shard{"us"}
	FindEU, _ := decorators.Cached(eu.Find, decorators.Key("find"), decorators.Instance("eu"))
	FindUS, finds := decorators.Cached(us.Find, decorators.Key("find"), decorators.Instance("us"))
	fmt.Println(FindEU(1), FindUS(1))
	fmt.Println(finds.Name())
	fmt.Println(finds.CacheKey(1))
	// Output:
	// eu1 us1
	// find['us']
	// [cached]find['us']((1,)) <nil>
}

// here returns the place of the line that calls it, so many lines on.
func here(on int) string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d", file, line+on)
}

func plainly(f func(int) int, opts ...decorators.Option) func(int) int {
	F, _ := decorators.Cached(f, opts...)
	return F
}

// capture returns closures of one literal.
func capture(n int) func(int) int { return func(int) int { return n } }

// A func literal's closures share a name: the second is refused, whatever came before.
func TestClosures(t *testing.T) {
	cachetest.Locmem(t)
	for name, second := range map[string]struct {
		opts []decorators.Option
		ok   bool
	}{
		"another":            {},
		"with an option":     {opts: []decorators.Option{decorators.Group("g")}},
		"as an any":          {},
		"on another name":    {opts: []decorators.Option{decorators.Backend("twin")}},
		"on a name unknown":  {opts: []decorators.Option{decorators.Backend("unknown")}, ok: true}, // where nothing is stored
		"on another store":   {opts: []decorators.Option{decorators.Backend("other")}, ok: true},
		"with a Key":         {opts: []decorators.Option{decorators.Key("closures")}, ok: true},
		"with an Instance":   {opts: []decorators.Option{decorators.Instance(2)}, ok: true},
		"with another store": {opts: []decorators.Option{decorators.On(newSet(t, nil))}, ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			location := []string{t.Name()}
			cachetest.Configure(t, backends.Config{
				"default": {Backend: "locmem", Location: location},
				"twin":    {Backend: "locmem", Location: location, Options: map[string]any{"max_entries": 10}},
				"other":   {Backend: "locmem", Location: location, KeyPrefix: "other"},
			})
			First := plainly(capture(1))
			place := ""
			text := panicText(func() {
				place = here(1)
				Second, _ := decorators.Cached[any](capture(2), second.opts...)
				if got := Second.(func(int) int)(0); got != 2 {
					t.Errorf("got %d, from another closure", got)
				}
			})
			if got := First(0); got != 1 {
				t.Errorf("got %d, from another closure", got)
			}
			if second.ok != (text == "") {
				t.Fatalf("panicked with %q, want %t", text, !second.ok)
			}
			if !second.ok && (!strings.HasPrefix(text, "decorators: Cached at "+place+": the func literal at ") || strings.Count(text, "names_test.go:") != 4 ||
				!strings.Contains(text, " and at "+place) || !strings.Contains(text, "Instance") || !strings.Contains(text, "Key")) {
				t.Errorf("panicked with %q, want the literal's place, both places, %s among them, and what to add", text, place)
			}
		})
	}
}

// A literal that captures nothing is one func value, and may be decorated again; so may one closure.
func TestClosures_OneValue(t *testing.T) {
	cachetest.Locmem(t)
	nothing := func() func(context.Context, int) (int, error) {
		return func(_ context.Context, n int) (int, error) { return n, nil }
	}
	n := 3
	closure := func(context.Context, int) (int, error) { n++; return n, nil }
	for range 2 {
		decorators.Cached1(nothing())
		decorators.Cached(closure)
		A, _ := decorators.Cached1(closure)
		if got, err := A(t.Context(), 1); got != 4 || err != nil {
			t.Errorf("got %d, %v, want the first result", got, err)
		}
	}
}

func TestClosures_InALoop(t *testing.T) {
	cachetest.Locmem(t)
	var decorated []func() int
	text := panicText(func() {
		for i := range 3 {
			F, _ := decorators.Cached(func() int { return i })
			decorated = append(decorated, F)
		}
	})
	if len(decorated) != 1 || !strings.Contains(text, "is decorated more than once at ") || strings.Count(text, "names_test.go:") != 3 {
		t.Errorf("decorated %d closures, then panicked with %q", len(decorated), text)
	}
	for i := range 3 {
		F, h := decorators.Cached(func() int { return i }, decorators.Instance(i))
		if got := F(); got != i || !strings.HasSuffix(h.Name(), fmt.Sprintf("[%d]", i)) {
			t.Errorf("instance %d: got %d, called %s", i, got, h.Name())
		}
	}
}

// Whether a closure is the second of its literal doesn't depend on what became of the first.
func TestClosures_GarbageCollected(t *testing.T) {
	cachetest.Locmem(t)
	decorate := func(n int) { decorators.Cached(func() int { return n }) }
	decorate(1)
	for range 3 {
		runtime.GC()
	}
	for n := range 100 {
		if text := panicText(func() { decorate(n) }); text == "" {
			t.Fatal("a second closure was decorated after the first had gone")
		}
	}
}

func TestClosures_AtOnce(t *testing.T) {
	cachetest.Locmem(t)
	var decorated, refused sync.Map
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			text := panicText(func() {
				F, _ := decorators.Cached(func() int { return i })
				decorated.Store(i, F)
			})
			if text != "" {
				refused.Store(i, text)
			}
		})
	}
	all.Wait()
	length := func(m *sync.Map) (n int) { m.Range(func(any, any) bool { n++; return true }); return n }
	if length(&decorated) != 1 || length(&refused) != 7 {
		t.Errorf("%d decorated, %d refused", length(&decorated), length(&refused))
	}
	decorated.Range(func(i, F any) bool {
		if got := F.(func() int)(); got != i {
			t.Errorf("got %d from closure %d", got, i)
		}
		return true
	})
}

// Where closures meet in a set only later, by With, Configure or Close, one of them has the name, and the
// others run without the cache.
func TestClosures_MeetLater(t *testing.T) {
	ctx := context.Background()
	closure := func(text string, opts ...decorators.Option) func(context.Context, int) (string, error) {
		F, _ := decorators.Cached1(func(context.Context, int) (string, error) { return text, nil }, opts...)
		return F
	}
	check := func(t *testing.T, ctx context.Context, a, b func(context.Context, int) (string, error)) {
		t.Helper()
		var sink recorder
		logging.SetSink(&sink)
		defer logging.SetSink(nil)
		for range 3 {
			for want, F := range map[string]func(context.Context, int) (string, error){"a": a, "b": b} {
				if got, err := F(ctx, 1); got != want || err != nil {
					t.Errorf("got %q, %v from closure %s", got, err, want)
				}
			}
		}
		if lines := sink.events(); !strings.Contains(fmt.Sprint(lines), "two func values") {
			t.Errorf("logged %v, want why one runs without the cache", lines)
		}
	}
	t.Run("With", func(t *testing.T) {
		a, b, third := newSet(t, nil), newSet(t, nil), newSet(t, nil)
		check(t, backends.With(ctx, third), closure("a", decorators.On(a)), closure("b", decorators.On(b)))
	})
	t.Run("Configure", func(t *testing.T) {
		cachetest.Locmem(t)
		a := closure("a")
		cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name() + "2"}}})
		check(t, ctx, a, closure("b"))
	})
	t.Run("Configure, one store", func(t *testing.T) {
		cachetest.Locmem(t)
		a := closure("a")
		if got, _ := a(ctx, 1); got != "a" {
			t.Error(got)
		}
		cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}, Timeout: 3e9}})
		if text := panicText(func() { closure("b") }); !strings.Contains(text, "two func values") {
			t.Errorf("panicked with %q: b finds what a has stored", text)
		}
	})
	t.Run("Close", func(t *testing.T) {
		cachetest.Locmem(t)
		a := closure("a")
		if err := backends.Close(); err != nil {
			t.Fatal(err)
		}
		b := closure("b")
		cachetest.Locmem(t)
		check(t, ctx, a, b)
	})
}

// Closures may be decorated for each request, if they have a Key: what is known of them is forgotten with them.
func TestClosures_PerRequest(t *testing.T) {
	cachetest.Locmem(t)
	for i := range 100 {
		F, _ := decorators.Cached(func(n int) int { return n + i - i }, decorators.Key("per.request"))
		G, _ := decorators.Cached(func(n int) int { return n + i }, decorators.Key("per.request"), decorators.Instance(i))
		if F(1) != 1 || G(1) != 1+i {
			t.Fatal("another closure's results")
		}
	}
	forgotten(t, "per.request")
}

type wrapper struct{ finder }

func TestMethodValues(t *testing.T) {
	cachetest.Locmem(t)
	s := shard{"eu"}
	var f finder = s
	for name, fn := range map[string]func(int) string{
		"value": s.Find, "pointer": (&s).Find, "interface": f.Find, "promoted": wrapper{f}.Find, "embedded": struct{ shard }{s}.Find,
	} {
		mustPanic(t, "is a method value, and those of all receivers look alike; say which receiver it is with decorators.Instance (a shard, a tenant), or name it with decorators.Key",
			func() { decorators.Cached(fn) })
		A, h := decorators.Cached(fn, decorators.Instance(name))
		if got := A(1); got != "eu1" || !strings.HasSuffix(h.Name(), "Find['"+name+"']") {
			t.Errorf("%s: got %s, called %s", name, got, h.Name())
		}
		if B, _ := decorators.Cached(fn, decorators.Key("methods."+name)); B(1) != "eu1" {
			t.Errorf("%s with a Key: got %s", name, B(1))
		}
	}
	made := reflect.ValueOf(s).Method(0).Interface().(func(int) string)
	mustPanic(t, "give it one with Key", func() { decorators.Cached(made) })
	mustPanic(t, "give it one with Key", func() { decorators.Cached(made, decorators.Instance(1)) })
}

func TestInstance(t *testing.T) {
	cachetest.Locmem(t)
	type tenant struct {
		ID   int
		Name string
	}
	name := func(opts ...decorators.Option) string {
		_, h := decorators.Cached(adder(1), opts...)
		return h.Name()
	}
	n := 7
	key := decorators.Key("instance")
	for id, want := range map[any]string{
		"eu west": `['eu\x20west']`, 3: "[3]", int64(3): "[int64(3)]", true: "[True]", [2]int{1, 2}: "[[2]int([1,2])]",
	} {
		if got := name(key, decorators.Instance(id)); got != "instance"+want {
			t.Errorf("Instance(%v): got %s, want %s", id, got, want)
		}
	}
	if got := name(key, decorators.Instance(&n)); got != "instance[*int(7)]" {
		t.Errorf("a pointer: got %s", got)
	}
	if got := name(key, decorators.Instance(tenant{1, "a"}), decorators.ObjectAttrs(tenant{}, "ID")); !strings.HasSuffix(got, "tenant"+"{ID=1}]") && !strings.Contains(got, "{ID=1}") {
		t.Errorf("with ObjectAttrs: got %s", got)
	}
	if got := name(decorators.Instance("a")); !strings.HasSuffix(got, "['a']") || !strings.Contains(got, ".go:") {
		t.Errorf("without a Key: got %s", got)
	}
	if a, b := name(key, decorators.Instance("a")), name(decorators.Key("instance['a']")); a == b {
		t.Errorf("a Key is called %s, as an instance", a)
	}
	var none *tenant
	for what, id := range map[string]any{
		"nil id": nil, "a nil id": none, "type chan int, which can't be in a key": make(chan int),
		"type func(), which can't be in a key": func() {}, "a struct with": struct{ f func() }{},
	} {
		if what == "a struct with" {
			what = "which can't be in a key"
		}
		mustPanic(t, what, func() { name(key, decorators.Instance(id)) })
	}
}

// Two Keys are two names.
func TestKey_Spellings(t *testing.T) {
	cachetest.Locmem(t)
	seen := make(map[string]string)
	for _, key := range []string{"a b", `a\x20b`, "a\tb", "\xff", "\xfe", "\ufffd", "a]", "a[", "a[1]", `a\`, "é", "a"} {
		_, h := decorators.Cached(adder(1), decorators.Key(key))
		if other, ok := seen[h.Name()]; ok {
			t.Errorf("%q and %q are both called %s", key, other, h.Name())
		}
		seen[h.Name()] = key
	}
	if seen[`a\x20b`] != "a b" || seen["é"] != "é" || seen["a[1\\x5d"] != "a[1]" {
		t.Errorf("got the names %q", seen)
	}
}

func generic[T any](id int) (T, error) {
	var zero T
	return zero, nil
}

func genericID[T any](id int) string {
	var zero T
	return fmt.Sprintf("%T", zero)
}

type repositoryOf[T any] struct{ value T }

func (r *repositoryOf[T]) find(int) T { return r.value }

func (r repositoryOf[T]) Count(int) string { return fmt.Sprintf("%T", r.value) }

// Instances of generic functions are told apart by their types, with a Key, too, and refused where these don't show.
func TestGeneric(t *testing.T) {
	cachetest.Locmem(t)
	for _, opts := range [][]decorators.Option{nil, {decorators.Key("generic")}} {
		A, a := decorators.Cached(generic[int], opts...)
		B, b := decorators.Cached(generic[string], opts...)
		decorators.Cached(generic[string], opts...)
		if a.Name() == b.Name() {
			t.Errorf("both instances are called %s", a.Name())
		}
		A(1)
		if got, err := B(1); got != "" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	_, keyed := decorators.Cached(generic[int], decorators.Key("generic"))
	if want := "generic[func(int)(int,error)]"; keyed.Name() != want {
		t.Errorf("called %s, want %s", keyed.Name(), want)
	}

	Int, _ := decorators.Cached(genericID[int])
	decorators.Cached(genericID[int])
	mustPanic(t, "type arguments that don't show there, is decorated at", func() { decorators.Cached(genericID[string]) })
	String, _ := decorators.Cached(genericID[string], decorators.Instance("string"))
	if a, b := Int(1), String(1); a != "int" || b != "string" {
		t.Errorf("got %s and %s", a, b)
	}

	city, user := &repositoryOf[int]{1}, &repositoryOf[string]{"x"}
	City, _ := decorators.Cached(city.find, decorators.Key("find"))
	User, _ := decorators.Cached(user.find, decorators.Key("find"))
	if a, b := City(1), User(1); a != 1 || b != "x" {
		t.Errorf("got %v and %v", a, b)
	}
	_, byValue := decorators.Cached(repositoryOf[int].Count, decorators.Key("count"))
	_, byPointer := decorators.Cached((*repositoryOf[int]).Count, decorators.Key("count"))
	_, other := decorators.Cached(repositoryOf[string].Count, decorators.Key("count"))
	if got := []string{byValue.Name(), byPointer.Name(), other.Name()}; !reflect.DeepEqual(got, []string{"count[int]", "count[int]", "count[string]"}) {
		t.Errorf("methods are called %q", got)
	}
}

// loader decorates a literal of its own.
func loader[K comparable, V any](value V) (func(context.Context, K) (V, error), *decorators.Handle1[K, V]) {
	return decorators.Cached1(func(context.Context, K) (V, error) { return value, nil }, decorators.Key("loader"))
}

// one returns a literal, by a method of values.
func (r repositoryOf[T]) one() func(int) (T, error) {
	return func(int) (T, error) { return r.value, nil }
}

// Literals of methods of a generic type are told apart by their types.
func TestGeneric_LiteralsOfMethods(t *testing.T) {
	cachetest.Locmem(t)
	City, _ := decorators.Cached(repositoryOf[string]{"Roma"}.one())
	Count, _ := decorators.Cached(repositoryOf[int]{7}.one())
	a, _ := City(1)
	b, _ := Count(1)
	if a != "Roma" || b != 7 {
		t.Errorf("got %v and %v", a, b)
	}
}

// Literals in a generic function are told apart by their types, with a Key, too.
func TestGeneric_Literals(t *testing.T) {
	var sink recorder
	logging.SetSink(&sink)
	defer logging.SetSink(nil)
	cachetest.Locmem(t)
	ctx := context.Background()
	City, city := loader[int]("Roma")
	Count, _ := loader[int](7)
	Wide, _ := loader[int64]("wide")
	a, _ := City(ctx, 1)
	b, _ := Count(ctx, 1)
	c, _ := Wide(ctx, 1)
	if a != "Roma" || b != 7 || c != "wide" {
		t.Errorf("got %v, %v and %v", a, b, c)
	}
	if want := "loader[func(context.Context,int)(string,error)]"; city.Name() != want {
		t.Errorf("called %s, want %s", city.Name(), want)
	}
	for _, e := range sink.events() {
		if e.Action == logging.ActionNotice {
			t.Errorf("logged %q", e.Text)
		}
	}
}

func genericMany[K comparable, V any](ctx context.Context, keys []K) (map[K]V, error) {
	return map[K]V{}, nil
}

func genericOne[K comparable, V any](ctx context.Context, key K) (v V, err error) { return v, nil }

// Twins of one Key share their entries if both are generic, too.
func TestGeneric_Many(t *testing.T) {
	cachetest.Locmem(t)
	_, one := decorators.Cached1(genericOne[int, string], decorators.Key("generic.twins"))
	_, many := decorators.CachedMany(genericMany[int, string], decorators.Key("generic.twins"))
	if one.Name() != many.Name() {
		t.Errorf("twins are called %s and %s", one.Name(), many.Name())
	}
}

// The functions below have a type called row each.

func rowsOfA() (any, string, string) {
	type row struct {
		S string `v:"A"`
	}
	return decorated(tagged[row])
}

func rowsOfB() (any, string, string) {
	type row struct {
		S string `v:"B"`
	}
	return decorated(tagged[row])
}

// decorated decorates fn and returns its result, name and what it panics with.
func decorated[T any](fn func(int) (T, error)) (result any, name, refusal string) {
	refusal = panicText(func() {
		F, h := decorators.Cached(fn)
		value, _ := F(1)
		result, name = value, h.Name()
	})
	return result, name, refusal
}

// tagged fills T from its struct tags.
func tagged[T any](int) (T, error) {
	var v T
	t := reflect.TypeFor[T]()
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct && reflect.TypeFor[T]() == t {
		reflect.ValueOf(&v).Elem().Field(0).SetString(t.Field(0).Tag.Get("v"))
	}
	return v, nil
}

func listsOfA() (any, string, string) {
	type row struct{ S string }
	return decorated(tagged[[]row])
}

func listsOfB() (any, string, string) {
	type row struct{ S string }
	return decorated(tagged[[]row])
}

func pairsOfA() (any, string, string) {
	type row struct{ S string }
	return decorated(tagged[map[string]listOf[row]])
}

func pairsOfB() (any, string, string) {
	type row struct{ S string }
	return decorated(tagged[map[string]listOf[row]])
}

type listOf[T any] []T

func methodOfA() (any, string, string) {
	type row struct{ S string }
	return decoratedMethod(listOf[row].First)
}

func methodOfB() (any, string, string) {
	type row struct{ S string }
	return decoratedMethod(listOf[row].First)
}

func (l listOf[T]) First(int) string { return fmt.Sprintf("%#v", *new(T)) }

func decoratedMethod[T any](fn func(listOf[T], int) string) (result any, name, refusal string) {
	refusal = panicText(func() {
		F, h := decorators.Cached(fn)
		result, name = F(nil, 1), h.Name()
	})
	return result, name, refusal
}

// Instances of a generic function for types that are declared with one name in two functions are told apart, and the
// second is refused: an edit may swap them.
func TestGeneric_LocalTypes(t *testing.T) {
	for name, pair := range map[string][2]func() (any, string, string){
		"type": {rowsOfA, rowsOfB}, "list": {listsOfA, listsOfB}, "map of a generic type": {pairsOfA, pairsOfB},
		"method of a generic type": {methodOfA, methodOfB},
	} {
		t.Run(name, func(t *testing.T) {
			var names [2]string
			for i, of := range pair {
				cachetest.Locmem(t)
				var refusal string
				if _, names[i], refusal = of(); refusal != "" {
					t.Fatal(refusal)
				}
				for range 2 { // the same again
					if _, again, refusal := of(); again != names[i] || refusal != "" {
						t.Errorf("called %s, then %s: %s", names[i], again, refusal)
					}
				}
				other := pair[1-i]
				if _, _, refusal := other(); !strings.Contains(refusal, "a type that is declared in a function, is decorated ") || !strings.Contains(refusal, "name each with decorators.Key") {
					t.Errorf("the other one: refused with %q", refusal)
				}
				backends.Close()
			}
			if names[0] == names[1] {
				t.Errorf("both are called %s", names[0])
			}
		})
	}
}

// A decorated function is not decorated again without a Key: all of them look alike.
func TestDecoratedFunctions(t *testing.T) {
	cachetest.Locmem(t)
	fn := func(_ context.Context, n int) (int, error) { return n, nil }
	byReflection, _ := decorators.Cached(fn, decorators.Key("decorated"))
	typed, h := decorators.Cached1(fn, decorators.Key("decorated"))
	many, manyHandle := decorators.CachedMany(genericMany[int, string], decorators.Key("decorated.many"))
	const one = "the function is a decorated one, and all of these look alike; give it a name with Key, or decorate its handle's Original"
	for _, c := range []struct {
		want string
		f    func(...decorators.Option)
	}{
		{"made by reflect.MakeFunc, as decorated functions are, looks like any other, and has no name of its own; give it one with Key, or decorate what it was made of",
			func(o ...decorators.Option) { decorators.Cached(byReflection, o...) }},
		{one, func(o ...decorators.Option) { decorators.Cached1(typed, o...) }},
		{one, func(o ...decorators.Option) { decorators.Cached(h.ForceRecalc, o...) }},
	} {
		if text := panicText(func() { c.f() }); !strings.HasSuffix(text, c.want) || strings.Contains(text, "invalid key") {
			t.Errorf("panicked with %q, want %q", text, c.want)
		}
		c.f(decorators.Key("decorated.again"))
	}
	mustPanic(t, one, func() { decorators.CachedMany(many) })
	mustPanic(t, one, func() { decorators.CachedMany(manyHandle.RequireCache) })
	decorators.Cached1(h.Original)
}

// One Key twice is logged once, with each place once, and refused where the results differ in type.
func TestKey_Twice(t *testing.T) {
	cachetest.Configure(t, backends.Config{
		"default": {Backend: "locmem", Location: []string{t.Name()}},
		"twin":    {Backend: "locmem", Location: []string{t.Name()}},
		"other":   {Backend: "locmem", Location: []string{t.Name() + "2"}},
	})
	notices := func(f func()) (texts []string) {
		var sink recorder
		logging.SetSink(&sink)
		defer logging.SetSink(nil)
		f()
		for _, e := range sink.events() {
			texts = append(texts, e.Text)
		}
		return texts
	}
	var keep []any
	decorate := func(key string, fn any, opts ...decorators.Option) {
		F, h := decorators.Cached(fn, append(opts, decorators.Key(key))...)
		keep = append(keep, F, h)
	}
	texts := notices(func() {
		for range 3 {
			decorate("twice", adder(1))
		}
	})
	if len(texts) != 1 || strings.Count(texts[0], "names_test.go:") != 1 || !strings.HasSuffix(texts[0], "give one of them another Key, or each an Instance of its own") {
		t.Errorf("logged %q, want one line with one place, and what distinguishes functions of one place", texts)
	}
	texts = notices(func() { decorate("twice", func(int) int { return 1 }, decorators.Backend("twin"), decorators.Shared()) })
	if len(texts) != 0 {
		t.Errorf("logged %q again", texts)
	}
	texts = notices(func() {
		decorate("twins", adder(1), decorators.Shared())
		decorate("twins", adder(1), decorators.Backend("twin"))
	})
	if len(texts) != 1 {
		t.Errorf("logged %q, want a line about another backend of the store", texts)
	}
	decorate("twice", func(int) string { return "" }, decorators.Backend("other"))
	decorate("twice", func(int) string { return "" }, decorators.On(newSet(t, nil)))
	for _, fn := range []any{
		func(int) string { return "" }, func(int) int64 { return 1 }, func(int) (int, int) { return 1, 2 },
		func(int) *int { return nil }, func(context.Context, int) (any, error) { return 1, nil },
	} {
		mustPanic(t, "two functions are called twice, and can't share results of the types int and ", func() { decorate("twice", fn) })
		mustPanic(t, "give one of them another Key", func() { decorate("twice", fn, decorators.Backend("twin")) })
	}
	mustPanic(t, "types int and string", func() {
		decorators.CachedMany(func(context.Context, []int) (map[int]string, error) { return nil, nil }, decorators.Key("twice"))
	})
	texts = notices(func() {
		_, h := decorators.CachedMany(func(context.Context, []int) (map[int]int, error) { return nil, nil }, decorators.Key("twice"))
		keep = append(keep, h)
	})
	if len(texts) != 0 {
		t.Errorf("logged %q about a twin", texts)
	}
	runtime.KeepAlive(keep)
}
