package decorators_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// eachGrouping runs test with each kind of backend that results can be in groups on: group, whose
// results stay for a while after their timeout, and the plain engines. There is another cache
// on the same store, as another process would have it: "another".
func eachGrouping(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	use := func(s backends.Settings) func(*testing.T) {
		return func(t *testing.T) {
			if s.Location == nil {
				s.Location = []string{t.Name()}
			}
			cachetest.Configure(t, backends.Config{"default": s, "another": s})
			test(t)
		}
	}
	server := memcachedtest.Start(t)
	patient := map[string]any{"operation_timeout": "5s"}
	t.Run("locmem", use(backends.Settings{Backend: "locmem"}))
	t.Run("memcached", use(backends.Settings{Backend: "memcached", Location: []string{server.Addr()}, Options: patient}))
	server.Flush(t)
	t.Run("group", use(backends.Settings{Backend: "group", Location: []string{server.Addr()}, Options: patient}))
	server.Flush(t)
	t.Run("group+locmem", use(backends.Settings{Backend: "group+locmem"}))
}

func invalidateGroup(t *testing.T, backend string, groups ...string) {
	t.Helper()
	if err := cache.InvalidateGroups(context.Background(), groups, cache.Backend(backend)); err != nil {
		t.Fatalf("invalidate %q on %s: %v", groups, backend, err)
	}
}

// numbering returns a function whose results count its runs for each argument.
func numbering() func(context.Context, string) (string, error) {
	var mu sync.Mutex
	runs := make(map[string]int)
	return func(_ context.Context, arg string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		runs[arg]++
		return fmt.Sprint(arg, runs[arg]), nil
	}
}

func TestGroup(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		ctx := context.Background()
		City, city := decorators.Cached(numbering(), decorators.Key("city"), decorators.Group("places", "cities"))
		Lake, _ := decorators.Cached(numbering(), decorators.Key("lake"), decorators.Group("places"))
		User, _ := decorators.Cached(numbering(), decorators.Key("user"))
		want := func(when, rome, turin, garda, ann string) {
			t.Helper()
			for range 2 {
				got(t, when, rome)(City(ctx, "rome"))
				got(t, when, turin)(City(ctx, "turin"))
				got(t, when, garda)(Lake(ctx, "garda"))
				got(t, when, ann)(User(ctx, "ann"))
			}
		}
		want("at first", "rome1", "turin1", "garda1", "ann1")
		invalidateGroup(t, "default", "cities")
		want("cities are invalidated", "rome2", "turin2", "garda1", "ann1")
		invalidateGroup(t, "another", "places")
		want("places are invalidated", "rome3", "turin3", "garda2", "ann1")
		if err := city.Invalidate(ctx, "rome"); err != nil {
			t.Fatal(err)
		}
		want("one city is invalidated", "rome4", "turin3", "garda2", "ann1")
		got(t, "RequireCache", "rome4")(city.RequireCache(ctx, "rome"))
		invalidateGroup(t, "default", "cities")
		if name, err := city.RequireCache(ctx, "rome"); !errors.Is(err, cacheutils.ErrNoCachedValue) {
			t.Errorf("RequireCache of an invalidated group: got %q, %v, want ErrNoCachedValue", name, err)
		}
		if err := city.Set([]any{ctx, "rome"}, "set"); err != nil {
			t.Fatal(err)
		}
		want("one is set", "set", "turin4", "garda2", "ann1")
		got(t, "ForceRecalc", "rome5")(city.ForceRecalc(ctx, "rome"))
		want("one is forced", "rome5", "turin4", "garda2", "ann1")
	})
}

