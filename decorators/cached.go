package decorators

import (
	"context"
	"fmt"
	"reflect"
	"runtime"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// Cached returns a function of the same type as fn that gives fn's results from the cache,
// and a handle on what is cached. fn is a function with at least one result, or an `any` that
// holds one.
//
//  1. The key is made from the function's name and the arguments; contexts don't count, nor
//     does the receiver of a method expression, unless WithReceiver says so.
//  2. If the backend has results under the key, they are returned.
//     If they are past their timeout, but not past the time that Stale adds, they are returned
//     as well, unless nobody computes them anew: then this call does.
//  3. If another call computes them, in this process or another one, this call waits for those.
//  4. Otherwise fn runs, and its results are stored for Timeout and returned.
//
// Results whose key or one of whose groups is invalidated while fn runs are returned to those
// who had called before, and not stored.
//
// A non-nil trailing error is returned, with the other results, to all who waited, and nothing
// is stored; so is a nil that is the sole result, without CacheNil. A panic in fn panics, as a
// *cacheutils.PanicError with the stack of fn, in all who waited. Faults of the cache are
// logged and counted, and never change what a call returns.
//
// fn runs under a context with the values of the first caller's context that ends once every
// caller who waits has left. A caller whose own context ends gets that context's error; where
// fn has no trailing error, it gets what fn makes of its ended context. A call for results
// that are being computed by the very computation it is part of would wait for ever: it gets
// cacheutils.ErrRecursion, as an error where fn has one, else as a panic.
//
// What callers get is theirs to change, unless Shared says that they only read it.
//
// Cached may be used at package level: the backend is looked up at the first call. It panics,
// saying what to change, when fn is no function or has no results, when its name can't be
// known (see Key), when a parameter's type can't be in a key, when a result's type can't be
// encoded exactly, or when an option doesn't fit.
func Cached[F any](fn F, opts ...Option) (F, *Handle[F]) {
	_, file, line, _ := runtime.Caller(1)
	p := newPlan(reflect.ValueOf(fn), fmt.Sprintf("%s:%d", file, line), opts)
	h := &Handle[F]{
		ForceRecalc:  makeFunc[F](p, p.forceRecalc),
		RequireCache: makeFunc[F](p, p.requireCache),
		Original:     fn,
		plan:         p,
	}
	return makeFunc[F](p, p.call), h
}

func makeFunc[F any](p *plan, call func([]reflect.Value) []reflect.Value) F {
	return reflect.MakeFunc(p.fn.Type(), call).Interface().(F)
}

// call is what happens in a call of a decorated function.
func (p *plan) call(args []reflect.Value) []reflect.Value {
	cache, key, err := p.locate(args)
	if err != nil {
		p.fault(err)
		return p.runUncached(args)
	}
	ctx := p.context(args)
	r := cache.Fetch(ctx, key, p.task, func(ctx context.Context) backends.Result {
		return p.compute(ctx, args)
	})
	return p.results(r, args)
}

func (p *plan) forceRecalc(args []reflect.Value) []reflect.Value {
	cache, key, err := p.locate(args)
	if err != nil {
		p.fault(err)
		return p.runUncached(args)
	}
	r := cache.Force(p.context(args), key, p.task, func(ctx context.Context) backends.Result {
		return p.compute(ctx, args)
	})
	return p.results(r, args)
}

func (p *plan) requireCache(args []reflect.Value) []reflect.Value {
	value, err := p.cached(args)
	if err != nil {
		return p.fail(err)
	}
	return p.unbox(value, nil)
}

func (p *plan) cached(args []reflect.Value) (any, error) {
	cache, key, err := p.locate(args)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cacheutils.ErrNoCachedValue, err)
	}
	return cache.FetchCached(p.context(args), key, p.task)
}

// locate returns the backend and the key for args.
func (p *plan) locate(args []reflect.Value) (*backends.Cache, backends.Key, error) {
	cache, err := p.backend.Cache()
	if err != nil {
		return nil, backends.Key{}, fmt.Errorf("decorators: %s: %w", p.name, err)
	}
	text, err := p.key(args)
	if err != nil {
		return nil, backends.Key{}, fmt.Errorf("decorators: the key of %s: %w", p.name, err)
	}
	return cache, cache.Key(text, p.groupsFor(args)...), nil
}

// context returns the context among args, or one that never ends.
func (p *plan) context(args []reflect.Value) context.Context {
	if p.contextIndex >= 0 {
		if ctx, ok := args[p.contextIndex].Interface().(context.Context); ok {
			return ctx
		}
	}
	return context.Background()
}

// compute runs the function under ctx and says what is to be done with its results.
func (p *plan) compute(ctx context.Context, args []reflect.Value) backends.Result {
	if p.contextIndex >= 0 && !args[p.contextIndex].IsNil() {
		args = append([]reflect.Value(nil), args...)
		args[p.contextIndex] = reflect.ValueOf(&ctx).Elem()
	}
	results := p.run(args)
	r := backends.Result{Value: p.box(results), Err: p.failure(results)}
	if r.Err != nil {
		return r
	}
	values := results[:p.values]
	r.Discard = p.isNil(values) || p.isLeftOut(values)
	if !r.Discard {
		r.Timeout = p.timeoutFor(values)
	}
	return r
}

// runUncached is a call that the cache has no part in.
func (p *plan) runUncached(args []reflect.Value) []reflect.Value {
	p.task.Stats.Computations.Add(1)
	return p.run(args)
}

// run calls the function itself.
func (p *plan) run(args []reflect.Value) []reflect.Value {
	return callWith(p.fn, args)
}

// results are what a call returns for r.
func (p *plan) results(r backends.Result, args []reflect.Value) []reflect.Value {
	if r.Value != nil {
		return p.unbox(r.Value, r.Err)
	}
	if !p.carriesErrors && p.context(args).Err() != nil {
		return p.runUncached(args)
	}
	return p.fail(r.Err)
}

// fail returns err where the function has an error to return, else it panics with it.
func (p *plan) fail(err error) []reflect.Value {
	if !p.carriesErrors {
		panic(err)
	}
	return p.unbox(nil, err)
}
