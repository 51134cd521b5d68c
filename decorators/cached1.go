package decorators

import "context"

// Cached1 is Cached for functions of the context and one argument, see Cached2.
func Cached1[A, R any](fn func(context.Context, A) (R, error), opts ...Option) (func(context.Context, A) (R, error), *Handle1[A, R]) {
	var run func(context.Context, args1[A]) (R, error)
	if fn != nil {
		run = func(ctx context.Context, x args1[A]) (R, error) { return fn(ctx, x.A) }
	}
	t := newTyped(fn, run, opts)
	return func(ctx context.Context, a A) (R, error) { return t.call(ctx, args1[A]{a}) }, &Handle1[A, R]{fn, t}
}

// A Handle1 is a Handle for functions of the context and one argument, see Handle2.
type Handle1[A, R any] struct {
	Original func(context.Context, A) (R, error) // the function itself

	typed *typed[args1[A], R]
}

type args1[A any] struct {
	A A
}

// ForceRecalc runs the function whatever is cached, stores and returns its result.
func (h *Handle1[A, R]) ForceRecalc(ctx context.Context, a A) (R, error) {
	return h.typed.forceRecalc(ctx, args1[A]{a})
}

// RequireCache returns what is cached, or cacheutils.ErrNoCachedValue.
func (h *Handle1[A, R]) RequireCache(ctx context.Context, a A) (R, error) {
	return h.typed.requireCache(ctx, args1[A]{a})
}

// Invalidate removes the result for the arguments.
func (h *Handle1[A, R]) Invalidate(ctx context.Context, a A) error {
	return h.typed.invalidateFor(ctx, args1[A]{a})
}

// CacheKey returns the key for the arguments.
func (h *Handle1[A, R]) CacheKey(a A) (string, error) {
	return h.typed.keyFor(args1[A]{a})
}

// Set stores a result for the arguments.
func (h *Handle1[A, R]) Set(ctx context.Context, a A, result R) error {
	return h.typed.setFor(ctx, args1[A]{a}, result)
}

// Name returns the function's name in keys.
func (h *Handle1[A, R]) Name() string { return h.typed.name }

// Stats returns what has happened since the function was decorated, in this process.
func (h *Handle1[A, R]) Stats() Stats { return statsOf(&h.typed.task.Stats) }
