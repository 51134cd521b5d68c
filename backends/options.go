package backends

import (
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/store"
)

// An Option changes one operation of a Cache.
type Option func(*operation)

// An operation is what the options of one call add up to.
type operation struct {
	timeout time.Duration
	version string
	groups  []string
	wrong   string // what is wrong with them; empty: nothing
}

// err returns an error that says what is wrong with the options, and matches cacheutils.ErrArguments, or nil.
func (o *operation) err() error {
	if o.wrong == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", cacheutils.ErrArguments, o.wrong)
}

// DefaultTimeout stands for the backend's own timeout.
const DefaultTimeout = store.DefaultTimeout

// Timeout says how long the stored value lives, in place of the backend's timeout. Zero and
// negative ones, but for DefaultTimeout, mean that it is over already: what was stored before is gone and nothing is
// stored. cacheutils.Forever never expires. One above zero and below a millisecond is a number without a unit, which
// counts nanoseconds, and an error that matches cacheutils.ErrArguments.
func Timeout(d time.Duration) Option {
	return func(o *operation) {
		if o.timeout = d; d != DefaultTimeout {
			o.timeout = max(d, 0)
		}
		if wrong := errtext.MissingUnit("backends.Timeout", d); wrong != "" {
			o.wrong = wrong
		}
	}
}

// Version addresses the key in that version instead of the backend's. Groups stay those of the
// backend's own version.
func Version(v string) Option {
	return func(o *operation) { o.version = v }
}

// Group puts what is stored into groups, so that InvalidateGroup drops it, and has a reader find
// only what is in all of them. Without it a reader finds an entry whatever its groups, at the
// cost of a second round trip if it has any. A name is any text but the empty one, of at most 1024 bytes. Another one is an error
// that matches cacheutils.ErrArguments, and so are more than 1000 groups. What is in more than 16 that a reader doesn't name is
// for that reader an error that matches cacheutils.ErrUndecodable, on engines outside of this process: others may have written it.
func Group(names ...string) Option {
	return func(o *operation) {
		o.groups = append(o.groups, names...)
		if wrong := errtext.WrongGroups("backends.Group", o.groups, store.MaxGroups); wrong != "" {
			o.wrong = wrong
		}
	}
}
