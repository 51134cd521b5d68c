package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/internal/test/workers"
)

// A program is deployed gradually: two versions of it, in which a result has different types, run side by side on one
// server. Each version is a process of its own, since a process knows one version of a type.

// A deployed says what a process has decorated.
type deployed struct {
	Addr, Backend string
	Result        string // of which type the results are, see deploy
	Group         string
	Lease         time.Duration
	Timeout       time.Duration
	Stale         time.Duration
}

// A versionOrder has a process do something.
type versionOrder struct {
	Do    string
	Truth int // what the function returns from now on
}

// A versionReport is what it did.
type versionReport struct {
	Got     int
	Err     string
	Runs    int // of the function, so far
	Faults  int
	Stores  int
	Refused int
	Stale   int
	Waits   int
}

// A versionHost is a process of one version.
type versionHost struct {
	mu    sync.Mutex
	truth int
	gate  chan struct{} // not nil: the function waits for it
	began chan struct{}
	ended chan versionReport

	call, force func(context.Context) (int, error)
	invalidate  func(context.Context) error
	require     func(context.Context) (int, error)
	stats       func() decorators.Stats
}

// compute is the function.
func (h *versionHost) compute() int {
	h.mu.Lock()
	truth, gate := h.truth, h.gate
	h.mu.Unlock()
	if gate != nil {
		select {
		case h.began <- struct{}{}:
		default:
		}
		<-gate
	}
	return truth
}

// namedByKey returns fn as a function that has no name but its Key. The types in that of fn itself, which is declared in a
// generic function, have one name in two versions of a program, but not in this one.
func namedByKey[F any](fn F) F {
	v := reflect.ValueOf(fn)
	return reflect.MakeFunc(v.Type(), v.Call).Interface().(F)
}

// deployOne makes the host's function one with results of type T.
func deployOne[T any](h *versionHost, from func(int) T, to func(T) int, opts []decorators.Option) {
	F, f := decorators.Cached1(namedByKey(func(ctx context.Context, _ string) (T, error) { return from(h.compute()), nil }), opts...)
	through := func(call func(context.Context, string) (T, error)) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			v, err := call(ctx, "a")
			if err != nil {
				return 0, err
			}
			return to(v), nil
		}
	}
	h.call, h.force, h.require = through(F), through(f.ForceRecalc), through(f.RequireCache)
	h.invalidate = func(ctx context.Context) error { return f.Invalidate(ctx, "a") }
	h.stats = f.Stats
}

// deployMany is deployOne with CachedMany.
func deployMany[T any](h *versionHost, from func(int) T, to func(T) int, opts []decorators.Option) {
	F, f := decorators.CachedMany(namedByKey(func(ctx context.Context, keys []string) (map[string]T, error) {
		return map[string]T{"a": from(h.compute())}, nil
	}), opts...)
	through := func(call func(context.Context, []string) (map[string]T, error)) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			got, err := call(ctx, []string{"a"})
			if err != nil {
				return 0, err
			}
			return to(got["a"]), nil
		}
	}
	h.call, h.force, h.require = through(F), through(f.ForceRecalc), through(f.RequireCache)
	h.invalidate = func(ctx context.Context) error { return f.Invalidate(ctx, []string{"a"}) }
	h.stats = f.Stats
}

// deployPlain is deployOne with cache.GetOrSet.
func deployPlain[T any](h *versionHost, from func(int) T, to func(T) int, d deployed) {
	opts := []cache.Option{cache.Timeout(d.Timeout)}
	if d.Group != "" {
		opts = append(opts, cache.Group(d.Group))
	}
	runs := 0
	h.call = func(ctx context.Context) (int, error) {
		v, err := cache.GetOrSet(ctx, "versions", func(context.Context) (T, error) {
			runs++
			return from(h.compute()), nil
		}, opts...)
		if err != nil {
			return 0, err
		}
		return to(v), nil
	}
	h.force = func(ctx context.Context) (int, error) {
		truth := h.compute()
		return truth, cache.Set(ctx, "versions", from(truth), opts...)
	}
	h.require = func(ctx context.Context) (int, error) {
		v, err := cache.Get[T](ctx, "versions", opts...)
		if err != nil {
			return 0, err
		}
		return to(v), nil
	}
	h.invalidate = func(ctx context.Context) error {
		_, err := cache.Delete(ctx, "versions")
		return err
	}
	h.stats = func() decorators.Stats { return decorators.Stats{Computations: uint64(runs)} }
}

