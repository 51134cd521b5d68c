package backends

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/store"
)

// A Cache is a configured backend: Django's low-level cache API with contexts and errors. Get returns one; the zero Cache is
// of no use. Its methods may be called by many goroutines at once.
//
// Values are anything that the codec can carry exactly (see the package doc); what comes out
// is never shared with the cache or another caller. Methods that read take a pointer to the
// variable to fill and leave it as it is when they return an error, so a default can stand
// in it. A key that isn't there is an error that matches cacheutils.ErrCacheMiss; one whose
// entry is not a value of the variable's type matches cacheutils.ErrUndecodable as well.
// A key that the backend can't take is cacheutils.ErrInvalidKey, before anything is sent;
// backends other than memcached take any but the empty key, and log which would not be
// portable. So is the key of what is cached for a function, one with [cached] at its beginning or after a colon,
// where something would be stored: that is for the function's handle. To read it and to delete it is allowed. A Cache that was closed, or that Configure has replaced, stays closed and returns errors
// that match cacheutils.ErrClosed: get the backend again by its name. A context that is nil is an error that matches
// cacheutils.ErrArguments. All other errors are those of the
// store, wrapped.
//
// Each request to the store takes as long as the option operation_timeout says at most, also where ctx has
// no end. Most operations are one request. What is stored in groups takes another one before it, what
// is changed is read first, and many keys are stored and removed 32 at a time. Where somebody else is faster again and again,
// or groups have to be made one after the other, they have four times operation_timeout in all.
//
// Delete, DeleteMany, Clear and InvalidateGroup, and Set and Touch with a timeout that is over, are carried out
// though ctx has been cancelled or its deadline has passed: what they remove is outdated. A deadline that is
// ahead bounds them, as operation_timeout does.
type Cache struct{ store *store.Store }

// Name returns the name of the backend in the configuration.
func (c *Cache) Name() string { return c.store.Name }

// Timeout returns how long entries live whose timeout is not given.
func (c *Cache) Timeout() time.Duration { return c.store.Timeout }

// at carries out an operation on the key that text and opts say, which stores nothing.
func (c *Cache) at(ctx context.Context, text string, opts []Option, do func(store.Key, operation) error) error {
	return c.withKey(ctx, text, opts, c.store.PlainKey, do)
}

// storeAt is at for an operation that stores.
func (c *Cache) storeAt(ctx context.Context, text string, opts []Option, do func(store.Key, operation) error) error {
	return c.withKey(ctx, text, opts, c.store.OwnKey, do)
}

// keyOf returns the key for a text in a version, in groups.
type keyOf func(text, version string, groups []string) (store.Key, error)

func (c *Cache) withKey(ctx context.Context, text string, opts []Option, keyOf keyOf, do func(store.Key, operation) error) error {
	o, err := c.collect(ctx, opts)
	if err != nil {
		return err
	}
	key, err := keyOf(text, o.version, o.groups)
	if err != nil {
		return err
	}
	return do(key, o)
}

// collect returns what opts add up to, or an error that says what is wrong with one.
func (c *Cache) collect(ctx context.Context, opts []Option) (operation, error) {
	o := operation{timeout: DefaultTimeout, version: c.store.Version}
	if err := checkContext(ctx); err != nil {
		return o, err
	}
	for i, opt := range opts {
		if opt == nil {
			o.wrong = errtext.NilOption(i)
			break
		}
		opt(&o)
	}
	return o, o.err()
}

// Get reads the value under key into the variable that into points at.
func (c *Cache) Get(ctx context.Context, key string, into any, opts ...Option) error {
	return c.at(ctx, key, opts, func(k store.Key, o operation) error { return c.store.Get(ctx, k, into) })
}

// GetMany reads the values under keys into the map that into is: a map with string keys
// that is not nil. It fills in what it found, under the keys as they were given, also when
// it returns an error because some servers failed. Entries that aren't values of the map's
// type are left out and logged.
func (c *Cache) GetMany(ctx context.Context, keys []string, into any, opts ...Option) error {
	m := reflect.ValueOf(into)
	if m.Kind() != reflect.Map || m.Type().Key().Kind() != reflect.String {
		return fmt.Errorf("%w: GetMany takes a map with string keys to fill, got %s", cacheutils.ErrArguments, errtext.Given(m))
	}
	if m.IsNil() {
		return fmt.Errorf("%w: GetMany takes a map to fill, got a nil %T: make it first", cacheutils.ErrArguments, into)
	}
	if len(keys) == 0 {
		return nil
	}
	o, err := c.collect(ctx, opts)
	if err != nil {
		return err
	}
	ks, err := c.keys(keys, o, c.store.PlainKey)
	if err != nil {
		return err
	}
	return c.store.GetMany(ctx, ks, o.groups, m.Type().Elem(), func(i int, value reflect.Value) {
		m.SetMapIndex(reflect.ValueOf(keys[i]).Convert(m.Type().Key()), value)
	})
}