func TestGroupsOf(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		ctx := context.Background()
		groups := func(_ context.Context, name string) []string {
			country, _, _ := strings.Cut(name, "-")
			return []string{"country " + country}
		}
		City, _ := decorators.Cached(numbering(), decorators.Key("city"), decorators.Group("cities"), decorators.GroupsOf(groups))
		want := func(when, rome, paris string) {
			t.Helper()
			for range 2 {
				got(t, when, rome)(City(ctx, "it-rome"))
				got(t, when, paris)(City(ctx, "fr-paris"))
			}
		}
		want("at first", "it-rome1", "fr-paris1")
		invalidateGroup(t, "default", "country it")
		want("one country is invalidated", "it-rome2", "fr-paris1")
		invalidateGroup(t, "default", "country fr", "country de")
		want("another is invalidated", "it-rome2", "fr-paris2")
		invalidateGroup(t, "default", "cities")
		want("the group of Group is invalidated", "it-rome3", "fr-paris3")
	})
	for name, fn := range map[string]any{
		"no func": 1, "other parameters": func(int) []string { return nil }, "another result": func(context.Context, string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			mustPanic(t, "GroupsOf takes a func(context.Context, string) []string", func() {
				decorators.Cached(numbering(), decorators.Key("city"), decorators.GroupsOf(fn))
			})
		})
	}
}

// After a deploy that adds a group, results without it are misses: nothing would invalidate them.
func TestGroup_Added(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		ctx := context.Background()
		fn := numbering()
		Before, _ := decorators.Cached(fn, decorators.Key("city"), decorators.Group("cities"))
		After, _ := decorators.Cached(fn, decorators.Key("city"), decorators.Group("cities", "places"))
		got(t, "before", "rome1")(Before(ctx, "rome"))
		got(t, "before", "rome1")(Before(ctx, "rome"))
		got(t, "after", "rome2")(After(ctx, "rome"))
		got(t, "after", "rome2")(After(ctx, "rome"))
		invalidateGroup(t, "default", "places")
		got(t, "after the new group's invalidation", "rome3")(After(ctx, "rome"))
		got(t, "what is in more groups is found", "rome3")(Before(ctx, "rome"))
	})
}

// A group and a key of the same text are apart, and so are the groups of two Versions.
func TestGroup_Versions(t *testing.T) {
	server := memcachedtest.Start(t)
	one := backends.Settings{Backend: "group", Location: []string{server.Addr()}, Version: "v1."}
	two := one
	two.Version = "v2."
	cachetest.Configure(t, backends.Config{"one": one, "two": two})
	ctx := context.Background()
	One, _ := decorators.Cached(numbering(), decorators.Key("city"), decorators.Group("g"), decorators.Backend("one"))
	Two, _ := decorators.Cached(numbering(), decorators.Key("city"), decorators.Group("g"), decorators.Backend("two"))
	want := func(when, one, two string) {
		t.Helper()
		for range 2 {
			got(t, when, one)(One(ctx, "rome"))
			got(t, when, two)(Two(ctx, "rome"))
		}
	}
	want("at first", "rome1", "rome1")
	invalidateGroup(t, "one", "g")
	want("invalidated in one", "rome2", "rome1")
	invalidateGroup(t, "two", "g")
	want("invalidated in two", "rome2", "rome2")
}

func TestLaw2_GroupInvalidatedDuringComputation(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		for _, who := range []string{"default", "another"} {
			g := newGate()
			F, h := decorators.Cached(g.wait, decorators.Key("law2.group."+who), decorators.Group("g", "h"))
			call := func() (int, error) { return F(context.Background()) }
			first := ask(call)
			within(t, "the run", g.started)
			joined := ask(call)
			eventually(t, "one has joined", func() bool { return h.Stats().Joins == 1 })
			invalidateGroup(t, who, "g")
			late := []<-chan answer{ask(call), ask(call)}
			eventually(t, "all have joined", func() bool { return h.Stats().Joins >= 3 })
			close(g.release)
			if a := within(t, "the first caller", first); a.run != 1 || a.err != nil {
				t.Errorf("%s: the caller from before got %+v, want run 1", who, a)
			}
			if a := within(t, "the joined caller", joined); a.err != nil {
				t.Errorf("%s: the caller who joined before got %+v", who, a)
			}
			for _, c := range late {
				if a := within(t, "a late caller", c); a.run < 2 || a.err != nil {
					t.Errorf("%s: a caller from after the invalidation got %+v, want a later run", who, a)
				}
			}
			if a := within(t, "a caller at the end", ask(call)); a.run != int(g.runs.Load()) || a.run < 2 {
				t.Errorf("%s: at the end there is %+v, of %d runs", who, a, g.runs.Load())
			}
			if s := h.Stats(); s.Refusals != 1 {
				t.Errorf("%s: %d refusals, want 1", who, s.Refusals)
			}
		}
	})
}