// deploy decorates as d says.
func (h *versionHost) deploy(d deployed) {
	opts := []decorators.Option{decorators.Key("versions"), decorators.Timeout(d.Timeout)}
	if d.Group != "" {
		opts = append(opts, decorators.Group(d.Group))
	}
	if d.Stale != 0 {
		opts = append(opts, decorators.Stale(d.Stale))
	}
	switch d.Result {
	case "struct 1":
		type city struct{ ID int }
		deployOne(h, func(n int) city { return city{n} }, func(c city) int { return c.ID }, opts)
	case "struct 2":
		type city struct {
			ID   int
			Name string
		}
		deployOne(h, func(n int) city { return city{n, "Rome"} }, func(c city) int { return c.ID }, opts)
	case "struct 3":
		type city struct{ ID int64 }
		deployOne(h, func(n int) city { return city{int64(n)} }, func(c city) int { return int(c.ID) }, opts)
	case "pointers 1":
		type city struct{ ID int }
		deployOne(h, func(n int) []*city { return []*city{{n}} }, func(c []*city) int { return c[0].ID }, opts)
	case "pointers 2":
		type city struct {
			ID    int
			Mayor *string
		}
		deployOne(h, func(n int) []*city { return []*city{{ID: n}} }, func(c []*city) int { return c[0].ID }, opts)
	case "any 1":
		type city struct{ ID int }
		deployOne(h, func(n int) any { return city{n} }, func(c any) int { return c.(city).ID }, opts)
	case "any 2":
		type city struct {
			ID   int
			Name string
		}
		deployOne(h, func(n int) any { return &city{n, "Rome"} }, func(c any) int { return c.(*city).ID }, opts)
	case "inside 1":
		type city struct{ ID int }
		deployOne(h, func(n int) map[string]any { return map[string]any{"c": []any{city{n}}} }, func(m map[string]any) int { return m["c"].([]any)[0].(city).ID }, opts)
	case "inside 2":
		type city struct {
			ID   int
			Tags []string
		}
		deployOne(h, func(n int) map[string]any { return map[string]any{"c": []any{city{ID: n}}} }, func(m map[string]any) int { return m["c"].([]any)[0].(city).ID }, opts)
	case "number":
		deployOne(h, func(n int) int { return n }, func(n int) int { return n }, opts)
	case "text":
		deployOne(h, func(n int) string { return fmt.Sprint(n) }, func(s string) (n int) { fmt.Sscan(s, &n); return n }, opts)
	case "many 1":
		type city struct{ ID int }
		deployMany(h, func(n int) city { return city{n} }, func(c city) int { return c.ID }, opts)
	case "many 2":
		type city struct {
			ID   int
			Name string
		}
		deployMany(h, func(n int) city { return city{n, "Rome"} }, func(c city) int { return c.ID }, opts)
	case "plain 1":
		type city struct{ ID int }
		deployPlain(h, func(n int) city { return city{n} }, func(c city) int { return c.ID }, d)
	case "plain 2":
		type city struct {
			ID   int
			Name string
		}
		deployPlain(h, func(n int) city { return city{n, "Rome"} }, func(c city) int { return c.ID }, d)
	case "large 1":
		type city struct{ Noise []byte }
		deployOne(h, func(n int) city { return city{noise(n)} }, func(c city) int { return int(c.Noise[0]) }, opts)
	case "large 2":
		type city struct {
			Noise []byte
			Name  string
		}
		deployOne(h, func(n int) city { return city{noise(n), "Rome"} }, func(c city) int { return int(c.Noise[0]) }, opts)
	default:
		panic("there is no version " + d.Result)
	}
}

