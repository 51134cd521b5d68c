package decorators

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"unsafe"

	"github.com/cacheutils/cacheutils/backends"
)

// A typed is what Cached0 to Cached3 and their handles have in common: the calls of a function
// whose arguments after the context are the fields of an A, and whose result is an R.
type typed[A, R any] struct {
	*plan
	run func(ctx context.Context, args A) (R, error)
}

// newTyped is for the functions that users call, whose own callers it names.
func newTyped[A, R any](fn any, run func(context.Context, A) (R, error), opts []Option) *typed[A, R] {
	_, file, line, _ := runtime.Caller(2)
	p := newPlan(reflect.ValueOf(fn), fmt.Sprintf("%s:%d", file, line), opts)
	p.planFields(reflect.TypeFor[A]())
	return &typed[A, R]{p, run}
}

// call is a call of the decorated function.
func (t *typed[A, R]) call(ctx context.Context, args A) (R, error) {
	a := arguments{ctx: ctx, fields: t.place(&args)}
	box, miss, err := t.look(&a)
	if box != nil {
		return *box.(*R), nil
	}
	return t.miss(ctx, args, miss, err)
}

// miss is the rest of a call that has found nothing.
func (t *typed[A, R]) miss(ctx context.Context, args A, miss *backends.Miss, err error) (R, error) {
	if err != nil {
		t.uncached(err)
		return t.run(ctx, args)
	}
	a := arguments{ctx: ctx}
	return t.results(miss.Fetch(a.context(), t.computation(ctx, args)))
}

func (t *typed[A, R]) forceRecalc(ctx context.Context, args A) (R, error) {
	a := arguments{ctx: ctx, fields: t.place(&args)}
	cache, key, err := t.locate(&a)
	if err != nil {
		return t.miss(ctx, args, nil, err)
	}
	return t.results(cache.Force(a.context(), key, t.task, t.computation(ctx, args)))
}

func (t *typed[A, R]) requireCache(ctx context.Context, args A) (R, error) {
	a := arguments{ctx: ctx, fields: t.place(&args)}
	box, err := t.cached(&a)
	return t.results(backends.Result{Value: box, Err: err})
}

func (t *typed[A, R]) invalidateFor(ctx context.Context, args A) error {
	return t.invalidate(&arguments{ctx: ctx, fields: t.place(&args)})
}

func (t *typed[A, R]) keyFor(args A) (string, error) {
	return t.cacheKey(&arguments{ctx: context.Background(), fields: t.place(&args)})
}

func (t *typed[A, R]) setFor(ctx context.Context, args A, result R) error {
	return t.set(&arguments{ctx: ctx, fields: t.place(&args)}, &result)
}

// computation returns what runs the function for the arguments of a call under ctx.
func (t *typed[A, R]) computation(ctx context.Context, args A) func(context.Context) backends.Result {
	return func(working context.Context) backends.Result {
		if ctx == nil {
			working = nil
		}
		r, err := t.run(working, args)
		return t.judge(&r, err)
	}
}

func (t *typed[A, R]) results(r backends.Result) (result R, err error) {
	if r.Value != nil {
		result = *r.Value.(*R)
	}
	return result, r.Err
}

// place returns the address of args or, if the key's making might keep that, of a copy. The address
// is hidden from the compiler, which would else move args to the heap.
func (t *typed[A, R]) place(args *A) unsafe.Pointer {
	if t.inPlace {
		return hidden(unsafe.Pointer(args))
	}
	c := *args
	return unsafe.Pointer(&c)
}

// hidden returns p. The compiler doesn't see where it comes from, so what it points at may stay on
// the stack: nobody may keep it.
func hidden(p unsafe.Pointer) unsafe.Pointer {
	address := uintptr(p)
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}
