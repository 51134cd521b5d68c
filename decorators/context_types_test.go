package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

type (
	// appCtx is a context as frameworks have them: a pointer to a struct with data of the request.
	appCtx struct {
		context.Context
		user string
	}
	// byName is the same as an interface, byValue as a struct.
	byName interface {
		context.Context
		User() string
	}
	byValue struct{ context.Context }
	// tenantCtx says what of it counts.
	tenantCtx struct {
		context.Context
		tenant string
	}
)

func (c *appCtx) User() string        { return c.user }
func (n *tenantCtx) CacheKey() string { return n.tenant }

// A parameter is a context by its type, whatever that is called: it doesn't count, and nothing of it is in the key.
func TestLaw9_ContextsOfOtherTypes(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		//lint:ignore SA1029 as users do
		bg := context.WithValue(context.Background(), "token", "s3cret")
		used := func() context.Context {
			ctx, cancel := context.WithCancel(bg)
			t.Cleanup(cancel)
			ctx.Done()
			return ctx
		}
		one := func(ctx *appCtx, id int) (string, error) { return fmt.Sprint(ctx.user != "", id), nil }
		F, f := decorators.Cached(one, decorators.Key("own.pointer"))
		G, g := decorators.Cached(func(ctx byName, id int) (string, error) { return fmt.Sprint(id), nil }, decorators.Key("own.interface"))
		V, v := decorators.Cached(func(ctx byValue, id int) (string, error) { return fmt.Sprint(id), nil }, decorators.Key("own.value"))
		W, w := decorators.Cached(func(id int, ctx ...context.Context) (string, error) { return fmt.Sprint(id), nil }, decorators.Key("own.variadic"))
		T, tw := decorators.Cached2(func(_ context.Context, c byName, id int) (string, error) { return fmt.Sprint(id), nil }, decorators.Key("own.second"))
		P, p := decorators.Cached(func(a, b context.Context, id int) (string, error) { return fmt.Sprint(id), nil }, decorators.Key("own.two"))
		N, n := decorators.Cached(func(c *tenantCtx) (string, error) { return c.tenant, nil }, decorators.Key("own.keyer"))
		A, a := decorators.Cached(func(c *appCtx) (string, error) { return c.user, nil }, decorators.Key("own.attrs"), decorators.ObjectAttrs(appCtx{}, "user"))
		for i := range 6 {
			ctx := &appCtx{used(), fmt.Sprint("user", i)}
			id := i % 2
			got(t, "a pointer", fmt.Sprint("true", " ", id))(F(ctx, id))
			got(t, "an interface", fmt.Sprint(id))(G(ctx, id))
			got(t, "a struct", fmt.Sprint(id))(V(byValue{used()}, id))
			got(t, "variadic", fmt.Sprint(id))(W(id, used(), nil))
			got(t, "the second one", fmt.Sprint(id))(T(used(), ctx, id))
			got(t, "two", fmt.Sprint(id))(P(used(), used(), id))
			got(t, "a Keyer", fmt.Sprint("t", id))(N(&tenantCtx{used(), fmt.Sprint("t", id)}))
			got(t, "attributes", fmt.Sprint("u", id))(A(&appCtx{used(), fmt.Sprint("u", id)}))
		}
		for name, h := range map[string]interface{ Stats() decorators.Stats }{
			"a pointer": f, "an interface": g, "a struct": v, "variadic": w, "the second one": tw, "two": p, "a Keyer": n, "attributes": a,
		} {
			if s := h.Stats(); s.Computations != 2 || s.Errors != 0 {
				t.Errorf("%s: %d computations, %d errors, want 2 and 0", name, s.Computations, s.Errors)
			}
		}
		for _, k := range []string{key(t, f, &appCtx{bg, "u"}, 1), key(t, g, &appCtx{bg, "u"}, 1), key(t, v, byValue{bg}, 1), key(t, f, nil, 1)} {
			if !strings.HasSuffix(k, "((1,))") || strings.Contains(k, "s3cret") {
				t.Errorf("key %s", k)
			}
		}
		// A context with nothing behind it is one that never ends.
		var none *appCtx
		for _, ctx := range []*appCtx{none, {}} {
			if err := f.Invalidate(ctx, 0); err != nil {
				t.Error(err)
			}
		}
		got(t, "nothing behind it", "false 0")(F(&appCtx{}, 0))
	})
}

// A function under its caller's own context has that caller until it has returned, so that nobody uses the context again
// meanwhile; others don't get the end of that caller's context as their error.
func TestLaw9_CallersOwnContext(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		started, goOn := make(chan struct{}, 10), make(chan struct{})
		var returned, runs atomic.Int64
		F, f := decorators.Cached(func(ctx *appCtx, id int) (string, error) {
			defer returned.Add(1)
			run := runs.Add(1)
			started <- struct{}{}
			if run > 1 {
				return ctx.user, nil
			}
			<-ctx.Done()
			<-goOn
			return "", ctx.Err()
		}, decorators.Key("own.ends"))
		ctx, cancel := context.WithCancel(context.Background())
		first := make(chan error, 1)
		go func() {
			_, err := F(&appCtx{ctx, "first"}, 1)
			if returned.Load() == 0 {
				err = errors.New("it left while the function ran under its context")
			}
			first <- err
		}()
		within(t, "the function", started)
		second := make(chan string, 1)
		go func() {
			s, err := F(&appCtx{cancellable(t), "second"}, 1)
			second <- fmt.Sprint(s, err)
		}()
		eventually(t, "one has joined", func() bool { return f.Stats().Joins == 1 })
		cancel()
		close(goOn)
		if err := within(t, "the first caller", first); !errors.Is(err, context.Canceled) {
			t.Errorf("the first caller got %v", err)
		}
		if s := within(t, "the second caller", second); s != "second<nil>" {
			t.Errorf("the second caller got %s", s)
		}
		if s, err := f.RequireCache(&appCtx{Context: context.Background()}, 1); s != "second" || err != nil {
			t.Errorf("stored is %q, %v", s, err)
		}
	})
}

// Nothing is recomputed in the background under a context that is its caller's own, on a backend with stale values either.
func TestLaw9_NoRefreshUnderOwnContexts(t *testing.T) {
	cachetest.Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}, Options: map[string]any{"stale": "1h"}}})
	runs := 0
	F, f := decorators.Cached(func(ctx *appCtx) (int, error) { runs++; return runs, ctx.Err() }, decorators.Key("own.stale"), decorators.Timeout(20*time.Millisecond))
	ctx := &appCtx{cancellable(t), "user"}
	got(t, "the first call", 1)(F(ctx))
	eventually(t, "it is computed again, by its caller", func() bool { n, _ := F(ctx); return n > 1 })
	if s := f.Stats(); s.Stale != 0 {
		t.Errorf("%d stale results", s.Stale)
	}
}

// Of two options that don't fit the first is named, each time.
func TestLaw9_StaleAndLingerWithAContextOfAnotherType(t *testing.T) {
	for range 30 {
		text := panicText(func() {
			decorators.Cached(func(*appCtx, int) int { return 0 }, decorators.Key("attached"), decorators.Stale(time.Minute), decorators.Linger(time.Minute))
		})
		if !strings.Contains(text, "Stale runs it when its caller has left") {
			t.Fatalf("want a text about Stale, got %q", text)
		}
	}
}
