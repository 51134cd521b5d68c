package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/logging"
)

// contextReads are the warnings of context values that are in no key.
type contextReads struct {
	mu    sync.Mutex
	lines []string
}

func (*contextReads) Enabled(level logging.Level) bool { return level >= logging.LevelWarn }

func (c *contextReads) Log(_ logging.Level, e logging.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Action == logging.ActionNotice && strings.Contains(e.Text, "reads context value") {
		c.lines = append(c.lines, e.Text)
	}
}

func watchContextReads(t *testing.T) *contextReads {
	c := new(contextReads)
	logging.SetSink(c)
	t.Cleanup(func() { logging.SetSink(nil) })
	return c
}

// want wants one line for each text, which it contains, in any order, and forgets them.
func (c *contextReads) want(t *testing.T, texts ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.lines
	c.lines = nil
	if len(left) != len(texts) {
		t.Errorf("%d warnings, want %d of %q:\n%s", len(left), len(texts), texts, strings.Join(left, "\n"))
		return
	}
	for _, text := range texts {
		for i, line := range left {
			if strings.Contains(line, text) {
				left[i] = ""
				break
			}
			if i == len(left)-1 {
				t.Errorf("no warning has %q:\n%s", text, strings.Join(left, "\n"))
			}
		}
	}
}

type (
	userKey  struct{}
	numbered int
	lettered string
	nobody   struct{ any }
	account  struct{ name string }
	accounts interface{ Name() string }
)

func (a *account) Name() string { return a.name }

const (
	tenantNumber numbered = iota
	traceNumber
)

var pointerKey = &struct{ name string }{"pointer"}

func userOf(ctx context.Context) string {
	user, _ := ctx.Value(userKey{}).(string)
	return user
}

func as(user string) context.Context { return context.WithValue(context.Background(), userKey{}, user) }

func TestContextRead_IsWarnedOf(t *testing.T) {
	type localKey struct{ n int }
	for _, c := range []struct {
		name string
		key  any
		want string
	}{
		{"a struct{} key", userKey{}, "reads context value decorators_test.userKey, which is in no key: what one caller's value gives is served to others; " +
			"add ContextKey, or IgnoreContext[T] if the result does not depend on it (T is decorators_test.userKey, the type of the key, or *decorators_test.account, that of the value)"},
		{"a number", traceNumber, "reads context value decorators_test.numbered, which is in no key: what one caller's value gives is served to others; " +
			"add ContextKey, or IgnoreContext[T] if the result does not depend on it (T is decorators_test.numbered, the type of the key 1, or"},
		{"a text", lettered("tenant"), `(T is decorators_test.lettered, the type of the key "tenant", or`},
		{"a string", "user", `reads context value string, which is in no key: what one caller's value gives is served to others; add ContextKey, or IgnoreContext[T] if the result does not depend on it (T is string, the type of the key "user", or`},
		{"a long string with line ends", strings.Repeat("\n", 60), `the key "` + strings.Repeat(`\n`, 40) + `"..., or`},
		{"a pointer", pointerKey, "reads context value *struct { name string }, which"},
		{"a local type", localKey{1}, "reads context value decorators_test.localKey, which"},
		{"a pointer to an int, as package context's own is", new(int), "reads context value *int, which"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cachetest.Locmem(t)
			lines := watchContextReads(t)
			load, _ := decorators.Cached1(func(ctx context.Context, id int) (string, error) {
				_ = ctx.Value("nothing is there")
				return fmt.Sprint(ctx.Value(c.key)), nil
			}, decorators.Key("load "+c.name))
			ctx := context.WithValue(context.Background(), c.key, &account{"alice"})
			for id := range 3 {
				load(ctx, id)
				load(ctx, id)
			}
			lines.want(t, c.want)
		})
	}
}