func TestLaw2_GroupInvalidatedDuringForceRecalc(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		for _, who := range []string{"default", "another"} {
			g := newGate()
			F, h := decorators.Cached(g.wait, decorators.Key("law2.force."+who), decorators.Group("g"))
			if err := h.Set([]any{context.Background()}, -1); err != nil {
				t.Fatal(err)
			}
			forced := ask(func() (int, error) { return h.ForceRecalc(context.Background()) })
			within(t, "the run", g.started)
			// What is there stays while it is computed anew.
			if a := within(t, "a caller meanwhile", ask(func() (int, error) { return F(context.Background()) })); a.run != -1 {
				t.Errorf("%s: a caller meanwhile got %+v", who, a)
			}
			invalidateGroup(t, who, "g")
			close(g.release)
			if a := within(t, "ForceRecalc", forced); a.run != 1 || a.err != nil {
				t.Errorf("%s: ForceRecalc returned %+v", who, a)
			}
			if a := within(t, "a caller after", ask(func() (int, error) { return F(context.Background()) })); a.run != 2 {
				t.Errorf("%s: after the invalidation a caller got %+v, want run 2", who, a)
			}
		}
	})
}

func TestLaw2_GroupInvalidatedDuringRefresh(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		for _, who := range []string{"default", "another"} {
			g := newGate()
			F, h := decorators.Cached(g.wait, decorators.Key("law2.refresh."+who), decorators.Group("g"),
				decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
			call := func() (int, error) { return F(context.Background()) }
			if err := h.Set([]any{context.Background()}, -1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Millisecond)
			for range 2 { // the first of them starts the refresh
				if a := within(t, "a caller", ask(call)); a.run != -1 {
					t.Errorf("%s: a caller got %+v, want the stale value", who, a)
				}
			}
			within(t, "the refresh", g.started)
			invalidateGroup(t, who, "g")
			after := ask(call)
			eventually(t, "the caller from after has joined", func() bool { return h.Stats().Joins == 1 })
			close(g.release)
			if a := within(t, "the caller from after", after); a.run != 2 || a.err != nil {
				t.Errorf("%s: a caller from after the invalidation got %+v, want run 2", who, a)
			}
		}
	})
}

func TestLaw2_GroupInvalidatedByAProcess(t *testing.T) {
	server := cachetest.Memcached(t)
	g := newGate()
	F, _ := decorators.Cached(g.wait, decorators.Key("law2.process"), decorators.Group("g"))
	call := func() (int, error) { return F(context.Background()) }
	first := ask(call)
	within(t, "the run", g.started)
	if got := runProcess(t, server.Addr(), "group"); got != "<nil>" {
		t.Fatalf("InvalidateGroup in another process: %s", got)
	}
	late := ask(call)
	close(g.release)
	if a := within(t, "the first caller", first); a.run != 1 || a.err != nil {
		t.Errorf("the caller from before got %+v", a)
	}
	if a := within(t, "the late caller", late); a.run != 2 || a.err != nil {
		t.Errorf("the caller from after got %+v, want run 2", a)
	}
	if got := runProcess(t, server.Addr(), "group"); got != "<nil>" {
		t.Fatalf("InvalidateGroup in another process: %s", got)
	}
	got(t, "after another invalidation", 3)(call())
}

