package memcached

import (
	"math"
	"time"

	"github.com/cacheutils/cacheutils"
)

const (
	// maxRelative is the longest timeout that memcached takes as one; a larger number is the
	// unix time of the expiry.
	maxRelative = 30 * 24 * 60 * 60

	never   = 0
	expired = -1 // stored and gone at once
)

// expiration turns a timeout into memcached's seconds, rounded up: a fraction of a second
// must not become 0, which is forever. The times past January 2038 that memcached's protocol
// can't say become the last one that it can.
func expiration(timeout time.Duration, now time.Time) int32 {
	switch {
	case timeout == cacheutils.Forever:
		return never
	case timeout <= 0:
		return expired
	}
	if s := ceilSeconds(timeout); s <= maxRelative {
		return int32(s)
	}
	end := now.Add(timeout)
	unix := end.Unix()
	if end.Nanosecond() > 0 {
		unix++
	}
	return int32(min(unix, math.MaxInt32))
}

func ceilSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