// noise returns more than half of what memcached stores under a key, beginning with n, which doesn't compress.
func noise(n int) []byte {
	b := make([]byte, 600<<10)
	state := uint32(n) + 1
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}
	b[0] = byte(n)
	return b
}

func (h *versionHost) report(got int, err error) versionReport {
	s := h.stats()
	r := versionReport{
		Got: got, Runs: int(s.Computations), Faults: int(s.Errors), Stores: int(s.Stores), Refused: int(s.Refusals), Stale: int(s.Stale), Waits: int(s.Waits),
	}
	if err != nil {
		r.Err = err.Error()
	}
	return r
}

func (h *versionHost) do(ctx context.Context, o versionOrder) versionReport {
	if o.Truth != 0 {
		h.mu.Lock()
		h.truth = o.Truth
		h.mu.Unlock()
	}
	switch o.Do {
	case "call":
		return h.report(h.call(ctx))
	case "require":
		return h.report(h.require(ctx))
	case "force":
		return h.report(h.force(ctx))
	case "invalidate":
		return h.report(0, h.invalidate(ctx))
	case "invalidate group":
		return h.report(0, cache.InvalidateGroup(ctx, "cities"))
	case "begin", "begin force": // a call whose function waits
		h.mu.Lock()
		h.gate, h.began, h.ended = make(chan struct{}), make(chan struct{}, 1), make(chan versionReport, 1)
		h.mu.Unlock()
		call := h.call
		if o.Do == "begin force" {
			call = h.force
		}
		go func() { h.ended <- h.report(call(ctx)) }()
		select {
		case <-h.began:
			return h.report(0, nil)
		case <-ctx.Done():
			return h.report(0, ctx.Err())
		}
	case "end":
		h.mu.Lock()
		close(h.gate)
		h.gate = nil
		h.mu.Unlock()
		return <-h.ended
	default:
		return h.report(0, nil)
	}
}

func TestVersions_Worker(t *testing.T) {
	var d deployed
	if !workers.Job(&d) {
		t.Skip("this is for the processes that the other tests start")
	}
	options := map[string]any{"operation_timeout": 5 * time.Second}
	if d.Lease != 0 {
		options["lease"] = d.Lease
	}
	cachetest.Configure(t, backends.Config{"default": {Backend: d.Backend, Location: []string{d.Addr}, Options: options}})
	h := &versionHost{}
	h.deploy(d)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for {
		var o versionOrder
		if !workers.Next(&o) {
			return
		}
		workers.Reply(h.do(ctx, o))
	}
}

// A version is a process of one version of the program.
type version struct {
	*workers.Worker
	t *testing.T
}

// deployAll starts a process for each of the result types.
func deployAll(t *testing.T, d deployed, results ...string) []version {
	t.Helper()
	if d.Addr == "" {
		d.Addr = memcachedtest.Start(t).Addr()
	}
	if d.Backend == "" {
		d.Backend = "memcached"
	}
	if d.Timeout == 0 {
		d.Timeout = time.Hour
	}
	var all []version
	for _, result := range results {
		d.Result = result
		all = append(all, version{workers.Start(t, "^TestVersions_Worker$", d), t})
	}
	return all
}

func (v version) do(what string, truth int) versionReport {
	v.t.Helper()
	v.Send(versionOrder{what, truth})
	r, err := workers.Receive[versionReport](v.Worker)
	if err != nil {
		v.t.Fatal(err)
	}
	if r.Err != "" && what != "require" {
		v.t.Fatalf("%s: %s", what, r.Err)
	}
	return r
}