// Who joins a computation of the same key for other groups can't have its result: their
// invalidation doesn't show there.
func TestLaw2_GroupsOfAnother(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		g := newGate()
		One, _ := decorators.Cached(g.wait, decorators.Key("law2.two"), decorators.Group("one"))
		Two, two := decorators.Cached(g.wait, decorators.Key("law2.two"), decorators.Group("two"))
		first := ask(func() (int, error) { return One(context.Background()) })
		within(t, "the run", g.started)
		invalidateGroup(t, "another", "two")
		late := ask(func() (int, error) { return Two(context.Background()) })
		eventually(t, "it has joined", func() bool { return two.Stats().Joins == 1 })
		close(g.release)
		within(t, "the first caller", first)
		if a := within(t, "the late caller", late); a.run != 2 || a.err != nil {
			t.Errorf("the caller with another group got %+v, want run 2", a)
		}
	})
}

// Where nothing is stored, too, a caller from after an invalidation doesn't join a computation
// from before.
func TestLaw2_GroupOnDummy(t *testing.T) {
	cachetest.Configure(t, backends.Config{"default": {Backend: "dummy"}})
	g := newGate()
	F, h := decorators.Cached(g.wait, decorators.Key("law2.dummy"), decorators.Group("g"))
	call := func() (int, error) { return F(context.Background()) }
	first := ask(call)
	within(t, "the run", g.started)
	invalidateGroup(t, "default", "g")
	late := ask(call)
	eventually(t, "it has joined", func() bool { return h.Stats().Joins == 1 })
	close(g.release)
	within(t, "the first caller", first)
	if a := within(t, "the late caller", late); a.run != 2 {
		t.Errorf("the caller from after got %+v, want run 2", a)
	}
}

// A computation that began while the server was away is only for those who had called before: others may
// know of an invalidation that found the server there again. One next computation is for all of them.
func TestLaw2_ServerBackDuringComputation(t *testing.T) {
	server := cachetest.Memcached(t)
	server.Stop()
	g := newGate()
	F, h := decorators.Cached(g.wait, decorators.Key("law2.back"), decorators.Group("g"))
	call := func() (int, error) { return F(context.Background()) }
	first := ask(call)
	within(t, "the run", g.started)
	blind := ask(call)
	eventually(t, "one has joined", func() bool { return h.Stats().Joins == 1 })
	server.Restart()
	eventually(t, "an invalidation by another process", func() bool { return runProcess(t, server.Addr(), "group") == "<nil>" })
	eventually(t, "the server is seen again", func() bool {
		_, err := cache.Get[int](context.Background(), "nothing")
		return errors.Is(err, cacheutils.ErrCacheMiss)
	})
	late := ask(call)
	eventually(t, "another has joined", func() bool { return h.Stats().Joins == 2 })
	close(g.release)
	if a := within(t, "the first caller", first); a.run != 1 {
		t.Errorf("the first caller got %+v, want run 1", a)
	}
	for _, c := range []<-chan answer{blind, late} {
		if a := within(t, "a caller from after it began", c); a.run != 2 {
			t.Errorf("a caller from after it began got %+v, want run 2", a)
		}
	}
}

// While a group is invalidated all the time, nothing is stored for long, and every call returns
// what is as new as its start.
func TestLaw2_ConstantInvalidation(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		var now atomic.Int64
		F, h := decorators.Cached(func(context.Context, int) (int64, error) {
			n := now.Load()
			time.Sleep(time.Millisecond)
			return n, nil
		}, decorators.Key("starve"), decorators.Group("g"))
		done := make(chan struct{})
		var wg sync.WaitGroup
		var known atomic.Int64 // what is invalidated up to
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				n := now.Add(1)
				if err := cache.InvalidateGroup(context.Background(), "g", cache.Backend("another")); err != nil {
					t.Error(err)
					return
				}
				known.Store(n)
			}
		})
		eventually(t, "an invalidation", func() bool { return known.Load() > 0 })
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				for range 30 {
					least := known.Load()
					got, err := F(context.Background(), i%2)
					if err != nil || got < least {
						t.Errorf("a call that started after invalidation %d got %d, %v", least, got, err)
					}
				}
			})
		}
		callers.Wait()
		close(done)
		wg.Wait()
		if s := h.Stats(); s.Refusals == 0 {
			t.Errorf("no store was refused: %+v", s)
		}
	})
}

