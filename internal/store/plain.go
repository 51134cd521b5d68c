package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/logging"
)

// The low-level operations: what backends.Cache says of its methods holds.

// Get reads the value under key into the variable that into points at.
func (c *Store) Get(ctx context.Context, key Key, into any) error {
	v, err := target("Get", into)
	if err != nil {
		return err
	}
	p, err := c.get(ctx, key, &found{reader: codec.Of(v.Type()), plain: true}, false, false)
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(p).Elem())
	return nil
}

// get returns a pointer to the value under key, as found.result does, for a reader, whom f says, which is not to be changed; with old that
// may be a stale one.
func (c *Store) get(ctx context.Context, key Key, f *found, shared, old bool) (any, error) {
	if err := c.Closed(); err != nil {
		return nil, err
	}
	t := f.reader
	var err error
	if *f, err = c.readStored(ctx, key, *f); err != nil {
		return nil, err
	}
	if f.state == entry.Fresh || old && f.state == entry.Stale {
		if p := c.value(f, nil, t, shared); p != nil {
			c.debug(logging.ActionHit, &key, 0)
			return f.result(p), nil
		}
	}
	if f.others && f.err == nil && !old {
		f.err = f.entry.OtherValue(t)
	}
	if f.err != nil {
		return nil, errtext.Wrap(fmt.Errorf("%w: %w", cacheutils.ErrCacheMiss, f.err), "get %s", key.String())
	}
	c.debug(logging.ActionMiss, &key, 0)
	return nil, errtext.Wrap(cacheutils.ErrCacheMiss, "get %s", key.String())
}

// GetMany looks up the values of type t under keys, and hands those that it finds to found, by the index of
// their key, also when it returns an error because some servers failed. Entries that aren't values of that type
// are left out and logged. All keys are in the groups.
func (c *Store) GetMany(ctx context.Context, keys []Key, groups []string, t reflect.Type, found func(i int, value reflect.Value)) error {
	if len(groups) > 0 {
		in := c.Groups(groups...)
		for i := range keys {
			keys[i].groups, keys[i].in = in.names, in
		}
	}
	for i := range keys {
		keys[i].quoted = false // what goes wrong is logged
	}
	ctx, done, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	q, err := c.ask(ctx, keys)
	defer q.free()
	typ := codec.Of(t)
	for i := range keys {
		if p, ok := c.oneOfMany(ctx, q, i, &keys[i], typ, err); ok {
			found(i, reflect.ValueOf(p).Elem())
		}
	}
	if err != nil {
		return errtext.Wrap(err, "get %d keys", len(keys))
	}
	return nil
}

// oneOfMany returns a pointer to the value of the key with index i, where ask has returned err, of which the caller is told.
func (c *Store) oneOfMany(ctx context.Context, q *query, i int, key *Key, t *codec.Type, err error) (p any, ok bool) {
	f := found{reader: t, plain: true}
	failed := q.evaluate(ctx, c, &f, key, i, err)
	if failed == nil && f.state == entry.Fresh {
		if p = c.value(&f, nil, t, false); p != nil {
			q.memory.take(&f.entry)
			c.debug(logging.ActionHit, key, 0)
			return p, true
		}
	}
	if f.others && f.err == nil {
		f.err = f.entry.OtherValue(t)
	}
	switch {
	case f.err != nil && !errors.Is(f.err, codec.ErrUnknownType):
		c.fault("decode the entry of ", key.String(), f.err)
	case err != nil:
	case failed != nil:
		c.fault("look up ", key.String(), failed)
	default:
		c.debug(logging.ActionMiss, key, 0)
	}
	return nil, false
}

