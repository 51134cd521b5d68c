package decorators

import (
	"context"
	"reflect"
	"slices"

	"github.com/cacheutils/cacheutils/internal/steer"
	"github.com/cacheutils/cacheutils/internal/store"
)

// Cached returns a function of the same type as fn that gives fn's results from the cache,
// and a handle on what is cached. fn is a function with at least one result, or an `any` that
// contains one.
//
//  1. The key is made from the function's name and the arguments; contexts don't count, nor
//     does the receiver of a method expression, unless WithReceiver says so. What fn reads from its
//     context and its results depend on, such as a tenant, must be an argument, or part of what
//     ContextKey returns. A value that fn finds in its context and no key has is warned of, once for
//     each function and type of the value's key.
//  2. If the backend has results under the key, they are returned.
//     If they are past their timeout, but not past the time that Stale adds, they are returned
//     as well. fn then runs in the background, unless another call or process computes them already,
//     and its results are stored. No caller waits for that.
//  3. If another call computes them, in this process or another one, this call waits for those.
//  4. Otherwise fn runs, and its results are stored for Timeout and returned.
//
// Results whose key or one of whose groups is invalidated while fn runs are returned to the callers that called
// before that, and not stored.
//
// A non-nil trailing error is returned, with the other results, to all callers that waited, and nothing is
// stored, unless CacheErrors names it; so is a nil that is the sole result, without CacheNil. A panic in fn panics, as a
// *cacheutils.PanicError with the stack of fn, in all callers that waited; in the background it is logged. One with
// http.ErrAbortHandler stays what it is. Where fn calls runtime.Goexit, that ends the goroutines of all callers that waited.
// Faults of the cache are logged and counted, and never change what a call returns.
//
// A call whose own context ends returns at once, whatever the cache does: with the results if fn has returned,
// otherwise with that context's error, which no other caller gets. Where fn has no trailing error, the caller
// gets what fn makes of its ended context. Each step of what a call does with the backend is bounded by the
// backend's option operation_timeout, 250 milliseconds. A caller with a deadline waits for the first of them at
// most for half of what is left, or 10 milliseconds.
//
// fn runs under a context with the values of the first caller's context:
//
//   - Its deadline is the first caller's plus Linger, and never moves. It has none if that caller has
//     none, or in the background.
//   - When every caller has left, fn goes on for Linger. Then the context ends, with the cause of the
//     last caller's.
//   - What fn returns then is stored if its trailing error is nil. Results of a function that has no
//     trailing error but takes a context are stored only if the context had not ended.
//   - An error that fn returns after its context has ended goes to no caller that has time left. Those callers
//     run fn once more, together.
//   - A function that has not returned when its context ended a lease ago, 5 seconds, is given up:
//     the next caller runs it again, in other processes too.
//   - That fn returns doesn't end the context while a caller's context lives: a client that was made
//     with it can be used. It then ends with that caller's.
//
// A parameter is a context if its type implements context.Context, whatever its name; in the key it counts only if it is a
// cachekey.Keyer or ObjectAttrs names its fields. The first context.Context is the one above. All others are given to
// fn as they are. Where one has a type of its own, of which only its caller can make another, the first caller's call
// returns only when fn has, and nothing runs in the background: Stale and Linger are refused, and results past their
// timeout are computed again. An error that fn returns after such a context has ended goes to no other caller.
//
// A call for results that are being computed by the very computation it is part of would wait
// forever: it gets cacheutils.ErrRecursion, as an error where fn has one, otherwise as a panic.
//
// What callers get is theirs to change, unless Shared says that they only read it. So is what their
// arguments refer to, once their call has returned: fn is given copies where it runs in the
// background or when its callers have left; where an argument can't be copied and has changed meanwhile, the
// results are not stored.
//
// Cached may be used at package level: the backend is looked up at the first call, in the set that On or the
// context names (see backends.With) or that backends.Configure has made, and again after a Configure. If it has
// been closed, calls run fn without the cache.
//
// Cached panics, saying what to change, when fn is not a function or has no results, when its name can't be
// known or would be another function's (see Key and Instance), when a parameter's type can't be in a key, when a
// result's type can't be encoded exactly, or when an option doesn't fit. To find that out it calls
// the marshalers in types of parameters and results, and codecs, for values of its own. Where functions that may not share a name meet
// in one store only later, by a Configure or backends.With, the first that is called has it, and the others run without
// the cache.
func Cached[F any](fn F, opts ...Option) (F, *Handle[F]) {
	p := newPlan(newFunction(reflect.ValueOf(fn), nil, callerLocation(1), opts), nil)
	h := &Handle[F]{
		ForceRecalc:  makeFunc[F](p, p.forceRecalc),
		RequireCache: makeFunc[F](p, p.requireCache),
		Original:     fn,
		plan:         p,
	}
	return makeFunc[F](p, p.call), h
}