func TestLaw1_InvalidateGroupWithoutItsServer(t *testing.T) {
	one, two := memcachedtest.Start(t), memcachedtest.Start(t)
	cachetest.Configure(t, backends.Config{"default": {Backend: "group", Location: []string{one.Addr(), two.Addr()}}})
	ctx := context.Background()
	F, h := decorators.Cached(numbering(), decorators.Key("law1.group"), decorators.Group("g"))
	got(t, "up", "a1")(F(ctx, "a"))
	one.Stop()
	two.Stop()
	if err := cache.InvalidateGroup(ctx, "g"); err == nil || !strings.Contains(err.Error(), `"g"`) {
		t.Errorf("InvalidateGroup without the server: got %v, want an error that names the group", err)
	}
	if err := h.Invalidate(ctx, "a"); err == nil {
		t.Error("Invalidate without the server reports success")
	}
	got(t, "down", "a2")(F(ctx, "a"))

	// One of two is there: who needs the other hears of it, whatever else was done.
	two.Restart()
	eventually(t, "the server is seen again", func() bool {
		failed := 0
		for i := range 20 {
			if cache.InvalidateGroup(ctx, fmt.Sprint("g", i)) != nil {
				failed++
			}
		}
		return failed > 0 && failed < 20
	})
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprint("g", i))
	}
	if err := cache.InvalidateGroups(ctx, all); err == nil || !strings.Contains(err.Error(), one.Addr()) {
		t.Errorf("InvalidateGroups with one server of two: got %v, want an error that names it", err)
	}
}

// A requests is a way to a server that notes the commands that pass.
type requests struct {
	addr string

	mu       sync.Mutex
	commands []string
}

func countRequests(t *testing.T, server string) *requests {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &requests{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(conn, server)
		}
	}()
	return c
}

func (c *requests) serve(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	go io.Copy(client, server)
	in := bufio.NewReader(client)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		fields := strings.Fields(line)
		c.mu.Lock()
		c.commands = append(c.commands, fields[0])
		c.mu.Unlock()
		if _, err := io.WriteString(server, line); err != nil {
			return
		}
		if slices.Contains([]string{"set", "add", "cas", "replace"}, fields[0]) {
			size, err := strconv.ParseInt(fields[4], 10, 64)
			if err != nil {
				return
			}
			if _, err := io.CopyN(server, in, size+2); err != nil {
				return
			}
		}
	}
}

// take returns the commands since the last take.
func (c *requests) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	commands := c.commands
	c.commands = nil
	return commands
}

func groupNames(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("group-%d", i))
	}
	return names
}

