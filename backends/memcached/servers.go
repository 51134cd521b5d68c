package memcached

import (
	"context"

	"github.com/cacheutils/cacheutils/engine"
)

// Ping probes all servers at once, those that are down too, over connections of the pool.
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
		return s.queueFault(operation{name: "ping"}, waiting)
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
	d.Down, d.Since = s.unavailable.Load(), s.since
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
