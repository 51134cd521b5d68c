package decorators_test

//lint:file-ignore U1000 some fields are there to take memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/race"
	"github.com/cacheutils/cacheutils/logging"
)

// A memoryShape is a kind of values of which each takes memory of its own.
type memoryShape struct {
	name string

	// measure calls a function for very many such values on a backend, and returns what that holds then.
	measure func(t *testing.T, set *backends.Caches) uint64
}

// shapeOf makes a shape of what value returns.
func shapeOf[V any](name string, value func(i int) V, opts ...decorators.Option) memoryShape {
	return memoryShape{name: name, measure: func(t *testing.T, set *backends.Caches) uint64 {
		opts := append([]decorators.Option{decorators.Key(name), decorators.On(set)}, opts...)
		load, handle := decorators.Cached1(func(_ context.Context, i int) (V, error) { return value(i), nil }, opts...)
		before := heap()
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		for made := ms.TotalAlloc; ms.TotalAlloc-made < 3*memoryBound; runtime.ReadMemStats(&ms) {
			for range 4 {
				if _, err := load(t.Context(), int(handle.Stats().Misses)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if s := handle.Stats(); s.Stores != s.Computations || s.Errors != 0 {
			t.Errorf("want all results stored, got %+v", s)
		}
		after := heap()
		runtime.KeepAlive(load)
		return max(after, before) - before
	}}
}

const memoryBound = 8 << 20

// heap returns how much memory is in use.
func heap() uint64 {
	var ms runtime.MemStats
	for range 3 { // what is pooled goes with the second collection
		runtime.GC()
	}
	runtime.ReadMemStats(&ms)
	return ms.HeapAlloc
}

type (
	list struct {
		next *list
		n    [5]int
	}
	secretList struct {
		next *secretList
		text string
	}
	tree struct {
		left, right *tree
		name        string
	}
	graph struct {
		nodes []*node
		index map[string]*node
	}
	node struct {
		graph *graph
		links []*node
		name  string
		data  []byte
	}
	inner struct{ Title, Body string }
	outer struct {
		ID    int
		Inner [2]inner
		At    time.Time
	}
)

// text returns a new string.
func text(i, n int) string { return strings.Repeat(string(rune('a'+i%26)), n) }

// cut returns a few bytes of a string that is very much longer.
func cut(i int) string {
	page := strings.Repeat(fmt.Sprint("<title>", i), 20_000)
	return page[7:12]
}

func newList(n int) *list {
	var l *list
	for range n {
		l = &list{next: l}
	}
	return l
}

func newSecretList(n int) *secretList {
	var l *secretList
	for i := range n {
		l = &secretList{l, text(i, 40)}
	}
	return l
}

func newTree(depth int) *tree {
	if depth == 0 {
		return nil
	}
	return &tree{newTree(depth - 1), newTree(depth - 1), text(depth, 100)}
}

func newGraph(n int) *graph {
	g := &graph{index: map[string]*node{}}
	for i := range n {
		v := &node{graph: g, name: fmt.Sprint("node ", i), data: make([]byte, 1000)}
		v.links = append(v.links, g.nodes...)
		g.nodes = append(g.nodes, v)
		g.index[v.name] = v
	}
	for _, v := range g.nodes {
		v.links = append(v.links, g.nodes[0])
	}
	return g
}

func mapOf[K comparable, V any](n int, entry func(i int) (K, V)) map[K]V {
	m := make(map[K]V)
	for i := range n {
		k, v := entry(i)
		m[k] = v
	}
	return m
}

func zone(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return loc
}

// Law 10: what a store holds takes no more memory than its max_cost, and half of that, whatever the shape of the values.
func TestLaw10_HeapAgainstMaxCost(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector takes memory of its own")
	}
	shared := decorators.Shared()
	plain := []memoryShape{
		shapeOf("string", func(i int) string { return text(i, 10_000) }),
		shapeOf("short string", func(i int) string { return text(i, 20) }),
		shapeOf("string cut from a page", cut),
		shapeOf("empty string cut from a page", func(i int) string { return cut(i)[3:3] }),
		shapeOf("number", func(i int) int { return i }),
		shapeOf("time in a zone that is loaded each time", func(i int) time.Time {
			return time.Unix(int64(i), 0).In(zone("America/New_York"))
		}),
		shapeOf("time in a zone of its own", func(i int) time.Time {
			return time.Unix(int64(i), 0).In(time.FixedZone(text(i, 1000), i))
		}),
		shapeOf("struct with strings cut from pages", func(i int) outer {
			return outer{i, [2]inner{{cut(i), text(i, 10)}, {"", cut(i)}}, time.Unix(int64(i), 0)}
		}),
		shapeOf("array of strings cut from pages", func(i int) [3]string { return [3]string{cut(i), cut(i), text(i, 1000)} }),
		shapeOf("large array", func(i int) [1000]int { return [1000]int{i} }),
		shapeOf("bytes", func(i int) []byte { return make([]byte, 10_000) }),
		shapeOf("bytes cut from a large array", func(i int) []byte { return make([]byte, 100_000)[500:600:600] }),
		shapeOf("strings", func(i int) []string { return []string{text(i, 10), cut(i), text(i, 1000)} }),
		shapeOf("map of strings", func(i int) map[string]string {
			return mapOf(100, func(j int) (string, string) { return fmt.Sprint(j), text(i, 50) })
		}),
		shapeOf("any", func(i int) any { return map[string]any{"a": text(i, 500), "b": []any{i, 1.5, cut(i)}} }),
		shapeOf("pointer", func(i int) *inner { return &inner{text(i, 300), cut(i)} }),
		shapeOf("big.Int", func(i int) *big.Int { return new(big.Int).Lsh(big.NewInt(int64(i)), 8000) }),
		shapeOf("string cut from a page and shared", cut, shared),
		shapeOf("struct with strings cut from pages and shared", func(i int) inner { return inner{cut(i), cut(i)} }, shared),
	}
	for i := range plain {
		t.Run("plain/"+plain[i].name, func(t *testing.T) { plain[i].test(t, 0) })
	}
	for _, s := range []memoryShape{
		shapeOf("bytes", func(i int) []byte { return make([]byte, 10_000) }, shared),
		shapeOf("buffer with spare capacity", func(i int) []byte { return make([]byte, 10, 50_000) }, shared),
		shapeOf("bytes.Buffer", func(i int) *bytes.Buffer {
			b := bytes.NewBuffer(make([]byte, 0, 20_000))
			b.WriteString("short")
			return b
		}, shared),
		shapeOf("strings", func(i int) []string { return []string{text(i, 10), text(i, 3000), text(i, 1000)} }, shared),
		shapeOf("linked list", func(i int) *list { return newList(10_000) }, shared),
		shapeOf("linked list of unexported fields", func(i int) *secretList { return newSecretList(10_000) }, shared),
		shapeOf("deep tree", func(i int) *tree { return newTree(12) }, shared),
		shapeOf("large last element of many", func(i int) [][]byte {
			many := make([][]byte, 300)
			many[299] = make([]byte, 400_000)
			return many
		}, shared),
		shapeOf("large element in the middle of very many", func(i int) []string {
			many := make([]string, 10_000)
			many[7777] = text(i, 400_000)
			return many
		}, shared),
		shapeOf("map with one large value", func(i int) map[int][]byte {
			return mapOf(1000, func(j int) (int, []byte) { return j, make([]byte, j/999*200_000) })
		}, shared),
		shapeOf("unexported map with large values", func(i int) struct{ m map[string][]byte } {
			return struct{ m map[string][]byte }{mapOf(10, func(j int) (string, []byte) { return fmt.Sprint(j), make([]byte, 20_000) })}
		}, shared),
		shapeOf("map of numbers", func(i int) map[int]int { return mapOf(3000, func(j int) (int, int) { return j, j }) }, shared),
		shapeOf("small map", func(i int) map[string]bool { return map[string]bool{text(i, 5): true} }, shared),
		shapeOf("map with large keys", func(i int) map[[40]int][40]int {
			return mapOf(100, func(j int) ([40]int, [40]int) { return [40]int{j}, [40]int{} })
		}, shared),
		shapeOf("nested maps", func(i int) map[string]map[string]map[int]string {
			return mapOf(5, func(j int) (string, map[string]map[int]string) {
				return fmt.Sprint(j), mapOf(5, func(j int) (string, map[int]string) {
					return fmt.Sprint(j), mapOf(20, func(j int) (int, string) { return j, text(j, 30) })
				})
			})
		}, shared),
		shapeOf("structs with strings in a map", func(i int) map[int]outer {
			return mapOf(50, func(j int) (int, outer) { return j, outer{Inner: [2]inner{{Title: text(j, 200)}}} })
		}, shared),
		shapeOf("interfaces", func(i int) []any {
			return []any{text(i, 100), i, &inner{Body: text(i, 300)}, []any{[2]string{text(i, 50)}}, map[string]any{"a": 1.5}, [4]int{}}
		}, shared),
		shapeOf("errors", func(i int) []error { return []error{fmt.Errorf("%s", text(i, 2000)), nil} }, shared),
		shapeOf("many pointers to one", func(i int) []*inner {
			one := &inner{Body: text(i, 100_000)}
			return []*inner{one, one, one, one, one, one, one, one}
		}, shared),
		shapeOf("many pointers to numbers", func(i int) []*int {
			many := make([]*int, 1000)
			for j := range many {
				many[j] = new(int)
				*many[j] = j
			}
			return many
		}, shared),
		shapeOf("cyclic graph", func(i int) *graph { return newGraph(50) }, shared),
		shapeOf("rows of one array", func(i int) [][]float64 {
			all, matrix := make([]float64, 100*100), make([][]float64, 100)
			for j := range matrix {
				matrix[j] = all[j*100 : j*100+100]
			}
			return matrix
		}, shared),
		shapeOf("times in zones that are loaded each time", func(i int) []time.Time {
			return []time.Time{time.Unix(1, 0).In(zone("Europe/Rome")), time.Unix(2, 0).In(zone("Asia/Tokyo"))}
		}, shared),
		shapeOf("guarded value", func(i int) struct {
			mu   *sync.Mutex
			data []byte
		} {
			return struct {
				mu   *sync.Mutex
				data []byte
			}{new(sync.Mutex), make([]byte, 10_000)}
		}, shared),
		shapeOf("channel", func(i int) chan [100]int { return make(chan [100]int, 20) }, shared),
		shapeOf("big.Int", func(i int) *big.Int { return new(big.Int).Lsh(big.NewInt(int64(i+1)), 8000) }, shared),
		shapeOf("regexp", func(i int) *regexp.Regexp { return regexp.MustCompile("^(" + text(i, 200) + "|b*[a-z]+)$") }, shared),
	} {
		t.Run("shared/"+s.name, func(t *testing.T) { s.test(t, 0.5) })
	}
}

// test fails if what is held is more than 1.5 of max_cost, or less than least, as if values were larger than they are.
func (s memoryShape) test(t *testing.T, least float64) {
	set, err := backends.New(backends.Config{"default": {
		Backend: "locmem", Location: []string{t.Name()}, Options: map[string]any{"max_cost": memoryBound},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	ratio := float64(s.measure(t, set)) / memoryBound
	t.Logf("%.2f of max_cost", ratio)
	if ratio > 1.5 {
		t.Errorf("want at most 1.5 of max_cost in memory, got %.2f", ratio)
	}
	if ratio < least {
		t.Errorf("want at least %.1f of max_cost in memory, got %.2f", least, ratio)
	}
}

// What is stored beside a value takes memory as well: its key and the names of its groups keep nothing of what they were
// cut from, and its metadata counts.
func TestLaw10_HeapOfKeysAndGroups(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector takes memory of its own")
	}
	ctx := context.Background()
	for _, test := range []struct {
		name string
		n    int
		run  func(t *testing.T, set *backends.Caches) (do func(i int) error)
	}{
		{"key of a KeyFunction", 100, func(t *testing.T, set *backends.Caches) func(int) error {
			c := backendOf(t, set)
			return func(i int) error { return c.Set(ctx, cut(i), i) }
		}},
		{"group of cache.Set", 100, func(t *testing.T, set *backends.Caches) func(int) error {
			return func(i int) error { return cache.Set(ctx, i, i, cache.On(set), cache.Group(cut(i))) }
		}},
		{"groups of GetOrSet", 100, func(t *testing.T, set *backends.Caches) func(int) error {
			c := backendOf(t, set)
			return func(i int) error {
				var v int
				return c.GetOrSet(ctx, fmt.Sprint(i), &v, func(context.Context) (any, error) { return i, nil },
					backends.Group(cut(i), cut(i+1)))
			}
		}},
		{"GroupsOf", 100, func(t *testing.T, set *backends.Caches) func(int) error {
			load, _ := decorators.Cached1(func(_ context.Context, i int) (int, error) { return i, nil }, decorators.On(set),
				decorators.GroupsOf(func(_ context.Context, i int) []string { return []string{cut(i), cut(i + 1)} }))
			return func(i int) error { _, err := load(ctx, i); return err }
		}},
		{"many groups", 20_000, func(t *testing.T, set *backends.Caches) func(int) error {
			load, _ := decorators.Cached1(func(_ context.Context, i int) (int, error) { return i, nil }, decorators.On(set),
				decorators.Group("a", "b", "c", "d", "e", "f", "g", "h"))
			return func(i int) error { _, err := load(ctx, i); return err }
		}},
		{"Stale", 50_000, func(t *testing.T, set *backends.Caches) func(int) error {
			load, _ := decorators.Cached1(func(_ context.Context, i int) (int, error) { return i, nil }, decorators.On(set),
				decorators.Stale(time.Hour))
			return func(i int) error { _, err := load(ctx, i); return err }
		}},
		{"forced CachedMany", 200, func(t *testing.T, set *backends.Caches) func(int) error {
			_, handle := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) {
				return mapOf(len(keys), func(i int) (int, int) { return keys[i], i }), nil
			}, decorators.On(set))
			return func(i int) error {
				keys := make([]int, 500)
				for j := range keys {
					keys[j] = i*len(keys) + j
				}
				_, err := handle.ForceRecalc(ctx, keys)
				return err
			}
		}},
		{"nothing for the keys of CachedMany", 200, func(t *testing.T, set *backends.Caches) func(int) error {
			load, _ := decorators.CachedMany(func(context.Context, []int) (map[int]int, error) { return nil, nil },
				decorators.On(set), decorators.Absent(time.Hour))
			return func(i int) error {
				keys := make([]int, 500)
				for j := range keys {
					keys[j] = i*len(keys) + j
				}
				_, err := load(ctx, keys)
				return err
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := backends.Settings{Backend: "locmem", Location: []string{t.Name()}, Options: map[string]any{"max_cost": memoryBound}}
			if test.name == "key of a KeyFunction" {
				settings.KeyFunction = func(key, _, _ string) string { return key }
			}
			set, err := backends.New(backends.Config{"default": settings})
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			do := test.run(t, set)
			before := heap()
			for i := range test.n {
				if err := do(i); err != nil {
					t.Fatal(err)
				}
			}
			after := heap()
			runtime.KeepAlive(do)
			ratio := float64(max(after, before)-before) / memoryBound
			t.Logf("%.2f of max_cost", ratio)
			if ratio > 1.5 {
				t.Errorf("want at most 1.5 of max_cost in memory, got %.2f", ratio)
			}
		})
	}
}

func backendOf(t *testing.T, set *backends.Caches) *backends.Cache {
	t.Helper()
	c, err := set.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Where the memory of Shared values can't be counted, a line says so, once for a function.
func TestShared_UncountedMemoryIsSaid(t *testing.T) {
	type index struct {
		mu    sync.Mutex
		words map[string][]byte
	}
	for _, test := range []struct {
		name string
		load func(set *backends.Caches) func(i int)
		want string
	}{
		{"pointee with a lock", loaderOf(func(i int) *index { return &index{words: map[string][]byte{"a": make([]byte, 1000)}} }), "decorators_test.index"},
		{"behind an interface", loaderOf(func(i int) any { return []any{&index{}} }), "decorators_test.index"},
		{"element with a lock", loaderOf(func(i int) []index { return make([]index, 1) }), "decorators_test.index"},
		{"function", loaderOf(func(i int) func() int { return func() int { return i } }), "func() int"},
		{"channel", loaderOf(func(i int) chan *int { return make(chan *int, 1) }), "chan *int"},
		{"nothing", loaderOf(func(i int) struct{ f func() } { return struct{ f func() }{} }), ""},
		{"plain", loaderOf(func(i int) map[string]any { return map[string]any{"a": []int{1}} }), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines := &noticeSink{}
			logging.SetSink(lines)
			defer logging.SetSink(nil)
			set := newSet(t, nil)
			load := test.load(set)
			for i := range 3 {
				load(i)
			}
			got := strings.Join(lines.texts(), "\n")
			if test.want == "" && got != "" {
				t.Errorf("want no line, got %q", got)
			}
			if test.want != "" && (strings.Count(got, "max_entries") != 1 || !strings.Contains(got, test.want) || !strings.Contains(got, "TestShared_UncountedMemoryIsSaid")) {
				t.Errorf("want one line that names the function and %s, got %q", test.want, got)
			}
		})
	}
}

func loaderOf[V any](value func(i int) V) func(set *backends.Caches) func(i int) {
	return func(set *backends.Caches) func(i int) {
		load, _ := decorators.Cached1(func(_ context.Context, i int) (V, error) { return value(i), nil },
			decorators.Key("TestShared_UncountedMemoryIsSaid"), decorators.On(set), decorators.Shared())
		return func(i int) { _, _ = load(context.Background(), i) }
	}
}

// A noticeSink keeps the texts of notices.
type noticeSink struct {
	mu      sync.Mutex
	notices []string
}

func (s *noticeSink) Enabled(level logging.Level) bool { return level == logging.LevelWarn }

func (s *noticeSink) Log(_ logging.Level, e logging.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Action == logging.ActionNotice {
		s.notices = append(s.notices, e.Text)
	}
}

func (s *noticeSink) texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notices
}

// A call that stores nothing leaves nothing: no memory is taken by what has failed, was left out or had no result, however
// many arguments there were, and idle stores have dropped what markers took.
func TestLaw10_HeapOfCallsThatStoreNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector takes memory of its own")
	}
	ctx := context.Background()
	failed := errors.New("failed")
	for _, test := range []struct {
		name string
		make func(set *backends.Caches) func(i int)
	}{
		{"failing", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			load, _ := decorators.Cached1(func(context.Context, int) (int, error) { return 0, failed }, on)
			return func(i int) { _, _ = load(ctx, i) }
		}},
		{"failing in a group", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			load, _ := decorators.Cached1(func(context.Context, int) (int, error) { return 0, failed }, on, decorators.Group("g"))
			return func(i int) { _, _ = load(ctx, i) }
		}},
		{"nil", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			load, _ := decorators.Cached1(func(context.Context, int) (*int, error) { return nil, nil }, on)
			return func(i int) { _, _ = load(ctx, i) }
		}},
		{"left out", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			load, _ := decorators.Cached1(func(context.Context, int) (int, error) { return 0, nil }, on,
				decorators.Unless(func(int) bool { return true }))
			return func(i int) { _, _ = load(ctx, i) }
		}},
		{"of no timeout", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			load, _ := decorators.Cached1(func(context.Context, int) (int, error) { return 0, nil }, on, decorators.Timeout(0))
			return func(i int) { _, _ = load(ctx, i) }
		}},
		{"panicking", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			load, _ := decorators.Cached1(func(context.Context, int) (int, error) { panic("no") }, on)
			return func(i int) {
				defer func() { _ = recover() }()
				_, _ = load(ctx, i)
			}
		}},
		{"invalidated meanwhile", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			var handle *decorators.Handle1[int, int]
			var load func(context.Context, int) (int, error)
			load, handle = decorators.Cached1(func(ctx context.Context, i int) (int, error) { return i, handle.Invalidate(ctx, i) }, on)
			return func(i int) { _, _ = load(ctx, i) }
		}},
		{"its group invalidated meanwhile", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			load, _ := decorators.Cached1(func(ctx context.Context, i int) (int, error) {
				return i, cache.InvalidateGroup(ctx, "g", cache.On(set))
			}, on, decorators.Group("g"))
			return func(i int) { _, _ = load(ctx, i) }
		}},
		{"left by its caller", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			load, _ := decorators.Cached1(func(ctx context.Context, i int) (int, error) { return 0, ctx.Err() }, on)
			return func(i int) {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				_, _ = load(ctx, i)
			}
		}},
		{"forced and failing", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			_, handle := decorators.Cached1(func(context.Context, int) (int, error) { return 0, failed }, on)
			return func(i int) { _, _ = handle.ForceRecalc(ctx, i) }
		}},
		{"CachedMany failing", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			load, _ := decorators.CachedMany(func(context.Context, []int) (map[int]int, error) { return nil, failed }, on)
			return func(i int) { _, _ = load(ctx, []int{2 * i, 2*i + 1}) }
		}},
		{"CachedMany with nothing", func(set *backends.Caches) func(int) {
			on := decorators.On(set)
			load, _ := decorators.CachedMany(func(context.Context, []int) (map[int]int, error) { return nil, nil }, on)
			return func(i int) { _, _ = load(ctx, []int{2 * i, 2*i + 1}) }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := newSet(t, nil)
			call := test.make(set)
			call(0)
			before := heap()
			const calls = 20_000
			for i := range calls {
				call(i)
			}
			after := heap()
			runtime.KeepAlive(call)
			if held := max(after, before) - before; held > 400<<10 {
				t.Errorf("want nothing to be held of %d calls, got %d KB", calls, held>>10)
			}
		})
	}
	t.Run("many at once", func(t *testing.T) {
		set := newSet(t, nil)
		load, _ := decorators.CachedMany(func(context.Context, []int) (map[int]int, error) { return nil, failed }, decorators.On(set))
		before := heap()
		keys := make([]int, 50_000)
		for i := range keys {
			keys[i] = i
		}
		_, _ = load(ctx, keys)
		var held uint64
		for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(100 * time.Millisecond) {
			after := heap()
			if held = max(after, before) - before; held <= 2<<20 {
				break
			}
		}
		runtime.KeepAlive(load)
		if held > 2<<20 {
			t.Errorf("want an idle store to hold nothing, got %d KB", held>>10)
		}
	})
}
