package locmem

import (
	"time"

	"github.com/cacheutils/cacheutils"
)

// All of the package uses one clock, otter too, so that what has expired for one has expired for all. A
// difference of two times with a monotonic part is the cheapest clock there is. It may be negative: the clock
// in a bubble of testing/synctest began long before.
var epoch = time.Now()

func now() time.Duration { return time.Since(epoch) }

// deadline is when what is written now expires.
func deadline(timeout time.Duration) time.Duration {
	now := now()
	if now > 0 && timeout > cacheutils.Forever-now {
		return cacheutils.Forever
	}
	return now + timeout
}

// left is how long it is until then, and at least a nanosecond: otter takes 0 for forever.
func left(until, now time.Duration) time.Duration { return max(until-now, 1) }

// An otterClock is the clock as otter wants it.
type otterClock struct{}

func (otterClock) NowNano() int64                            { return int64(now()) }
func (otterClock) Tick(every time.Duration) <-chan time.Time { return time.Tick(every) }
