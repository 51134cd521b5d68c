package decorators

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/store"
)

// A HandleMany is what CachedMany returns besides the function: it works on what is cached for it, as a
// Handle does, for a list of keys. It may be used by many goroutines at once; its fields are not to be changed.
type HandleMany[K comparable, V any] struct {
	// ForceRecalc runs the function for all keys, whatever is cached, stores and returns its results. Once
	// it has returned without an error, no call that starts later, in any process, gets older ones, unless the
	// server could not be reached.
	ForceRecalc func(ctx context.Context, keys []K) (map[K]V, error)

	// RequireCache returns what is cached and never runs the function. If there is nothing for one
	// of the keys, the error matches cacheutils.ErrNoCachedValue; what there is for the others is
	// returned as well.
	RequireCache func(ctx context.Context, keys []K) (map[K]V, error)

	// Original is the function itself, without the cache.
	Original func(ctx context.Context, keys []K) (map[K]V, error)

	many *many[K, V]
}

// Invalidate removes the results for keys, as Handle.Invalidate does for one. It tries all of
// them and returns the errors joined. Several keys take two round trips: all are removed, and then
// all once more, since the result for one may have been computed from another's in between.
func (h *HandleMany[K, V]) Invalidate(ctx context.Context, keys []K) error {
	return h.many.invalidateAll(ctx, keys)
}

// InvalidateAll removes the results of the function, of all arguments, in one round trip whatever their number. What is said
// of Invalidate holds for all of them. The function needs OwnGroup: otherwise the error matches cacheutils.ErrArguments.
func (h *HandleMany[K, V]) InvalidateAll(ctx context.Context) error {
	return h.many.plan.invalidateOwn(ctx)
}

// CacheKey returns the key of the result for one key, without the backend's prefix and version.
// It is given no context: with ContextKey there is an error that matches cacheutils.ErrArguments.
func (h *HandleMany[K, V]) CacheKey(key K) (string, error) {
	return cacheKeyFor(h.many.plan, args1[K]{key})
}

// Explain says what is cached for one key, as Handle.Explain does for some arguments.
func (h *HandleMany[K, V]) Explain(ctx context.Context, key K) (Explanation, error) {
	return explainFor(ctx, h.many.plan, args1[K]{key})
}

// Set stores results as if the function had returned them. It tries all of them, many at a time, and returns
// the errors joined. The generations of their groups are read at once.
func (h *HandleMany[K, V]) Set(ctx context.Context, results map[K]V) error {
	return h.many.setAll(ctx, results)
}

// Name returns the function's name in keys: the part before the arguments.
func (h *HandleMany[K, V]) Name() string { return h.many.plan.name }

// Stats returns what has happened since the function was decorated, in this process. It counts
// keys, also in Computations: the function may have been called once for many of them.
func (h *HandleMany[K, V]) Stats() Stats { return statsOf(&h.many.plan.task.Stats) }

func (m *many[K, V]) requireCache(ctx context.Context, keys []K) (map[K]V, error) {
	keys = distinct(keys)
	var misses []*store.Miss
	for {
		var cache *store.Store
		var found map[K]V
		var err error
		cache, found, misses, err = m.requireOnce(ctx, keys, misses)
		if !errors.Is(err, cacheutils.ErrClosed) || !m.plan.replaced(ctx, cache) {
			return found, err
		}
	}
}

// requireOnce is RequireCache once; were is as for lookupAll.
func (m *many[K, V]) requireOnce(ctx context.Context, keys []K, were []*store.Miss) (cache *store.Store, found map[K]V, misses []*store.Miss, err error) {
	if err := m.plan.takesNone(ctx); err != nil {
		return nil, map[K]V{}, nil, err
	}
	all := len(keys)
	keys, around := m.parted(ctx, keys)
	l := listings.Get().(*listing)
	defer l.free()
	if cache, err = m.locateAll(ctx, keys, l, true); err != nil {
		return nil, map[K]V{}, nil, noCachedValue(err)
	}
	cache.LogRequired(l.entries...)
	if len(were) != len(keys) { // BypassIf says something else than before
		were = nil
	}
	found, misses = m.lookupIn(ctx, cache, keys, l, were)
	missing := len(around)
	for i, miss := range misses {
		if miss == nil {
			continue
		}
		value, why := miss.Cached(orBackground(ctx))
		switch value {
		case nil:
			missing++
		case store.Negative:
		default:
			found[keys[i]] = *value.(*V)
		}
		if err == nil {
			err = why
		}
	}
	switch {
	case missing == 0:
		return cache, found, misses, nil
	case err == nil:
		return cache, found, misses, fmt.Errorf("%w: %s, %d of %d keys", cacheutils.ErrNoCachedValue, m.plan.name, missing, all)
	default:
		return cache, found, misses, fmt.Errorf("%w: %s, %d of %d keys: %w", cacheutils.ErrNoCachedValue, m.plan.name, missing, all, errtext.Bare(err))
	}
}

func (m *many[K, V]) invalidateAll(ctx context.Context, keys []K) error {
	return m.explicitly(ctx, distinct(keys), false, func(cache *store.Store, entries []store.Key) error {
		if err := cache.DeleteMany(orBackground(ctx), entries); err != nil {
			return errtext.Wrap(err, "invalidate %s", m.plan.name)
		}
		m.plan.task.Stats.Invalidations.Add(uint64(len(entries)))
		return nil
	})
}

// explicitly is plan.explicitly for several keys.
func (m *many[K, V]) explicitly(ctx context.Context, keys []K, grouped bool, operation func(*store.Store, []store.Key) error) error {
	for {
		var l listing
		cache, err := m.locateAll(ctx, keys, &l, grouped)
		if err != nil {
			return err
		}
		if err = operation(cache, l.entries); !errors.Is(err, cacheutils.ErrClosed) || !m.plan.replaced(ctx, cache) {
			return err
		}
	}
}

func (m *many[K, V]) setAll(ctx context.Context, results map[K]V) error {
	keys, boxes := make([]K, 0, len(results)), make([]*V, 0, len(results))
	for key, result := range results {
		keys, boxes = append(keys, key), append(boxes, &result)
	}
	return m.explicitly(ctx, keys, true, func(cache *store.Store, entries []store.Key) error {
		err := cache.PutMany(orBackground(ctx), entries, m.plan.task, func(i int) any { return boxes[i] }, func(i int) time.Duration { return m.plan.timeoutFor(ctx, boxes[i]) })
		if err != nil {
			return errtext.Wrap(err, "set %s", m.plan.name)
		}
		return nil
	})
}
