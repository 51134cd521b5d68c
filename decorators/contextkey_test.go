package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// Without ContextKey bob gets what was made for alice, and a line says so. With it each gets their own, on all engines,
// by all ways to decorate, and by what is found in memory without the key's text.
func TestContextKey_EachCallerGetsTheirOwn(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		lines := watchContextReads(t)
		profile := func(ctx context.Context, id int) (string, error) { return fmt.Sprint(userOf(ctx), "'s ", id), nil }

		shared, _ := decorators.Cached1(profile, decorators.Key("shared"))
		got(t, "alice's call", "alice's 7")(shared(as("alice"), 7))
		got(t, "bob's call", "alice's 7")(shared(as("bob"), 7))
		lines.want(t, "shared reads context value decorators_test.userKey, which is in no key")

		byUser := decorators.ContextKey(userOf)
		cached, _ := decorators.Cached(profile, decorators.Key("Cached"), byUser)
		cached0, _ := decorators.Cached0(func(ctx context.Context) (string, error) { return profile(ctx, 7) }, byUser)
		cached1, _ := decorators.Cached1(profile, decorators.Key("Cached1"), byUser)
		cached2, _ := decorators.Cached2(func(ctx context.Context, id int, _ string) (string, error) { return profile(ctx, id) }, byUser)
		cached3, _ := decorators.Cached3(func(ctx context.Context, id int, _, _ string) (string, error) { return profile(ctx, id) }, byUser)
		many, _ := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]string, error) {
			found := make(map[int]string)
			for _, id := range ids {
				found[id], _ = profile(ctx, id)
			}
			return found, nil
		}, byUser)
		noError, _ := decorators.Cached(func(ctx context.Context, ids ...int) string {
			p, _ := profile(ctx, ids[0])
			return p
		}, byUser)
		for name, call := range map[string]func(context.Context) (string, error){
			"Cached":  func(ctx context.Context) (string, error) { return cached(ctx, 7) },
			"Cached0": cached0,
			"Cached1": func(ctx context.Context) (string, error) { return cached1(ctx, 7) },
			"Cached2": func(ctx context.Context) (string, error) { return cached2(ctx, 7, "it") },
			"Cached3": func(ctx context.Context) (string, error) { return cached3(ctx, 7, "it", "x") },
			"CachedMany": func(ctx context.Context) (string, error) {
				found, err := many(ctx, []int{7, 8})
				return found[7], err
			},
			"Cached without an error": func(ctx context.Context) (string, error) { return noError(ctx, 7), nil },
		} {
			for range 300 { // more than it takes to be in the hot table
				got(t, name, "alice's 7")(call(as("alice")))
				got(t, name, "bob's 7")(call(withEnd(t, as("bob"))))
				got(t, name, "'s 7")(call(context.Background()))
			}
		}
		lines.want(t)
	})
}

// At the same time, too: the flights of two callers are two.
func TestContextKey_ComputesForEachCaller(t *testing.T) {
	cachetest.Locmem(t)
	both := make(chan string, 2)
	release := make(chan struct{})
	profile, h := decorators.Cached1(func(ctx context.Context, id int) (string, error) {
		both <- userOf(ctx)
		<-release
		return userOf(ctx), nil
	}, decorators.ContextKey(userOf))
	results := make(chan [2]string, 4)
	for range 2 {
		for _, user := range []string{"alice", "bob"} {
			go func() {
				p, _ := profile(as(user), 1)
				results <- [2]string{user, p}
			}()
		}
	}
	if a, b := within(t, "a computation", both), within(t, "the other one", both); a == b {
		t.Errorf("two computations for %s", a)
	}
	close(release)
	for range 4 {
		if r := within(t, "a result", results); r[0] != r[1] {
			t.Errorf("%s has got %s's", r[0], r[1])
		}
	}
	if n := h.Stats().Computations; n != 2 {
		t.Errorf("%d computations", n)
	}
}