// wants has v do something that gives a result.
func (v version) wants(what string, truth, want int) versionReport {
	v.t.Helper()
	r := v.do(what, truth)
	if r.Got != want {
		v.t.Errorf("%s, where %d is true: got %d, want %d", what, truth, r.Got, want)
	}
	return r
}

var versionPairs = [][2]string{
	{"struct 1", "struct 2"}, {"pointers 1", "pointers 2"}, {"any 1", "any 2"}, {"inside 1", "inside 2"}, {"number", "text"}, {"many 1", "many 2"},
	{"any 1", "struct 2"}, {"struct 1", "many 2"}, {"plain 1", "plain 2"},
}

// Both versions have their value under the key: each computes once. An invalidation by either reaches both.
func TestVersions_SideBySide(t *testing.T) {
	for i, pair := range versionPairs {
		for _, group := range []string{"", "cities"} {
			t.Run(fmt.Sprintf("%s, %s/%s", pair[0], pair[1], group), func(t *testing.T) {
				all := deployAll(t, deployed{Backend: []string{"memcached", "group"}[i%2], Group: group}, pair[:]...)
				// Values behind interfaces are read by a process that has used their type.
				behind := pair[0][:3] == "any" || pair[0][:3] == "ins"
				truth := 0
				for round, invalidate := range []string{"", "invalidate", "invalidate", "invalidate group", "invalidate group", "force", "force"} {
					by, other := all[round%2], all[1-round%2]
					if invalidate == "invalidate group" && group == "" {
						continue
					}
					truth++
					extra := 0
					switch invalidate {
					case "":
					case "force":
						by.wants(invalidate, truth, truth)
						other.do("", truth)
						extra = 1 // the forced one is all that its version computes
					default:
						other.do("", truth)
						by.do(invalidate, truth)
					}
					before := all[0].do("", truth).Runs + all[1].do("", truth).Runs
					var runs, faults int
					for n := range 100 {
						r := all[n%2].wants("call", truth, truth)
						if n >= 98 {
							runs, faults = runs+r.Runs, faults+r.Faults
						}
					}
					if n := runs - before; n > 2-extra {
						t.Errorf("100 calls in turn after %q by %s are %d computations", invalidate, pair[round%2], n)
					}
					if faults != 0 && !behind {
						t.Errorf("%d faults", faults)
					}
					for _, v := range all {
						v.wants("require", truth, truth)
					}
				}
			})
		}
	}
}

// A version waits for no computation of the other, and none keeps the other's result out, whether the one begins first
// and ends last, or not, and though its lease is renewed meanwhile.
func TestVersions_Slow(t *testing.T) {
	for _, pair := range [][2]string{{"struct 1", "struct 2"}, {"many 1", "many 2"}, {"struct 2", "many 1"}} {
		for _, group := range []string{"", "cities"} {
			t.Run(fmt.Sprint(pair, group), func(t *testing.T) {
				all := deployAll(t, deployed{Group: group, Lease: 150 * time.Millisecond}, pair[:]...)
				a, b := all[0], all[1]
				a.do("begin", 1)
				for range 30 { // a's lease is renewed again and again
					b.wants("call", 2, 2)
					b.do("invalidate group", 2) // of which nothing is, without the group
					time.Sleep(10 * time.Millisecond)
				}
				b.wants("call", 2, 2)
				r := a.wants("end", 1, 1)
				if group == "" && (r.Stores != 1 || r.Refused != 0) {
					t.Errorf("the slow result was not stored: %+v", r)
				}
				if group != "" && r.Refused != 1 {
					t.Errorf("the slow result, which was invalidated, was stored: %+v", r)
				}
				b.wants("require", 0, 2)
				if group != "" {
					return
				}
				// Both at once.
				a.do("invalidate", 3)
				a.do("begin", 3)
				b.do("begin", 3)
				a.wants("end", 3, 3)
				b.wants("end", 3, 3)
				for _, v := range all {
					if r := v.wants("require", 0, 3); r.Refused != 0 || r.Waits != 0 {
						t.Errorf("one has kept the other: %+v", r)
					}
				}
				// An invalidation reaches the computations of both.
				a.do("invalidate", 4)
				a.do("begin", 4)
				b.do("begin", 4)
				b.do("invalidate", 5)
				a.wants("end", 4, 4)
				b.wants("end", 4, 4)
				a.wants("call", 5, 5)
				b.wants("call", 5, 5)
			})
		}
	}
}

