package store

import (
	"sync"
	"time"
)

// A Limiter lets one event a second through, and the first one after a clock was put back. The zero Limiter has let
// none through. It may be used by many goroutines at once.
type Limiter struct {
	mu   sync.Mutex
	last time.Time
}

// Allow reports whether an event at that time is let through.
func (l *Limiter) Allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := now.Sub(l.last); since >= 0 && since < time.Second {
		return false
	}
	l.last = now
	return true
}