// Add stores value under key unless there is one, and reports whether it did. With a timeout
// that is over already it reports whether there was none.
func (c *Store) Add(ctx context.Context, key Key, value any, timeout time.Duration) (bool, error) {
	t, p := entry.Box(value)
	e, err := c.sealer.SealPlain(key.check, len(key.groups) > 0, t, p)
	if err != nil {
		return false, errtext.Wrap(err, "add %s", key.String())
	}
	if timeout = c.timeoutOf(timeout); timeout <= 0 {
		had, err := c.Has(ctx, key)
		return !had && err == nil, err
	}
	ctx, done, err := c.enter(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	added, err := c.add(ctx, key, &e, timeout)
	if err != nil {
		return false, errtext.Wrap(err, "add %s", key.String())
	}
	if added {
		c.debug(logging.ActionSet, &key, e.Cost)
	}
	return added, nil
}

// add stores e where there is no value that counts.
func (c *Store) add(ctx context.Context, key Key, e *entry.Entry, timeout time.Duration) (bool, error) {
	var err error
	if e.Groups, err = c.ensureGenerations(ctx, key.stored, key.groups); err != nil {
		return false, err
	}
	keep := c.engineKeeps(e, e.Stamp(c.now(), timeout, 0))
	for n := 0; ; n++ {
		if n == 1 {
			var done context.CancelFunc
			ctx, done = c.boundAll(ctx)
			defer done()
		}
		if err := c.beforeTry(ctx, &key, n); err != nil {
			return false, err
		}
		if added, err := c.Engine.Add(ctx, key.stored, e.Item(), keep); added || err != nil || c.discards {
			return added, withoutKeys(err, key.stored)
		}
		f := found{plain: true}
		err := c.lookup(ctx, &f, &key)
		if err != nil || f.state == entry.Fresh {
			return false, err
		}
		if f.state == entry.Missing {
			continue // it has gone since
		}
		c.flights.Forget(key.stored)
		e.CAS = f.entry.CAS
		if swapped, err := c.Engine.CompareAndSwap(ctx, key.stored, e.Item(), keep); swapped || err != nil {
			return swapped, withoutKeys(err, key.stored)
		}
	}
}

// Touch gives the entry under key a new timeout, counted from now, and reports whether there
// is one. A timeout that is over already deletes it, though ctx has ended, as Delete.
func (c *Store) Touch(ctx context.Context, key Key, timeout time.Duration) (bool, error) {
	timeout = c.timeoutOf(timeout)
	enter := c.enter
	if timeout <= 0 {
		enter = c.outlast
	}
	ctx, done, err := enter(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	had, err := c.change(ctx, key, func(e *entry.Entry) (time.Duration, error) {
		return e.Restamp(c.now(), timeout), nil
	}, timeout <= 0)
	if err != nil {
		return false, errtext.Wrap(err, "touch %s", key.String())
	}
	return had, nil
}

// change swaps what edit makes of the fresh entry under key for it, or deletes it, and reports
// whether there was one. An entry that changes meanwhile is read again, maxRefusals times at most.
func (c *Store) change(ctx context.Context, key Key, edit func(*entry.Entry) (keep time.Duration, err error), remove bool) (bool, error) {
	for n := 0; ; n++ {
		if n == 1 {
			var done context.CancelFunc
			ctx, done = c.boundAll(ctx)
			defer done()
		}
		if err := c.beforeTry(ctx, &key, n); err != nil {
			return false, err
		}
		f := found{plain: true}
		err := c.lookup(ctx, &f, &key)
		if err != nil || f.state != entry.Fresh {
			return false, err
		}
		if remove {
			return c.Delete(ctx, key)
		}
		keep, err := edit(&f.entry)
		if err != nil {
			return false, err
		}
		if swapped, err := c.swap(ctx, &key, &f.entry, keep); swapped || err != nil {
			return swapped, err
		}
	}
}

// Delete removes the entry under key, and reports whether there was one. It is carried out though ctx has ended;
// a deadline that is ahead bounds it.
func (c *Store) Delete(ctx context.Context, key Key) (bool, error) {
	ctx, done, err := c.outlast(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	c.flights.Forget(key.stored)
	had, err := c.Engine.Delete(ctx, key.stored)
	if err != nil {
		err = c.replayDelete(key.stored, withoutKeys(err, key.stored))
		return false, errtext.Wrap(err, "delete %s", key.String())
	}
	c.debug(logging.ActionDelete, &key, 0)
	return had, nil
}

// DeleteMany is Delete for several keys. It tries all of them, many at a time, and once more if none has
// failed, see invalidateAll. It returns the errors joined.
func (c *Store) DeleteMany(ctx context.Context, keys []Key) error {
	return invalidateAll(len(keys), func(i int) error {
		_, err := c.Delete(ctx, keys[i])
		return err
	})
}

// Has reports whether there is an entry under key, whatever its value.
func (c *Store) Has(ctx context.Context, key Key) (bool, error) {
	if err := c.Closed(); err != nil {
		return false, err
	}
	f, err := c.readStored(ctx, key, found{plain: true})
	return f.state == entry.Fresh, err
}

// Clear removes every entry under the KeyPrefix, in all versions, or every entry of the engine if there is none, or
// a key function, or the engine can't tell. It is carried out though ctx has ended, as Delete.
func (c *Store) Clear(ctx context.Context) error {
	ctx, done, err := c.outlast(ctx)
	if err != nil {
		return err
	}
	defer done()
	c.flights.ForgetAll()
	if err := c.Engine.Clear(ctx, c.clearPrefix()); err != nil {
		return errtext.Wrap(err, "clear %q", c.Name)
	}
	if logging.Enabled(logging.LevelDebug) {
		logging.Log(logging.LevelDebug, logging.Event{Action: logging.ActionClear, Backend: c.Name})
	}
	return nil
}

// clearPrefix returns what the keys begin with that Clear removes. The keys of groups don't: what was in a group
// is gone, so that it doesn't matter what its generation is.
func (c *Store) clearPrefix() string {
	if c.KeyPrefix == "" || c.KeyFunction != nil {
		return ""
	}
	return c.KeyPrefix + ":"
}

// target returns the variable that into points at.
func target(method string, into any) (reflect.Value, error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		advice := ""
		if v.IsValid() && v.Kind() != reflect.Pointer {
			advice = ": put & before it"
		}
		return v, fmt.Errorf("%w: %s takes a pointer to the variable to fill, got %s%s", cacheutils.ErrArguments, method, errtext.Given(v), advice)
	}
	return v.Elem(), nil
}

// Info returns how full the engine's store is, or an error that matches errors.ErrUnsupported if it doesn't know.
func (c *Store) Info(ctx context.Context) (engine.Info, error) {
	ctx, done, err := c.enter(ctx)
	if err != nil {
		return engine.Info{}, err
	}
	defer done()
	e, ok := engine.As[engine.InfoEngine](c.Engine)
	if !ok {
		return engine.Info{}, errtext.Wrap(errors.ErrUnsupported, "info of %q: its engine does not know how full its store is", c.Name)
	}
	info, err := e.Info(ctx)
	if err != nil {
		return engine.Info{}, errtext.Wrap(err, "info of %q", c.Name)
	}
	return info, nil
}
