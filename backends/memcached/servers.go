package memcached

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/cacheutils/cacheutils/engine"
)

// Ping probes all servers at once, those that are down too, over connections of the pool.
func (m *memcached) Ping(ctx context.Context) map[string]error {
	answers := make(chan []pinged, len(m.locations))
	for _, l := range m.locations {
		go func() { answers <- l.ping(ctx) }()
	}
	all := make(map[string]error, len(m.locations))
	for range m.locations {
		for _, a := range <-answers {
			all[a.server.address.String()] = a.err
		}
	}
	return all
}

// pinged is what a server has answered to a ping.
type pinged struct {
	server *server
	err    error
}

// ping asks the servers that a location has now.
func (l *location) ping(ctx context.Context) []pinged {
	all := l.only
	if l.name != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.name.operation)
		defer cancel()
		all = l.name.again(ctx)
	}
	answers := make([]pinged, len(all))
	var asked sync.WaitGroup
	for i, s := range all {
		asked.Go(func() { answers[i] = pinged{s, s.ping(ctx)} })
	}
	asked.Wait()
	return answers
}

func (s *server) ping(ctx context.Context) error {
	op := operation{name: "ping", idempotent: true}
	if err := s.try(ctx, op, (*client).Ping); err != nil {
		return err
	}
	if err := s.checkAnswering(ctx, op); err != nil {
		return err
	}
	s.mu.Lock()
	waiting := s.queue.len()
	s.mu.Unlock()
	if waiting > 0 {
		return s.queueFault(op, waiting)
	}
	return nil
}

// Servers describes the servers as they are at this moment.
func (m *memcached) Servers() []engine.Server {
	var all []engine.Server
	for _, l := range m.locations {
		for _, s := range l.known() {
			all = append(all, s.describe())
		}
	}
	slices.SortFunc(all, func(a, b engine.Server) int { return strings.Compare(a.Address, b.Address) })
	return all
}

func (s *server) describe() engine.Server {
	d := s.counters.snapshot()
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Address = s.address.String()
	d.Down, d.Since = s.unavailable.Load(), s.since
	d.Queued = s.queue.len()
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