// Each way to decorate a function, and to have it computed, is watched; with a context that can end and with one that can't.
func TestContextRead_IsWarnedOfHoweverItIsComputed(t *testing.T) {
	ends, cancel := context.WithCancel(as("alice"))
	defer cancel()
	ctxs := map[string]context.Context{"endless": as("alice"), "ends": ends}
	for name, call := range map[string]func(t *testing.T, ctx context.Context){
		"Cached": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached(func(ctx context.Context, n int) string { return userOf(ctx) })
			f(ctx, 1)
		},
		"Cached, the context last": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached(func(n int, ctx context.Context) string { return userOf(ctx) })
			f(1, ctx)
		},
		"Cached0": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached0(func(ctx context.Context) (string, error) { return userOf(ctx), nil })
			f(ctx)
		},
		"Cached1": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) { return userOf(ctx), nil })
			f(ctx, 1)
		},
		"Cached2": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached2(func(ctx context.Context, a, b int) (string, error) { return userOf(ctx), nil })
			f(ctx, 1, 2)
		},
		"Cached3": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached3(func(ctx context.Context, a, b, c int) (string, error) { return userOf(ctx), nil })
			f(ctx, 1, 2, 3)
		},
		"CachedMany": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]string, error) {
				return map[int]string{1: userOf(ctx)}, nil
			})
			f(ctx, []int{1, 2})
		},
		"ForceRecalc": func(t *testing.T, ctx context.Context) {
			_, h := decorators.Cached1(func(ctx context.Context, a int) (string, error) { return userOf(ctx), nil })
			h.ForceRecalc(ctx, 1)
		},
		"ForceRecalc of Cached": func(t *testing.T, ctx context.Context) {
			_, h := decorators.Cached(func(ctx context.Context, a int) string { return userOf(ctx) })
			h.ForceRecalc(ctx, 1)
		},
		"ForceRecalc of CachedMany": func(t *testing.T, ctx context.Context) {
			_, h := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]string, error) {
				return map[int]string{1: userOf(ctx)}, nil
			})
			h.ForceRecalc(ctx, []int{1, 2})
		},
		"a goroutine": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) {
				users := make(chan string)
				for range 8 {
					go func() { users <- userOf(ctx) }()
				}
				for range 7 {
					<-users
				}
				return <-users, nil
			})
			f(ctx, 1)
		},
		"a derived context": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) {
				ctx, cancel := context.WithTimeout(context.WithValue(ctx, lettered("mine"), 1), time.Hour)
				defer cancel()
				ctx.Value(lettered("mine"))
				return userOf(context.WithoutCancel(ctx)), nil
			})
			f(ctx, 1)
		},
		"an error": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) { return "", errors.New(userOf(ctx)) })
			f(ctx, 1)
		},
		"a panic": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) { panic(userOf(ctx)) })
			_ = panicText(func() { f(ctx, 1) })
		},
		"Goexit": func(t *testing.T, ctx context.Context) {
			f, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) {
				_ = userOf(ctx)
				runtime.Goexit()
				return "", nil
			})
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				f(ctx, 1)
			}()
			within(t, "Goexit", ended)
		},
		"a group and a set of its own": func(t *testing.T, ctx context.Context) {
			set, err := backends.New(backends.Config{"default": {Backend: "locmem"}})
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			f, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) { return userOf(ctx), nil },
				decorators.Group("g"), decorators.Jitter(0.1), decorators.Unless(func(string) bool { return false }))
			f(backends.With(ctx, set), 1)
			f(backends.With(ctx, set), 2)
		},
	} {
		for kind, ctx := range ctxs {
			t.Run(name+"/"+kind, func(t *testing.T) {
				cachetest.Each(t, func(t *testing.T) {
					lines := watchContextReads(t)
					call(t, ctx)
					lines.want(t, "reads context value decorators_test.userKey, which")
				})
			})
		}
	}
}

// A refresh in the background is a computation, too.
func TestContextRead_ByARefresh(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	var reads bool
	refreshed := make(chan struct{}, 1)
	f, h := decorators.Cached1(func(ctx context.Context, a int) (string, error) {
		if !reads {
			return "", nil
		}
		defer func() { refreshed <- struct{}{} }()
		return userOf(ctx), nil
	}, decorators.Timeout(time.Millisecond), decorators.Stale(time.Hour))
	f(as("alice"), 1)
	lines.want(t)
	reads = true
	eventually(t, "a stale value", func() bool { f(as("alice"), 1); return h.Stats().Stale > 0 })
	within(t, "the refresh", refreshed)
	eventually(t, "the warning", func() bool { lines.mu.Lock(); defer lines.mu.Unlock(); return len(lines.lines) > 0 })
	lines.want(t, "userKey")
}

