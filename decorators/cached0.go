package decorators

import "context"

// Cached0 is Cached for functions of the context, see Cached2.
func Cached0[R any](fn func(context.Context) (R, error), opts ...Option) (func(context.Context) (R, error), *Handle0[R]) {
	var run func(context.Context, args0) (R, error)
	if fn != nil {
		run = func(ctx context.Context, x args0) (R, error) { return fn(ctx) }
	}
	t := newTyped(fn, run, opts)
	return func(ctx context.Context) (R, error) { return t.call(ctx, args0{}) }, &Handle0[R]{fn, t}
}

// A Handle0 is a Handle for functions of the context, see Handle2.
type Handle0[R any] struct {
	Original func(context.Context) (R, error) // the function itself

	typed *typed[args0, R]
}

type args0 struct{}

// ForceRecalc runs the function whatever is cached, stores and returns its result.
func (h *Handle0[R]) ForceRecalc(ctx context.Context) (R, error) {
	return h.typed.forceRecalc(ctx, args0{})
}

// RequireCache returns what is cached, or cacheutils.ErrNoCachedValue.
func (h *Handle0[R]) RequireCache(ctx context.Context) (R, error) {
	return h.typed.requireCache(ctx, args0{})
}

// Invalidate removes the result for the arguments.
func (h *Handle0[R]) Invalidate(ctx context.Context) error {
	return h.typed.invalidateFor(ctx, args0{})
}

// CacheKey returns the key for the arguments.
func (h *Handle0[R]) CacheKey() (string, error) {
	return h.typed.keyFor(args0{})
}

// Set stores a result for the arguments.
func (h *Handle0[R]) Set(ctx context.Context, result R) error {
	return h.typed.setFor(ctx, args0{}, result)
}

// Name returns the function's name in keys.
func (h *Handle0[R]) Name() string { return h.typed.name }

// Stats returns what has happened since the function was decorated, in this process.
func (h *Handle0[R]) Stats() Stats { return statsOf(&h.typed.task.Stats) }
