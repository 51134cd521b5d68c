package backends

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/logging"
)

// A Cache is a configured backend: Django's low-level cache API with contexts and errors.
// Its methods may be called by many goroutines at once.
//
// Values are anything that the codec can carry exactly (see the package doc); what comes out
// is never shared with the cache or another caller. Methods that read take a pointer to the
// variable to fill and leave it as it is when they return an error, so a default can stand
// in it. A key that isn't there is an error that matches cacheutils.ErrCacheMiss; one whose
// entry is not a value of the variable's type matches cacheutils.ErrUndecodable as well.
// A key that the backend can't take is cacheutils.ErrInvalidKey, before anything is sent;
// backends other than memcached take any but the empty key, and log which would not be
// portable. A Cache that was closed, or that Configure has replaced, stays closed and returns errors
// that match cacheutils.ErrClosed: get the backend again by its name. All other errors are those of the
// store, wrapped.
//
// Each request to the store takes as long as the option operation_timeout says at most, also where ctx has
// no end. Most operations are one request. What is stored in groups takes another one before it, what
// is changed is read first, and many keys are stored and removed 32 at a time.
//
// Delete, DeleteMany, Clear and InvalidateGroup, and Set and Touch with a timeout that is over, are carried
// out though ctx has been cancelled or its deadline has passed: what they are about is out of date. A
// deadline that is ahead bounds them, as operation_timeout does.
type Cache struct {
	name          string
	engine        engine.Engine
	live          bool
	living        engine.Sighter // the engine, where it is one
	checkKey      func(string) error
	timeout       time.Duration
	prefix        string
	version       string
	head          string // prefix:version: before every key, unless there is a key function
	keyFunction   func(key, prefix, version string) string
	compressAbove int // bytes; negative: never
	groupVersion  string
	stale         time.Duration // how long values are served past their timeout
	lease         time.Duration

	// operationTimeout bounds each operation, and each step of what a flight does with the store. timed says
	// that the engine bounds operations by it, too, and gives those more time of which the answer is arriving.
	operationTimeout time.Duration
	timed            bool

	closed     atomic.Bool // nothing is begun any more
	shutting   sync.Once   // closes the engine, when the last flight has ended
	shutErr    error
	answered   atomic.Int64      // when the store answered last, in nanoseconds since epoch
	each       engine.EachGetter // the engine, if it is one
	discards   bool
	flights    flights
	disowned   disowned
	disowning  atomic.Int64 // leases that are being taken away
	background background
	renewals   renewals
	faults     limiter
	notices    limiter
}

// Name returns the name of the backend in the configuration.
func (c *Cache) Name() string { return c.name }

// Timeout returns how long entries live whose timeout is not given.
func (c *Cache) Timeout() time.Duration { return c.timeout }

// Get reads the value under key into the variable that into points at.
func (c *Cache) Get(ctx context.Context, key string, into any, opts ...Option) error {
	k, err := c.plainKey(key, c.operation(opts))
	if err != nil {
		return err
	}
	return c.GetKey(ctx, k, into)
}

// GetKey is Get for a Key.
func (c *Cache) GetKey(ctx context.Context, key Key, into any, opts ...Option) error {
	v, err := target("Get", into)
	if err != nil {
		return err
	}
	p, err := c.lookup(ctx, key.also(c.operation(opts).groups), codec.Of(v.Type()), false)
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(p).Elem())
	return nil
}

// lookup returns a pointer to the value under key, which is not to be changed; with old that
// may be a stale one.
func (c *Cache) lookup(ctx context.Context, key Key, t *codec.Type, old bool) (any, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	f, err := c.readStored(ctx, key)
	if err != nil {
		return nil, err
	}
	if f.state == fresh || old && f.state == stale {
		p, err := f.entry.value(&key, t)
		if err == nil {
			c.debug(logging.Hit, &key, 0)
			return p, nil
		}
		f.err = err
	}
	if f.err != nil {
		return nil, fmt.Errorf("backends: get %q: %w: %w", key.text, cacheutils.ErrCacheMiss, f.err)
	}
	c.debug(logging.Miss, &key, 0)
	return nil, fmt.Errorf("backends: get %q: %w", key.text, cacheutils.ErrCacheMiss)
}

