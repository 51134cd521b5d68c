package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/random"
	"github.com/cacheutils/cacheutils/logging"
)

// A group is a key of its own that holds a random uuid as text: the group's generation. Entries
// carry the generations that their groups had before their value was computed, and count
// while the groups still have them. So to invalidate a group is to give it another
// generation, whatever it holds, and a group key that was lost invalidates, too. The text of
// group keys is that of django-cache-utils, so that both can share the groups of a server.

// InvalidateGroup invalidates every entry of the groups: those that are stored, and those that
// are being computed from what was read before. Once it has returned nil, no call that starts
// later, in any process, gets one of them. All servers are asked at once, so that one group takes
// one round trip, and several take two; the errors of those that failed are joined, and their groups may still be
// what they were. It is carried out though ctx has been cancelled, as Delete.
func (c *Store) InvalidateGroup(ctx context.Context, groups ...string) error {
	if err := c.Closed(); err != nil {
		return err
	}
	if slices.Contains(groups, "") {
		return fmt.Errorf("%w: %s", cacheutils.ErrArguments, errtext.EmptyGroup("InvalidateGroup"))
	}
	groups = unique(groups)
	c.flights.Invalidate(groups)
	return invalidateAll(len(groups), func(i int) error { return c.newGeneration(ctx, groups[i]) })
}

// invalidateAll carries out n invalidations of one call, many at a time, and returns their errors joined. Several are
// carried out twice: an entry of one target may be recomputed, with what is found in another target,
// between the first writes to the two, so that it is as old as that. At the second writes nothing
// is left from before the first.
func invalidateAll(n int, invalidate func(i int) error) error {
	errs := make([]error, n)
	pass := func() error {
		parallel(n, func(i int) { errs[i] = invalidate(i) })
		return errors.Join(errs...)
	}
	if err := pass(); err != nil || n < 2 {
		return err
	}
	return pass()
}

func (c *Store) newGeneration(ctx context.Context, group string) error {
	ctx, done, err := c.outlast(ctx)
	if err != nil {
		return err
	}
	defer done()
	key := c.groupKey(group)
	item := generationItem(random.UUID(c.Name, key))
	if err := c.Engine.Set(ctx, key, item, cacheutils.Forever); err != nil {
		err = c.replayDelete(key, withoutKeys(err, key)) // not the same item again: it may have been stored, and replaced since
		return errtext.Wrap(err, "invalidate group %s", errtext.Quote(group))
	}
	if logging.Enabled(logging.LevelDebug) {
		logging.Log(logging.LevelDebug, logging.Event{Action: logging.ActionInvalidate, Backend: c.Name, Key: group})
	}
	return nil
}

func generationItem(id string) engine.Item {
	return engine.Item{Value: []byte(id), Flags: entry.FlagsText, Cost: len(id)}
}

// ensureGenerations returns what the groups hold now; those that held nothing are given a generation, for an entry.
func (c *Store) ensureGenerations(ctx context.Context, stored string, groups []string) ([]entry.Generation, error) {
	found, err := c.generations(ctx, groups)
	if err != nil {
		return nil, err
	}
	return c.createMissing(ctx, stored, found)
}

// ensureGenerationsBounded is ensureGenerations as an operation of its own.
func (c *Store) ensureGenerationsBounded(ctx context.Context, stored string, groups []string) ([]entry.Generation, error) {
	ctx, done, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if len(groups) == 0 {
		return nil, nil
	}
	ctx, end := c.boundAll(ctx)
	defer end()
	return c.ensureGenerations(ctx, stored, groups)
}

// checkGroups returns an error if an entry can't be in so many groups.
func checkGroups(n int) error {
	if n > entry.MaxGroups {
		return fmt.Errorf("%w: an entry in %d groups, which can be in %d at most", cacheutils.ErrArguments, n, entry.MaxGroups)
	}
	return nil
}

// A groupList has the generations of the groups that several entries are in, by name.
type groupList map[string]*ensured

// An ensured is a group's generation, or why there is none.
type ensured struct {
	entry.Generation
	err error
}