// Each version refreshes its own value, and the other's stays.
func TestVersions_Refresh(t *testing.T) {
	for _, pair := range [][2]string{{"struct 1", "struct 2"}, {"any 1", "any 2"}} {
		for _, group := range []string{"", "cities"} {
			t.Run(fmt.Sprint(pair, group), func(t *testing.T) {
				all := deployAll(t, deployed{Group: group, Timeout: 50 * time.Millisecond, Stale: time.Hour}, pair[:]...)
				a, b := all[0], all[1]
				a.wants("call", 1, 1)
				b.wants("call", 1, 1)
				a.wants("call", 1, 1)
				eventually(t, "a's refresh", func() bool { return a.do("call", 2).Got == 2 })
				if r := b.do("require", 0); r.Got != 1 || r.Runs != 1 {
					t.Errorf("after a's refresh b has %+v, want its own 1", r)
				}
				eventually(t, "b's refresh", func() bool { return b.do("call", 3).Got == 3 })
				if r := a.do("require", 0); r.Got != 2 {
					t.Errorf("after b's refresh a has %+v, want its own 2", r)
				}
				// A refresh under way goes with what is invalidated.
				eventually(t, "a's value is stale", func() bool { return a.do("", 0).Stale > 0 || a.do("call", 2).Stale > 0 })
				b.do("invalidate", 4)
				a.wants("call", 4, 4)
				b.wants("call", 4, 4)
			})
		}
	}
}

// Once ForceRecalc has returned, the other version has nothing older either, from before or from a computation under way.
func TestVersions_ForceRecalc(t *testing.T) {
	for _, pair := range [][2]string{{"struct 1", "struct 2"}, {"any 1", "any 2"}, {"many 1", "many 2"}} {
		t.Run(fmt.Sprint(pair), func(t *testing.T) {
			all := deployAll(t, deployed{}, pair[:]...)
			a, b := all[0], all[1]
			for truth := 10; truth < 40; truth += 10 {
				a.do("invalidate", truth)
				b.do("begin", truth)
				a.wants("force", truth+1, truth+1)
				b.wants("end", truth, truth)
				a.wants("call", truth+1, truth+1)
				b.wants("call", truth+1, truth+1)
				a.wants("force", truth+2, truth+2)
				b.wants("call", truth+2, truth+2)
				// The other one begins and ends within it.
				a.do("begin force", truth+3)
				b.do("invalidate", truth+3)
				b.wants("call", truth+3, truth+3)
				a.wants("end", truth+4, truth+3)
				a, b = b, a
			}
		})
	}
}

// A third version takes the place of the one that was stored longer ago, and the other two go on.
func TestVersions_Three(t *testing.T) {
	all := deployAll(t, deployed{}, "struct 1", "struct 2", "struct 3")
	a, b, c := all[0], all[1], all[2]
	a.wants("call", 1, 1)
	b.wants("call", 1, 1)
	c.do("begin", 1)
	for _, v := range all[:2] {
		if r := v.wants("call", 1, 1); r.Runs != 1 {
			t.Errorf("while a third version computes: %+v, want a hit", r)
		}
	}
	c.wants("end", 1, 1)
	if r := b.wants("call", 1, 1); r.Runs != 1 {
		t.Errorf("the second version after the third: %+v, want a hit", r)
	}
	if r := a.wants("call", 1, 1); r.Runs != 2 {
		t.Errorf("the first version after the third: %+v, want a computation", r)
	}
	b.do("invalidate", 2)
	for _, v := range all {
		v.wants("call", 2, 2)
	}
}

