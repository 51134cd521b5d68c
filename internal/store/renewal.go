package store

import (
	"sync"
	"time"

	"github.com/cacheutils/cacheutils/internal/entry"
)

// Renewals are the leases of one Store that are held, in the order in which they are to be renewed:
// each a third of its life after it was taken or renewed last. One timer does for all of them. Most
// computations end before that, so a lease comes and goes without touching the timer, which then
// finds nothing to do when it goes off.
//
// Those that are due are renewed by a few goroutines, which there are only then: thousands of leases at
// once must not keep the store from all else.
type renewals struct {
	mu          sync.Mutex
	first, last *lease
	alarm       time.Time // when the timer goes off; zero: there is none
	due         []*lease
	renewers    int // goroutines
}

// add has l renewed from now on.
func (r *renewals) add(l *lease, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue(l, now)
	// An alarm that is too far off or long over is one that never comes: it was set in a synctest
	// bubble that has ended, or outside of the one that this is.
	if wait := r.alarm.Sub(now); r.alarm.IsZero() || wait > l.store.Lease || wait < -l.store.Lease {
		r.set(l.due, now)
	}
}

// has reports whether the lease with that token is among them.
func (r *renewals) has(token entry.Token) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := r.first; l != nil; l = l.after {
		if l.token == token {
			return true
		}
	}
	return false
}

func (r *renewals) queue(l *lease, now time.Time) {
	l.due, l.queued = now.Add(l.store.Lease/3), true
	l.before, l.after = r.last, nil
	if r.last == nil {
		r.first = l
	} else {
		r.last.after = l
	}
	r.last = l
}

// remove has l renewed no more.
func (r *renewals) remove(l *lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unqueue(l)
}

// end has l renewed no more, not even if it is due. It returns what is closed when a renewal that is
// under way has ended, or nil.
func (r *renewals) end(l *lease) (renewing <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.ended = true
	r.unqueue(l)
	return l.renewing
}

func (r *renewals) unqueue(l *lease) {
	if !l.queued {
		return
	}
	if l.before == nil {
		r.first = l.after
	} else {
		l.before.after = l.after
	}
	if l.after == nil {
		r.last = l.before
	} else {
		l.after.before = l.before
	}
	l.before, l.after, l.queued = nil, nil, false
}

// set starts the timer.
func (r *renewals) set(alarm, now time.Time) {
	r.alarm = alarm
	time.AfterFunc(alarm.Sub(now), func() { r.ring(alarm) })
}

// ring has renewed what is due.
func (r *renewals) ring(alarm time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alarm != alarm {
		return // another has been set since
	}
	r.alarm = time.Time{}
	now := time.Now()
	for l := r.first; l != nil && !l.due.After(now); l = r.first {
		r.unqueue(l)
		r.queue(l, now)
		if !l.isDue {
			l.isDue = true
			r.due = append(r.due, l)
		}
	}
	for ; r.renewers < min(len(r.due), maxAtOnce); r.renewers++ {
		go r.renew()
	}
	if r.first != nil {
		r.set(r.first.due, now)
	}
}

// renew renews leases until none is due.
func (r *renewals) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.due) > 0 {
		l := r.due[0]
		r.due = r.due[1:]
		if !l.ended {
			l.renewing = make(chan struct{})
			r.mu.Unlock()
			l.renew()
			r.mu.Lock()
			close(l.renewing)
			l.renewing = nil
		}
		l.isDue = false
	}
	r.due = nil
	r.renewers--
}
