package memcached

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/logging"
)

// A server that fails must not keep its callers: each would wait for the timeout, or dial in
// vain. So it is up or down:
//
//	up    operations are sent. After so many faults in a row that say something about the
//	      server, or one hard fault (nobody listens, no such name), it is down.
//	down  operations fail at once. A watcher sends a probe now and then, in the background,
//	      so that no caller pays for it; when one is answered, and the invalidations that
//	      wait are carried out (see replay.go), the server is up.
//
// The faults of operations that were under way together are one fault: a server, or a machine, that
// stands still for a moment is not down. So are those of operations that began before the server
// was up again none. gobreaker counts the others. It is told of successes only after a fault, so that
// they cost nothing as a rule.

// health is guarded by the server's mu.
type health struct {
	isDown  bool
	tripped chan struct{} // closed when the server goes down, so that nobody waits for a connection
	since   time.Time     // when barred changed last
	counted time.Time     // when the last fault was
	lastErr *fault
	queue   queue
	watcher *watcher
}

func (s *server) newBreaker() *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:       1, // probes may be sent at any time: the watcher counts the time
		ReadyToTrip:   func(c gobreaker.Counts) bool { return s.hard.Load() || int(c.ConsecutiveFailures) >= s.failures },
		IsSuccessful:  func(err error) bool { f, ok := err.(*fault); return !ok || f.kind == refused },
		IsExcluded:    func(err error) bool { f, ok := err.(*fault); return ok && f.kind <= cancelled },
		OnStateChange: func(_ string, _, to gobreaker.State) { s.turn(to) },
	})
}

// report tells the breaker how an operation ended.
func (s *server) report(err error) {
	f, failed := err.(*fault)
	failed = failed && f.kind != refused
	if failed && !s.counts(f) || !failed && !s.shaky.Load() || s.barred.Load() {
		return
	}
	// The breaker asks whether to trip with nothing but counts. So it is told one at a time, and hard
	// is about that one.
	s.telling.Lock()
	defer s.telling.Unlock()
	s.hard.Store(failed && f.hard)
	s.breaker.Execute(func() (struct{}, error) { return struct{}{}, err })
	s.hard.Store(false)
	s.shaky.Store(failed)
}

// counts tells whether a fault says something new about the server.
func (s *server) counts(f *fault) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.kind <= cancelled || f.began.Before(s.since) || f.began.Before(s.counted) && !f.hard {
		return false
	}
	s.counted = time.Now()
	return true
}

