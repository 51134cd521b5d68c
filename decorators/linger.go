package decorators

import (
	"time"

	"github.com/cacheutils/cacheutils/internal/store"
)

// Linger says how long the function goes on when every caller that waited for it has left. What it returns then
// is stored, and is for those that come meanwhile; after that its context ends. Zero or less ends it at once.
// Without Linger it goes on for as long as the backend's lease, 5 seconds, if the last caller's deadline had
// passed, so that callers with little time don't run a slow function again and again for nothing, and ends at
// once if the last caller was cancelled. It ends at once, too, when the store could not be reached, since its
// results could not be stored.
//
// A function that has not returned when its context ended a lease ago is given up: the next caller runs
// it again.
//
// A refresh of results past their timeout has no callers, and goes on until those results may not be
// served any more; then it is as if a caller's deadline had passed.
func Linger(d time.Duration) Option {
	return func(o *options) { o.linger = &d }
}

type lingerOptions struct {
	linger *time.Duration // nil: not given
}

// lingerFor returns how long the function goes on without callers, as a Task has it.
func (o *lingerOptions) lingerFor() time.Duration {
	if o.linger == nil {
		return store.DefaultLinger
	}
	return max(*o.linger, 0)
}
