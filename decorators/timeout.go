package decorators

import (
	"context"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/random"
	"github.com/cacheutils/cacheutils/internal/store"
)

// Timeout says how long results are cached. With cacheutils.Forever they never expire. With zero or less
// nothing is stored, so that only simultaneous calls share a result. Without it that is the timeout of the
// backend. Cached panics if it is above zero and below a millisecond: that is a number without a unit, which
// counts nanoseconds.
//
// No result is served past it, not by a millisecond, also on engines that count in seconds, as memcached does, which
// may drop one up to a second early if the timeout is of whole seconds. The time of day of the host that reads
// the result decides: where the clocks of hosts differ, a result ends earlier or later by that much.
func Timeout(d time.Duration) Option {
	return func(o *options) { o.timeout = &d }
}

// TimeoutOf has fn decide for each result how long it is kept. fn takes the results of the
// decorated function, with or without the trailing error, and returns a time.Duration as for
// Timeout, which may be of any length.
func TimeoutOf(fn any) Option {
	return func(o *options) { o.timeoutOf = &fn }
}

// Jitter makes each timeout shorter by up to that fraction of it, at random, so that entries
// which were stored together don't expire together, those of Absent too. It is from 0 to 1.
// Forever is not jittered.
func Jitter(fraction float64) Option {
	return func(o *options) { o.jitter = fraction }
}

type timeoutOptions struct {
	timeout   *time.Duration // nil: not given
	timeoutOf *any           // nil: not given
	jitter    float64
}

// checkedTimeoutOf returns the function of TimeoutOf, if there is one, and panics if an option about time
// doesn't fit.
func (r *resultPlan) checkedTimeoutOf() reflect.Value {
	o := &r.options
	if o.jitter < 0 || o.jitter > 1 || o.jitter != o.jitter {
		panicf("%s: Jitter(%v) is not a fraction from 0 to 1", r.displayName, o.jitter)
	}
	for _, given := range [...]struct {
		option string
		d      *time.Duration
	}{{"Timeout", o.timeout}, {"Stale", o.stale}, {"Linger", o.linger}, {"Absent", o.absent}} {
		if given.d == nil {
			continue
		}
		if wrong := errtext.MissingUnit(given.option, *given.d); wrong != "" {
			panicf("%s: %s", r.displayName, wrong)
		}
	}
	timeoutOf := r.resultFunc("TimeoutOf", o.timeoutOf, reflect.TypeFor[time.Duration]())
	if timeoutOf.IsValid() && o.timeout != nil {
		panicf("%s: Timeout and TimeoutOf exclude each other: leave one out", r.displayName)
	}
	return timeoutOf
}

// timeoutFor returns how long a box is to be stored by a call under ctx, which may be nil.
func (p *plan) timeoutFor(ctx context.Context, box any) time.Duration {
	d := store.DefaultTimeout
	switch {
	case p.timeoutOf.IsValid():
		d = max(time.Duration(p.callResultFunc(p.timeoutOf, box, nil).Int()), 0)
	case p.options.timeout != nil:
		d = max(*p.options.timeout, 0)
	}
	return p.jittered(ctx, d)
}

// jittered returns d, or less, as Jitter says.
func (p *plan) jittered(ctx context.Context, d time.Duration) time.Duration {
	jitter := p.options.jitter
	if jitter == 0 || d == cacheutils.Forever {
		return d
	}
	if d == store.DefaultTimeout {
		cache, err := p.backend.store(ctx)
		if err != nil {
			return d
		}
		if d = cache.Timeout; d == cacheutils.Forever {
			return d
		}
	}
	return d - time.Duration(random.Float64(p.backend.name, p.name)*jitter*float64(d))
}
