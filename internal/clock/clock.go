// Package clock is the time by which what is in this process's memory ends. It goes on by the monotonic clock, which
// nobody sets, and by the clock on the wall as well where that is ahead: a machine that slept, or was paused, has not
// counted that time on its monotonic clock, but what was to end meanwhile has ended. So nothing lasts longer than it was
// to by either clock. A clock on the wall that is put back changes nothing, one that is put forward ends things earlier.
//
// The clock on the wall is read every ten milliseconds, since it costs as much as the rest of a hit. A jump of less than
// a tenth of a second is not one.
//
// It has the waits that heed a context as well.
package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	compareEvery = 10 * time.Millisecond
	leastJump    = 100 * time.Millisecond
)

var epoch = time.Now()

// Now returns the time since some moment before the process used it. It may be negative: the clock in a bubble of
// testing/synctest began long before. It may be called by many goroutines at once.
func Now() time.Duration {
	monotonic := time.Since(epoch) // the cheapest clock that there is
	if int64(monotonic) >= process.next.Load() {
		process.compare()
	}
	return monotonic + time.Duration(process.ahead.Load())
}

// Time is Now as a time, for what counts in those. It is near the time on the wall.
func Time() time.Time { return epoch.Add(Now()) }

// A comparison is of two clocks.
type comparison struct {
	next  atomic.Int64 // when they are compared again, by the monotonic clock
	ahead atomic.Int64 // how far the wall's has jumped forward so far, in nanoseconds

	mu   sync.Mutex
	last time.Duration                          // the difference between them that is known
	read func() (monotonic, wall time.Duration) // both, since epoch
}

var process = comparison{read: readBoth}

func readBoth() (monotonic, wall time.Duration) {
	now := time.Now()
	return now.Sub(epoch), now.Round(0).Sub(epoch.Round(0))
}

// compare notes how far the clock on the wall has jumped. Who comes while others compare goes on with what is known.
func (c *comparison) compare() {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	monotonic, wall := c.read()
	difference := wall - monotonic
	switch jump := difference - c.last; {
	case jump >= leastJump:
		c.ahead.Add(int64(jump))
		c.last = difference
	case jump <= -leastJump:
		c.last = difference
	}
	c.next.Store(int64(monotonic + compareEvery))
}

// SetWall has the clock on the wall be ahead by what ahead returns, until restore is called. It is for tests.
func SetWall(ahead func() time.Duration) (restore func()) {
	set := func(read func() (monotonic, wall time.Duration)) {
		process.mu.Lock()
		process.read = read
		process.mu.Unlock()
		process.next.Store(0)
	}
	set(func() (monotonic, wall time.Duration) {
		monotonic, wall = readBoth()
		return monotonic, wall + ahead()
	})
	return func() { set(readBoth) }
}
