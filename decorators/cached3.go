package decorators

import "context"

// Cached3 is Cached for functions of the context and three arguments, see Cached2.
func Cached3[A, B, C, R any](fn func(context.Context, A, B, C) (R, error), opts ...Option) (func(context.Context, A, B, C) (R, error), *Handle3[A, B, C, R]) {
	var run func(context.Context, args3[A, B, C]) (R, error)
	if fn != nil {
		run = func(ctx context.Context, x args3[A, B, C]) (R, error) { return fn(ctx, x.A, x.B, x.C) }
	}
	t := newTyped(fn, run, opts)
	return func(ctx context.Context, a A, b B, c C) (R, error) { return t.call(ctx, args3[A, B, C]{a, b, c}) }, &Handle3[A, B, C, R]{fn, t}
}

// A Handle3 is a Handle for functions of the context and three arguments, see Handle2.
type Handle3[A, B, C, R any] struct {
	Original func(context.Context, A, B, C) (R, error) // the function itself

	typed *typed[args3[A, B, C], R]
}

type args3[A, B, C any] struct {
	A A
	B B
	C C
}

// ForceRecalc runs the function whatever is cached, stores and returns its result.
func (h *Handle3[A, B, C, R]) ForceRecalc(ctx context.Context, a A, b B, c C) (R, error) {
	return h.typed.forceRecalc(ctx, args3[A, B, C]{a, b, c})
}

// RequireCache returns what is cached, or cacheutils.ErrNoCachedValue.
func (h *Handle3[A, B, C, R]) RequireCache(ctx context.Context, a A, b B, c C) (R, error) {
	return h.typed.requireCache(ctx, args3[A, B, C]{a, b, c})
}

// Invalidate removes the result for the arguments.
func (h *Handle3[A, B, C, R]) Invalidate(ctx context.Context, a A, b B, c C) error {
	return h.typed.invalidateFor(ctx, args3[A, B, C]{a, b, c})
}

// CacheKey returns the key for the arguments.
func (h *Handle3[A, B, C, R]) CacheKey(a A, b B, c C) (string, error) {
	return h.typed.keyFor(args3[A, B, C]{a, b, c})
}

// Set stores a result for the arguments.
func (h *Handle3[A, B, C, R]) Set(ctx context.Context, a A, b B, c C, result R) error {
	return h.typed.setFor(ctx, args3[A, B, C]{a, b, c}, result)
}

// Name returns the function's name in keys.
func (h *Handle3[A, B, C, R]) Name() string { return h.typed.name }

// Stats returns what has happened since the function was decorated, in this process.
func (h *Handle3[A, B, C, R]) Stats() Stats { return statsOf(&h.typed.task.Stats) }