// A hit is one request and no write, whatever the number of groups.
func TestLaw7_GroupedHit(t *testing.T) {
	const hits = 50
	ctx := context.Background()
	for _, backend := range []string{"memcached", "group"} {
		for _, groups := range []int{0, 1, 3, 16} {
			t.Run(fmt.Sprintf("%s/%d groups", backend, groups), func(t *testing.T) {
				server := memcachedtest.Start(t)
				way := countRequests(t, server.Addr())
				cachetest.Configure(t, backends.Config{"default": {Backend: backend, Location: []string{way.addr}, Timeout: time.Hour}})
				F, h := decorators.Cached(numbering(), decorators.Key("law7"), decorators.Group(groupNames(groups)...))
				got(t, "the miss", "a1")(F(ctx, "a"))
				way.take()
				before := server.Stats(t)
				for range hits {
					got(t, "a hit", "a1")(F(ctx, "a"))
				}
				commands, after := way.take(), server.Stats(t)
				if n := h.Stats().Hits; n != hits {
					t.Fatalf("%d hits, want %d", n, hits)
				}
				for name, want := range map[string]int{
					"cmd_get": hits * (1 + groups), "get_hits": hits * (1 + groups), "cmd_set": 0, "cmd_touch": 0, "cmd_meta": 0,
				} {
					a, _ := strconv.Atoi(after[name])
					b, _ := strconv.Atoi(before[name])
					if a-b != want {
						t.Errorf("%s grew by %d, want %d", name, a-b, want)
					}
				}
				if len(commands) != hits {
					t.Errorf("%d hits were %d requests: %q", hits, len(commands), slices.Compact(commands))
				}
			})
		}
	}
	t.Run("two servers", func(t *testing.T) {
		one, two := countRequests(t, memcachedtest.Start(t).Addr()), countRequests(t, memcachedtest.Start(t).Addr())
		cachetest.Configure(t, backends.Config{"default": {Backend: "group", Location: []string{one.addr, two.addr}, Timeout: time.Hour}})
		F, _ := decorators.Cached(numbering(), decorators.Key("law7.two"), decorators.Group(groupNames(16)...))
		got(t, "the miss", "a1")(F(ctx, "a"))
		one.take()
		two.take()
		for range hits {
			got(t, "a hit", "a1")(F(ctx, "a"))
		}
		for _, way := range []*requests{one, two} {
			if commands := way.take(); len(commands) != hits {
				t.Errorf("%d hits were %d requests to one of two servers: %q", hits, len(commands), slices.Compact(commands))
			}
		}
	})
}

// A miss that nobody else is after is four round trips: the look, the lease, the look whether
// it is still there, and the store.
func TestLaw4_MissCost(t *testing.T) {
	server := memcachedtest.Start(t)
	way := countRequests(t, server.Addr())
	cachetest.Configure(t, backends.Config{"default": {Backend: "group", Location: []string{way.addr}, Timeout: time.Hour}})
	ctx := context.Background()
	want := func(what string, want ...string) {
		t.Helper()
		commands := way.take()
		for i, c := range commands {
			if c == "gets" {
				commands[i] = "get"
			}
		}
		if diff := cmp.Diff(want, commands); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", what, diff)
		}
	}
	call := func(f func(context.Context, string) (string, error), arg, result string) {
		t.Helper()
		got(t, arg, result)(f(ctx, arg))
	}
	Plain, plain := decorators.Cached(numbering(), decorators.Key("cost"))
	call(Plain, "a", "a1")
	want("a miss without groups", "get", "add", "get", "cas")

	Grouped, grouped := decorators.Cached(numbering(), decorators.Key("cost.groups"), decorators.Group(groupNames(3)...))
	call(Grouped, "a", "a1")
	want("a miss with three new groups", "get", "add", "add", "add", "add", "get", "cas")
	call(Grouped, "b", "b1")
	want("a miss with three groups", "get", "add", "get", "cas")
	invalidateGroup(t, "default", "group-1")
	want("InvalidateGroup", "set")
	call(Grouped, "a", "a2")
	want("a miss on a dead entry", "get", "cas", "get", "cas")
	call(grouped.ForceRecalc, "a", "a3")
	want("ForceRecalc", "get", "cas", "get", "cas")
	if err := plain.Invalidate(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	want("Invalidate", "delete")

	Brief, brief := decorators.Cached(numbering(), decorators.Key("cost.stale"), decorators.Group("group-1"), decorators.Timeout(time.Millisecond))
	call(Brief, "a", "a1")
	want("a miss with a group and stale values", "get", "add", "get", "cas")
	time.Sleep(3 * time.Millisecond)
	call(Brief, "a", "a1")
	eventually(t, "the refresh", func() bool { return brief.Stats().Stores == 2 })
	want("a refresh", "get", "cas", "get", "cas")
}

