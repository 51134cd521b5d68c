package store

import (
	"context"
	"errors"
	"time"

	"github.com/cacheutils/cacheutils/internal/entry"
)

// LookMany is Look for several keys, which differ: it looks for all of them in one round trip to
// each server. Each key's fresh value, or Absent, is handed to hit, in the order of keys; the misses are
// returned by index, or nil if there are none. A value that has to be decoded is decoded into
// box(i), which points at a zero of the task's type that nobody else has. Nothing of keys is kept.
func (c *Store) LookMany(ctx context.Context, keys []Key, task *Task, box func(i int) any, hit func(i int, value any)) (misses []*Miss) {
	started := c.flights.Now()
	missed := func(i int, miss *Miss) {
		if misses == nil {
			misses = make([]*Miss, len(keys))
		}
		misses[i] = miss
	}
	if c.live {
		for i := range keys {
			if value, miss := c.look(ctx, &keys[i], task, started); miss == nil {
				hit(i, value)
			} else {
				missed(i, miss)
			}
		}
		return misses
	}
	looking, done := c.hurry(ctx, task)
	q := newQuery()
	defer q.free()
	for i := range keys {
		q.add(c, &keys[i])
	}
	err := q.run(looking, c)
	defer func() { done(err) }()
	hits := uint64(0)
	for i := range keys {
		var f found
		failed := q.evaluate(looking, c, &f, &keys[i], i, err)
		var into any
		if failed == nil && f.state == entry.Fresh {
			into = box(i)
		}
		if value := c.hit(&f, failed, &keys[i], task, into); value != nil {
			hits++
			hit(i, value)
		} else {
			missed(i, c.missed(f, failed, &keys[i], task, started))
		}
	}
	task.Stats.Hits.Add(hits)
	return misses
}

// Cached is the end of FetchCached for what Look has found instead: it returns the value past its
// timeout, or the one, or Absent, that was about to be stored, or nil, and why the cache could not
// be asked or its entry not be read, or nil.
func (m *Miss) Cached(ctx context.Context) (value any, err error) {
	if m.err == nil && m.finding.state == entry.Leased && m.cache.later != nil {
		f, err := m.cache.readStored(ctx, m.key)
		value, again := m.cache.found(&f, err, &m.key, m.task, m.started)
		if again == nil {
			return value, nil
		}
		m = again
	}
	if m.old != nil {
		m.task.Stats.Hits.Add(1)
		return m.old, nil
	}
	m.task.Stats.Misses.Add(1)
	if m.err != nil {
		return nil, m.err
	}
	return nil, m.finding.err
}

// PutMany is Put for several keys, as DeleteMany. Keys that share memory are not kept.
func (c *Store) PutMany(ctx context.Context, keys []Key, task *Task, value func(i int) (value any, timeout time.Duration)) error {
	errs := make([]error, len(keys))
	each(len(keys), func(i int) {
		v, timeout := value(i)
		errs[i] = c.Put(ctx, keys[i].clone(), task, v, timeout)
	})
	return errors.Join(errs...)
}
