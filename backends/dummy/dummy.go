// Package dummy is a cache that stores nothing. Name it in place of a real backend to see a program run as if
// every lookup were a miss, in development or in tests: writes succeed, reads find nothing.
//
// It takes no location and no options of its own. As Django's DummyCache it ignores those of the cache that it stands
// for.
package dummy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

func init() {
	engine.Register(engine.Driver{
		Names: []string{"dummy", "django.core.cache.backends.dummy.DummyCache"},
		Open:  Open,
		Django: func(options map[string]any) (mapped map[string]any, leftOut []string) {
			return nil, slices.Sorted(maps.Keys(options)) // those of the cache that it stands for
		},
	})
}

// Open returns an engine that stores nothing. A location or an option is an error that
// matches cacheutils.ErrConfig.
func Open(s engine.Settings) (engine.Engine, error) {
	if len(s.Location) > 0 {
		return nil, fmt.Errorf("%w: dummy has no location, but %q is given: leave it out",
			cacheutils.ErrConfig, errtext.WithoutPassword(strings.Join(s.Location, ",")))
	}
	if err := engine.ReadOptions("dummy", s.Options).Err(); err != nil {
		return nil, err
	}
	return &dummy{}, nil
}

type dummy struct{ closed atomic.Bool }

// Traits says that it discards what it is given.
func (d *dummy) Traits() engine.Traits { return engine.Traits{Discards: true} }

// begin returns nil to an operation, unless the engine is closed or ctx has ended.
func (d *dummy) begin(ctx context.Context) error {
	if d.closed.Load() {
		return cacheutils.ErrClosed
	}
	return ctx.Err()
}

func (d *dummy) Get(ctx context.Context, key string) (engine.Item, error) {
	if err := d.begin(ctx); err != nil {
		return engine.Item{}, err
	}
	return engine.Item{}, cacheutils.ErrCacheMiss
}

func (d *dummy) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	return map[string]engine.Item{}, d.begin(ctx)
}

func (d *dummy) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	return d.begin(ctx)
}

func (d *dummy) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	err := d.begin(ctx)
	return err == nil, err
}

func (d *dummy) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	return false, d.begin(ctx)
}

func (d *dummy) Delete(ctx context.Context, key string) (bool, error) {
	return false, d.begin(ctx)
}

func (d *dummy) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	if err := d.begin(ctx); err != nil {
		return 0, err
	}
	return 0, cacheutils.ErrCacheMiss
}

func (d *dummy) Clear(ctx context.Context, prefix string) error { return d.begin(ctx) }

func (d *dummy) Close() error {
	d.closed.Store(true)
	return nil
}
