package store

import (
	"context"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/logging"
)

// A Sighting is a hit that can be had again without its key: it keeps the value in sight, see
// engine.Sight, not in memory.
type Sighting struct{ sight engine.Sight }

// Sights tells whether Sight can return anything for values of the task.
func (c *Store) Sights(task *Task) bool {
	return c.living != nil && c.KeyFunction == nil && c.sealer.HoldsLive(task.typ, task.shared) && c.staleOf(task) == 0
}

// Sight returns a Sighting of what Look finds for text without groups, if that is a value which
// counts as long as it is stored. It keeps nothing of text.
func (c *Store) Sight(text []byte, task *Task) (s Sighting, ok bool) {
	if !c.Sights(task) || !c.fits(borrowed(text)) {
		return Sighting{}, false
	}
	s.sight = c.living.Sight(borrowed(text))
	return s, s.sight != nil && entry.Unwrap(s.sight.Live(), task.typ) != nil
}

// Again is Look for the text and the task that the Sighting is of: it returns the value and counts
// the hit, or returns nil if that takes a look: when ctx has ended, when hits are logged with
// their keys, and once the value is gone, as it then is for ever.
func (s Sighting) Again(ctx context.Context, task *Task) (value any, gone bool) {
	if ctx.Err() != nil || logging.Enabled(logging.LevelDebug) {
		return nil, false
	}
	live := s.sight.Live()
	if live == nil {
		return nil, true
	}
	task.Stats.Hits.Add(1)
	return entry.Unwrap(live, task.typ), false
}
