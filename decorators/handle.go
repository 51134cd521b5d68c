package decorators

import "context"

// A Handle is what Cached returns besides the function: it works on what is cached for it. Its
// methods take the function's own arguments, the context included, and check them before
// they do anything: a wrong number or type is an error that matches cacheutils.ErrArguments
// and says what the function takes. Numbers and strings may be given as constants, so that 1
// does for an int64. The arguments after the last of a variadic function are given one by
// one, or as the slice they would be. Other errors are the backend's.
//
// A Handle may be used by many goroutines at once; its fields are not to be changed.
type Handle[F any] struct {
	// ForceRecalc runs the function whatever is cached, stores and returns its results. Once it
	// has returned without an error, no call that starts later, in any process, gets older ones, unless
	// the server could not be reached.
	ForceRecalc F

	// RequireCache returns what is cached, and never runs the function. If there is nothing, its error
	// matches cacheutils.ErrNoCachedValue; a function that has no trailing error panics with that.
	RequireCache F

	// Original is the function itself, without the cache.
	Original F

	plan *plan
}

// Invalidate removes the results for args. Once it has returned nil, no call that starts later, in any process,
// gets results whose computation began before: computations under way are not stored, nor are their results
// given to callers that join from then on. Results past their timeout (see Stale) go, too. On an error what is
// cached may still be there. It is one round trip; a cache.InvalidateGroup does the same for all results of a
// group.
//
// It is carried out though the context among args has been cancelled or its deadline has passed, within the
// backend's operation_timeout: after a commit the results are outdated, whether or not the caller is still
// there. A deadline that is ahead bounds it, too.
func (h *Handle[F]) Invalidate(args ...any) error {
	p := h.plan
	values, err := p.arguments(args)
	if err != nil {
		return err
	}
	a := p.ofValues(values)
	return p.invalidate(&a)
}

// InvalidateAll removes the results of the function, of all arguments, in one round trip whatever their number. What is said
// of Invalidate holds for all of them. The function needs OwnGroup: otherwise the error matches cacheutils.ErrArguments.
func (h *Handle[F]) InvalidateAll(ctx context.Context) error { return h.plan.invalidateOwn(ctx) }

// CacheKey returns the key for args, without the backend's prefix and version.
func (h *Handle[F]) CacheKey(args ...any) (string, error) {
	values, err := h.plan.arguments(args)
	if err != nil {
		return "", err
	}
	a := h.plan.ofValues(values)
	return h.plan.cacheKey(&a)
}

// Set stores results for args as if the function had returned them, without its trailing
// error, for as long as the function's timeout says. A nil is stored too. Later changes to
// what results point at don't show in the cache, except with Shared.
func (h *Handle[F]) Set(args []any, results ...any) error {
	p := h.plan
	values, err := p.arguments(args)
	if err != nil {
		return err
	}
	stored, err := p.resultValues(results)
	if err != nil {
		return err
	}
	a := p.ofValues(values)
	return p.set(&a, p.box(stored))
}

// Explain says what is cached for args: whether a call would find it, how old it is, for how long it counts, which groups it is in and
// whether they were invalidated since, and who computes it. It runs nothing and changes nothing, and counts neither in
// Stats nor in the log. Locmem doesn't take it for a use of the results; an engine that drops what is seldom used, and is not an
// engine.Peeker, may.
//
// It costs a lookup, and another where the results are in groups that the function doesn't name any more. On an error
// that is not about args the backend could not be asked.
func (h *Handle[F]) Explain(args ...any) (Explanation, error) {
	values, err := h.plan.arguments(args)
	if err != nil {
		return Explanation{}, err
	}
	a := h.plan.ofValues(values)
	return h.plan.explain(&a)
}

// Name returns the function's name in keys: the part before the arguments.
func (h *Handle[F]) Name() string { return h.plan.name }

// Stats returns what has happened since the function was decorated, in this process.
func (h *Handle[F]) Stats() Stats { return statsOf(&h.plan.task.Stats) }