func TestStale(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		const callers = 20
		g := newGate()
		F, h := decorators.Cached(g.wait, decorators.Key("stale"), decorators.Group("g"),
			decorators.Timeout(20*time.Millisecond), decorators.Stale(time.Hour))
		call := func() (int, error) { return F(context.Background()) }
		if err := h.Set([]any{context.Background()}, -1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Millisecond)
		var all []<-chan answer
		for range callers {
			all = append(all, ask(call))
		}
		for _, c := range all {
			if a := within(t, "a caller", c); a.run != -1 || a.err != nil {
				t.Errorf("a caller got %+v, want the old value", a)
			}
		}
		within(t, "the refresh", g.started)
		got(t, "RequireCache", -1)(h.RequireCache(context.Background()))
		if s := h.Stats(); s.Stale != callers || s.Misses != 0 || s.Computations != 1 {
			t.Errorf("got %d stale, %d misses and %d computations, want %d, 0 and 1", s.Stale, s.Misses, s.Computations, callers)
		}
		close(g.release)
		eventually(t, "the new value is stored", func() bool { return h.Stats().Stores == 1 })
		if n := g.runs.Load(); n != 1 {
			t.Errorf("%d computations, want 1", n)
		}
	})
}

func TestStale_FailingRefresh(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		ctx := context.Background()
		var fails atomic.Value
		fails.Store("error")
		var runs atomic.Int64
		F, h := decorators.Cached(func(context.Context) (int64, error) {
			n := runs.Add(1)
			switch fails.Load() {
			case "error":
				return 0, errors.New("broken")
			case "panic":
				panic("broken")
			}
			return n, nil
		}, decorators.Key("stale.fails"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
		if err := h.Set([]any{ctx}, int64(-1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Millisecond)
		start := time.Now()
		for range 50 {
			got(t, "the refresh fails", int64(-1))(F(ctx))
		}
		eventually(t, "the refresh", func() bool { return runs.Load() > 0 })
		for range 50 {
			got(t, "the refresh has failed", int64(-1))(F(ctx))
		}
		if n := runs.Load(); n != 1 && time.Since(start) < time.Second {
			t.Errorf("%d computations within the first second, want 1", n)
		}
		fails.Store("panic")
		eventually(t, "the next try, which panics", func() bool {
			got(t, "meanwhile", int64(-1))(F(ctx))
			return runs.Load() == 2
		})
		if d := time.Since(start); d < time.Second-2*time.Millisecond {
			t.Errorf("the second try was after %v, want a second", d)
		}
		start = time.Now()
		n := runs.Load()
		for range 50 {
			got(t, "after the panic", int64(-1))(F(ctx))
		}
		if runs.Load() != n && time.Since(start) < time.Second {
			t.Error("no back-off after a panic")
		}
		fails.Store("")
		if err := h.Invalidate(ctx); err != nil { // which ends the waiting, too
			t.Fatal(err)
		}
		got(t, "after an invalidation", runs.Load()+1)(F(ctx))
	})
}

// A refresh goes on when the caller who has started it has left.
func TestStale_ContextEnds(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		g := newGate()
		F, h := decorators.Cached(g.wait, decorators.Key("stale.context"), decorators.Timeout(time.Minute), decorators.Stale(time.Hour))
		H, brief := decorators.Cached(g.wait, decorators.Key("stale.context"), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
		if err := brief.Set([]any{context.Background()}, -1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		if a := within(t, "the first caller", ask(func() (int, error) { return F(ctx) })); a.run != -1 || a.err != nil {
			t.Errorf("the first caller got %+v, want the old value", a)
		}
		within(t, "the refresh", g.started)
		cancel()
		close(g.release)
		eventually(t, "the new value is stored", func() bool { return h.Stats().Stores == 1 })
		for _, call := range []func(context.Context) (int, error){F, H} {
			got(t, "the next caller", 1)(call(context.Background()))
		}
		if n := g.runs.Load(); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
	})
}

// A refresh whose result is not stored drops the old one: it was the function's answer.
func TestStale_NilAndUnless(t *testing.T) {
	eachGrouping(t, func(t *testing.T) {
		ctx := context.Background()
		for name, test := range map[string]struct {
			options []decorators.Option
			stored  bool
		}{
			"nil":      {nil, false},
			"CacheNil": {[]decorators.Option{decorators.CacheNil()}, true},
			"Unless":   {[]decorators.Option{decorators.CacheNil(), decorators.Unless(func(l []int) bool { return l == nil })}, false},
		} {
			var runs atomic.Int64
			options := append(test.options, decorators.Key("stale."+name), decorators.Stale(time.Hour), decorators.Timeout(40*time.Millisecond))
			F, h := decorators.Cached(func(context.Context) ([]int, error) { runs.Add(1); return nil, nil }, options...)
			if err := h.Set([]any{ctx}, []int{1}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the value is stale, and its refresh has ended", func() bool {
				if runs.Load() > 0 {
					list, err := h.RequireCache(ctx)
					return err != nil || list == nil
				}
				if _, err := F(ctx); err != nil {
					t.Fatal(err)
				}
				return false
			})
			_, err := h.RequireCache(ctx)
			if stored := err == nil; stored != test.stored || !stored && !errors.Is(err, cacheutils.ErrNoCachedValue) {
				t.Errorf("%s: RequireCache: got %v, want stored: %v", name, err, test.stored)
			}
			if n := runs.Load(); n != 1 {
				t.Errorf("%s: %d runs, want 1", name, n)
			}
		}
	})
}