// What doesn't matter to a result isn't warned of.
func TestContextRead_IsNotWarnedOf(t *testing.T) {
	cachetest.Locmem(t)
	set, err := backends.New(backends.Config{"default": {Backend: "locmem"}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	inner, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) { return "", nil }, decorators.Key("inner"))
	for name, c := range map[string]struct {
		ctx     context.Context
		read    func(ctx context.Context)
		options []decorators.Option
	}{
		"a value that is not there": {context.Background(), func(ctx context.Context) { ctx.Value(userKey{}); ctx.Value(nil); ctx.Value("x") }, nil},
		"a value that the function has put there": {context.Background(), func(ctx context.Context) {
			userOf(context.WithValue(ctx, userKey{}, "bob"))
		}, nil},
		"what package context asks for": {as("alice"), func(ctx context.Context) {
			ctx, cancel := context.WithCancelCause(ctx)
			context.AfterFunc(ctx, func() {})
			deadline, stop := context.WithDeadline(ctx, time.Now().Add(time.Hour))
			defer stop()
			cancel(nil)
			context.Cause(deadline)
		}, nil},
		"a set of backends, and calls of other functions": {backends.With(context.Background(), set), func(ctx context.Context) {
			inner(ctx, 1)
			inner(ctx, 1)
			cache.Set(ctx, 1, 1)
			cache.Get[int](ctx, 1)
		}, nil},
		"labels of a profile": {pprof.WithLabels(context.Background(), pprof.Labels("a", "b")), func(ctx context.Context) {
			pprof.Do(ctx, pprof.Labels("c", "d"), func(context.Context) {})
			pprof.Label(ctx, "a")
		}, nil},
		"loggers": {context.WithValue(context.WithValue(context.WithValue(context.Background(), lettered("a"), slog.Default()), lettered("b"), []slog.Attr{}), lettered("c"), logrus.NewEntry(logrus.New())),
			func(ctx context.Context) {
				ctx.Value(lettered("a"))
				ctx.Value(lettered("b"))
				ctx.Value(lettered("c"))
			}, nil},
		"an ignored key":                           {as("alice"), func(ctx context.Context) { userOf(ctx) }, []decorators.Option{decorators.IgnoreContext[numbered](), decorators.IgnoreContext[userKey]()}},
		"an ignored value":                         {as("alice"), func(ctx context.Context) { userOf(ctx) }, []decorators.Option{decorators.IgnoreContext[string]()}},
		"a value with the methods of an interface": {context.WithValue(context.Background(), numbered(1), &account{}), func(ctx context.Context) { ctx.Value(numbered(1)) }, []decorators.Option{decorators.IgnoreContext[accounts]()}},
		"a key with the methods of an interface":   {context.WithValue(context.Background(), &account{}, 1), func(ctx context.Context) { ctx.Value(&account{}) }, []decorators.Option{decorators.IgnoreContext[accounts]()}},
		"anything":                                 {as("alice"), func(ctx context.Context) { userOf(ctx) }, []decorators.Option{decorators.IgnoreContext[any]()}},
		"what ContextKey looks up":                 {as("alice"), func(ctx context.Context) { userOf(ctx) }, []decorators.Option{decorators.ContextKey(userOf)}},
		"what KeyOf looks up": {as("alice"), func(ctx context.Context) { userOf(ctx) }, []decorators.Option{
			decorators.KeyOf(func(ctx context.Context, n int) cachekey.Tuple { return cachekey.Tuple{userOf(ctx), n} })}},
	} {
		for _, ctx := range []context.Context{c.ctx, withEnd(t, c.ctx)} {
			t.Run(name, func(t *testing.T) {
				lines := watchContextReads(t)
				read := func(ctx context.Context, n int) (string, error) {
					c.read(ctx)
					return "", nil
				}
				options := append([]decorators.Option{decorators.Key(t.Name())}, c.options...)
				one, _ := decorators.Cached1(read, options...)
				one(ctx, 1)
				any, _ := decorators.Cached(read, append(options, decorators.Key(t.Name()+" Cached"))...)
				any(ctx, 1)
				many, _ := decorators.CachedMany(func(ctx context.Context, ns []int) (map[int]string, error) {
					c.read(ctx)
					return map[int]string{}, nil
				}, append(options, decorators.Key(t.Name()+" CachedMany"))...)
				many(ctx, []int{1, 2, 3})
				lines.want(t)
			})
		}
	}
}

func withEnd(t *testing.T, ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	return ctx
}