// GetMany reads the values under keys into the map that into is: a map with string keys
// that is not nil. It fills in what it found, under the keys as they were given, also when
// it returns an error because some servers failed. Entries that aren't values of the map's
// type are left out and logged.
func (c *Cache) GetMany(ctx context.Context, keys []string, into any, opts ...Option) error {
	m := reflect.ValueOf(into)
	if m.Kind() != reflect.Map || m.IsNil() || m.Type().Key().Kind() != reflect.String {
		return fmt.Errorf("backends: %w: GetMany takes a map with string keys to fill, got %T", cacheutils.ErrArguments, into)
	}
	if len(keys) == 0 {
		return nil
	}
	o := c.operation(opts)
	ks, err := c.plainKeys(keys, o)
	if err != nil {
		return err
	}
	if len(o.groups) > 0 {
		groups := c.Groups(o.groups...)
		for i := range ks {
			ks[i].groups, ks[i].in = groups.names, groups
		}
	}
	ctx, done, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	q, err := c.ask(ctx, ks)
	defer q.free()
	t := codec.Of(m.Type().Elem())
	for i := range ks {
		if p, ok := c.oneOfMany(ctx, q, i, &ks[i], t, err); ok {
			m.SetMapIndex(reflect.ValueOf(ks[i].text).Convert(m.Type().Key()), reflect.ValueOf(p).Elem())
		}
	}
	if err != nil {
		return fmt.Errorf("backends: get %d keys: %w", len(keys), err)
	}
	return nil
}

// oneOfMany returns a pointer to the value of the key with index i, where ask has returned err, of which the caller is told.
func (c *Cache) oneOfMany(ctx context.Context, q *query, i int, key *Key, t *codec.Type, err error) (p any, ok bool) {
	var f finding
	failed := q.assess(ctx, c, &f, key, i, err)
	if failed == nil && f.state == fresh {
		p, f.err = f.entry.value(key, t)
		if f.err == nil {
			c.debug(logging.Hit, key, 0)
			return p, true
		}
	}
	switch {
	case f.err != nil:
		c.fault("decode the entry of "+key.text, f.err)
	case err != nil:
	case failed != nil:
		c.fault("look for "+key.text, failed)
	default:
		c.debug(logging.Miss, key, 0)
	}
	return nil, false
}

// Set stores value under key. A value that can't be encoded exactly is an error that
// matches cacheutils.ErrUnsupportedValue, and what was stored before stays. One too large
// for the store is cacheutils.ErrTooLarge, and what was stored before is gone.
func (c *Cache) Set(ctx context.Context, key string, value any, opts ...Option) error {
	o := c.operation(opts)
	k, err := c.plainKey(key, o)
	if err != nil {
		return err
	}
	return c.setPlain(ctx, k, value, o.timeout)
}

// SetKey is Set for a Key.
func (c *Cache) SetKey(ctx context.Context, key Key, value any, opts ...Option) error {
	o := c.operation(opts)
	return c.setPlain(ctx, key.also(o.groups), value, o.timeout)
}

func (c *Cache) setPlain(ctx context.Context, key Key, value any, timeout time.Duration) error {
	if timeout <= 0 {
		return c.setIn(ctx, key, value, timeout, nil)
	}
	groups, err := c.begunBounded(ctx, key.groups)
	if err != nil {
		return fmt.Errorf("backends: set %q: %w", key.text, err)
	}
	return c.setIn(ctx, key, value, timeout, groups)
}

// setIn is setPlain for groups that have these generations.
func (c *Cache) setIn(ctx context.Context, key Key, value any, timeout time.Duration, groups []generation) error {
	t, p := boxed(value)
	e, err := c.sealPlain(key, t, p)
	if err != nil {
		return err
	}
	e.groups = groups
	return c.store(ctx, key, &e, timeout, 0)
}

// store writes e over whatever is there: a computation that is under way is not stored after that.
func (c *Cache) store(ctx context.Context, key Key, e *entry, timeout, stale time.Duration) error {
	enter := c.enter
	if timeout <= 0 {
		enter = c.outlast
	}
	ctx, done, err := enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	c.flights.void(key)
	if timeout <= 0 {
		_, err = c.engine.Delete(ctx, key.stored)
	} else {
		keep := e.stamp(timeout, stale)
		err = c.engine.Set(ctx, key.stored, e.item(), keep)
	}
	if err != nil {
		return fmt.Errorf("backends: set %q: %w", key.text, err)
	}
	c.debug(logging.Set, &key, e.cost)
	return nil
}

