package memcached

import (
	"context"
	"time"

	"github.com/cacheutils/cacheutils/internal/clock"
	"github.com/cacheutils/cacheutils/internal/random"
	"github.com/cacheutils/cacheutils/logging"
)

// A watcher is a goroutine that sends probes to a server that is down.
type watcher struct {
	stop context.CancelFunc
	done chan struct{}
}

// watch starts a watcher, which sends its first probe after that time, unless there is one, or the
// engine is closed: what was under way then may still fail. So a server that is unavailable has a watcher
// for as long as the engine is open.
func (s *server) watch(first time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watcher != nil || !s.unavailable.Load() || s.closed.isClosed() || s.gone {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &watcher{stop, make(chan struct{})}
	s.watcher = w
	go func() {
		defer close(w.done)
		s.probeUntilUp(ctx, w, first)
	}()
}

// probeUntilUp sends probes until the server is up, or ctx ends.
func (s *server) probeUntilUp(ctx context.Context, w *watcher, wait time.Duration) {
	began := time.Now()
	s.announceDown()
	for clock.Sleep(ctx, wait) == nil {
		_, err := s.breaker.Execute(func() (struct{}, error) { return struct{}{}, s.probeOnce(ctx) })
		if err == nil && s.endWatch(w) {
			s.announceUp(began)
			return
		}
		wait = s.untilProbe()
	}
}

// untilProbe is how long to wait for the next probe, a little less than probe_interval, so that processes
// don't probe at the same moment.
func (s *server) untilProbe() time.Duration {
	return s.probe - random.Below(s.probe/4+1, "probe", s.label)
}

// probeOnce sends a probe, and then what waits for the server.
func (s *server) probeOnce(ctx context.Context) error {
	op := operation{name: "probe", idempotent: true}
	if err := s.try(ctx, op, (*client).Ping); err != nil {
		return err
	}
	if err := s.checkAnswering(ctx, op); err != nil {
		return err
	}
	return s.replay(ctx)
}

// endWatch ends the watcher, unless there is something to do for it again.
func (s *server) endWatch(w *watcher) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable.Load() {
		return false
	}
	if s.watcher == w {
		s.watcher = nil
	}
	return true
}

// unwatch ends the watcher, if there is one, and forgets what waits for the server. The engine is
// closed, so that there is no other one later.
func (s *server) unwatch() {
	s.mu.Lock()
	w := s.watcher
	s.watcher, s.queue = nil, queue{}
	s.updateAvailability()
	s.mu.Unlock()
	if w != nil {
		w.stop()
		<-w.done
	}
}

func (s *server) announceDown() {
	s.mu.Lock()
	why := s.health.lastErr
	s.mu.Unlock()
	s.notice("down", "counts as down", why)
}

func (s *server) announceUp(since time.Time) {
	s.notice("up", "is up again after "+time.Since(since).Round(time.Millisecond).String(), nil)
}

// notice logs what has become of the server, a line a second of each cause.
func (s *server) notice(cause, text string, why *fault) {
	e := logging.Event{Action: logging.ActionNotice, Text: "cacheutils: memcached " + s.address.String() + " " + text}
	if why != nil {
		e.Err = why
	}
	s.lines.Log(logging.LevelWarn, cause, e)
}
