package memcached

import (
	"context"

	"github.com/cacheutils/cacheutils/backends/engine"
)

// With invalidation_replay, an invalidation that failed waits in its server's queue, and the server
// counts as down until it is carried out. So this process gets nothing from the server that
// it has invalidated. Others may, as long as they reach the server and this process doesn't; and
// the end of the process, or Close, loses the queue.

// A queue has by key what is to be done on a server.
type queue map[string]*replay

// A replay is the removal of a key, or an item for it. Each is a pointer of its own, so that an
// invalidation that comes while an earlier one of its key is carried out isn't lost.
type replay struct {
	item *engine.Item // nil: remove
}

func (m *memcached) ReplayDelete(key string) bool { return m.servers.of(key).enqueue(key, nil) }

func (m *memcached) ReplaySet(key string, item engine.Item) bool {
	return m.servers.of(key).enqueue(key, &item)
}

func (s *server) enqueue(key string, item *engine.Item) bool {
	s.mu.Lock()
	_, known := s.queue[key]
	if len(s.queue) >= s.maxQueued && !known {
		s.mu.Unlock()
		return false
	}
	if s.queue == nil {
		s.queue = make(queue)
	}
	s.queue[key] = &replay{item}
	s.bar()
	s.mu.Unlock()
	s.watch(0)
	return true
}

// replay carries out what is in the queue, until it is empty or a fault occurs.
func (s *server) replay(ctx context.Context) error {
	for {
		key, r := s.next()
		if r == nil {
			return nil
		}
		if err := r.carryOut(ctx, s, key); err != nil {
			return err
		}
		s.replayed.Add(1)
		s.done(key, r)
	}
}

func (s *server) next() (string, *replay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, r := range s.queue {
		return key, r
	}
	return "", nil
}

// done takes r out of the queue, unless another one has taken its place.
func (s *server) done(key string, r *replay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue[key] == r {
		delete(s.queue, key)
	}
	s.bar()
}

func (r *replay) carryOut(ctx context.Context, s *server, key string) error {
	if r.item == nil {
		err := s.try(ctx, deletion, func(c *client) error { return c.Delete(key) })
		if answer(err) {
			return nil
		}
		return err
	}
	return s.try(ctx, set.operation, func(c *client) error { return c.Set(itemFor(key, *r.item, never)) })
}
