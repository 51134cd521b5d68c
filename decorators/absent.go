package decorators

import (
	"context"
	"time"
)

// Absent is for CachedMany: keys that the function leaves out of its results are remembered as absent
// for that long, so that it isn't asked for them again. Without it, or with zero or less, it is
// asked each time. An Invalidate of the key or of one of its groups ends that as it does for results.
func Absent(d time.Duration) Option {
	return func(o *options) { o.absent = &d }
}

type absentOptions struct {
	absent *time.Duration // nil: not given
}

func (p *plan) checkAbsent() {
	if p.options.absent != nil && !p.isMany() {
		panicf("%s: Absent is for CachedMany: a function of one key says that there is nothing in its result", p.displayName)
	}
}

// absentTimeout returns how long a call under ctx, which may be nil, is to remember that there is nothing for a key.
func (p *plan) absentTimeout(ctx context.Context) time.Duration {
	if p.options.absent == nil {
		return 0
	}
	return p.jittered(ctx, max(*p.options.absent, 0))
}
