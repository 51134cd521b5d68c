package decorators

import "context"

// Cached1 is Cached for a function of a context and one argument. Its calls go without reflection:
// they cost less, a hit on locmem allocates nothing, and the compiler checks the arguments of the
// handle's methods. Cached0 to Cached3 differ in the number of arguments, and in nothing besides that.
//
// All that is said of Cached and of the options holds. The same function has the same keys either way,
// and finds what is stored the other way. Functions that options take (KeyOf, ContextKey, Unless, TimeoutOf) are called by
// reflection here, too: KeyOf and ContextKey at each call. That of GroupsOf is not, unless its type has a name.
func Cached1[A, R any](fn func(context.Context, A) (R, error), opts ...Option) (func(context.Context, A) (R, error), *Handle1[A, R]) {
	var run func(context.Context, args1[A]) (R, error)
	if fn != nil {
		run = func(ctx context.Context, x args1[A]) (R, error) { return fn(ctx, x.A) }
	}
	t := newTyped(fn, run, opts)
	if of, ok := t.plan.givenGroupsOf().(func(context.Context, A) []string); ok {
		callsGroupsOf(t.plan, func(ctx context.Context, x *args1[A]) []string { return of(ctx, x.A) })
	}
	call := func(ctx context.Context, a A) (R, error) {
		args := args1[A]{a}
		box, at := t.hotResult(ctx, &args)
		if box != nil {
			return *box.(*R), nil
		}
		return t.lookUp(ctx, at, args)
	}
	return call, &Handle1[A, R]{
		ForceRecalc: func(ctx context.Context, a A) (R, error) {
			return t.forceRecalc(ctx, args1[A]{a})
		},
		RequireCache: func(ctx context.Context, a A) (R, error) {
			return t.requireCache(ctx, args1[A]{a})
		},
		Original: fn,
		typed:    t,
	}
}

// A Handle1 works on what is cached for a function of a context and one argument, as Handle does for any. It
// may be used by many goroutines at once; its fields are not to be changed.
type Handle1[A, R any] struct {
	// ForceRecalc runs the function whatever is cached, stores and returns its result. Once it
	// has returned without an error, no call that starts later, in any process, gets an older one, unless
	// the server could not be reached.
	ForceRecalc func(ctx context.Context, a A) (R, error)

	// RequireCache returns what is cached, and never runs the function. If there is nothing, its error
	// matches cacheutils.ErrNoCachedValue.
	RequireCache func(ctx context.Context, a A) (R, error)

	// Original is the function itself, without the cache.
	Original func(ctx context.Context, a A) (R, error)

	typed *typed[args1[A], R]
}

// args1 are the arguments after the context.
type args1[A any] struct {
	A A
}

// Invalidate removes the result for these arguments. Once it has returned nil, no call that starts later, in
// any process, gets a result whose computation began before. On an error what is cached may still be
// there. It is carried out though ctx has been cancelled or its deadline has passed, see Handle.Invalidate.
func (h *Handle1[A, R]) Invalidate(ctx context.Context, a A) error {
	return h.typed.invalidateFor(ctx, args1[A]{a})
}

// InvalidateAll removes the results of the function, of all arguments, in one round trip whatever their number. What is said
// of Invalidate holds for all of them. The function needs OwnGroup: otherwise the error matches cacheutils.ErrArguments.
func (h *Handle1[A, R]) InvalidateAll(ctx context.Context) error {
	return h.typed.plan.invalidateOwn(ctx)
}

// CacheKey returns the key of the result for these arguments, without the backend's prefix and version.
// It is given no context: with ContextKey there is an error that matches cacheutils.ErrArguments.
func (h *Handle1[A, R]) CacheKey(a A) (string, error) {
	return cacheKeyFor(h.typed.plan, args1[A]{a})
}

// Set stores a result for these arguments as if the function had returned it, for as long as its timeout says.
func (h *Handle1[A, R]) Set(ctx context.Context, a A, result R) error {
	return h.typed.setFor(ctx, args1[A]{a}, result)
}

// Explain says what is cached for these arguments: whether a call would find it, how old it is, for how long it counts, and who
// computes it. See Handle.Explain.
func (h *Handle1[A, R]) Explain(ctx context.Context, a A) (Explanation, error) {
	return explainFor(ctx, h.typed.plan, args1[A]{a})
}

// Name returns the function's name in keys: the part before the arguments.
func (h *Handle1[A, R]) Name() string { return h.typed.plan.name }

// Stats returns what has happened since the function was decorated, in this process.
func (h *Handle1[A, R]) Stats() Stats { return statsOf(&h.typed.plan.task.Stats) }
