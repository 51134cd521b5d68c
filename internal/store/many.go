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
//
// were are the misses that the call has had on another Store, which was closed then, or nil: each key is counted once.
func (c *Store) LookupMany(ctx context.Context, keys []Key, task *Task, were []*Miss, box func(i int) any, hit func(i int, value any)) (misses []*Miss) {
	was := func(i int) *Miss {
		switch {
		case were == nil:
			return nil
		case were[i] == nil:
			return hasHit
		default:
			return were[i]
		}
	}
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
			if value, miss := c.lookupKey(ctx, &keys[i], task, started, was(i)); miss == nil {
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
			if !was(i).isCounted() {
				hits++
			}
			c.noteFound(record, &keys[i], &f, steer.Hit)
			q.memory.take(&f.entry)
			hit(i, value)
		} else {
			miss := c.newMiss(f, failed, &keys[i], task, started).after(was(i))
			if miss.old != nil {
				q.memory.take(&miss.found.entry)
			}
			missed(i, miss)
		}
	}
	task.Stats.Hits.Add(hits)
	return misses
}

// hasHit stands for the miss of a key that was a hit.
var hasHit = &Miss{counted: true}

// Cached is the end of FetchCached for what Lookup has found instead: it returns the value past its
// timeout, or the one, or Negative, that was about to be stored, or nil, and why the cache could not
// be asked or its entry not be read, or nil.
func (m *Miss) Cached(ctx context.Context) (value any, err error) {
	if m.err == nil && m.found.state == entry.Leased && m.store.later != nil {
		f, err := m.store.readStored(ctx, m.key, m.task.lookingFor())
		value, again := m.store.hitOrMiss(ctx, &f, err, &m.key, m.task, m.started, m)
		if again == nil {
			m.counted = true
			return value, nil
		}
		defer func(m *Miss) { m.counted = again.counted }(m)
		m = again
	}
	record := recordOf(ctx, m.task)
	if m.old != nil {
		if !m.counted {
			m.counted = true
			m.task.Stats.Hits.Add(1)
		}
		m.store.noteFound(record, &m.key, m.found, steer.Stale)
		return m.old, nil
	}
	if m.err != nil {
		record.NoteKeys(1, steer.Fault, m.err)
	} else {
		record.NoteKeys(1, steer.Miss, m.found.err)
	}
	if m.err != nil && errors.Is(m.err, cacheutils.ErrClosed) { // it may be asked for again
		return nil, m.err
	}
	m.count(&m.task.Stats.Misses)
	m.store.notFound(&m.key)
	if m.err != nil {
		return nil, m.err
	}
	return nil, m.found.err
}
