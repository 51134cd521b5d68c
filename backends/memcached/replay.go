package memcached

import (
	"container/list"
	"context"
)

// With invalidation_replay, an invalidation that failed waits in its server's queue, and the server
// counts as down until it is carried out. So this process gets nothing from the server that
// it has invalidated. Others may, as long as they reach the server and this process doesn't; and
// the end of the process, or Close, loses the queue.

// Replaying is removing, also of a group, whose entries end with its key: the generation that couldn't
// be stored may be there all the same, have entries by then, and have been replaced by another
// process. To store it once more would bring those entries back.

// A queue has the keys to remove from a server, each once, in the order in which they came. Each removal is a pointer of its
// own, so that one that is added while an earlier one of its key is carried out isn't lost.
type queue struct {
	inOrder list.List // of removals
	of      map[string]*list.Element
}

type removal struct{ key string }

func (q *queue) len() int { return len(q.of) }

func (q *queue) has(key string) bool { return q.of[key] != nil }

// add adds a removal, in the place of that of the same key if there is one.
func (q *queue) add(r *removal) {
	if there := q.of[r.key]; there != nil {
		there.Value = r
		return
	}
	if q.of == nil {
		q.of = make(map[string]*list.Element)
	}
	q.of[r.key] = q.inOrder.PushBack(r)
}

// first returns the removal that came first, or nil.
func (q *queue) first() *removal {
	if e := q.inOrder.Front(); e != nil {
		return e.Value.(*removal)
	}
	return nil
}

// remove takes r out, unless another one has taken its place.
func (q *queue) remove(r *removal) {
	if e := q.of[r.key]; e != nil && e.Value == r {
		q.inOrder.Remove(e)
		delete(q.of, r.key)
	}
}

// keys returns those of all, in order.
func (q *queue) keys() (keys []string) {
	for e := q.inOrder.Front(); e != nil; e = e.Next() {
		keys = append(keys, e.Value.(*removal).key)
	}
	return keys
}

func (m *memcached) ReplayDelete(key string) bool {
	l := m.locations.of(key)
	s := l.known().of(key)
	return s.enqueue(key) || l.known().of(key) != s && l.known().of(key).enqueue(key)
}

func (s *server) enqueue(key string) bool {
	s.mu.Lock()
	if s.queue.len() >= s.maxQueued && !s.queue.has(key) || s.closed.isClosed() || s.gone {
		s.mu.Unlock()
		return false
	}
	s.queue.add(&removal{key})
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
	return s.queue.first()
}

// done takes r out of the queue.
func (s *server) done(r *removal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.remove(r)
	s.updateAvailability()
}
