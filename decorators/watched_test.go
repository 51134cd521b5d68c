package decorators_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
)

type watchedEngine struct {
	engine.Engine
	before func(ctx context.Context, operation, key string) error
	timed  bool
	closed chan struct{} // closed by Close, unless nil
}

func (w *watchedEngine) Close() error {
	if w.closed != nil {
		close(w.closed)
	}
	return w.Engine.Close()
}

func (w *watchedEngine) Traits() engine.Traits { return engine.Traits{KeepsTime: w.timed} }

func (w *watchedEngine) Get(ctx context.Context, key string) (engine.Item, error) {
	if err := w.before(ctx, "get", key); err != nil {
		return engine.Item{}, err
	}
	return w.Engine.Get(ctx, key)
}

func (w *watchedEngine) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	if err := w.before(ctx, "get", keys[0]); err != nil {
		return nil, err
	}
	return w.Engine.GetMany(ctx, keys)
}

func (w *watchedEngine) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	if err := w.before(ctx, "set", key); err != nil {
		return err
	}
	return w.Engine.Set(ctx, key, item, timeout)
}

func (w *watchedEngine) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if err := w.before(ctx, "add", key); err != nil {
		return false, err
	}
	return w.Engine.Add(ctx, key, item, timeout)
}

func (w *watchedEngine) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if err := w.before(ctx, "cas", key); err != nil {
		return false, err
	}
	return w.Engine.CompareAndSwap(ctx, key, item, timeout)
}

func (w *watchedEngine) Delete(ctx context.Context, key string) (bool, error) {
	if err := w.before(ctx, "delete", key); err != nil {
		return false, err
	}
	return w.Engine.Delete(ctx, key)
}

func (w *watchedEngine) Clear(ctx context.Context, prefix string) error {
	if err := w.before(ctx, "clear", ""); err != nil {
		return err
	}
	return w.Engine.Clear(ctx, prefix)
}

func (w *watchedEngine) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	if err := w.before(ctx, "incr", key); err != nil {
		return 0, err
	}
	return w.Engine.Incr(ctx, key, delta)
}

var watching sync.Map

type watch struct {
	before func(ctx context.Context, operation, key string) error
	server string // memcached's; empty: locmem, whose values are encoded as on a server
	timed  bool
}

var registerWatched = sync.OnceFunc(func() {
	backends.Register("watched", func(s engine.Settings) (engine.Engine, error) {
		location := s.Location[0]
		found, _ := watching.Load(location)
		w := found.(watch)
		open := locmem.Open
		if w.server != "" {
			open, s.Location = memcached.Open, []string{w.server}
		}
		e, err := open(s)
		opened := &watchedEngine{Engine: e, before: w.before, timed: w.timed}
		watching.Store(location+"/engine", opened)
		return opened, err
	})
})

func watched(t *testing.T, name string, w watch, options map[string]any) backends.Settings {
	t.Helper()
	registerWatched()
	location := t.Name() + name
	watching.Store(location, w)
	t.Cleanup(func() { watching.Delete(location) })
	return backends.Settings{Backend: "watched", Location: []string{location}, Options: options}
}
