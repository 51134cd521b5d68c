package decorators

import "context"

// Cached2 is Cached for functions of the context and two arguments, see Cached2.
func Cached2[A, B, R any](fn func(context.Context, A, B) (R, error), opts ...Option) (func(context.Context, A, B) (R, error), *Handle2[A, B, R]) {
	var run func(context.Context, args2[A, B]) (R, error)
	if fn != nil {
		run = func(ctx context.Context, x args2[A, B]) (R, error) { return fn(ctx, x.A, x.B) }
	}
	t := newTyped(fn, run, opts)
	return func(ctx context.Context, a A, b B) (R, error) { return t.call(ctx, args2[A, B]{a, b}) }, &Handle2[A, B, R]{fn, t}
}

// A Handle2 is a Handle for functions of the context and two arguments, see Handle2.
type Handle2[A, B, R any] struct {
	Original func(context.Context, A, B) (R, error) // the function itself

	typed *typed[args2[A, B], R]
}

type args2[A, B any] struct {
	A A
	B B
}

// ForceRecalc runs the function whatever is cached, stores and returns its result.
func (h *Handle2[A, B, R]) ForceRecalc(ctx context.Context, a A, b B) (R, error) {
	return h.typed.forceRecalc(ctx, args2[A, B]{a, b})
}

// RequireCache returns what is cached, or cacheutils.ErrNoCachedValue.
func (h *Handle2[A, B, R]) RequireCache(ctx context.Context, a A, b B) (R, error) {
	return h.typed.requireCache(ctx, args2[A, B]{a, b})
}

// Invalidate removes the result for the arguments.
func (h *Handle2[A, B, R]) Invalidate(ctx context.Context, a A, b B) error {
	return h.typed.invalidateFor(ctx, args2[A, B]{a, b})
}

// CacheKey returns the key for the arguments.
func (h *Handle2[A, B, R]) CacheKey(a A, b B) (string, error) {
	return h.typed.keyFor(args2[A, B]{a, b})
}

// Set stores a result for the arguments.
func (h *Handle2[A, B, R]) Set(ctx context.Context, a A, b B, result R) error {
	return h.typed.setFor(ctx, args2[A, B]{a, b}, result)
}

// Name returns the function's name in keys.
func (h *Handle2[A, B, R]) Name() string { return h.typed.name }

// Stats returns what has happened since the function was decorated, in this process.
func (h *Handle2[A, B, R]) Stats() Stats { return statsOf(&h.typed.task.Stats) }
