package backends

import (
	"time"
)

// An Option changes one operation of a Cache.
type Option func(*operation)

// An operation is what the options of one call add up to.
type operation struct {
	timeout time.Duration
	version string
	groups  []string
}

// DefaultTimeout stands for the backend's own timeout.
const DefaultTimeout time.Duration = -1 << 63

// Timeout says how long the stored value lives, in place of the backend's timeout. Zero and
// negative ones mean that it is over already: what was stored before is gone and nothing is
// stored. cacheutils.Forever never expires.
func Timeout(d time.Duration) Option {
	return func(o *operation) { o.timeout = d }
}

// Version addresses the key in that version instead of the backend's. Groups stay those of the
// backend's own version.
func Version(v string) Option {
	return func(o *operation) { o.version = v }
}

// Group puts what is stored into groups, so that InvalidateGroup drops it, and has a reader find
// only what is in all of them. Without it a reader finds an entry whatever its groups, at the
// cost of a second round trip if it has any. A name is any text; an entry can be in at most
// 1000 groups.
func Group(names ...string) Option {
	return func(o *operation) { o.groups = append(o.groups, names...) }
}
