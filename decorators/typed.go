package decorators

import (
	"context"
	"reflect"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/steer"
	"github.com/cacheutils/cacheutils/internal/store"
)

// A typed is what Cached0 to Cached3 and their handles have in common: the calls of a function
// whose arguments after the context are the fields of an A, and whose result is an R.
type typed[A, R any] struct {
	plan *plan // not embedded: the compiler would make each of its methods once more for each pair of types
	run  func(ctx context.Context, args A) (R, error)
}

// newTyped is for the functions that users call, whose own callers it names.
func newTyped[A, R any](fn any, run func(context.Context, A) (R, error), opts []Option) *typed[A, R] {
	p := newPlan(newFunction(reflect.ValueOf(fn), nil, callerLocation(2), opts), reflect.TypeFor[A]())
	return &typed[A, R]{p, run}
}

// hotResult returns the box of the result for the arguments if that is in the hot table, otherwise nil and what lookUp needs
// to know. It is the first step of a call, which Cached0 to Cached3 take themselves: a function in between costs a fifth
// of what a hit does.
func (t *typed[A, R]) hotResult(ctx context.Context, args *A) (box any, at spot) {
	return t.plan.hotHit(ctx, nil, unsafe.Pointer(args))
}

// lookUp is the rest of a call that the hot table has no answer for, or that is in a report.
func (t *typed[A, R]) lookUp(ctx context.Context, at spot, args A) (R, error) {
	if at.store == nil {
		if record := t.plan.record(ctx, steer.Hit); record != nil {
			return t.recorded(ctx, record, args, (*typed[A, R]).find)
		}
	}
	return t.callAt(ctx, at, args)
}

// find is a call that nothing is known of.
func (t *typed[A, R]) find(ctx context.Context, args A) (R, error) {
	return t.callAt(ctx, spot{}, args)
}

// callAt is the rest of a call that is in none, or has its record. The address of args is hidden from the compiler, so args
// must be used after the lookup, which keeps them alive until then.
func (t *typed[A, R]) callAt(ctx context.Context, at spot, args A) (R, error) {
	box, miss, err := t.plan.lookup(ctx, at, nil, t.pointer(&args), nil)
	switch {
	case box != nil:
		return t.found(box)
	case err != nil:
		return t.bypass(ctx, args, err)
	default:
		return t.miss(ctx, args, miss)
	}
}

// recorded runs a call of which record is.
func (t *typed[A, R]) recorded(ctx context.Context, record *steer.Record, args A, call func(*typed[A, R], context.Context, A) (R, error)) (r R, err error) {
	recorded(ctx, record, func(ctx context.Context) { r, err = call(t, ctx, args) })
	return r, err
}

// miss is the rest of a call that has found nothing.
func (t *typed[A, R]) miss(ctx context.Context, args A, miss *store.Miss) (R, error) {
	for {
		given := args
		a := arguments{ctx: ctx, pointer: unsafe.Pointer(&given)}
		rekey := t.plan.keep(&a, miss)
		if r := miss.Fetch(a.context(), t.computation(ctx, &given, rekey)); !r.Closed {
			return t.results(r)
		}
		var box any
		var err error
		box, miss, err = t.plan.lookup(ctx, spot{}, nil, unsafe.Pointer(&args), miss)
		switch {
		case box != nil:
			return t.found(box)
		case err != nil:
			return t.bypass(ctx, args, err)
		}
	}
}

// found returns the result in a box that a lookup has found, with the error that was stored with it.
func (t *typed[A, R]) found(box any) (R, error) {
	if r, ok := box.(*R); ok {
		return *r, nil
	}
	return t.results(*box.(*store.Result))
}

// bypass is a call without the cache, because of why.
func (t *typed[A, R]) bypass(ctx context.Context, args A, why error) (r R, err error) {
	t.plan.uncached(ctx, 1, why)
	store.Compute(ctx, func() { r, err = t.run(ctx, args) })
	return r, err
}

