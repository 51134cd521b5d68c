package backends

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/engine"
)

// A state is what an entry is worth to a reader.
type state int

const (
	absent state = iota // there is none
	fresh               // its value counts
	stale               // its value may be served while somebody computes it anew
	leased              // there is no value, but somebody computes it
	dead                // its value doesn't count: a group has another generation, or it can't be read
)

// A finding is what a reader finds under a key, in one round trip.
type finding struct {
	state
	entry       entry
	generations []generation // what the key's groups hold
	err         error        // why an entry can't be read; matches ErrUndecodable
}

// read looks for key's entry and for the generations of its groups.
func (c *Cache) read(ctx context.Context, key Key) (finding, error) {
	if len(key.groups) == 0 {
		item, err := c.engine.Get(ctx, key.stored)
		if errors.Is(err, cacheutils.ErrCacheMiss) {
			return finding{}, nil
		}
		if err != nil {
			return finding{}, fmt.Errorf("backends: get %q: %w", key.text, err)
		}
		return c.assess(ctx, key, item, nil)
	}
	keys := make([]string, 1, 1+len(key.groups))
	keys[0] = key.stored
	for _, group := range key.groups {
		keys = append(keys, c.groupKey(group))
	}
	items, err := c.engine.GetMany(ctx, keys)
	if err != nil && len(items) < len(keys) {
		return finding{}, fmt.Errorf("backends: get %q and its groups: %w", key.text, err)
	}
	return c.assessMany(ctx, key, items)
}

// assessMany is assess for an entry and its groups among items.
func (c *Cache) assessMany(ctx context.Context, key Key, items map[string]engine.Item) (finding, error) {
	generations := make([]generation, len(key.groups))
	for i, group := range key.groups {
		generations[i] = generation{group, string(items[c.groupKey(group)].Value)}
	}
	item, ok := items[key.stored]
	if !ok {
		return finding{generations: generations}, nil
	}
	return c.assess(ctx, key, item, generations)
}

// assess tells what item is worth, the key's groups having these generations.
func (c *Cache) assess(ctx context.Context, key Key, item engine.Item, generations []generation) (finding, error) {
	e, err := parse(item)
	f := finding{entry: e, generations: generations, state: dead}
	switch {
	case err != nil:
		f.err = err
		return f, nil
	case e.check != key.check:
		f.err = undecodable("it belongs to another key with the same hash")
		return f, nil
	case e.empty && e.holder != token{} && !c.disowned.has(e.holder, time.Now()):
		f.state = leased
		return f, nil
	case e.empty:
		return f, nil
	}
	alive, err := c.groupsMatch(ctx, e.groups, generations)
	if err != nil || !alive {
		return f, err
	}
	now := time.Now().UnixMilli()
	gone := e.goneAt != 0 && now >= e.goneAt
	switch {
	case gone && e.holder != token{}:
		f.state = leased // the engine keeps it for the token only
	case gone && e.freshUntil != 0:
		// The engine's clock is not as fine as the time that a stale value may be served for.
	case e.freshUntil != 0 && now >= e.freshUntil:
		f.state = stale
	default:
		f.state = fresh
	}
	return f, nil
}

// groupsMatch tells whether an entry in the groups had counts, for a reader who asked for the
// groups now. An entry that isn't in all of those doesn't: an invalidation of the others
// would not reach it. Groups that the reader didn't ask for are read here, at the cost of
// another round trip.
func (c *Cache) groupsMatch(ctx context.Context, had, now []generation) (bool, error) {
	var unasked []string
	for _, g := range had {
		i := slices.IndexFunc(now, func(n generation) bool { return n.group == g.group })
		switch {
		case i < 0:
			unasked = append(unasked, g.group)
		case now[i].id != g.id:
			return false, nil
		}
	}
	for _, n := range now {
		if !slices.ContainsFunc(had, func(g generation) bool { return g.group == n.group }) {
			return false, nil
		}
	}
	if len(unasked) == 0 {
		return true, nil
	}
	others, err := c.generations(ctx, unasked)
	if err != nil {
		return false, err
	}
	for _, o := range others {
		if !slices.Contains(had, o) {
			return false, nil
		}
	}
	return true, nil
}

// stamp notes on e when it ends, counted from now: fresh for timeout, then stale for as long.
// It returns how long the engine is to keep it.
func (e *entry) stamp(timeout, stale time.Duration) time.Duration {
	e.freshUntil, e.goneAt = 0, 0
	if timeout == cacheutils.Forever || timeout > cacheutils.Forever-stale {
		return cacheutils.Forever
	}
	now := time.Now()
	if stale > 0 {
		e.freshUntil = now.Add(timeout).UnixMilli()
	}
	if !e.isPlainNumber() {
		e.goneAt = now.Add(timeout + stale).UnixMilli()
	}
	return timeout + stale
}

// left returns how long the engine is to keep e from now on, so that it ends as was stamped.
func (e *entry) left() time.Duration {
	if e.goneAt == 0 {
		return cacheutils.Forever
	}
	return max(time.Until(time.UnixMilli(e.goneAt)), time.Millisecond)
}

// isPlainNumber tells whether e has no place for a label.
func (e *entry) isPlainNumber() bool { return e.live == nil && e.flags != flagsFrame }
