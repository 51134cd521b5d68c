package locmem

import (
	"context"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/cacheutils/cacheutils/engine"
)

// usage counts what is in a store, markers apart.
type usage struct {
	bytes     atomic.Int64 // what the entries cost. It may be off by those that are being written
	evictions atomic.Uint64
}

// left notes that an entry has left the store.
func (u *usage) left(e *entry, why otter.DeletionCause) {
	u.bytes.Add(-int64(e.cost()))
	if why == otter.CauseOverflow {
		u.evictions.Add(1)
	}
}

// Peek is Get that is no use of the item.
func (m *memory) Peek(ctx context.Context, key string) (engine.Item, error) {
	s, err := m.begin(ctx)
	if err != nil {
		return engine.Item{}, err
	}
	r, err := s.lookup(key)
	return r.item, err
}

// Info returns how full the store is, for all engines that share it. Markers of computations under way don't count.
func (m *memory) Info(ctx context.Context) (engine.Info, error) {
	s, err := m.begin(ctx)
	if err != nil {
		return engine.Info{}, err
	}
	b := s.bounds.Load()
	info := engine.Info{
		Bytes: max(s.usage.bytes.Load(), 0), Evictions: s.usage.evictions.Load(),
		MaxEntries: b.entries, MaxBytes: int64(b.cost),
	}
	if c := s.started.Load(); c != nil {
		info.Entries = c.EstimatedSize()
	}
	return info, nil
}
