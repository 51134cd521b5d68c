package decorators_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
)

// A forgetful engine holds what it doesn't find, of entries, once it is told to: a test's wrapper that has misses
// happen, or a proxy that reads from another server than it writes to.
type forgetful struct {
	engine.Engine
	forgets *atomic.Bool
}

func (f forgetful) hides(key string) bool {
	return f.forgets.Load() && !strings.Contains(key, "_group::")
}

func (f forgetful) Get(ctx context.Context, key string) (engine.Item, error) {
	if f.hides(key) {
		return engine.Item{}, cacheutils.ErrCacheMiss
	}
	return f.Engine.Get(ctx, key)
}

func (f forgetful) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	items, err := f.Engine.GetMany(ctx, keys)
	for key := range items {
		if f.hides(key) {
			delete(items, key)
		}
	}
	return items, err
}

// An engine that contradicts itself keeps nobody: calls compute, and operations say what is wrong.
func TestLaw1_EngineThatContradictsItself(t *testing.T) {
	var forgets atomic.Bool
	set := newSet(t, backends.Config{"default": {Open: func(s engine.Settings) (engine.Engine, error) {
		e, err := locmem.Open(s)
		return forgetful{e, &forgets}, err
	}}})
	on := decorators.On(set)
	one, _ := decorators.Cached1(func(_ context.Context, n int) (int, error) { return n, nil }, decorators.Key("forgetful"), on, decorators.Group("g"))
	many, _ := decorators.CachedMany(func(_ context.Context, keys []int) (map[int]int, error) {
		found := make(map[int]int)
		for _, key := range keys {
			found[key] = key
		}
		return found, nil
	}, decorators.Key("forgetful.many"), on)
	c, err := set.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, remembers := range []bool{true, false} {
		forgets.Store(!remembers)
		done := make(chan struct{})
		go func() {
			defer close(done)
			got[int](t, "Cached1", 1)(one(ctx, 1))
			got[map[int]int](t, "CachedMany", map[int]int{1: 1, 2: 2})(many(ctx, []int{1, 2}))
			added, err := c.Add(ctx, "forgetful", 1)
			if added != remembers || (err == nil) != remembers || err != nil && !strings.HasPrefix(err.Error(), "cacheutils: add ") {
				t.Errorf("Add: %v, %v", added, err)
			}
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("somebody waits")
		}
	}
}