// turn follows the breaker. It runs under the breaker's lock.
func (s *server) turn(to gobreaker.State) {
	switch to {
	case gobreaker.StateOpen:
		s.mu.Lock()
		began := !s.isDown
		if began {
			s.isDown = true
			close(s.tripped)
			s.trips.Add(1)
			s.bar()
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
		s.shaky.Store(false)
		s.bar()
		s.mu.Unlock()
	}
}

// bar says whether operations are refused. The caller holds s.mu.
func (s *server) bar() {
	if barred := s.isDown || len(s.queue) > 0; barred != s.barred.Load() {
		s.barred.Store(barred)
		s.since = time.Now()
	}
}

// refuse is for an operation on a server that is down.
func (s *server) refuse(op operation) error {
	s.mu.Lock()
	why, waiting := s.health.lastErr, len(s.queue)
	if s.isDown {
		waiting = 0
	}
	s.mu.Unlock()
	switch {
	case waiting > 0:
		return s.behind(op, waiting)
	case why != nil:
		return s.fault(op, down, fmt.Errorf("%w: %s: %w", cacheutils.ErrServerDown, why.what, why.err))
	default:
		return s.fault(op, down, cacheutils.ErrServerDown)
	}
}

// behind is for an operation on a server on which invalidations wait to be carried out first.
func (s *server) behind(op operation, waiting int) error {
	return s.fault(op, down, fmt.Errorf("%w: %d invalidations wait to be carried out", cacheutils.ErrServerDown, waiting))
}

// A watcher is a goroutine that sends probes to a server that is down.
type watcher struct {
	stop context.CancelFunc
	done chan struct{}
}

// watch starts a watcher, which sends its first probe after that time, unless there is one, or the
// engine is closed: what was under way then may still fail. So a server that is barred has a watcher
// as long as the engine is open.
func (s *server) watch(first time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watcher != nil || !s.barred.Load() || s.closed.over() {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &watcher{stop, make(chan struct{})}
	s.watcher = w
	go func() {
		defer close(w.done)
		s.attend(ctx, first)
	}()
}

// attend sends probes until the server is up, or ctx ends.
func (s *server) attend(ctx context.Context, wait time.Duration) {
	began := time.Now()
	s.announce(time.Time{})
	for pause(ctx, wait) {
		_, err := s.breaker.Execute(func() (struct{}, error) { return struct{}{}, s.examine(ctx) })
		if err == nil && s.dismiss() {
			s.announce(began)
			return
		}
		wait = s.untilProbe()
	}
}

// untilProbe is how long to wait for the next probe, a little less than probe_interval, so that processes
// don't probe at the same moment.
func (s *server) untilProbe() time.Duration { return s.probe - rand.N(s.probe/4+1) }

// examine sends a probe, and then what waits for the server.
func (s *server) examine(ctx context.Context) error {
	if err := s.try(ctx, operation{name: "probe", idempotent: true}, (*client).Ping); err != nil {
		return err
	}
	return s.replay(ctx)
}

// dismiss ends the watcher, unless there is something to do for it again.
func (s *server) dismiss() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.barred.Load() {
		return false
	}
	s.watcher = nil
	return true
}

// unwatch ends the watcher, if there is one, and forgets what waits for the server. The engine is
// closed, so that there is no other one later.
func (s *server) unwatch() {
	s.mu.Lock()
	w := s.watcher
	s.watcher, s.queue = nil, nil
	s.bar()
	s.mu.Unlock()
	if w != nil {
		w.stop()
		<-w.done
	}
}

// announce logs that the server went down, or that it is up again.
func (s *server) announce(since time.Time) {
	if !since.IsZero() {
		s.notice(logging.LevelWarn, "is up again after "+time.Since(since).Round(time.Millisecond).String(), nil)
		return
	}
	s.mu.Lock()
	why := s.health.lastErr
	s.mu.Unlock()
	s.notice(logging.LevelWarn, "counts as down", why)
}

func (s *server) notice(level logging.Level, text string, why *fault) {
	e := logging.Event{Action: logging.ActionNotice, Text: "memcached: " + s.address.String() + " " + text}
	if why != nil {
		e.Err = why
	}
	logging.Log(level, e)
}

// pause returns true after d, and false when ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Ping asks each server, those that are down too, over a connection of the pool.
func (m *memcached) Ping(ctx context.Context) map[string]error {
	type answer struct {
		server *server
		err    error
	}
	answers := make(chan answer, len(m.servers))
	for _, s := range m.servers {
		go func() { answers <- answer{s, s.ping(ctx)} }()
	}
	all := make(map[string]error, len(m.servers))
	for range m.servers {
		a := <-answers
		all[a.server.address.String()] = a.err
	}
	return all
}

func (s *server) ping(ctx context.Context) error {
	if err := s.try(ctx, operation{name: "ping", idempotent: true}, (*client).Ping); err != nil {
		return err
	}
	s.mu.Lock()
	waiting := len(s.queue)
	s.mu.Unlock()
	if waiting > 0 {
		return s.behind(operation{name: "ping"}, waiting)
	}
	return nil
}

// Servers describes the servers as they are at this moment.
func (m *memcached) Servers() []engine.Server {
	all := make([]engine.Server, len(m.servers))
	for i, s := range m.servers {
		all[i] = s.describe()
	}
	return all
}

func (s *server) describe() engine.Server {
	d := s.counters.snapshot()
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Address = s.address.String()
	d.Down, d.Since = s.barred.Load(), s.since
	d.Queued = len(s.queue)
	d.Waiting = int(s.waiting.Load())
	for _, c := range s.idle {
		if c.isOpen() {
			d.Idle++
		}
	}
	if s.lastErr != nil {
		d.LastError = s.lastErr
	}
	return d
}
