package decorators

import "context"

// Cached2 is Cached for a function of a context and two arguments. Its calls go without reflection:
// they cost less, a hit on locmem allocates nothing, and the compiler checks the arguments of the
// handle's methods. Cached0 to Cached3 differ in the number of arguments, and in nothing besides that.
//
// All that is said of Cached and of the options holds. The same function has the same keys either way,
// and finds what is stored the other way. Functions that options take (KeyOf, ContextKey, Unless, TimeoutOf) are called by
// reflection here, too: KeyOf and ContextKey at each call. That of GroupsOf is not, unless its type has a name.
func Cached2[A, B, R any](fn func(context.Context, A, B) (R, error), opts ...Option) (func(context.Context, A, B) (R, error), *Handle2[A, B, R]) {
	var run func(context.Context, args2[A, B]) (R, error)
	if fn != nil {
		run = func(ctx context.Context, x args2[A, B]) (R, error) { return fn(ctx, x.A, x.B) }
	}
	t := newTyped(fn, run, opts)
	if of, ok := t.plan.givenGroupsOf().(func(context.Context, A, B) []string); ok {
		callsGroupsOf(t.plan, func(ctx context.Context, x *args2[A, B]) []string { return of(ctx, x.A, x.B) })
	}
	call := func(ctx context.Context, a A, b B) (R, error) {
		args := args2[A, B]{a, b}
		box, at := t.hotResult(ctx, &args)
		if box != nil {
			return *box.(*R), nil
		}
		return t.lookUp(ctx, at, args)
	}
	return call, &Handle2[A, B, R]{
		ForceRecalc: func(ctx context.Context, a A, b B) (R, error) {
			return t.forceRecalc(ctx, args2[A, B]{a, b})
		},
		RequireCache: func(ctx context.Context, a A, b B) (R, error) {
			return t.requireCache(ctx, args2[A, B]{a, b})
		},
		Original: fn,
		typed:    t,
	}
}

// A Handle2 works on what is cached for a function of a context and two arguments, as Handle does for any. It
// may be used by many goroutines at once; its fields are not to be changed.
type Handle2[A, B, R any] struct {
	// ForceRecalc runs the function whatever is cached, stores and returns its result. Once it
	// has returned without an error, no call that starts later, in any process, gets an older one, unless
	// the server could not be reached.
	ForceRecalc func(ctx context.Context, a A, b B) (R, error)

	// RequireCache returns what is cached, and never runs the function. If there is nothing, its error
	// matches cacheutils.ErrNoCachedValue.
	RequireCache func(ctx context.Context, a A, b B) (R, error)

	// Original is the function itself, without the cache.
	Original func(ctx context.Context, a A, b B) (R, error)

	typed *typed[args2[A, B], R]
}

// args2 are the arguments after the context.
type args2[A, B any] struct {
	A A
	B B
}

// Invalidate removes the result for these arguments. Once it has returned nil, no call that starts later, in
// any process, gets a result whose computation began before. On an error what is cached may still be
// there. It is carried out though ctx has been cancelled or its deadline has passed, see Handle.Invalidate.
func (h *Handle2[A, B, R]) Invalidate(ctx context.Context, a A, b B) error {
	return h.typed.invalidateFor(ctx, args2[A, B]{a, b})
}

// InvalidateAll removes the results of the function, of all arguments, in one round trip whatever their number. What is said
// of Invalidate holds for all of them. The function needs OwnGroup: otherwise the error matches cacheutils.ErrArguments.
func (h *Handle2[A, B, R]) InvalidateAll(ctx context.Context) error {
	return h.typed.plan.invalidateOwn(ctx)
}

// CacheKey returns the key of the result for these arguments, without the backend's prefix and version.
// It is given no context: with ContextKey there is an error that matches cacheutils.ErrArguments.
func (h *Handle2[A, B, R]) CacheKey(a A, b B) (string, error) {
	return cacheKeyFor(h.typed.plan, args2[A, B]{a, b})
}

// Set stores a result for these arguments as if the function had returned it, for as long as its timeout says.
func (h *Handle2[A, B, R]) Set(ctx context.Context, a A, b B, result R) error {
	return h.typed.setFor(ctx, args2[A, B]{a, b}, result)
}

// Explain says what is cached for these arguments: whether a call would find it, how old it is, for how long it counts, and who
// computes it. See Handle.Explain.
func (h *Handle2[A, B, R]) Explain(ctx context.Context, a A, b B) (Explanation, error) {
	return explainFor(ctx, h.typed.plan, args2[A, B]{a, b})
}

// Name returns the function's name in keys: the part before the arguments.
func (h *Handle2[A, B, R]) Name() string { return h.typed.plan.name }

// Stats returns what has happened since the function was decorated, in this process.
func (h *Handle2[A, B, R]) Stats() Stats { return statsOf(&h.typed.plan.task.Stats) }
