package backends_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
)

// A refusing engine swaps nothing, as a server without CAS.
type refusing struct {
	engine.Engine
	refuses *atomic.Bool
	swaps   *atomic.Int64
}

func (r refusing) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if r.refuses.Load() {
		r.swaps.Add(1)
		return false, nil
	}
	return r.Engine.CompareAndSwap(ctx, key, item, timeout)
}

// Operations that swap give up where the engine refuses each time, and pause before they try again.
func TestOperations_ThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refuses atomic.Bool
		var swaps atomic.Int64
		c := in(t, newSet(t, backends.Config{"default": {Open: func(s engine.Settings) (engine.Engine, error) {
			e, err := locmem.Open(s)
			return refusing{e, &refuses, &swaps}, err
		}}}), "default")
		ctx := context.Background()
		if err := c.Set(ctx, "k", 1, backends.Group("g")); err != nil {
			t.Fatal(err)
		}
		refuses.Store(true)
		for name, do := range map[string]func(ctx context.Context) error{
			"Touch": func(ctx context.Context) error { _, err := c.Touch(ctx, "k"); return err },
			"Incr in a group": func(ctx context.Context) error {
				_, err := c.Incr(ctx, "k", 1, backends.Group("g"))
				return err
			},
		} {
			swaps.Store(0)
			began := time.Now()
			err := do(ctx)
			if err == nil || !strings.Contains(err.Error(), "the engine has refused 100 times") {
				t.Errorf("%s: got %v", name, err)
			}
			if n, took := swaps.Load(), time.Since(began); n != 100 || took < time.Second || took > 10*time.Second {
				t.Errorf("%s: gave up after %d tries in %v, want 100 in some seconds", name, n, took)
			}
			ending, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			began = time.Now()
			if err := do(ending); err == nil || time.Since(began) > 100*time.Millisecond {
				t.Errorf("%s with a context that ends: got %v after %v", name, err, time.Since(began))
			}
			cancel()
		}
	})
}

// Many callers at once don't keep each other from incrementing.
func TestIncr_AtOnce(t *testing.T) {
	c := in(t, newSet(t, nil), "default")
	ctx, in := context.Background(), backends.Group("g")
	if err := c.Set(ctx, "n", 0, in); err != nil {
		t.Fatal(err)
	}
	const callers, times = 200, 20
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range times {
				if _, err := c.Incr(ctx, "n", 1, in); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if got, err := c.Incr(ctx, "n", 0, in); got != callers*times || err != nil {
		t.Errorf("got %d, %v, want %d", got, err, callers*times)
	}
}

// A forgetting engine says that it has added the keys of groups, and has none.
type forgetting struct{ engine.Engine }

func (f forgetting) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if strings.Contains(key, "_group::") {
		return false, nil
	}
	return f.Engine.Add(ctx, key, item, timeout)
}

// That a group can't begin is a fault, and not that there is nothing under the key.
func TestSet_GroupThatIsLost(t *testing.T) {
	c := in(t, newSet(t, backends.Config{"default": {Open: func(s engine.Settings) (engine.Engine, error) {
		e, err := locmem.Open(s)
		return forgetting{e}, err
	}}}), "default")
	ctx, in := context.Background(), backends.Group("g")
	_, many := c.SetMany(ctx, map[string]int{"k": 1}, in)
	_, added := c.Add(ctx, "k", 1, in)
	for name, err := range map[string]error{"Set": c.Set(ctx, "k", 1, in), "SetMany": many, "Add": added} {
		if err == nil || errors.Is(err, cacheutils.ErrCacheMiss) || !strings.Contains(err.Error(), "the key of a group is lost as soon as it is written") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