// A refresh is of its caller's results, and stored for those.
func TestContextKey_ARefreshIsForItsCaller(t *testing.T) {
	cachetest.Locmem(t)
	profile, h := decorators.Cached1(func(ctx context.Context, id int) (string, error) { return userOf(ctx), nil },
		decorators.ContextKey(userOf), decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
	eventually(t, "refreshes", func() bool {
		got(t, "alice", "alice")(profile(as("alice"), 1))
		got(t, "bob", "bob")(profile(as("bob"), 1))
		return h.Stats().Stale > 20 && h.Stats().Computations > 10
	})
}

// What a session in the context says when its caller has left may be of another user: then the result is for nobody.
func TestContextKey_OfASessionThatChangesLater(t *testing.T) {
	cachetest.Locmem(t)
	type session struct{ user atomic.Value }
	userOf := func(ctx context.Context) string { return ctx.Value(userKey{}).(*session).user.Load().(string) }
	load := func(started chan<- struct{}, changed <-chan struct{}) func(context.Context, int) (string, error) {
		return func(ctx context.Context, n int) (string, error) {
			if n == 1 {
				started <- struct{}{}
				<-changed
			}
			return userOf(ctx), nil
		}
	}
	for name, c := range map[string]struct {
		decorate func(f func(context.Context, int) (string, error), options ...decorators.Option) func(context.Context, int) (string, error)
		option   decorators.Option
	}{
		"ContextKey": {cached1, decorators.ContextKey(userOf)},
		"KeyOf":      {cached1, decorators.KeyOf(func(ctx context.Context, n int) (string, int) { return userOf(ctx), n })},
		"CachedMany": {cachedOne, decorators.ContextKey(userOf)},
	} {
		for _, changes := range []bool{true, false} {
			t.Run(fmt.Sprint(name, "/", changes), func(t *testing.T) {
				started, changed := make(chan struct{}, 2), make(chan struct{})
				f := c.decorate(load(started, changed), c.option, decorators.Linger(time.Hour), decorators.Key(t.Name()))
				s := new(session)
				s.user.Store("alice")
				ctx, cancel := context.WithCancel(context.WithValue(context.Background(), userKey{}, s))
				left := make(chan error)
				go func() {
					_, err := f(ctx, 1)
					left <- err
				}()
				within(t, "the computation", started)
				cancel()
				if err := within(t, "the caller", left); !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				if changes {
					s.user.Store("bob")
				}
				close(changed)
				other := new(session)
				other.user.Store("alice")
				got(t, "alice's call", "alice")(f(context.WithValue(context.Background(), userKey{}, other), 1))
				if again := len(started) > 0; again != changes {
					t.Errorf("computed again: %t", again)
				}
			})
		}
	}
}

func cached1(f func(context.Context, int) (string, error), options ...decorators.Option) func(context.Context, int) (string, error) {
	call, _ := decorators.Cached1(f, options...)
	return call
}

// cachedOne is cached1 by CachedMany.
func cachedOne(f func(context.Context, int) (string, error), options ...decorators.Option) func(context.Context, int) (string, error) {
	call, _ := decorators.CachedMany(func(ctx context.Context, ns []int) (map[int]string, error) {
		found, err := f(ctx, ns[0])
		return map[int]string{ns[0]: found}, err
	}, options...)
	return func(ctx context.Context, n int) (string, error) {
		found, err := call(ctx, []int{n})
		return found[n], err
	}
}

// An own is a context of a type of its own.
type own struct {
	context.Context
	user string
}

type visitor struct{ Name string }

func (visitor) Visits(ctx context.Context, n int) int { return 0 }

func TestContextKey_Text(t *testing.T) {
	cachetest.Locmem(t)
	ctx := as("alice")
	one := func(ctx context.Context, a string) (string, error) { return "", nil }
	user := decorators.ContextKey(userOf)
	for i, c := range []struct {
		name string
		fn   any
		opts []decorators.Option
		args []any
		want string
	}{
		{"an argument", one, []decorators.Option{user}, []any{ctx, "a"}, "[cached]f(('a',)@('alice',))"},
		{"no argument", func(ctx context.Context) int { return 0 }, []decorators.Option{user}, []any{ctx}, "[cached]f(@('alice',))"},
		{"no variadic argument", func(ctx context.Context, a ...int) int { return 0 }, []decorators.Option{user}, []any{ctx}, "[cached]f(@('alice',))"},
		{"no context", one, []decorators.Option{user}, []any{nil, "a"}, "[cached]f(('a',)@('',))"},
		{"keyword arguments", func(ctx context.Context, a int, k cachekey.Kwargs) int { return 0 }, []decorators.Option{user},
			[]any{ctx, 2, cachekey.Kwargs{"b": 1}}, "[cached]f((2,){'b':1}@('alice',))"},
		{"keyword arguments alone", func(ctx context.Context, k cachekey.Kwargs) int { return 0 }, []decorators.Option{user},
			[]any{ctx, cachekey.Kwargs{"b": 1}}, "[cached]f({'b':1}@('alice',))"},
		{"KeyOf", one, []decorators.Option{user, decorators.KeyOf(func(ctx context.Context, a string) (int, int) { return 1, 2 })}, []any{ctx, "a"}, "[cached]f((1,2)@('alice',))"},
		{"KeyOf with nothing", one, []decorators.Option{user, decorators.KeyOf(func(ctx context.Context, a string) cachekey.Tuple { return nil })}, []any{ctx, "a"}, "[cached]f(@('alice',))"},
		{"several results", one, []decorators.Option{decorators.ContextKey(func(ctx context.Context) (string, int) { return userOf(ctx), 3 })}, []any{ctx, "a"}, "[cached]f(('a',)@('alice',3))"},
		{"a tuple", one, []decorators.Option{decorators.ContextKey(func(ctx context.Context) cachekey.Tuple { return cachekey.Tuple{userOf(ctx), nil} })}, []any{ctx, "a"}, "[cached]f(('a',)@('alice',None))"},
		{"an empty tuple", one, []decorators.Option{decorators.ContextKey(func(ctx context.Context) cachekey.Tuple { return nil })}, []any{ctx, "a"}, "[cached]f(('a',)@())"},
		{"a struct", one, []decorators.Option{decorators.ContextKey(func(ctx context.Context) *visitor { return &visitor{userOf(ctx)} })}, []any{ctx, "a"}, "[cached]f(('a',)@(visitor{Name='alice'},))"},
		{"fields of a struct", one, []decorators.Option{decorators.ObjectAttrs(own{}, "user"), decorators.ContextKey(func(ctx context.Context) own { return own{ctx, userOf(ctx)} })},
			[]any{ctx, "a"}, "[cached]f(('a',)@(own{user='alice'},))"},
		{"any context", one, []decorators.Option{decorators.ContextKey(func(ctx interface{ Value(any) any }) any { return ctx.Value(userKey{}) })}, []any{ctx, "a"}, "[cached]f(('a',)@('alice',))"},
		{"a context of its own type", func(ctx *own, a string) int { return 0 }, []decorators.Option{user}, []any{&own{Context: ctx}, "a"}, "[cached]f(('a',)@('alice',))"},
		{"a context of its own type, taken as such", func(ctx *own, a string) int { return 0 }, []decorators.Option{decorators.ContextKey(func(ctx *own) string { return ctx.user })},
			[]any{&own{ctx, "bob"}, "a"}, "[cached]f(('a',)@('bob',))"},
		{"no context of its own type", func(ctx *own, a string) int { return 0 }, []decorators.Option{user}, []any{nil, "a"}, "[cached]f(('a',)@('',))"},
		{"a receiver", visitor.Visits, []decorators.Option{user, decorators.WithReceiver()}, []any{visitor{"carol"}, ctx, 1}, "[cached]f((visitor{Name='carol'},1)@('alice',))"},
		{"an instance", one, []decorators.Option{user, decorators.Instance("eu")}, []any{ctx, "a"}, "[cached]f['eu'](('a',)@('alice',))"},
		{"quotes", one, []decorators.Option{decorators.ContextKey(func(context.Context) string { return "' @)\n" })}, []any{ctx, "a"}, `[cached]f(('a',)@("'\x20@)\n",))`},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := fmt.Sprint("f", i) // the types of the results differ
			_, h := decorators.Cached(c.fn, append(c.opts, decorators.Key(name))...)
			if diff := cmp.Diff(strings.Replace(c.want, "]f", "]"+name, 1), key(t, h, c.args...)); diff != "" {
				t.Error(diff)
			}
		})
	}

	t.Run("hashed", func(t *testing.T) {
		_, h := decorators.Cached(one, user, decorators.Key("hashed"), decorators.Hashed())
		alice, bob := key(t, h, as("alice"), "a"), key(t, h, as("bob"), "a")
		if alice == bob || len(alice) != 64 {
			t.Error(alice, bob)
		}
	})
	t.Run("long", func(t *testing.T) {
		_, h := decorators.Cached(one, user, decorators.Key("long"))
		long := strings.Repeat("x", 1000)
		alice, bob := key(t, h, as("alice"), long), key(t, h, as("bob"), long)
		if alice == bob || len(alice) > 250 {
			t.Error(alice, bob)
		}
	})
}

