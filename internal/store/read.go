package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
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
	nothing     bool         // a dead entry says that the function has nothing for the key
}

// read looks for key's entry and for the generations of its groups.
func (c *Store) read(ctx context.Context, key Key) (f finding, err error) {
	err = c.readInto(ctx, &f, &key)
	return f, err
}

// readInto is read for a finding that is zero.
func (c *Store) readInto(ctx context.Context, f *finding, key *Key) error {
	if len(key.groups) > 0 && !c.live {
		return c.readMany(ctx, f, key)
	}
	item, err := c.Engine.Get(ctx, key.stored)
	if len(key.groups) == 0 {
		return c.assessOne(ctx, f, key, item, err)
	}
	there, err := isThere(err)
	if err != nil {
		return fmt.Errorf("backends: get %q: %w", key.text, err)
	}
	return c.readGroups(ctx, f, key, item, there)
}

// isThere tells whether a Get that has returned err has found something.
func isThere(err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case err == cacheutils.ErrCacheMiss, errors.Is(err, cacheutils.ErrCacheMiss):
		return false, nil
	default:
		return false, err
	}
}

// assessOne is assess for a key without groups, that Get has returned item and err for.
func (c *Store) assessOne(ctx context.Context, f *finding, key *Key, item engine.Item, err error) error {
	there, err := isThere(err)
	if err != nil {
		return fmt.Errorf("backends: get %q: %w", key.text, err)
	}
	return c.assess(ctx, f, key, item, there, nil)
}

// readGroups goes on for an engine in this process's memory, where a look costs no round trip.
func (c *Store) readGroups(ctx context.Context, f *finding, key *Key, item engine.Item, there bool) error {
	var few [8][]byte
	ids := few[:0]
	for _, groupKey := range c.groupKeys(key) {
		group, err := c.Engine.Get(ctx, groupKey)
		if _, err = isThere(err); err != nil {
			return fmt.Errorf("backends: get the groups of %q: %w", key.text, err)
		}
		ids = append(ids, group.Value)
	}
	return c.assess(ctx, f, key, item, there, ids)
}

// readMany asks for all in one multi-get.
func (c *Store) readMany(ctx context.Context, f *finding, key *Key) error {
	groupKeys := c.groupKeys(key)
	keys := append(make([]string, 0, 1+len(groupKeys)), key.stored)
	keys = append(keys, groupKeys...)
	got, err := c.getEach(ctx, keys)
	if err != nil && slices.ContainsFunc(got, func(a answer) bool { return !a.there }) {
		return fmt.Errorf("backends: get %q and its groups: %w", key.text, err)
	}
	var few [8][]byte
	ids := few[:0]
	for i := range groupKeys {
		ids = append(ids, got[1+i].item.Value)
	}
	return c.assess(ctx, f, key, got[0].item, got[0].there, ids)
}

// An answer is what a multi-get has for one key.
type answer struct {
	item  engine.Item
	there bool
}

// getEach is a multi-get, with what there is for each of the keys, also when there is an error.
func (c *Store) getEach(ctx context.Context, keys []string) ([]answer, error) {
	got := make([]answer, len(keys))
	return got, c.getInto(ctx, keys, got)
}

// getInto is getEach that fills in got, which is zero and as long as keys.
func (c *Store) getInto(ctx context.Context, keys []string, got []answer) error {
	if c.each != nil {
		return c.each.GetEach(ctx, keys, func(i int, item engine.Item) { got[i] = answer{item, true} })
	}
	items, err := c.Engine.GetMany(ctx, keys)
	for i, key := range keys {
		got[i].item, got[i].there = items[key]
	}
	return err
}

// assess tells what item is worth, if it is there, and the key's groups hold these ids.
func (c *Store) assess(ctx context.Context, f *finding, key *Key, item engine.Item, there bool, ids [][]byte) error {
	if there {
		f.state = dead
		f.err = f.entry.parse(item)
	}
	same := f.err == nil && areGenerations(f.entry.groups, key.groups, ids)
	if same {
		f.generations = f.entry.groups
	} else {
		f.generations = generationsOf(key.groups, ids)
	}
	e := &f.entry
	switch {
	case !there || f.err != nil:
		return nil
	case e.check != key.check:
		f.err = undecodable("it belongs to another key with the same hash")
		return nil
	case e.empty && e.holder != token{} && !c.disowned.has(e.holder, time.Now()):
		f.state = leased
		return nil
	case e.empty && !e.absent:
		return nil
	}
	if !same {
		alive, err := c.groupsMatch(ctx, e.groups, f.generations)
		if err != nil || !alive {
			return err
		}
	}
	f.state = e.age()
	if e.absent { // for who asks for one key that is no answer
		f.nothing, f.state = f.state == fresh, dead
	}
	return nil
}

// age returns what an entry whose value counts is worth by the time of day.
func (e *entry) age() state {
	if e.freshUntil == 0 && e.holder == (token{}) {
		return fresh // until the engine drops it
	}
	now := time.Now().UnixMilli()
	gone := e.goneAt != 0 && now >= e.goneAt
	switch {
	case gone && e.holder != token{}:
		return leased // the engine keeps it for the token only
	case gone && e.freshUntil != 0:
		return dead // the engine's clock is not as fine as the time that a stale value may be served for
	case e.freshUntil != 0 && now >= e.freshUntil:
		return stale
	default:
		return fresh
	}
}

// areGenerations tells whether had are the groups of those names, in that order, with those ids.
func areGenerations(had []generation, names []string, ids [][]byte) bool {
	if len(had) != len(names) {
		return false
	}
	for i := range had {
		if had[i].group != names[i] || had[i].id != string(ids[i]) {
			return false
		}
	}
	return true
}

func generationsOf(names []string, ids [][]byte) []generation {
	if len(names) == 0 {
		return nil
	}
	generations := make([]generation, len(names))
	for i, name := range names {
		generations[i] = generation{name, string(ids[i])}
	}
	return generations
}

// groupsMatch tells whether an entry in the groups had counts, for a reader who asked for the
// groups now. An entry that isn't in all of those doesn't: an invalidation of the others
// would not reach it. Groups that the reader didn't ask for are read here, at the cost of
// another round trip.
func (c *Store) groupsMatch(ctx context.Context, had, now []generation) (bool, error) {
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
