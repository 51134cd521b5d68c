package memcached

import "context"

// With invalidation_replay, an invalidation that failed waits in its server's queue, and the server
// counts as down until it is carried out. So this process gets nothing from the server that
// it has invalidated. Others may, as long as they reach the server and this process doesn't; and
// the end of the process, or Close, loses the queue.

// Replaying is removing, also of a group, whose entries end with its key: the generation that couldn't
// be stored may be there all the same, have entries by then, and have been replaced by another
// process. To store it once more would bring those entries back.

// A queue has the keys to remove from a server. Each removal is a pointer of its own, so that one that is added
// while an earlier one of its key is carried out isn't lost.
type queue map[string]*removal

type removal struct{ key string }

func (m *memcached) ReplayDelete(key string) bool {
	l := m.locations.of(key)
	s := l.known().of(key)
	return s.enqueue(key) || l.known().of(key) != s && l.known().of(key).enqueue(key)
}

func (s *server) enqueue(key string) bool {
	s.mu.Lock()
	_, known := s.queue[key]
	if len(s.queue) >= s.maxQueued && !known || s.closed.isClosed() || s.gone {
		s.mu.Unlock()
		return false
	}
	if s.queue == nil {
		s.queue = make(queue)
	}
	s.queue[key] = &removal{key}
	s.updateAvailability()
	s.mu.Unlock()
	s.watch(0)
	return true
}

// replay carries out what is in the queue, until it is empty or a fault occurs.
func (s *server) replay(ctx context.Context) error {
	for {
		r := s.next()
		if r == nil {
			return nil
		}
		err := s.try(ctx, deletion, func(c *client) error { return c.Delete(r.key) })
		if err != nil && !answer(err) {
			return err
		}
		s.replayed.Add(1)
		s.done(r)
	}
}

func (s *server) next() *removal {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.queue {
		return r
	}
	return nil
}

// done takes r out of the queue, unless another one has taken its place.
func (s *server) done(r *removal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue[r.key] == r {
		delete(s.queue, r.key)
	}
	s.updateAvailability()
}