// No argument, name or value of a context looks like another one with its part of the key.
func TestContextKey_IsExact(t *testing.T) {
	cachetest.Locmem(t)
	texts := []string{"", "a", "'", `\`, ")", "@", ")@(", "',)@('", "a',)@('b", `a",)@("b`, "('a',)@('b',)", "')", "(", "\x00", "{'a':1}", "None", "@()", "a@"}
	seen := make(map[string]string)
	note := func(what, key string) {
		if other, ok := seen[key]; ok {
			t.Errorf("%s is the key of %s and of %s", key, what, other)
		}
		seen[key] = what
	}
	for _, name := range []string{"f", "f(('a',)@", "f(@", "f@", "f(('a',)", "f(('a',)@('b',))"} {
		_, with := decorators.Cached(func(ctx context.Context, a ...string) int { return 0 }, decorators.Key(name), decorators.ContextKey(userOf))
		_, without := decorators.Cached(func(ctx context.Context, a ...string) int { return 0 }, decorators.Key(name))
		for _, a := range texts {
			note(fmt.Sprintf("%q of %q", name, a), key(t, without, context.Background(), a))
			note(fmt.Sprintf("%q of nothing under %q", name, a), key(t, with, as(a)))
			for _, b := range texts {
				note(fmt.Sprintf("%q of %q under %q", name, a, b), key(t, with, as(b), a))
				note(fmt.Sprintf("%q of %q and %q", name, a, b), key(t, without, context.Background(), a, b))
			}
		}
	}
}

func TestContextKey_TheHandleUsesTheContextThatItIsGiven(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		one := func(ctx context.Context, id int) (string, error) { return userOf(ctx), nil }
		byUser := decorators.ContextKey(userOf)
		f, h := decorators.Cached(one, decorators.Key("f"), byUser)
		f1, h1 := decorators.Cached1(one, decorators.Key("f1"), byUser)
		many, hm := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]string, error) {
			return map[int]string{1: userOf(ctx)}, nil
		}, decorators.Key("fm"), byUser)
		fm := func(ctx context.Context, id int) (string, error) {
			found, err := many(ctx, []int{id})
			return found[id], err
		}
		for name, c := range map[string]struct {
			call, force, required func(context.Context, int) (string, error)
			set                   func(context.Context, string) error
			invalidate            func(context.Context) error
		}{
			"Cached": {f, h.ForceRecalc, h.RequireCache,
				func(ctx context.Context, r string) error { return h.Set([]any{ctx, 1}, r) },
				func(ctx context.Context) error { return h.Invalidate(ctx, 1) }},
			"Cached1": {f1, h1.ForceRecalc, h1.RequireCache,
				func(ctx context.Context, r string) error { return h1.Set(ctx, 1, r) },
				func(ctx context.Context) error { return h1.Invalidate(ctx, 1) }},
			"CachedMany": {fm,
				func(ctx context.Context, id int) (string, error) {
					found, err := hm.ForceRecalc(ctx, []int{id})
					return found[id], err
				},
				func(ctx context.Context, id int) (string, error) {
					found, err := hm.RequireCache(ctx, []int{id})
					return found[id], err
				},
				func(ctx context.Context, r string) error { return hm.Set(ctx, map[int]string{1: r}) },
				func(ctx context.Context) error { return hm.Invalidate(ctx, []int{1}) }},
		} {
			t.Run(name, func(t *testing.T) {
				alice, bob := as("alice"), as("bob")
				if err := errors.Join(c.set(alice, "set for alice"), c.set(bob, "set for bob")); err != nil {
					t.Fatal(err)
				}
				got(t, "alice's", "set for alice")(c.call(alice, 1))
				got(t, "bob's, required", "set for bob")(c.required(bob, 1))
				if err := c.invalidate(alice); err != nil {
					t.Fatal(err)
				}
				if _, err := c.required(alice, 1); !errors.Is(err, cacheutils.ErrNoCachedValue) {
					t.Errorf("alice's is there after it was invalidated: %v", err)
				}
				got(t, "bob's, while alice's is invalidated", "set for bob")(c.call(bob, 1))
				got(t, "bob's, forced", "bob")(c.force(bob, 1))
				got(t, "bob's, forced before", "bob")(c.required(bob, 1))
				got(t, "alice's, computed", "alice")(c.call(alice, 1))
			})
		}
		for name, keyOf := range map[string]func() (string, error){
			"Cached1":    func() (string, error) { return h1.CacheKey(1) },
			"CachedMany": func() (string, error) { return hm.CacheKey(1) },
		} {
			if k, err := keyOf(); k != "" || !errors.Is(err, cacheutils.ErrArguments) || !strings.Contains(err.Error(), "depends on a context") {
				t.Errorf("%s: the key without a context is %q, %v", name, k, err)
			}
		}
	})
}

// A group has the results of all callers.
func TestContextKey_GroupsAreOfAllCallers(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		f, h := decorators.Cached1(func(ctx context.Context, id int) (string, error) { return userOf(ctx), nil },
			decorators.ContextKey(userOf), decorators.Group("g"), decorators.GroupsOf(func(ctx context.Context, id int) []string { return []string{"of " + userOf(ctx)} }))
		call := func() {
			for range 3 {
				got(t, "alice", "alice")(f(as("alice"), 1))
				got(t, "bob", "bob")(f(as("bob"), 1))
			}
		}
		call()
		for group, runs := range map[string]uint64{"g": 2, "of alice": 1} {
			before := h.Stats().Computations
			if err := cache.InvalidateGroup(context.Background(), group); err != nil {
				t.Fatal(err)
			}
			if call(); h.Stats().Computations != before+runs {
				t.Errorf("%d computations after the group %q was invalidated, want %d", h.Stats().Computations-before, group, runs)
			}
		}
	})
}

// A call of CachedMany asks the function of ContextKey once, and its entries are those of Cached1.
func TestContextKey_OfSeveralKeys(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		asked := 0
		many, _ := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]string, error) {
			return map[int]string{1: userOf(ctx), 2: userOf(ctx)}, nil
		}, decorators.Key("both"), decorators.ContextKey(func(ctx context.Context) string { asked++; return "of " + userOf(ctx) }))
		one, h := decorators.Cached1(func(ctx context.Context, id int) (string, error) { return "", nil },
			decorators.Key("both"), decorators.ContextKey(func(ctx context.Context) string { return "of " + userOf(ctx) }))
		want := map[int]string{1: "alice", 2: "alice"}
		got(t, "a miss", want)(many(as("alice"), []int{1, 2, 3}))
		asked = 0
		got(t, "a hit", want)(many(as("alice"), []int{1, 2}))
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		got(t, "one of them", "alice")(one(as("alice"), 2))
		if n := h.Stats().Computations; n != 0 {
			t.Errorf("%d computations", n)
		}
	})
}

// A panic of the function of ContextKey reaches the caller, as one of KeyOf's does.
func TestContextKey_Panics(t *testing.T) {
	cachetest.Locmem(t)
	fails := func(ctx context.Context) string { panic("no user") }
	f, _ := decorators.Cached1(func(ctx context.Context, id int) (string, error) { return "", nil }, decorators.ContextKey(fails))
	g, _ := decorators.Cached1(func(ctx context.Context, id int) (string, error) { return "", nil },
		decorators.KeyOf(func(ctx context.Context, id int) string { return fails(ctx) }))
	want := panicText(func() { g(as("alice"), 1) })
	if got := panicText(func() { f(as("alice"), 1) }); got != want || got != "no user" {
		t.Errorf("panicked with %q, want %q", got, want)
	}
}

// A value that can't be in a key is found out at the call, which goes without the cache.
func TestContextKey_OfAValueThatCannotBeInAKey(t *testing.T) {
	cachetest.Locmem(t)
	f, h := decorators.Cached1(func(ctx context.Context, id int) (string, error) { return userOf(ctx), nil },
		decorators.ContextKey(func(ctx context.Context) any { return make(chan int) }))
	got(t, "alice", "alice")(f(as("alice"), 1))
	got(t, "bob", "bob")(f(as("bob"), 1))
	if err := h.Invalidate(as("bob"), 1); !errors.Is(err, cacheutils.ErrInvalidKey) {
		t.Errorf("error %v", err)
	}
}

func TestContextKey_RefusesWhatDoesNotFit(t *testing.T) {
	one := func(ctx context.Context, id int) (string, error) { return "", nil }
	var none func(context.Context) string
	for name, c := range map[string]struct {
		fn   any
		opts []decorators.Option
		want string
	}{
		"nil":                             {one, []decorators.Option{decorators.ContextKey(nil)}, "ContextKey takes a func(context.Context) that returns what of the context counts in the key, got nil"},
		"a nil func":                      {one, []decorators.Option{decorators.ContextKey(none)}, "got a nil func(context.Context) string"},
		"no func":                         {one, []decorators.Option{decorators.ContextKey(userKey{})}, "got a value of type decorators_test.userKey"},
		"no parameter":                    {one, []decorators.Option{decorators.ContextKey(func() string { return "" })}, "got func() string"},
		"two parameters":                  {one, []decorators.Option{decorators.ContextKey(func(context.Context, int) string { return "" })}, "got func(context.Context, int) string"},
		"many contexts":                   {one, []decorators.Option{decorators.ContextKey(func(...context.Context) string { return "" })}, "got func(...context.Context) string"},
		"another context":                 {one, []decorators.Option{decorators.ContextKey(func(*own) string { return "" })}, "got func(*decorators_test.own) string"},
		"no result":                       {one, []decorators.Option{decorators.ContextKey(func(context.Context) {})}, "got func(context.Context)"},
		"a result that can't be in a key": {one, []decorators.Option{decorators.ContextKey(func(context.Context) chan int { return nil })}, "returns the type chan int, which can't be in a key"},
		"a context as a result":           {one, []decorators.Option{decorators.ContextKey(func(ctx context.Context) (int, context.Context) { return 1, ctx })}, "returns the type context.Context, which can't be in a key"},
		"a function without one":          {func(id int) int { return id }, []decorators.Option{decorators.ContextKey(userOf)}, "ContextKey is for functions that take a context, and it takes (int); leave it out, or have it take a context.Context"},
		"two":                             {one, []decorators.Option{decorators.ContextKey(userOf), decorators.ContextKey(userOf)}, "ContextKey is given twice, and one would leave out what the other counts; give one whose function returns both"},
	} {
		t.Run(name, func(t *testing.T) { mustPanic(t, c.want, func() { decorators.Cached(c.fn, c.opts...) }) })
	}
}