// The backend says how long results are served past their timeout, unless the function does.
func TestStale_OfTheBackend(t *testing.T) {
	server := memcachedtest.Start(t)
	use := func(s backends.Settings) backends.Settings {
		s.Location = []string{server.Addr()}
		return s
	}
	cachetest.Configure(t, backends.Config{
		"group": use(backends.Settings{Backend: "group", KeyPrefix: "a"}),
		"off":   use(backends.Settings{Backend: "group", KeyPrefix: "b", Options: map[string]any{"stale": 0}}),
		"plain": use(backends.Settings{Backend: "memcached", KeyPrefix: "c"}),
		"on":    use(backends.Settings{Backend: "memcached", KeyPrefix: "d", Options: map[string]any{"stale": "1h"}}),
	})
	ctx := context.Background()
	broken := errors.New("broken")
	var checks []func()
	for _, test := range []struct {
		backend string
		options []decorators.Option
		serves  bool
	}{
		{"group", nil, true},
		{"group", []decorators.Option{decorators.Stale(0)}, false},
		{"group", []decorators.Option{decorators.Stale(-1)}, false},
		{"off", nil, false},
		{"plain", nil, false},
		{"plain", []decorators.Option{decorators.Stale(time.Hour)}, true},
		{"on", nil, true},
		{"on", []decorators.Option{decorators.Stale(0)}, false},
	} {
		// A function that fails tells: the old value comes back, or the error.
		name := fmt.Sprintf("case-%d-on-%s", len(checks), test.backend)
		F, h := decorators.Cached(func(context.Context) (int, error) { return 0, broken },
			append(test.options, decorators.Key("stale."+name), decorators.Backend(test.backend), decorators.Timeout(time.Second))...)
		if err := h.Set([]any{ctx}, 1); err != nil {
			t.Fatal(err)
		}
		checks = append(checks, func() {
			eventually(t, name+": the function runs", func() bool {
				_, err := F(ctx)
				return h.Stats().Computations > 0 || err != nil
			})
			if _, err := F(ctx); (err == nil) != test.serves || err != nil && !errors.Is(err, broken) {
				t.Errorf("%s: got error %v, want the old value: %v", name, err, test.serves)
			}
		})
	}
	for _, check := range checks {
		check()
	}
}
