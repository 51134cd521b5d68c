package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/logging"
)

// What a caller stores by hand: any value by Set, a result of a function by Put, and several of either. The generations
// of an entry's groups are read first, and groups that have none are given one; then the entry is written over whatever is
// there. The generations for several entries are read at once, each group's once.

// Set stores value under key for timeout, or the store's own for DefaultTimeout.
func (c *Store) Set(ctx context.Context, key Key, value any, timeout time.Duration) error {
	e, err := c.sealPlain(&key, value)
	return c.set(ctx, key, e, err, timeout, 0)
}

// SetMany stores value(i) under each of the keys. It returns their errors by index.
func (c *Store) SetMany(ctx context.Context, keys []Key, value func(i int) any, timeout time.Duration) []error {
	seal := func(i int) (entry.Entry, error) { return c.sealPlain(&keys[i], value(i)) }
	return c.setAll(ctx, keys, seal, func(int) time.Duration { return timeout }, 0)
}

// Put stores the value of the task's type that value points at, which nobody changes later.
func (c *Store) Put(ctx context.Context, key Key, task *Task, value any, timeout time.Duration) error {
	e, err := c.sealResult(&key, task, value)
	return c.set(ctx, key, e, err, timeout, c.staleFor(task))
}

// PutMany is Put for several keys. It tries all of them, many at a time, and returns the errors joined. timeout is
// called for one after the other, in the order of the keys as text. It does not retain keys, which may share memory.
func (c *Store) PutMany(ctx context.Context, keys []Key, task *Task, value func(i int) any, timeout func(i int) time.Duration) error {
	seal := func(i int) (entry.Entry, error) { return c.sealResult(&keys[i], task, value(i)) }
	return errors.Join(c.setAll(ctx, keys, seal, timeout, c.staleFor(task))...)
}

func (c *Store) sealPlain(key *Key, value any) (entry.Entry, error) {
	t, p := entry.Box(value)
	return c.sealer.SealPlain(key.check, len(key.groups) > 0, t, p)
}

func (c *Store) sealResult(key *Key, task *Task, value any) (entry.Entry, error) {
	e, err := c.sealer.Seal(key.check, task.typ, value, task.shared, entry.Payload{})
	if err == nil {
		c.unsized(task, e.Hidden)
	}
	return e, err
}

// set stores e under key, for which sealing has returned err.
func (c *Store) set(ctx context.Context, key Key, e entry.Entry, err error, timeout, stale time.Duration) error {
	timeout = c.timeoutOf(timeout)
	if err == nil && timeout > 0 {
		e.Groups, err = c.ensureGenerationsBounded(ctx, key.stored, key.groups)
	}
	if err == nil {
		err = c.overwrite(ctx, key, &e, timeout, stale)
	}
	if err != nil {
		return errtext.Wrap(err, "set %s", key.String())
	}
	return nil
}

// setAll stores what seal returns under each of keys, many at a time. It returns their errors by index. A key
// one of whose groups could not be read, or given a generation, has the error of that, and the others are stored.
func (c *Store) setAll(ctx context.Context, keys []Key, seal func(i int) (entry.Entry, error), timeout func(i int) time.Duration, stale time.Duration) []error {
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return strings.Compare(keys[i].stored, keys[j].stored) })
	timeouts := make([]time.Duration, len(keys))
	stored := make([]*Key, 0, len(keys)) // those that are not deleted
	for _, i := range order {
		if timeouts[i] = c.timeoutOf(timeout(i)); timeouts[i] > 0 {
			stored = append(stored, &keys[i])
		}
	}
	groups := c.ensureAll(ctx, stored)
	errs := make([]error, len(keys))
	parallel(len(keys), func(n int) {
		i := order[n]
		e, err := seal(i)
		if err == nil && timeouts[i] > 0 {
			e.Groups, err = groups.of(&keys[i])
		}
		if err == nil {
			err = c.overwrite(ctx, keys[i].clone(), &e, timeouts[i], stale)
		}
		if err != nil {
			errs[i] = errtext.Wrap(err, "set %s", keys[i].String())
		}
	})
	return errs
}

// overwrite writes e over whatever is there, or deletes that if the timeout is over: a computation that is under way is not
// stored after that.
func (c *Store) overwrite(ctx context.Context, key Key, e *entry.Entry, timeout, stale time.Duration) error {
	enter := c.enter
	if timeout <= 0 {
		enter = c.outlast
	}
	ctx, done, err := enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	c.flights.Forget(key.stored)
	if timeout <= 0 {
		_, err = c.Engine.Delete(ctx, key.stored)
	} else {
		keep := e.Stamp(c.now(), timeout, stale)
		err = c.Engine.Set(ctx, key.stored, e.Item(), c.engineKeeps(e, keep))
	}
	if err != nil {
		return withoutKeys(err, key.stored)
	}
	c.debug(logging.ActionSet, &key, e.Cost)
	return nil
}
