package decorators

import (
	"time"

	"github.com/cacheutils/cacheutils/internal/store"
)

// Stale says how long results may be served past their timeout. Callers get the stale results at once, and the
// first of them, among all processes, starts the function in the background. The function goes on when that
// caller has left, and what it returns is stored. If it fails, or panics, the next try waits a second, and
// twice as long after each further failure, up to 30 seconds. What was invalidated is never served. Without
// Stale the backend says for how long: 30 seconds for the group backend, nothing for others, unless they have
// the option stale. Zero or less switches it off.
func Stale(d time.Duration) Option {
	return func(o *options) { o.stale = &d }
}

type staleOptions struct {
	stale *time.Duration // nil: not given
}

// staleFor returns how long results may be served past their timeout, as a Task has it.
func (o *staleOptions) staleFor() time.Duration {
	if o.stale == nil {
		return store.DefaultStale
	}
	return max(*o.stale, 0)
}
