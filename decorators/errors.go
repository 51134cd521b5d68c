package decorators

import (
	"context"
	"errors"
	"time"

	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/store"
)

// CacheErrors makes errors in which errors.Is finds one of targets results, which are kept for d: that there is no such row,
// say. Others are not cached, as ever. Of an error that is stored a hit returns the text, and errors.Is finds the same ones of
// targets in it; it is the target itself where it has its text. What else was in it, for errors.As say, is gone. The function's other
// results come with it, as they were.
//
//	decorators.CacheErrors(10*time.Second, sql.ErrNoRows, ErrNotFound)
//
// Such an error replaces what was cached, also where Stale would go on serving that, and is itself not served past d. It doesn't
// become a failed try of a refresh. Jitter makes d shorter. Timeout and TimeoutOf are for successes, and so is Unless, but for one
// that takes the trailing error: it is asked. An error with which the context's end is an error too is not stored, nor is one that fn
// returns when its context has ended, nor one whose text has more than 64 KiB. RequireCache returns what is stored. ForceRecalc
// stores it, too.
//
// A target is known by its type and its text, in all processes: two of them must not be alike in both. Processes whose targets differ, or
// which have none, run side by side: an error that doesn't say the same of all their targets is none for them, and they compute.
// The text of the error is stored, where others may read it: with an id or an address in it, too.
//
// With d of zero or less no error is. A second CacheErrors takes the place of the first one. Cached panics if there are no targets, if one
// is nil or comes of a context's end, if the function has no trailing error of type error, or is one for CachedMany: an error
// of a list doesn't say which of its keys it is of; there Absent remembers that there is nothing for a key.
func CacheErrors(d time.Duration, targets ...error) Option {
	return func(o *options) { o.errorsFor, o.targets = &d, targets }
}

type errorOptions struct {
	errorsFor *time.Duration // nil: not given
	targets   []error
}

// checkedErrors returns the errors that count as results, or nil, and panics if CacheErrors doesn't fit.
func (r *resultPlan) checkedErrors() *store.Errors {
	o := &r.options.errorOptions
	switch {
	case o.errorsFor == nil:
		return nil
	case r.isMany():
		panicf("%s: CacheErrors is for functions of one key: an error of a list doesn't say which of its keys it is of; "+
			"leave those keys out of the result, and say Absent", r.displayName)
	case r.errorType == nil:
		panicf("%s: CacheErrors has no meaning, since its last result is not an error; leave it out", r.displayName)
	case !r.carriesErrors:
		panicf("%s: CacheErrors is for functions whose last result is of type error, and not of type %s, which an error that was stored can't have", r.displayName, r.errorType)
	case len(o.targets) == 0:
		panicf("%s: CacheErrors names no errors; say which ones are results: CacheErrors(%v, sql.ErrNoRows)", r.displayName, *o.errorsFor)
	case len(o.targets) > store.MaxTargets:
		panicf("%s: CacheErrors names %d errors, and there may be %d; name one that the others wrap", r.displayName, len(o.targets), store.MaxTargets)
	}
	if wrong := errtext.MissingUnit("CacheErrors", *o.errorsFor); wrong != "" {
		panicf("%s: %s", r.displayName, wrong)
	}
	for i, target := range o.targets {
		r.checkTarget(i, target)
	}
	if *o.errorsFor <= 0 {
		return nil
	}
	return store.NewErrors(o.targets)
}

// checkTarget panics if the target with that index can't be found again in an error that was stored.
func (r *resultPlan) checkTarget(i int, target error) {
	switch {
	case target == nil:
		panicf("%s: error %d of CacheErrors is nil, which is no error; leave it out", r.displayName, i+1)
	case errors.Is(target, context.Canceled) || errors.Is(target, context.DeadlineExceeded):
		panicf("%s: error %d of CacheErrors (%v) comes of a context's end, which is that of one caller; leave it out", r.displayName, i+1, target)
	case !errors.Is(target, target):
		panicf("%s: error %d of CacheErrors has type %T, in which errors.Is doesn't find itself; give it a pointer to one, or a method Is", r.displayName, i+1, target)
	}
	for j, other := range r.options.targets[:i] {
		if store.IDOfTarget(other) == store.IDOfTarget(target) {
			panicf("%s: errors %d and %d of CacheErrors have the same type and the same text (%v), and can't be told apart when they were stored; leave one out, or give it another text",
				r.displayName, j+1, i+1, target)
		}
	}
}

// judgeError says what is to be done with an error, which the function has returned with box under ctx.
func (p *plan) judgeError(ctx context.Context, r *store.Result) {
	if p.task.Errors == nil {
		return
	}
	stored := p.task.Errors.Of(r.Err)
	if stored == nil || p.leavesOut(r.Value, r.Err) {
		return
	}
	r.Error, r.Timeout = stored, p.jittered(ctx, *p.options.errorsFor)
}
