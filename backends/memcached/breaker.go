package memcached

import (
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/cacheutils/cacheutils"
)

// A server that fails must not keep its callers: each would wait for the timeout, or dial in
// vain. So it is up or down:
//
//	up    operations are sent. After so many faults in a row that say something about the
//	      server, or one fatal fault (nobody listens, no such name), it is down.
//	down  operations fail at once. A watcher sends a probe now and then, in the background,
//	      so that no caller pays for it; when one is answered, and the invalidations that
//	      wait are carried out (see replay.go), the server is up.
//
// The faults of operations that were under way together are one fault: a server, or a machine, that
// stands still for a moment is not down. Those of operations that began before the server
// was up again are not counted. gobreaker counts the others. It is told of successes only after a fault, so that
// they cost nothing as a rule. watcher.go has the watcher, replay.go the invalidations that wait.

// health is guarded by the server's mu.
type health struct {
	isDown  bool
	tripped chan struct{} // closed when the server goes down, so that no caller waits for a connection
	since   time.Time     // when unavailable changed last
	counted time.Time     // when the last fault was
	lastErr *fault
	queue   queue
	watcher *watcher
}

func (s *server) newBreaker() *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout: 1, // probes may be sent at any time: the watcher counts the time
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return s.reportingFatal.Load() || int(c.ConsecutiveFailures) >= s.failures
		},
		IsSuccessful:  func(err error) bool { f, ok := err.(*fault); return !ok || f.kind == refused },
		IsExcluded:    func(err error) bool { f, ok := err.(*fault); return ok && f.kind <= cancelled },
		OnStateChange: func(_ string, _, to gobreaker.State) { s.onStateChange(to) },
	})
}

// report has the breaker count how an operation ended.
func (s *server) report(err error) {
	f, failed := err.(*fault)
	failed = failed && f.kind != refused
	if failed && !s.counts(f) || !failed && !s.afterFault.Load() || s.unavailable.Load() {
		return
	}
	// gobreaker decides whether to trip by counts alone. So reports are made one at a time, and reportingFatal
	// is about the current one.
	s.reporting.Lock()
	defer s.reporting.Unlock()
	s.reportingFatal.Store(failed && f.fatal)
	s.breaker.Execute(func() (struct{}, error) { return struct{}{}, err })
	s.reportingFatal.Store(false)
	s.afterFault.Store(failed)
}

// counts reports whether a fault says something new about the server.
func (s *server) counts(f *fault) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.kind <= cancelled || f.began.Before(s.since) || f.began.Before(s.counted) && !f.fatal {
		return false
	}
	s.counted = time.Now()
	return true
}

// onStateChange follows the breaker. It runs under the breaker's lock.
func (s *server) onStateChange(to gobreaker.State) {
	switch to {
	case gobreaker.StateOpen:
		s.mu.Lock()
		began := !s.isDown
		if began {
			s.isDown = true
			close(s.tripped)
			s.trips.Add(1)
			s.updateAvailability()
		}
		s.mu.Unlock()
		if began {
			s.drop()
			s.watch(s.probe)
		}
	case gobreaker.StateClosed:
		s.mu.Lock()
		s.isDown = false
		s.tripped = make(chan struct{})
		s.afterFault.Store(false)
		s.updateAvailability()
		s.mu.Unlock()
	}
}

// updateAvailability sets whether operations are sent. The caller holds s.mu.
func (s *server) updateAvailability() {
	if unavailable := s.isDown || s.queue.len() > 0; unavailable != s.unavailable.Load() {
		s.unavailable.Store(unavailable)
		s.since = time.Now()
	}
}

// unavailableFault is for an operation on a server to which none is sent.
func (s *server) unavailableFault(op operation) error {
	s.mu.Lock()
	why, waiting := s.health.lastErr, s.queue.len()
	if s.isDown {
		waiting = 0
	}
	s.mu.Unlock()
	switch {
	case waiting > 0:
		return s.queueFault(op, waiting)
	case why != nil:
		return s.fault(op, down, fmt.Errorf("%w: %s: %w", cacheutils.ErrServerDown, why.what, why.err))
	default:
		return s.fault(op, down, cacheutils.ErrServerDown)
	}
}

// queueFault is for an operation on a server on which invalidations wait to be carried out first.
func (s *server) queueFault(op operation, waiting int) error {
	return s.fault(op, down, fmt.Errorf("%w: %d invalidations wait to be carried out", cacheutils.ErrServerDown, waiting))
}