// SetMany stores values, a map with string keys. It returns the keys that could not be
// stored with the errors, joined, that kept them out.
func (c *Cache) SetMany(ctx context.Context, values any, opts ...Option) (failed []string, err error) {
	m := reflect.ValueOf(values)
	if m.Kind() != reflect.Map || m.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("backends: %w: SetMany takes a map with string keys, got %T", cacheutils.ErrArguments, values)
	}
	o := c.operation(opts)
	var texts []string
	for _, k := range m.MapKeys() {
		texts = append(texts, k.String())
	}
	keys, err := c.plainKeys(texts, o)
	if err != nil {
		return texts, err
	}
	var groups []generation
	if o.timeout > 0 {
		if groups, err = c.begunBounded(ctx, o.groups); err != nil {
			return texts, fmt.Errorf("backends: set %d keys: %w", len(keys), err)
		}
	}
	errs := make([]error, len(keys))
	each(len(keys), func(i int) {
		value := m.MapIndex(reflect.ValueOf(keys[i].text).Convert(m.Type().Key()))
		errs[i] = c.setIn(ctx, keys[i], value.Interface(), o.timeout, groups)
	})
	for i, err := range errs {
		if err != nil {
			failed = append(failed, keys[i].text)
		}
	}
	return failed, errors.Join(errs...)
}