func makeFunc[F any](p *plan, call func([]reflect.Value) []reflect.Value) F {
	return reflect.MakeFunc(p.typ, call).Interface().(F)
}

// call is a call of a decorated function.
func (p *plan) call(values []reflect.Value) []reflect.Value {
	ctx := p.context(values)
	box, at := p.hotHit(ctx, values, nil)
	if box != nil {
		return p.hit(box, values)
	}
	if at.store == nil {
		if record := p.record(ctx, steer.Hit); record != nil {
			return p.recordedValues(values, record, func(values []reflect.Value) []reflect.Value { return p.callAt(p.context(values), at, values) })
		}
	}
	return p.callAt(ctx, at, values)
}

// callAt is the rest of a call that the hot table has no answer for.
func (p *plan) callAt(ctx context.Context, at spot, values []reflect.Value) []reflect.Value {
	var was *store.Miss
	for {
		box, miss, err := p.lookup(ctx, at, values, nil, was)
		at = spot{} // the store may be closed by now
		if box != nil && was != nil {
			return p.found(box)
		}
		if box != nil {
			return p.hit(box, values)
		}
		if err != nil {
			return p.bypass(values, err)
		}
		a := arguments{ctx: ctx, values: values}
		rekey := p.keep(&a, miss)
		if r := miss.Fetch(a.context(), p.computation(a.values, rekey)); !r.Closed {
			return p.results(r, values)
		}
		was = miss
	}
}

func (p *plan) forceRecalc(values []reflect.Value) []reflect.Value {
	if record := p.record(p.context(values), steer.Hit); record != nil {
		return p.recordedValues(values, record, p.recalc)
	}
	return p.recalc(values)
}

func (p *plan) recalc(values []reflect.Value) []reflect.Value {
	a := p.ofValues(values)
	kept := a
	rekey := p.keep(&kept, nil)
	r, err := p.force(&a, p.computation(kept.values, rekey))
	if err != nil {
		return p.bypass(values, err)
	}
	return p.results(r, values)
}

func (p *plan) requireCache(values []reflect.Value) []reflect.Value {
	if record := p.record(p.context(values), steer.Miss); record != nil {
		return p.recordedValues(values, record, p.require)
	}
	return p.require(values)
}

func (p *plan) require(values []reflect.Value) []reflect.Value {
	a := p.ofValues(values)
	box, err := p.cached(&a)
	if err != nil {
		return p.fail(err)
	}
	return p.found(box)
}

// computation returns what runs the function and says what is to be done with its results. rekey is
// what keep returned for the arguments.
func (p *plan) computation(values []reflect.Value, rekey store.Rekey) func(context.Context) store.Result {
	return func(ctx context.Context) store.Result {
		given := values // two flights may run it at once
		if p.derives && !values[p.contextIndex].IsNil() {
			given = slices.Clone(values)
			given[p.contextIndex] = reflect.ValueOf(&ctx).Elem()
		}
		defer func() {
			if p.reads.arePending() {
				a := p.ofValues(values)
				p.warnOfReads(ctx, &a)
			}
		}()
		results := callWith(p.fn, given)
		r := p.judge(ctx, p.box(results), p.failure(results))
		r.Rekey, r.Cut = rekey, p.givenEnded(&arguments{values: given})
		return r
	}
}

// bypass is a call without the cache, because of err.
func (p *plan) bypass(values []reflect.Value, err error) []reflect.Value {
	p.uncached(p.context(values), 1, err)
	return p.callAlone(values)
}

// callAlone calls the function for one caller.
func (p *plan) callAlone(values []reflect.Value) (results []reflect.Value) {
	store.Compute(p.context(values), func() { results = callWith(p.fn, values) })
	return results
}

// results are what a call returns for r.
func (p *plan) results(r store.Result, values []reflect.Value) []reflect.Value {
	if r.Value != nil {
		return p.unbox(r.Value, r.Err)
	}
	if !p.carriesErrors && orBackground(p.context(values)).Err() != nil {
		p.task.Stats.Computations.Add(1)
		return p.callAlone(values)
	}
	return p.fail(r.Err)
}

// fail returns err where the function can return any error, otherwise it panics with it.
func (p *plan) fail(err error) []reflect.Value {
	if !p.carriesErrors {
		panic(err)
	}
	return p.unbox(nil, err)
}
