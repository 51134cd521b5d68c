package decorators

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/steer"
)

// BypassIf has fn decide which calls run without the cache, as under cacheutils.Bypass: of an admin, or for a draft. It takes the
// parameters of the decorated function, the context too, and returns a bool: true runs the function, without a lookup
// and without storing its results. It is called at every call, also under cacheutils.Refresh. What the function calls is cached as ever:
// to have that run without the cache, too, give the function the context of cacheutils.Bypass.
//
// RequireCache returns ErrNoCachedValue for such arguments. ForceRecalc, Set and Invalidate do what they say.
func BypassIf(fn any) Option {
	return func(o *options) { o.bypassIf = &fn }
}

type bypassOptions struct {
	bypassIf *any // nil: not given
}

// A bypassPlan is which calls run without the cache.
type bypassPlan struct {
	bypassIf reflect.Value // invalid: none
}

// newBypassPlan panics if the function of BypassIf doesn't fit.
func newBypassPlan(f *function) (p bypassPlan) {
	fn := f.options.bypassIf
	if fn == nil {
		return p
	}
	p.bypassIf = reflect.ValueOf(*fn)
	if t := p.bypassIf; !f.takesParameters(t) || t.Type().NumOut() != 1 || t.Type().Out(0) != reflect.TypeFor[bool]() {
		panicf("%s: BypassIf takes a func%s bool, got %s", f.displayName, f.takes(), givenFunc(t))
	}
	return p
}

// errBypassed says that a call is to run without the cache, for no fault of that.
var errBypassed = errors.New("the call bypasses the cache")

// bypasses reports whether the arguments are of a call that runs without the cache.
func (p *plan) bypasses(a *arguments) bool {
	return p.bypassIf.IsValid() && callWith(p.bypassIf, p.reflected(a))[0].Bool()
}

// takesNone returns an error if a RequireCache under ctx takes nothing that is cached, whatever that is.
func (p *plan) takesNone(ctx context.Context) error {
	if steer.ModeOf(steering(ctx)) == steer.Cached {
		return nil
	}
	return fmt.Errorf("%w: %s is called under Bypass or Refresh", cacheutils.ErrNoCachedValue, p.name)
}