// Add stores value under key unless there is one, and tells whether it did. With a timeout
// that is over already it tells whether there was none.
func (c *Cache) Add(ctx context.Context, key string, value any, opts ...Option) (bool, error) {
	o := c.operation(opts)
	k, err := c.plainKey(key, o)
	if err != nil {
		return false, err
	}
	t, p := boxed(value)
	e, err := c.sealPlain(k, t, p)
	if err != nil {
		return false, err
	}
	if o.timeout <= 0 {
		had, err := c.has(ctx, k)
		return !had && err == nil, err
	}
	ctx, done, err := c.enter(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	added, err := c.add(ctx, k, &e, o.timeout)
	if err != nil {
		return false, fmt.Errorf("backends: add %q: %w", key, err)
	}
	if added {
		c.debug(logging.Set, &k, e.cost)
	}
	return added, nil
}

// add stores e where there is no value that counts.
func (c *Cache) add(ctx context.Context, key Key, e *entry, timeout time.Duration) (bool, error) {
	var err error
	if e.groups, err = c.begun(ctx, key.groups); err != nil {
		return false, err
	}
	keep := e.stamp(timeout, 0)
	for {
		if added, err := c.engine.Add(ctx, key.stored, e.item(), keep); added || err != nil || c.discards {
			return added, err
		}
		f, err := c.read(ctx, key)
		if err != nil || f.state == fresh {
			return false, err
		}
		if f.state == absent {
			continue // it has gone since
		}
		c.flights.void(key)
		e.cas = f.entry.cas
		if swapped, err := c.engine.CompareAndSwap(ctx, key.stored, e.item(), keep); swapped || err != nil {
			return swapped, err
		}
	}
}

// Touch gives the entry under key a new timeout, counted from now, and tells whether there
// is one. A timeout that is over already deletes it, though ctx has ended, as Delete.
func (c *Cache) Touch(ctx context.Context, key string, opts ...Option) (bool, error) {
	o := c.operation(opts)
	k, err := c.plainKey(key, o)
	if err != nil {
		return false, err
	}
	enter := c.enter
	if o.timeout <= 0 {
		enter = c.outlast
	}
	ctx, done, err := enter(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	had, err := c.change(ctx, k, func(e *entry) (time.Duration, error) {
		return e.stamp(o.timeout, 0), nil
	}, o.timeout <= 0)
	if err != nil {
		return false, fmt.Errorf("backends: touch %q: %w", key, err)
	}
	return had, nil
}

// change swaps what edit makes of the fresh entry under key for it, or deletes it, and tells
// whether there was one. An entry that changes meanwhile is read again.
func (c *Cache) change(ctx context.Context, key Key, edit func(*entry) (keep time.Duration, err error), remove bool) (bool, error) {
	for {
		f, err := c.read(ctx, key)
		if err != nil || f.state != fresh {
			return false, err
		}
		if remove {
			return c.DeleteKey(ctx, key)
		}
		keep, err := edit(&f.entry)
		if err != nil {
			return false, err
		}
		if swapped, err := c.engine.CompareAndSwap(ctx, key.stored, f.entry.item(), keep); swapped || err != nil {
			return swapped, err
		}
	}
}

// Delete removes the entry under key, whatever its groups, and tells whether there was one: a
// stale one counts, and so does what stands there while a value is computed. Once it has returned
// without an error, no call that starts later, in any process, gets a value whose computation
// began before: computations of this key that are under way are not stored. On an error it may
// still be there. It is carried out though ctx has been cancelled, or its deadline has passed; a deadline that
// is ahead bounds it, as the option operation_timeout does. One that matches cacheutils.ErrQueued says that the server can't be reached, and
// that the entry is removed before anything is read from that server again in this process.
func (c *Cache) Delete(ctx context.Context, key string, opts ...Option) (bool, error) {
	k, err := c.plainKey(key, c.operation(opts))
	if err != nil {
		return false, err
	}
	return c.DeleteKey(ctx, k)
}

// DeleteKey is Delete for a Key.
func (c *Cache) DeleteKey(ctx context.Context, key Key) (bool, error) {
	ctx, done, err := c.outlast(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	c.flights.void(key)
	had, err := c.engine.Delete(ctx, key.stored)
	if err != nil {
		err = c.replayDelete(key.stored, err)
		return false, fmt.Errorf("backends: delete %q: %w", key.text, err)
	}
	c.debug(logging.Delete, &key, 0)
	return had, nil
}

// DeleteMany removes the entries under keys, as Delete. It tries all of them and returns the errors
// joined. Several keys take two round trips: all are removed, and then all once more, since the value
// of one may have been computed from that of another in between.
func (c *Cache) DeleteMany(ctx context.Context, keys []string, opts ...Option) error {
	ks, err := c.plainKeys(keys, c.operation(opts))
	if err != nil {
		return err
	}
	return c.DeleteKeys(ctx, ks)
}

// Has tells whether there is an entry under key, whatever its value.
func (c *Cache) Has(ctx context.Context, key string, opts ...Option) (bool, error) {
	k, err := c.plainKey(key, c.operation(opts))
	if err != nil {
		return false, err
	}
	return c.has(ctx, k)
}

func (c *Cache) has(ctx context.Context, key Key) (bool, error) {
	if err := c.open(); err != nil {
		return false, err
	}
	f, err := c.readStored(ctx, key)
	return f.state == fresh, err
}

// Clear removes every entry of the store. On a server that is everything on it, other
// prefixes and other programs' entries too. It is carried out though ctx has ended, as Delete.
func (c *Cache) Clear(ctx context.Context) error {
	ctx, done, err := c.outlast(ctx)
	if err != nil {
		return err
	}
	defer done()
	c.flights.voidAll()
	if err := c.engine.Clear(ctx); err != nil {
		return fmt.Errorf("backends: clear %q: %w", c.name, err)
	}
	if logging.Enabled(logging.LevelDebug) {
		logging.Log(logging.LevelDebug, logging.Event{Action: logging.Clear, Backend: c.name})
	}
	return nil
}

// target returns the variable that into points at.
func target(method string, into any) (reflect.Value, error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return v, fmt.Errorf("backends: %w: %s takes a pointer to the variable to fill, got %T", cacheutils.ErrArguments, method, into)
	}
	return v.Elem(), nil
}

// boxed returns a pointer to a copy of value. A nil is an any without a value.
func boxed(value any) (*codec.Type, any) {
	if value == nil {
		return codec.Of(reflect.TypeFor[any]()), new(any)
	}
	v := reflect.ValueOf(value)
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return codec.Of(v.Type()), p.Interface()
}

// pointer returns the address in p, which holds a pointer.
func pointer(p any) unsafe.Pointer { return reflect.ValueOf(p).UnsafePointer() }