// Where both values don't fit, one is stored.
func TestVersions_TooLarge(t *testing.T) {
	all := deployAll(t, deployed{}, "large 1", "large 2")
	a, b := all[0], all[1]
	for range 3 {
		for _, v := range all {
			v.wants("call", 1, 1)
		}
	}
	var runs int
	for range 10 {
		runs = b.wants("call", 1, 1).Runs
	}
	if r := b.wants("call", 1, 1); r.Runs != runs {
		t.Errorf("%d more computations by one version alone, want none", r.Runs-runs)
	}
	a.do("invalidate", 2)
	b.wants("call", 2, 2)
	a.wants("call", 2, 2)
}

// A process that has not used a type yet which is behind an interface computes once, and has no fault; then it and all
// others have it.
func TestVersions_NewProcess(t *testing.T) {
	d := deployed{Addr: memcachedtest.Start(t).Addr()}
	all := deployAll(t, d, "any 1", "any 2")
	for _, v := range all {
		v.wants("call", 1, 1)
	}
	more := deployAll(t, d, "any 1", "any 2", "any 2", "any 1")
	for n, v := range append(more, append(all, more...)...) {
		r := v.wants("call", 1, 1)
		if r.Runs > 1 || r.Faults != 0 {
			t.Errorf("call %d: %+v, want at most one computation and no fault", n, r)
		}
	}
}

// What somebody else has stored under the key, with a type that this process doesn't know, is no fault: it is a miss.
func TestVersions_NoFault(t *testing.T) {
	d := deployed{Addr: memcachedtest.Start(t).Addr()}
	v := deployAll(t, d, "struct 1")[0]
	v.wants("call", 1, 1)
	cachetest.Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{d.Addr}}})
	h := &versionHost{truth: 1}
	d.Result, d.Timeout = "struct 2", time.Hour
	h.deploy(d)
	ctx := context.Background()
	if _, err := h.require(ctx); !errors.Is(err, cacheutils.ErrNoCachedValue) || errors.Is(err, cacheutils.ErrUndecodable) {
		t.Errorf("RequireCache beside another version: %v, want no more than ErrNoCachedValue", err)
	}
	c, err := backends.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	key := "[cached]versions(('a',))"
	if had, err := c.Has(ctx, key); err != nil || !had {
		t.Errorf("Has beside another version: %v, %v", had, err)
	}
	var wrong struct{ None bool }
	if err := c.Get(ctx, key, &wrong); !errors.Is(err, cacheutils.ErrCacheMiss) || !errors.Is(err, cacheutils.ErrUndecodable) {
		t.Errorf("Get of another type: %v, want ErrCacheMiss and ErrUndecodable", err)
	}
	if n, err := h.call(ctx); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if s := h.stats(); s.Errors != 0 || s.Computations != 1 {
		t.Errorf("beside another version: %+v, want one computation without a fault", s)
	}
	var mine any
	if err := c.Get(ctx, key, &mine); err != nil || reflect.ValueOf(mine).NumField() != 2 {
		t.Errorf("Get of any gives %#v, %v, want the version of this process", mine, err)
	}
	// A new timeout is for both.
	s, storeKey, err := stored(backends.Default(), key)
	if err != nil {
		t.Fatal(err)
	}
	if had, err := s.Touch(ctx, storeKey, 30*time.Minute); !had || err != nil {
		t.Errorf("Touch: %v, %v", had, err)
	}
	if r := v.wants("call", 1, 1); r.Runs != 1 {
		t.Errorf("after Touch the other version has %+v, want a hit", r)
	}
	if had, err := s.Touch(ctx, storeKey, 0); !had || err != nil {
		t.Errorf("Touch: %v, %v", had, err)
	}
	v.wants("call", 2, 2)
}