func (t *typed[A, R]) forceRecalc(ctx context.Context, args A) (R, error) {
	if record := t.plan.record(ctx, steer.Hit); record != nil {
		return t.recorded(ctx, record, args, (*typed[A, R]).recalc)
	}
	return t.recalc(ctx, args)
}

func (t *typed[A, R]) recalc(ctx context.Context, args A) (R, error) {
	given := args
	kept := arguments{ctx: ctx, pointer: unsafe.Pointer(&given)}
	rekey := t.plan.keep(&kept, nil)
	a := arguments{ctx: ctx, pointer: unsafe.Pointer(&args)}
	r, err := t.plan.force(&a, t.computation(ctx, &given, rekey))
	if err != nil {
		return t.bypass(ctx, args, err)
	}
	return t.results(r)
}

func (t *typed[A, R]) requireCache(ctx context.Context, args A) (R, error) {
	if record := t.plan.record(ctx, steer.Miss); record != nil {
		return t.recorded(ctx, record, args, (*typed[A, R]).require)
	}
	return t.require(ctx, args)
}

func (t *typed[A, R]) require(ctx context.Context, args A) (R, error) {
	a := arguments{ctx: ctx, pointer: unsafe.Pointer(&args)}
	box, err := t.plan.cached(&a)
	if err != nil {
		return t.results(store.Result{Err: err})
	}
	return t.found(box)
}

func (t *typed[A, R]) invalidateFor(ctx context.Context, args A) error {
	return t.plan.invalidate(&arguments{ctx: ctx, pointer: unsafe.Pointer(&args)})
}

// cacheKeyFor is the key of the result for args, of which p is the plan.
func cacheKeyFor[A any](p *plan, args A) (string, error) {
	if err := p.needsContext(); err != nil {
		return "", err
	}
	return p.cacheKey(&arguments{ctx: context.Background(), pointer: unsafe.Pointer(&args)})
}

// explainFor says what is cached for args, of which p is the plan.
func explainFor[A any](ctx context.Context, p *plan, args A) (Explanation, error) {
	return p.explain(&arguments{ctx: ctx, pointer: unsafe.Pointer(&args)})
}

func (t *typed[A, R]) setFor(ctx context.Context, args A, result R) error {
	return t.plan.set(&arguments{ctx: ctx, pointer: unsafe.Pointer(&args)}, &result)
}

// computation returns what runs the function for the arguments of a call under ctx. rekey is what keep returned
// for them.
func (t *typed[A, R]) computation(ctx context.Context, args *A, rekey store.Rekey) func(context.Context) store.Result {
	return func(working context.Context) store.Result {
		if ctx == nil {
			working = nil
		}
		defer func() {
			if t.plan.reads.arePending() {
				t.plan.warnOfReads(working, &arguments{ctx: ctx, pointer: unsafe.Pointer(args)})
			}
		}()
		r, err := t.run(working, *args)
		result := t.plan.judge(working, &r, err)
		result.Rekey, result.Cut = rekey, t.plan.givenEnded(&arguments{ctx: working, pointer: unsafe.Pointer(args)})
		return result
	}
}

func (t *typed[A, R]) results(r store.Result) (result R, err error) {
	if r.Value != nil {
		result = *r.Value.(*R)
	}
	return result, r.Err
}

// pointer returns the address of args or, if making the key might retain that, of a copy. The address
// is hidden from the compiler, which would otherwise move args to the heap.
func (t *typed[A, R]) pointer(args *A) unsafe.Pointer {
	if t.plan.inPlace {
		return hidden(unsafe.Pointer(args))
	}
	return unsafe.Pointer(cloneOf(args))
}

func cloneOf[A any](args *A) *A {
	c := *args
	return &c
}

// hidden returns p. The compiler doesn't see where it comes from, so what it points at may stay on
// the stack: it must not be retained. Nothing may come in between its two lines that moves the stack, as the
// checks of pointers do that come with -race.
//
//go:nosplit
//go:nocheckptr
func hidden(p unsafe.Pointer) unsafe.Pointer {
	address := uintptr(p)
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}
