//go:build unix

package stress_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
)

// Engines on memcached that a test can name: one that reports the server's faults to a caller's context, one
// that is slow, and two that have a bug on purpose.
const (
	watched        = "watched"
	slow           = "slow"            // requests and answers take a while
	blindSwap      = "blind-swap"      // so here, and a compare-and-swap is a set
	constantGroups = "constant-groups" // group keys always have the same value
)

func init() {
	register(watched, func(e engine.Engine) engine.Engine { return watchedEngine{e} })
	register(slow, func(e engine.Engine) engine.Engine { return slowEngine{e} })
	register(blindSwap, func(e engine.Engine) engine.Engine { return blindEngine{slowEngine{e}} })
	register(constantGroups, func(e engine.Engine) engine.Engine { return constantEngine{e} })
}

func register(name string, wrap func(engine.Engine) engine.Engine) {
	backends.Register(name, func(s engine.Settings) (engine.Engine, error) {
		e, err := memcached.Open(s)
		if err != nil {
			return nil, err
		}
		return checked{wrap(e), e.(engine.KeyChecker)}, nil
	})
}

// checked keeps the wrapped engine's rules about keys.
type checked struct {
	engine.Engine
	engine.KeyChecker
}

func (checked) Traits() engine.Traits { return engine.Traits{} }

type faultKey struct{}

// withFaults returns a context to which watchedEngine reports faults.
func withFaults(ctx context.Context) (context.Context, *atomic.Bool) {
	faulted := new(atomic.Bool)
	return context.WithValue(ctx, faultKey{}, faulted), faulted
}

type watchedEngine struct{ engine.Engine }

func (e watchedEngine) note(ctx context.Context, err error) {
	if faulted, ok := ctx.Value(faultKey{}).(*atomic.Bool); ok && err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) {
		faulted.Store(true)
	}
}

func (e watchedEngine) Get(ctx context.Context, key string) (engine.Item, error) {
	item, err := e.Engine.Get(ctx, key)
	e.note(ctx, err)
	return item, err
}

func (e watchedEngine) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	items, err := e.Engine.GetMany(ctx, keys)
	e.note(ctx, err)
	return items, err
}

func (e watchedEngine) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	err := e.Engine.Set(ctx, key, item, timeout)
	e.note(ctx, err)
	return err
}

func (e watchedEngine) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	added, err := e.Engine.Add(ctx, key, item, timeout)
	e.note(ctx, err)
	return added, err
}

func (e watchedEngine) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	swapped, err := e.Engine.CompareAndSwap(ctx, key, item, timeout)
	e.note(ctx, err)
	return swapped, err
}

func (e watchedEngine) Delete(ctx context.Context, key string) (bool, error) {
	had, err := e.Engine.Delete(ctx, key)
	e.note(ctx, err)
	return had, err
}

// linger is how long a request or an answer may be under way.
func linger() {
	if rand.IntN(3) == 0 {
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	}
}

type slowEngine struct{ engine.Engine }

func (e slowEngine) Get(ctx context.Context, key string) (engine.Item, error) {
	linger()
	defer linger()
	return e.Engine.Get(ctx, key)
}

func (e slowEngine) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	linger()
	defer linger()
	return e.Engine.GetMany(ctx, keys)
}

func (e slowEngine) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	linger()
	defer linger()
	return e.Engine.Set(ctx, key, item, timeout)
}

func (e slowEngine) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	linger()
	defer linger()
	return e.Engine.Add(ctx, key, item, timeout)
}

func (e slowEngine) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	linger()
	defer linger()
	return e.Engine.CompareAndSwap(ctx, key, item, timeout)
}

func (e slowEngine) Delete(ctx context.Context, key string) (bool, error) {
	linger()
	defer linger()
	return e.Engine.Delete(ctx, key)
}

type blindEngine struct{ engine.Engine }

func (e blindEngine) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	return true, e.Engine.Set(ctx, key, item, timeout)
}

type constantEngine struct{ engine.Engine }

func (e constantEngine) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	items, err := e.Engine.GetMany(ctx, keys)
	items = maps.Clone(items)
	for _, key := range keys {
		if strings.Contains(key, "_group::") {
			items[key] = engine.Item{Value: []byte("always-the-same"), Flags: 16}
		}
	}
	return items, err
}