// checkContext returns an error if there is no context.
func checkContext(ctx context.Context) error {
	if ctx == nil {
		return fmt.Errorf("%w: %s", cacheutils.ErrArguments, errtext.NilContext)
	}
	return nil
}

// keys returns the keys that texts and o say.
func (c *Cache) keys(texts []string, o operation, keyOf keyOf) ([]store.Key, error) {
	keys := make([]store.Key, len(texts))
	for i, text := range texts {
		k, err := keyOf(text, o.version, o.groups)
		if err != nil {
			return nil, err
		}
		keys[i] = k
	}
	return keys, nil
}

// Set stores value under key. A value that can't be encoded exactly is an error that
// matches cacheutils.ErrUnsupportedValue, and what was stored before stays; so is one that takes more memory than
// the option max_decoded_size allows. One too large
// for the store is cacheutils.ErrTooLarge, and what was stored before is gone.
func (c *Cache) Set(ctx context.Context, key string, value any, opts ...Option) error {
	return c.storeAt(ctx, key, opts, func(k store.Key, o operation) error { return c.store.Set(ctx, k, value, o.timeout) })
}

// SetMany stores values, a map with string keys. It returns the keys that could not be
// stored with the errors, joined, that kept them out.
func (c *Cache) SetMany(ctx context.Context, values any, opts ...Option) (failed []string, err error) {
	m := reflect.ValueOf(values)
	if m.Kind() != reflect.Map || m.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("%w: SetMany takes a map with string keys, got %s", cacheutils.ErrArguments, errtext.Given(m))
	}
	var texts []string
	for _, k := range m.MapKeys() {
		texts = append(texts, k.String())
	}
	slices.Sort(texts)
	o, err := c.collect(ctx, opts)
	if err != nil {
		return texts, err
	}
	keys, err := c.keys(texts, o, c.store.OwnKey)
	if err != nil {
		return texts, err
	}
	errs := c.store.SetMany(ctx, keys, func(i int) any {
		return m.MapIndex(reflect.ValueOf(texts[i]).Convert(m.Type().Key())).Interface()
	}, o.timeout)
	for i, err := range errs {
		if err != nil {
			failed = append(failed, texts[i])
		}
	}
	return failed, errors.Join(errs...)
}

// Add stores value under key unless there is one, and reports whether it did. With a timeout
// that is over already it reports whether there was none.
func (c *Cache) Add(ctx context.Context, key string, value any, opts ...Option) (bool, error) {
	var added bool
	err := c.storeAt(ctx, key, opts, func(k store.Key, o operation) (err error) {
		added, err = c.store.Add(ctx, k, value, o.timeout)
		return err
	})
	return added, err
}

// Touch gives the entry under key a new timeout, counted from now, and reports whether there
// is one. A timeout that is over already deletes it, though ctx has ended, as Delete.
func (c *Cache) Touch(ctx context.Context, key string, opts ...Option) (bool, error) {
	var had bool
	err := c.storeAt(ctx, key, opts, func(k store.Key, o operation) (err error) {
		had, err = c.store.Touch(ctx, k, o.timeout)
		return err
	})
	return had, err
}

// Delete removes the entry under key, whatever its groups, and reports whether there was one: a stale one
// counts, and so does what stands there while a value is computed, or has ended and is still in the store. Once it has returned without an error, no
// call that starts later, in any process, gets a value whose computation began before: computations of this key
// that are under way are not stored. On an error it may still be there; one that matches cacheutils.ErrQueued
// says that the server can't be reached, and that the entry is removed before anything is read from that server
// again in this process. It is carried out though ctx has been cancelled, or its deadline has passed; a
// deadline that is ahead bounds it, as the option operation_timeout does.
func (c *Cache) Delete(ctx context.Context, key string, opts ...Option) (bool, error) {
	var had bool
	err := c.at(ctx, key, opts, func(k store.Key, o operation) (err error) {
		had, err = c.store.Delete(ctx, k)
		return err
	})
	return had, err
}

// DeleteMany removes the entries under keys, as Delete. It tries all of them and returns the errors
// joined. Several keys take two round trips: all are removed, and then all once more, since the value
// of one may have been computed from that of another in between.
func (c *Cache) DeleteMany(ctx context.Context, keys []string, opts ...Option) error {
	o, err := c.collect(ctx, opts)
	if err != nil {
		return err
	}
	ks, err := c.keys(keys, o, c.store.PlainKey)
	if err != nil {
		return err
	}
	return c.store.DeleteMany(ctx, ks)
}

// Has reports whether there is an entry under key, whatever its value.
func (c *Cache) Has(ctx context.Context, key string, opts ...Option) (bool, error) {
	var had bool
	err := c.at(ctx, key, opts, func(k store.Key, o operation) (err error) {
		had, err = c.store.Has(ctx, k)
		return err
	})
	return had, err
}

