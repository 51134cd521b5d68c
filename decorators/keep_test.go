package decorators_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// What callers do to their arguments once they have left changes no result: neither of a refresh in the
// background, nor of a computation that goes on.
func TestLaw6_ArgumentsThatAreUsedAgain(t *testing.T) {
	type query struct {
		Words []string
		Limit *int
	}
	cachetest.Each(t, func(t *testing.T) {
		bg := context.Background()
		started, release := make(chan struct{}, 10), make(chan struct{}, 10)
		load := func(_ context.Context, buf []byte, q *query) (string, error) {
			started <- struct{}{}
			<-release
			return string(buf) + q.Words[0], nil
		}
		opts := func(key string) []decorators.Option {
			return []decorators.Option{decorators.Key("law6.again." + key), decorators.Timeout(20 * time.Millisecond), decorators.Stale(time.Hour)}
		}
		F, f := decorators.Cached2(load, opts("typed")...)
		G, g := decorators.Cached(load, opts("reflected")...)
		for name, test := range map[string]struct {
			call func(context.Context, []byte, *query) (string, error)
			set  func([]byte, *query, string) error
			all  func() decorators.Stats
		}{
			"typed":     {F, func(b []byte, q *query, s string) error { return f.Set(bg, b, q, s) }, f.Stats},
			"reflected": {G, func(b []byte, q *query, s string) error { return g.Set([]any{bg, b, q}, s) }, g.Stats},
		} {
			limit := 1
			buf, q := []byte("alpha"), &query{[]string{"x"}, &limit}
			if err := test.set(buf, q, "old"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Millisecond)
			if s, err := test.call(bg, buf, q); s != "old" || err != nil {
				t.Fatalf("%s: got %q, %v", name, s, err)
			}
			within(t, name+": the refresh", started)
			copy(buf, "OMEGA") // the call has returned
			q.Words[0] = "y"
			release <- struct{}{}
			eventually(t, name+": it is stored", func() bool { return test.all().Stores == 1 })
			release <- struct{}{} // of the next refresh, if there is one
			if s, err := test.call(bg, []byte("alpha"), &query{[]string{"x"}, &limit}); s != "alphax" || err != nil {
				t.Errorf("%s: after the refresh alpha is %q, %v", name, s, err)
			}
		}
	})
}

func TestLaw6_LeftWithItsArguments(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		var runs atomic.Int64
		started, goOn := make(chan struct{}, 10), make(chan struct{})
		F, h := decorators.Cached1(func(_ context.Context, buf []byte) (string, error) {
			if runs.Add(1) == 1 {
				started <- struct{}{}
				<-goOn
			}
			return "for " + string(buf), nil
		}, decorators.Key("law6.left"), decorators.Linger(time.Minute))
		buf := []byte("alpha")
		ctx, cancel := context.WithCancel(context.Background())
		left := ask(func() (int, error) { _, err := F(ctx, buf); return 0, err })
		within(t, "the function", started)
		joined := make(chan string, 1)
		go func() {
			s, _ := F(context.Background(), []byte("alpha"))
			joined <- s
		}()
		eventually(t, "one has joined", func() bool { return h.Stats().Joins == 1 })
		cancel()
		if a := within(t, "the caller that left", left); !errors.Is(a.err, context.Canceled) {
			t.Errorf("the caller that left got %v", a)
		}
		copy(buf, "OMEGA")
		close(goOn)
		if s := within(t, "the joined caller", joined); s != "for alpha" {
			t.Errorf("the joined caller got %q", s)
		}
		if s, err := F(context.Background(), []byte("alpha")); s != "for alpha" || err != nil {
			t.Errorf("stored is %q, %v", s, err)
		}
	})
}

// The keys of a CachedMany are the caller's, too.
func TestLaw6_KeysThatAreUsedAgain(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		bg := context.Background()
		started, release := make(chan struct{}, 10), make(chan struct{})
		F, h := decorators.CachedMany(func(_ context.Context, keys []string) (map[string]string, error) {
			started <- struct{}{}
			<-release
			found := map[string]string{}
			for _, key := range keys {
				found[key] = "for " + key
			}
			return found, nil
		}, decorators.Key("law6.keys"), decorators.Timeout(20*time.Millisecond), decorators.Stale(time.Hour))
		if err := h.Set(bg, map[string]string{"alpha": "old", "beta": "old"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond)
		keys := []string{"alpha", "beta"}
		if found, err := F(bg, keys); err != nil || found["alpha"] != "old" {
			t.Fatalf("got %v, %v", found, err)
		}
		within(t, "the refresh", started)
		keys[0], keys[1] = "gamma", "delta"
		close(release)
		eventually(t, "it is stored", func() bool { return h.Stats().Stores == 2 })
		found, err := h.RequireCache(bg, []string{"alpha", "beta"})
		if err != nil || found["alpha"] != "for alpha" || found["beta"] != "for beta" {
			t.Errorf("got %v, %v", found, err)
		}
	})
}

// A KeyOf that panics for arguments that its caller has changed keeps no caller from the key.
func TestLaw10_KeyOfPanics(t *testing.T) {
	type query struct{ words []string } // not to be copied
	cachetest.Each(t, func(t *testing.T) {
		started, release := make(chan struct{}, 10), make(chan struct{})
		F, _ := decorators.Cached1(func(_ context.Context, q *query) (string, error) {
			started <- struct{}{}
			<-release
			return "result", nil
		}, decorators.Key("law10.keyof"), decorators.KeyOf(func(_ context.Context, q *query) string { return q.words[0] }), decorators.Linger(time.Minute))
		q := &query{[]string{"x"}}
		ctx, cancel := context.WithCancel(context.Background())
		left := ask(func() (int, error) { _, err := F(ctx, q); return 0, err })
		within(t, "the function", started)
		cancel()
		within(t, "the caller that left", left)
		q.words = nil
		close(release)
		want(t, "the next caller", len("result"), ask(func() (int, error) {
			s, err := F(context.Background(), &query{[]string{"x"}})
			return len(s), err
		}))
	})
}
