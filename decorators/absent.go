package decorators

import (
	"context"
	"time"
)

// Absent is for CachedMany. A key that the function leaves out of its results is stored as absent for that
// long, so that the function isn't called for it again. Without it, or with zero or less, the function is
// called for such keys each time. An Invalidate of the key or of one of its groups removes that as it removes
// results.
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