// GetOrSet reads the value under key into the variable that into points at. When there is none it calls
// compute, once for all callers in all processes, stores what that returns, a nil too, and hands it out. A
// value that was set meanwhile stays and is handed out. What is deleted meanwhile, or whose group is
// invalidated, is not stored. An error of compute is returned as it is and nothing is stored. A fault of the
// store is logged, not returned: the value is there. compute's context, and what is done with its value when
// all callers have left, are those of decorators.Cached without the option Linger. Under cacheutils.Bypass compute runs
// without the store, under cacheutils.Refresh whatever is stored.
func (c *Cache) GetOrSet(ctx context.Context, key string, into any, compute func(context.Context) (any, error), opts ...Option) error {
	return c.storeAt(ctx, key, opts, func(k store.Key, o operation) error {
		return c.store.GetOrSet(ctx, k, into, compute, o.timeout)
	})
}

// Incr adds delta, which may be negative, to the number under key and returns the sum. It has to be of a
// predeclared integer type: int, int64, uint8 and so on. A sum that is more than that type can hold is kept all the
// same: Get reads it into an int64 or an any, and into a variable of the smaller type not. Its timeout stays. Where there is none the error
// matches cacheutils.ErrCacheMiss, and where there is another value cacheutils.ErrNotNumber. On memcached
// numbers that are in no group, and not sealed with a secret, end at 0: a larger decrement gives 0, and a negative number
// can be stored but not incremented.
func (c *Cache) Incr(ctx context.Context, key string, delta int64, opts ...Option) (int64, error) {
	var sum int64
	err := c.storeAt(ctx, key, opts, func(k store.Key, o operation) (err error) {
		sum, err = c.store.Incr(ctx, k, delta)
		return err
	})
	return sum, err
}

// Decr subtracts delta as Incr adds it.
func (c *Cache) Decr(ctx context.Context, key string, delta int64, opts ...Option) (int64, error) {
	return c.Incr(ctx, key, -delta, opts...)
}

// InvalidateGroup invalidates every entry of the groups: those that are stored, and those that are being
// computed from what was read before. Once it has returned nil, no call that starts later, in any process, gets
// one of them. All servers are written to at once, so that one group takes one round trip, and several take
// two; the errors of those that failed are joined, and their groups may still be what they were. It is carried
// out though ctx has been cancelled, as Delete.
func (c *Cache) InvalidateGroup(ctx context.Context, groups ...string) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	return c.store.InvalidateGroup(ctx, groups...)
}

// Clear removes every entry under the backend's KeyPrefix, in all versions. Without a KeyPrefix, as in Django,
// or with a KeyFunction, it removes every entry of the store, those of other prefixes and programs too. On
// memcached, which can't list its keys, it does so always, and only if the option clear says that it may: otherwise it is
// an error that matches cacheutils.ErrConfig, and nothing is removed. Once it has returned without an error, no call that starts later gets a value from
// before, and computations that were under way are not stored. It is carried out though ctx has ended, as
// Delete.
func (c *Cache) Clear(ctx context.Context) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	return c.store.Clear(ctx)
}

// Close closes the Cache, which begins nothing from then on. It waits until no result is being stored, at most
// as long as an operation may take. Computations that are under way are not waited for: the last one that ends
// releases connections, goroutines and memory; if there are none, Close does. It may be called again.
func (c *Cache) Close() error { return c.store.Close() }

// An Info says how full a store is: see Cache.Info.
type Info = engine.Info

// Info returns how many entries the backend's store has and how many bytes they take, the bounds on both, and how many were dropped to
// make room: when that number grows, the store is too small. Entries of other backends count that share the store. An engine
// that doesn't know it, as memcached, whose servers have it for all of their users, gives an error that matches
// errors.ErrUnsupported.
func (c *Cache) Info(ctx context.Context) (Info, error) {
	if err := checkContext(ctx); err != nil {
		return Info{}, err
	}
	return c.store.Info(ctx)
}

// A Server is what is known of one server of a backend: see Servers.
type Server = engine.Server

// Servers returns what is known of each server, sorted by address, without a request to it: whether it is down,
// its connections, and counters of what happened. It is empty for a backend without servers.
func (c *Cache) Servers() []Server {
	return c.store.Servers()
}

// Health probes all servers at once, those that are down included. It returns by address nil or what is wrong;
// a backend without servers has none. It takes as long as an operation does at most, or as ctx allows.
func (c *Cache) Health(ctx context.Context) map[string]error {
	return c.store.Health(ctx)
}

// Ping returns nil if all servers answer, otherwise what is wrong with those that don't, which it names.
// It is for an alert or a check at start-up, not for a readiness probe: calls work without the cache, and
// a probe that fails with it takes all processes out of service. A backend without servers is always there.
func (c *Cache) Ping(ctx context.Context) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	health := c.Health(ctx)
	var errs []error
	for _, address := range slices.Sorted(maps.Keys(health)) {
		if err := health[address]; err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return errtext.Wrap(err, "ping %q", c.Name())
	}
	return nil
}