// Keys of one type, as the numbers of an iota are, may be those of what matters and of what doesn't: each is warned of, once, and of
// very many some.
func TestContextRead_OfSeveralKeysOfOneType(t *testing.T) {
	type pointed struct{ name string }
	trace, tenant := &pointed{"trace"}, &pointed{"tenant"}
	lines := watchContextReads(t)
	for i, c := range []struct {
		keys []any
		want []string
	}{
		{[]any{traceNumber, tenantNumber}, []string{"the type of the key 1, or", "the type of the key 0, or"}},
		{[]any{"trace", "user"}, []string{`the type of the key "trace", or`, `the type of the key "user", or`}},
		{[]any{trace, tenant}, []string{"*decorators_test.pointed, which", "*decorators_test.pointed, which"}},
		{[]any{numbered(0), numbered(1), numbered(2), numbered(3), numbered(4), numbered(5), userKey{}}, []string{"the key 0,", "the key 1,", "the key 2,", "the key 3,", "userKey"}},
	} {
		cachetest.Locmem(t)
		load, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) {
			for _, key := range c.keys {
				ctx.Value(key)
			}
			return "", nil
		}, decorators.Key(fmt.Sprintf("several %d", i)))
		ctx := context.Background()
		for _, key := range c.keys {
			ctx = context.WithValue(ctx, key, "there")
		}
		load(ctx, 1)
		load(ctx, 2)
		lines.want(t, c.want...)
	}
	cachetest.Locmem(t)
	load, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) {
		return fmt.Sprint(ctx.Value(traceNumber), ctx.Value(tenantNumber)), nil
	}, decorators.Key("several, ignored"), decorators.IgnoreContext[numbered]())
	load(context.WithValue(context.WithValue(context.Background(), traceNumber, 1), tenantNumber, 2), 1)
	lines.want(t)
}

// What a request's context has of its server may be why a result is what it is.
func TestContextRead_OfARequest(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	load, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) {
		return fmt.Sprint(ctx.Value(http.LocalAddrContextKey)), nil
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { load(r.Context(), 1) }))
	defer server.Close()
	if _, err := http.Get(server.URL); err != nil {
		t.Fatal(err)
	}
	lines.want(t, "reads context value *http.contextKey, which")
}

// Only what the function of ContextKey looks up itself is known, not all values under keys of that type.
func TestContextRead_OfAnotherKeyOfAKnownType(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	load, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) {
		return fmt.Sprint(ctx.Value(tenantNumber), ctx.Value(traceNumber)), nil
	}, decorators.ContextKey(func(ctx context.Context) string { return fmt.Sprint(ctx.Value(tenantNumber)) }))
	ctx := context.WithValue(context.WithValue(context.Background(), tenantNumber, "acme"), traceNumber, "7")
	load(ctx, 1)
	lines.want(t, "the type of the key 1, or")
}

// What KeyOf looks up for some arguments is known for those, also where computations for others run at the same time.
func TestContextRead_WhereKeyOfLooksUpWhatItNeeds(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	who := func(ctx context.Context) string {
		if user := userOf(ctx); user != "" {
			return user
		}
		return fmt.Sprint(ctx.Value(lettered("session")))
	}
	entered, release := make(chan struct{}), map[int]chan struct{}{1: make(chan struct{}), 2: make(chan struct{})}
	load, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) {
		user := who(ctx)
		entered <- struct{}{}
		<-release[n]
		return user, nil
	}, decorators.KeyOf(func(ctx context.Context, n int) (string, int) { return who(ctx), n }))
	done := make(chan struct{}, 2)
	call := func(ctx context.Context, n int) {
		load(ctx, n)
		done <- struct{}{}
	}
	go call(context.WithValue(context.Background(), lettered("session"), "s"), 1)
	within(t, "the first", entered)
	go call(as("alice"), 2)
	within(t, "the second", entered)
	close(release[2]) // for alice no session is looked up
	within(t, "the second", done)
	close(release[1])
	within(t, "the first", done)
	lines.want(t)
}

