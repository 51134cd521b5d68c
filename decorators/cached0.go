package decorators

import "context"

// Cached0 is Cached for a function of a context and no argument. Its calls go without reflection:
// they cost less, a hit on locmem allocates nothing, and the compiler checks the arguments of the
// handle's methods. Cached0 to Cached3 differ in the number of arguments, and in nothing besides that.
//
// All that is said of Cached and of the options holds. The same function has the same keys either way,
// and finds what is stored the other way. Functions that options take (KeyOf, ContextKey, Unless, TimeoutOf) are called by
// reflection here, too: KeyOf and ContextKey at each call. That of GroupsOf is not, unless its type has a name.
func Cached0[R any](fn func(context.Context) (R, error), opts ...Option) (func(context.Context) (R, error), *Handle0[R]) {
	var run func(context.Context, args0) (R, error)
	if fn != nil {
		run = func(ctx context.Context, x args0) (R, error) { return fn(ctx) }
	}
	t := newTyped(fn, run, opts)
	if of, ok := t.plan.givenGroupsOf().(func(context.Context) []string); ok {
		callsGroupsOf(t.plan, func(ctx context.Context, x *args0) []string { return of(ctx) })
	}
	call := func(ctx context.Context) (R, error) {
		args := args0{}
		box, at := t.hotResult(ctx, &args)
		if box != nil {
			return *box.(*R), nil
		}
		return t.lookUp(ctx, at, args)
	}
	return call, &Handle0[R]{
		ForceRecalc: func(ctx context.Context) (R, error) {
			return t.forceRecalc(ctx, args0{})
		},
		RequireCache: func(ctx context.Context) (R, error) {
			return t.requireCache(ctx, args0{})
		},
		Original: fn,
		typed:    t,
	}
}

// A Handle0 works on what is cached for a function of a context and no argument, as Handle does for any. It
// may be used by many goroutines at once; its fields are not to be changed.
type Handle0[R any] struct {
	// ForceRecalc runs the function whatever is cached, stores and returns its result. Once it
	// has returned without an error, no call that starts later, in any process, gets an older one, unless
	// the server could not be reached.
	ForceRecalc func(ctx context.Context) (R, error)

	// RequireCache returns what is cached, and never runs the function. If there is nothing, its error
	// matches cacheutils.ErrNoCachedValue.
	RequireCache func(ctx context.Context) (R, error)

	// Original is the function itself, without the cache.
	Original func(ctx context.Context) (R, error)

	typed *typed[args0, R]
}

// args0 are the arguments after the context.
type args0 struct{}

// Invalidate removes the result. Once it has returned nil, no call that starts later, in
// any process, gets a result whose computation began before. On an error what is cached may still be
// there. It is carried out though ctx has been cancelled or its deadline has passed, see Handle.Invalidate.
func (h *Handle0[R]) Invalidate(ctx context.Context) error {
	return h.typed.invalidateFor(ctx, args0{})
}

// InvalidateAll removes the results of the function, of all that ContextKey returns, in one round trip whatever their number. What is said
// of Invalidate holds for all of them. The function needs OwnGroup: otherwise the error matches cacheutils.ErrArguments.
func (h *Handle0[R]) InvalidateAll(ctx context.Context) error {
	return h.typed.plan.invalidateOwn(ctx)
}

// CacheKey returns the key of the result, without the backend's prefix and version.
// It is given no context: with ContextKey there is an error that matches cacheutils.ErrArguments.
func (h *Handle0[R]) CacheKey() (string, error) {
	return cacheKeyFor(h.typed.plan, args0{})
}

// Set stores a result as if the function had returned it, for as long as its timeout says.
func (h *Handle0[R]) Set(ctx context.Context, result R) error {
	return h.typed.setFor(ctx, args0{}, result)
}

// Explain says what is cached: whether a call would find it, how old it is, for how long it counts, and who
// computes it. See Handle.Explain.
func (h *Handle0[R]) Explain(ctx context.Context) (Explanation, error) {
	return explainFor(ctx, h.typed.plan, args0{})
}

// Name returns the function's name in keys: the part before the arguments.
func (h *Handle0[R]) Name() string { return h.typed.plan.name }

// Stats returns what has happened since the function was decorated, in this process.
func (h *Handle0[R]) Stats() Stats { return statsOf(&h.typed.plan.task.Stats) }
