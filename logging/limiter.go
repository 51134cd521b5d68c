package logging

import (
	"sync"
	"time"
)

// A Limiter logs one line a second of each cause, so that a fault at each call doesn't fill a disk. The next line of
// that cause says in Event.LeftOut how many there would have been in between. The zero Limiter is ready for use. It may
// be used by many goroutines at once.
type Limiter struct {
	mu     sync.Mutex
	causes map[string]*cause
	swept  time.Time // when causes were last removed
}

// A cause is what lines have in common of which there is one a second.
type cause struct {
	last    time.Time // when a line was logged
	leftOut int       // since then
}

const (
	// every is how long there is no other line of one cause.
	every = time.Second
	// maxCauses is how many causes a Limiter knows. The lines of more share one a second.
	maxCauses = 1000
)

// Log logs e, unless a line of that cause was logged within the last second or nobody reads that level. The cause is a
// text without what differs from line to line, such as a key; causes are limited to 1000 at a time, others
// share one line a second. A clock that was put back is no reason to wait.
func (l *Limiter) Log(level Level, cause string, e Event) {
	if !Enabled(level) {
		return
	}
	leftOut, ok := l.admit(cause)
	if ok {
		e.LeftOut = leftOut
		Log(level, e)
	}
}

// admit reports whether a line of that cause is logged now, and how many were not since the last one.
func (l *Limiter) admit(text string) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now() // not before the lock: a caller who waited for it would come from before the last line
	c := l.cause(text, now)
	if c.isRecent(now) {
		c.leftOut++
		return 0, false
	}
	leftOut = c.leftOut
	c.last, c.leftOut = now, 0
	return leftOut, true
}

// cause returns the cause of that text, or the one that all share for which there is no room.
func (l *Limiter) cause(text string, now time.Time) *cause {
	if c, ok := l.causes[text]; ok {
		return c
	}
	if len(l.causes) >= maxCauses {
		l.sweep(now)
	}
	if len(l.causes) >= maxCauses {
		text = ""
		if c, ok := l.causes[text]; ok {
			return c
		}
	}
	if l.causes == nil {
		l.causes = make(map[string]*cause)
	}
	c := new(cause)
	l.causes[text] = c
	return c
}

// sweep removes, once a second, the causes that are over.
func (l *Limiter) sweep(now time.Time) {
	if since := now.Sub(l.swept); since >= 0 && since < every {
		return
	}
	l.swept = now
	for text, c := range l.causes {
		if !c.isRecent(now) {
			delete(l.causes, text)
		}
	}
}

func (c *cause) isRecent(now time.Time) bool {
	since := now.Sub(c.last)
	return since >= 0 && since < every
}