// A function within another one's computation is warned of what it reads, and so is the other, whose result depends on it:
// however it hands its context on, and whatever the inner one's key has.
func TestContextRead_OfAFunctionWithin(t *testing.T) {
	for name, hand := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"as it is": func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
		"derived": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Hour)
		},
		"with a value": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithValue(ctx, lettered("a"), 1), func() {}
		},
	} {
		for kind, ctx := range map[string]context.Context{"endless": as("alice"), "ends": withEnd(t, as("alice"))} {
			for _, keyed := range []bool{false, true} {
				t.Run(fmt.Sprint(name, "/", kind, "/", keyed), func(t *testing.T) {
					cachetest.Locmem(t)
					lines := watchContextReads(t)
					var options []decorators.Option
					want := []string{"innermost reads context value decorators_test.userKey", "outer reads context value decorators_test.userKey"}
					if keyed {
						options = append(options, decorators.ContextKey(userOf))
					} else {
						want = append(want, "middle reads context value decorators_test.userKey")
					}
					innermost, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) { return userOf(ctx), nil }, decorators.Key("innermost"))
					middle, _ := decorators.CachedMany(func(ctx context.Context, a []int) (map[int]string, error) {
						ctx, cancel := hand(ctx)
						defer cancel()
						user, err := innermost(ctx, 1)
						return map[int]string{1: user}, err
					}, append(options, decorators.Key("middle"))...)
					outer, _ := decorators.Cached(func(ctx context.Context, a int) string {
						ctx, cancel := hand(ctx)
						defer cancel()
						users, _ := middle(ctx, []int{1})
						return users[1]
					}, decorators.Key("outer"))
					outer(ctx, 1)
					lines.want(t, want...)
				})
			}
		}
	}
}

// What the outer function itself puts into the context of an inner one is the inner one's affair alone.
func TestContextRead_OfWhatTheOuterFunctionGives(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	inner, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) { return userOf(ctx), nil }, decorators.Key("inner"))
	outer, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) {
		return inner(context.WithValue(ctx, userKey{}, "bob"), a)
	}, decorators.Key("outer"))
	outer(as("alice"), 1)
	lines.want(t, "inner reads context value")
}

// Where the inner function is found in the cache its key alone says that the outer one's result depends on a value.
func TestContextRead_OfAHitWithin(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	inner, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) { return userOf(ctx), nil }, decorators.Key("inner"), decorators.ContextKey(userOf))
	outer, _ := decorators.Cached1(inner, decorators.Key("outer"))
	inner(as("alice"), 1)
	lines.want(t)
	outer(as("alice"), 1)
	lines.want(t, "outer[func(context.Context,int)(string,error)] reads context value")
}

// A function that calls itself is warned once, and its depth costs nothing.
func TestContextRead_OfAFunctionThatCallsItself(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	const depth = 2000
	var down, other func(context.Context, int) (string, error)
	down, _ = decorators.Cached1(func(ctx context.Context, n int) (string, error) {
		if n == 0 {
			return userOf(ctx), nil
		}
		return other(ctx, n-1)
	}, decorators.Key("down"))
	other, _ = decorators.Cached1(func(ctx context.Context, n int) (string, error) { return down(ctx, n) }, decorators.Key("other"))
	for _, ctx := range []context.Context{as("alice"), withEnd(t, as("alice"))} {
		if user, err := down(ctx, depth); user != "alice" || err != nil {
			t.Fatal(user, err)
		}
	}
	lines.want(t, "down reads context value", "other reads context value")
}

// A computation by cache.GetOrSet or without the cache hands on what it reads to the function that calls it.
func TestContextRead_WithoutADecoratedFunction(t *testing.T) {
	cachetest.Locmem(t)
	c, err := backends.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	lines := watchContextReads(t)
	get := func(ctx context.Context) (user string, err error) {
		err = c.GetOrSet(ctx, "key", &user, func(ctx context.Context) (any, error) { return userOf(ctx), nil })
		return user, err
	}
	if _, err := get(as("alice")); err != nil {
		t.Fatal(err)
	}
	lines.want(t)
	if _, err := c.Delete(context.Background(), "key"); err != nil {
		t.Fatal(err)
	}
	outer, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) { return get(ctx) }, decorators.Key("outer"))
	outer(as("alice"), 1)
	lines.want(t, "outer reads context value")

	missing, _ := decorators.Cached1(func(ctx context.Context, a int) (string, error) { return userOf(ctx), nil }, decorators.Backend("missing"))
	missing(as("alice"), 1)
	lines.want(t)
}

// What is read when the function has returned is no part of its result.
func TestContextRead_AfterTheFunctionHasReturned(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	var kept context.Context
	load, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) {
		kept = ctx
		if n < 0 {
			return userOf(ctx), nil
		}
		return "", nil
	})
	for n, caller := range []context.Context{as("alice"), withEnd(t, as("alice"))} {
		load(caller, n)
		var users sync.WaitGroup
		for range 8 {
			users.Go(func() {
				if userOf(kept) != "alice" {
					t.Error("alice is lost")
				}
			})
		}
		users.Wait()
	}
	lines.want(t)
	for n := range 100 {
		load(withEnd(t, as("alice")), 10+n)
		userOf(kept)
		load(as("alice"), 1000+n)
		userOf(kept)
	}
	load(as("alice"), -1)
	lines.want(t, "userKey") // there is room for what matters
}

