package locmem

import (
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/clock"
)

// All of the package uses one clock, otter too, so that what has expired for one has expired for all.
func now() time.Duration { return clock.Now() }

// deadline is when what is written now expires. It has that dropped later.
func (s *store) deadline(timeout time.Duration) time.Duration {
	now := now()
	s.sweepLater(now)
	if now > 0 && timeout > cacheutils.Forever-now {
		return cacheutils.Forever
	}
	return now + timeout
}

// left is how long it is until then, and at least a nanosecond: otter takes 0 for forever.
func left(until, now time.Duration) time.Duration { return max(until-now, 1) }

// An otterClock is the clock as otter wants it. It doesn't tick, so that otter has no goroutine: see sweep.go.
type otterClock struct{}

func (otterClock) NowNano() int64                      { return int64(now()) }
func (otterClock) Tick(time.Duration) <-chan time.Time { return nil }