// of returns the generations of the key's groups, or the error of one that has none.
func (l groupList) of(key *Key) ([]entry.Generation, error) {
	if len(key.groups) == 0 {
		return nil, nil
	}
	if err := checkGroups(len(key.groups)); err != nil {
		return nil, err
	}
	generations := make([]entry.Generation, len(key.groups))
	for i, group := range key.groups {
		g := l[group]
		if g.err != nil {
			return nil, g.err
		}
		generations[i] = g.Generation
	}
	return generations, nil
}

// ensureAll is ensureGenerationsBounded for the groups of all keys: it reads each group once, in one multi-get, and gives
// those a generation that have none, many at a time. Where one server has not answered, that finds out what it has.
func (c *Store) ensureAll(ctx context.Context, keys []*Key) groupList {
	l := make(groupList)
	var in *Groups
	for _, key := range keys {
		if key.in != nil && key.in == in {
			continue
		}
		in = key.in
		for _, group := range key.groups {
			if l[group] == nil {
				own, _ := c.ownGroup(group)
				l[group] = &ensured{Generation: entry.Generation{Group: own}}
			}
		}
	}
	if len(l) == 0 {
		return l
	}
	names := slices.Sorted(maps.Keys(l))
	if reading, done, err := c.enter(ctx); err == nil {
		_ = c.readGenerations(reading, names, func(g entry.Generation, _ *answer) error { // those of which nothing is known are asked for below
			l[g.Group].Generation = g
			return nil
		})
		done()
	}
	var missing []*ensured
	for _, name := range names {
		if l[name].ID == "" {
			missing = append(missing, l[name])
		}
	}
	parallel(len(missing), func(i int) { missing[i].err = c.createBounded(ctx, keys[0].stored, &missing[i].Generation) })
	return l
}

// createBounded is createMissing for one group, as an operation of its own.
func (c *Store) createBounded(ctx context.Context, stored string, g *entry.Generation) error {
	ctx, done, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	ctx, end := c.boundAll(ctx)
	defer end()
	created, err := c.createMissing(ctx, stored, []entry.Generation{*g})
	if err == nil {
		*g = created[0]
	}
	return err
}

// createMissing gives those of the groups a generation that have none, for the entry that is stored under that key. Processes that do so at the
// same time agree: where there is nothing, add lets one of them through, and where there is what is no generation,
// compare-and-swap does; the others read what that one wrote.
func (c *Store) createMissing(ctx context.Context, stored string, found []entry.Generation) ([]entry.Generation, error) {
	if err := checkGroups(len(found)); err != nil {
		return nil, err
	}
	for range 3 { // a new generation may be lost again, but not forever
		var missing []string
		for _, g := range found {
			if g.ID == "" {
				missing = append(missing, g.Group)
			}
		}
		if len(missing) == 0 {
			return found, nil
		}
		found = slices.Clone(found)
		var others []string // something is there
		for _, group := range missing {
			key := c.groupKey(group)
			id := random.UUID(c.Name+stored, key)
			added, err := c.Engine.Add(ctx, key, generationItem(id), cacheutils.Forever)
			if err != nil {
				return nil, notBegun(err, group, key)
			}
			if added {
				setGeneration(found, entry.Generation{Group: group, ID: id})
			} else {
				others = append(others, group)
			}
		}
		err := c.readGenerations(ctx, others, func(g entry.Generation, got *answer) error {
			if g.ID == "" && got.found {
				key := c.groupKey(g.Group)
				item := generationItem(random.UUID(c.Name+stored, key))
				item.CAS = got.item.CAS
				swapped, err := c.Engine.CompareAndSwap(ctx, key, item, cacheutils.Forever)
				if err != nil {
					return notBegun(err, g.Group, key)
				}
				if swapped {
					g.ID = string(item.Value)
				}
			}
			setGeneration(found, g)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return nil, errors.New("cacheutils: the key of a group is lost as soon as it is written")
}

// notBegun is for a group to which the engine could not give a generation. It has a digest of the name, which may be made
// of an argument.
func notBegun(err error, group, key string) error {
	return errtext.Wrap(withoutKeys(err, key), "begin the group %s", cachekey.Digest(group))
}

func setGeneration(list []entry.Generation, g entry.Generation) {
	for i := range list {
		if list[i].Group == g.Group {
			list[i] = g
		}
	}
}