// However many types of keys a function reads, there is an end of warnings, and of what is remembered.
func TestContextRead_OfVeryManyKeys(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	load, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) {
		for i := range 200 {
			ctx.Value(keyOfType(i))
		}
		for range 1000 {
			ctx.Value(new(int))
		}
		return "", nil
	})
	for n := range 10 {
		load(everything{context.Background()}, n)
	}
	lines.mu.Lock()
	defer lines.mu.Unlock()
	if len(lines.lines) != 16 {
		t.Errorf("%d warnings", len(lines.lines))
	}
}

// keyOfType returns a key of the ith of many types.
func keyOfType(i int) any {
	return reflect.New(reflect.ArrayOf(i, reflect.TypeFor[byte]())).Elem().Interface()
}

// everything is a context that has a value under each key.
type everything struct{ context.Context }

func (e everything) Value(key any) any {
	if _, ok := key.(*int); ok || e.Context.Value(key) == nil {
		return "there"
	}
	return e.Context.Value(key)
}

// Each function has its line, also where one helper has decorated them all at once; instances of one, whose number has no
// bound, share a line a second.
func TestContextRead_OfManyFunctions(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	decorate := func(options ...decorators.Option) {
		load, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) { return userOf(ctx), nil }, options...)
		load(as("alice"), 1)
	}
	for _, name := range []string{"a", "b", "c"} {
		decorate(decorators.Key(name))
	}
	lines.want(t, "a reads", "b reads", "c reads")
	began := time.Now()
	for i := range 1000 {
		decorate(decorators.Key("instance"), decorators.Instance(i))
	}
	lines.mu.Lock()
	defer lines.mu.Unlock()
	if most := 1 + int(time.Since(began)/time.Second); len(lines.lines) == 0 || len(lines.lines) > most {
		t.Errorf("%d warnings for the instances of one function in %v", len(lines.lines), time.Since(began))
	}
}

// Two types of one name are two.
func TestContextRead_OfTwoTypesOfOneName(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	load, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) {
		return fmt.Sprint(ctx.Value(oneKey()), ctx.Value(otherKey())), nil
	}, decorators.Key("load"))
	load(context.WithValue(context.WithValue(context.Background(), oneKey(), 1), otherKey(), 2), 1)
	lines.want(t, "load reads context value decorators_test.key,", "load reads context value decorators_test.key,")
}

func oneKey() any {
	type key struct{}
	return key{}
}

func otherKey() any {
	type key struct{}
	return key{}
}

// Keys that can't be compared, as contexts of one's own may take, do no harm.
func TestContextRead_UnderAKeyThatCannotBeCompared(t *testing.T) {
	cachetest.Locmem(t)
	lines := watchContextReads(t)
	load, _ := decorators.Cached1(func(ctx context.Context, n int) (string, error) {
		userOf(ctx) // which is known from then on
		ctx.Value(nobody{[]int{1}})
		ctx.Value([]int{1})
		return "", nil
	}, decorators.ContextKey(userOf))
	for n := range 3 {
		load(everything{context.Background()}, n)
	}
	lines.want(t, "decorators_test.nobody", "[]int")
}

// A context is the flight's own, with no other around it: what is derived from it starts no goroutine.
func TestContextRead_CostsNoGoroutine(t *testing.T) {
	cachetest.Locmem(t)
	load, _ := decorators.Cached1(func(ctx context.Context, n int) (int, error) {
		before := runtime.NumGoroutine()
		for range 100 {
			_, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(ctx, func() {})()
		}
		return runtime.NumGoroutine() - before, nil
	})
	for _, ctx := range []context.Context{as("alice"), withEnd(t, as("alice"))} {
		if more, err := load(ctx, 1); more > 20 || err != nil { // some of others
			t.Errorf("%d goroutines more, error %v", more, err)
		}
	}
}

func TestIgnoreContext_RefusesFunctionsWithoutOne(t *testing.T) {
	mustPanic(t, "IgnoreContext[decorators_test.userKey] is for functions that take a context, and it takes (int); leave it out", func() {
		decorators.Cached(func(n int) int { return n }, decorators.IgnoreContext[userKey]())
	})
}
