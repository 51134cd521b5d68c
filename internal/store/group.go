package store

import (
	"context"
	"errors"
	"fmt"
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

// createMissing gives those of the groups a generation that have none, for the entry that is stored under that key. Processes that do so at the
// same time agree: where there is nothing, add lets one of them through, and where there is what is no generation,
// compare-and-swap does; the others read what that one wrote.
func (c *Store) createMissing(ctx context.Context, stored string, found []entry.Generation) ([]entry.Generation, error) {
	if len(found) > entry.MaxGroups {
		return nil, fmt.Errorf("%w: an entry in %d groups, which can be in %d at most", cacheutils.ErrArguments, len(found), entry.MaxGroups)
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
