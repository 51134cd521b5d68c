package store

import (
	"sync"
	"time"
)

// A limiter lets one event a second through.
type limiter struct {
	mu   sync.Mutex
	next time.Time
}

func (l *limiter) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		return false
	}
	l.next = now.Add(time.Second)
	return true
}
