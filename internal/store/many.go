package store

import (
	"context"
	"errors"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/steer"
)

// LookupMany is Lookup for several keys, which differ: it looks up all of them in one round trip to
// each server. Each key's fresh value, or Negative, is handed to hit, in the order of keys; the misses are
// returned by index, or nil if there are none. A value that has to be decoded is decoded into
// box(i), which points at a zero of the task's type that nobody else has. It does not retain keys.
func (c *Store) LookupMany(ctx context.Context, keys []Key, task *Task, box func(i int) any, hit func(i int, value any)) (misses []*Miss) {
	started := c.flights.Now()
	record := recordOf(ctx, task)
	record.Restart()
	missed := func(i int, miss *Miss) {
		if misses == nil {
			misses = make([]*Miss, len(keys))
		}
		misses[i] = miss
	}
	if c.live {
		for i := range keys {
			if value, miss := c.lookupKey(ctx, &keys[i], task, started); miss == nil {
				hit(i, value)
			} else {
				missed(i, miss)
			}
		}
		return misses
	}
	looking, done := c.boundLookup(ctx, task, true)
	q, err := c.ask(looking, keys)
	defer q.free()
	defer func() { done(err) }()
	hits := uint64(0)
	for i := range keys {
		f := task.lookingFor()
		failed := q.evaluate(looking, c, &f, &keys[i], i, err)
		var into any
		if failed == nil && f.state == entry.Fresh {
			into = box(i)
		}
		if value := c.hit(&f, failed, &keys[i], task, into); value != nil {
			hits++
			c.noteFound(record, &keys[i], &f, steer.Hit)
			q.memory.take(&f.entry)
			hit(i, value)
		} else {
			miss := c.newMiss(f, failed, &keys[i], task, started)
			if miss.old != nil {
				q.memory.take(&miss.found.entry)
			}
			missed(i, miss)
		}
	}
	task.Stats.Hits.Add(hits)
	return misses
}

// Cached is the end of FetchCached for what Lookup has found instead: it returns the value past its
// timeout, or the one, or Negative, that was about to be stored, or nil, and why the cache could not
// be asked or its entry not be read, or nil.
func (m *Miss) Cached(ctx context.Context) (value any, err error) {
	if m.err == nil && m.found.state == entry.Leased && m.store.later != nil {
		f, err := m.store.readStored(ctx, m.key, m.task.lookingFor())
		value, again := m.store.hitOrMiss(ctx, &f, err, &m.key, m.task, m.started)
		if again == nil {
			return value, nil
		}
		m = again
	}
	record := recordOf(ctx, m.task)
	if m.old != nil {
		m.task.Stats.Hits.Add(1)
		m.store.noteFound(record, &m.key, m.found, steer.Stale)
		return m.old, nil
	}
	m.task.Stats.Misses.Add(1)
	if m.err != nil {
		record.NoteKeys(1, steer.Fault, m.err)
	} else {
		record.NoteKeys(1, steer.Miss, m.found.err)
	}
	if m.err != nil && errors.Is(m.err, cacheutils.ErrClosed) {
		return nil, m.err
	}
	m.store.notFound(&m.key)
	if m.err != nil {
		return nil, m.err
	}
	return nil, m.found.err
}
