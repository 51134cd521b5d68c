package store

import (
	"context"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/clock"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/logging"
)

// A Ref is a hit that can be had again without its key: it refers to what was found there, and counts while that is
// what is stored, while its groups have the generations that it carries, and until it is past its timeout. It
// doesn't keep the value in memory.
type Ref struct {
	entry      engine.Ref
	groups     []engine.Ref
	freshUntil int64 // in Unix milliseconds; 0: as long as it is stored
}

// Refers reports whether there may be a Ref to values of the task.
func (c *Store) Refers(task *Task) bool {
	return c.referrer != nil && c.KeyFunction == nil && c.sealer.HoldsLive(task.typ, task.shared)
}

// Ref returns a reference to what a Lookup for text and groups finds, or nil if that is no hit, or there can't be one. It
// does not retain text.
func (c *Store) Ref(text []byte, groups *Groups, task *Task) *Ref {
	if !c.Refers(task) || !c.isStorable(borrowed(text)) {
		return nil
	}
	r := &Ref{entry: c.referrer.Ref(borrowed(text))}
	item := currentItem(r.entry)
	if item == nil {
		return nil
	}
	meta, ok := entry.Referred(item.Live, task.typ)
	if !ok || meta.Check != hashedCheck(borrowed(text[len(c.prefix):])) || meta.StateAt(c.now()) != entry.Fresh || len(meta.Groups) != groups.len() {
		return nil
	}
	r.freshUntil = meta.FreshUntil
	for i, g := range meta.Groups {
		if g.Group != groups.names[i] {
			return nil
		}
		ref := c.referrer.Ref(groups.keys[i])
		if item := currentItem(ref); item == nil || string(item.Value) != g.ID {
			return nil
		}
		r.groups = append(r.groups, ref)
	}
	return r
}

func currentItem(r engine.Ref) *engine.Item {
	if r == nil {
		return nil
	}
	return r.Item()
}

// Value is Lookup for what the Ref is to: it returns the value and counts the hit, or returns nil if that takes a lookup:
// when ctx has ended, when hits are logged with their keys, and once the Ref is over, as it then is forever.
func (r *Ref) Value(ctx context.Context, task *Task) (value any, over bool) {
	if ctx.Err() != nil || logging.Enabled(logging.LevelDebug) {
		return nil, false
	}
	item := r.entry.Item()
	if item == nil {
		return nil, true
	}
	for _, group := range r.groups {
		if group.Item() == nil {
			return nil, true
		}
	}
	if r.freshUntil != 0 && clock.Time().UnixMilli() >= r.freshUntil {
		return nil, true
	}
	task.Stats.Hits.Add(1)
	return entry.LiveValue(item.Live), false
}
