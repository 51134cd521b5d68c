package decorators

import "context"

// Cached1 is Cached2 for a function of a context and one argument.
func Cached1[A, R any](fn func(context.Context, A) (R, error), opts ...Option) (func(context.Context, A) (R, error), *Handle1[A, R]) {
	var run func(context.Context, args1[A]) (R, error)
	if fn != nil {
		run = func(ctx context.Context, x args1[A]) (R, error) { return fn(ctx, x.A) }
	}
	t := newTyped(fn, run, opts)
	return func(ctx context.Context, a A) (R, error) {
		args := args1[A]{a}
		box, miss, err := t.lookup(ctx, nil, t.pointer(&args))
		switch {
		case box != nil:
			return *box.(*R), nil
		case err != nil:
			return t.bypass(ctx, args, err)
		default:
			return t.miss(ctx, args, miss)
		}
	}, &Handle1[A, R]{fn, t}
}

// A Handle1 is a Handle2 for a function of a context and one argument.
type Handle1[A, R any] struct {
	Original func(context.Context, A) (R, error) // the function itself

	typed *typed[args1[A], R]
}

// args1 are the arguments after the context.
type args1[A any] struct {
	A A
}

// ForceRecalc runs the function whatever is cached, stores and returns its result. Once it
// has returned without an error, no call that starts later, in any process, gets an older one, unless
// the server could not be reached.
func (h *Handle1[A, R]) ForceRecalc(ctx context.Context, a A) (R, error) {
	return h.typed.forceRecalc(ctx, args1[A]{a})
}

// RequireCache returns what is cached, and never runs the function. If there is nothing, that is
// cacheutils.ErrNoCachedValue.
func (h *Handle1[A, R]) RequireCache(ctx context.Context, a A) (R, error) {
	return h.typed.requireCache(ctx, args1[A]{a})
}

// Invalidate removes the result for the arguments. Once it has returned nil, no call that starts later, in any
// process, gets a result whose computation began before. On an error what is cached may still be
// there. It is carried out though ctx has been cancelled or its deadline has passed, see Handle.Invalidate.
func (h *Handle1[A, R]) Invalidate(ctx context.Context, a A) error {
	return h.typed.invalidateFor(ctx, args1[A]{a})
}

// CacheKey returns the key for the arguments, without the backend's prefix and version.
func (h *Handle1[A, R]) CacheKey(a A) (string, error) {
	return h.typed.keyFor(args1[A]{a})
}

// Set stores a result for the arguments as if the function had returned it, for as long as its timeout says.
func (h *Handle1[A, R]) Set(ctx context.Context, a A, result R) error {
	return h.typed.setFor(ctx, args1[A]{a}, result)
}

// Name returns the function's name in keys: the part before the arguments.
func (h *Handle1[A, R]) Name() string { return h.typed.name }

// Stats returns what has happened since the function was decorated, in this process.
func (h *Handle1[A, R]) Stats() Stats { return statsOf(&h.typed.task.Stats) }
