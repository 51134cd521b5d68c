package backends

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/engine"
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
// portable. All other errors are those of the store, wrapped.
type Cache struct {
	name          string
	engine        engine.Engine
	live          bool
	checkKey      func(string) error
	timeout       time.Duration
	prefix        string
	version       string
	head          string // prefix:version: before every key, unless there is a key function
	keyFunction   func(key, prefix, version string) string
	compressAbove int // bytes; negative: never
	flights       flights
	faults        limiter
	notices       limiter
}

// Name returns the name of the backend in the configuration.
func (c *Cache) Name() string { return c.name }

// Timeout returns how long entries live whose timeout is not given.
func (c *Cache) Timeout() time.Duration { return c.timeout }

// Get reads the value under key into the variable that into points at.
func (c *Cache) Get(ctx context.Context, key string, into any, opts ...Option) error {
	k, err := c.plainKey(key, c.operation(opts).version)
	if err != nil {
		return err
	}
	return c.GetKey(ctx, k, into)
}

// GetKey is Get for a Key.
func (c *Cache) GetKey(ctx context.Context, key Key, into any) error {
	v, err := target("Get", into)
	if err != nil {
		return err
	}
	p, err := c.lookup(ctx, key, codec.Of(v.Type()))
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(p).Elem())
	return nil
}

// lookup returns a pointer to the value under key, which is not to be changed.
func (c *Cache) lookup(ctx context.Context, key Key, t *codec.Type) (any, error) {
	item, err := c.engine.Get(ctx, key.stored)
	if err == nil {
		p, err := open(key, t, item)
		if err == nil {
			c.debug(logging.Hit, key, 0)
			return p, nil
		}
		return nil, fmt.Errorf("backends: get %q: %w: %w", key.text, cacheutils.ErrCacheMiss, err)
	}
	if errors.Is(err, cacheutils.ErrCacheMiss) {
		c.debug(logging.Miss, key, 0)
	}
	return nil, fmt.Errorf("backends: get %q: %w", key.text, err)
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
	ks, err := c.plainKeys(keys, c.operation(opts).version)
	if err != nil {
		return err
	}
	stored := make([]string, len(ks))
	for i, k := range ks {
		stored[i] = k.stored
	}
	items, err := c.engine.GetMany(ctx, stored)
	t := codec.Of(m.Type().Elem())
	for _, k := range ks {
		item, ok := items[k.stored]
		if !ok {
			if err == nil {
				c.debug(logging.Miss, k, 0)
			}
			continue
		}
		p, openErr := open(k, t, item)
		if openErr != nil {
			c.fault("decode the entry of "+k.text, openErr)
			continue
		}
		c.debug(logging.Hit, k, 0)
		m.SetMapIndex(reflect.ValueOf(k.text).Convert(m.Type().Key()), reflect.ValueOf(p).Elem())
	}
	if err != nil {
		return fmt.Errorf("backends: get %d keys: %w", len(keys), err)
	}
	return nil
}

// Set stores value under key. A value that can't be encoded exactly is an error that
// matches cacheutils.ErrUnsupportedValue, and what was stored before stays. One too large
// for the store is cacheutils.ErrTooLarge, and what was stored before is gone.
func (c *Cache) Set(ctx context.Context, key string, value any, opts ...Option) error {
	o := c.operation(opts)
	k, err := c.plainKey(key, o.version)
	if err != nil {
		return err
	}
	return c.setPlain(ctx, k, value, o.timeout)
}

// SetKey is Set for a Key.
func (c *Cache) SetKey(ctx context.Context, key Key, value any, opts ...Option) error {
	return c.setPlain(ctx, key, value, c.operation(opts).timeout)
}

func (c *Cache) setPlain(ctx context.Context, key Key, value any, timeout time.Duration) error {
	t, p := boxed(value)
	item, err := c.sealPlain(key, t, p)
	if err != nil {
		return err
	}
	done, err := c.flights.write(ctx, key)
	if err != nil {
		return fmt.Errorf("backends: set %q: %w", key.text, err)
	}
	defer done()
	return c.store(ctx, key, item, timeout)
}

// store hands item to the engine. The caller has the key's turn.
func (c *Cache) store(ctx context.Context, key Key, item engine.Item, timeout time.Duration) error {
	var err error
	if timeout <= 0 {
		_, err = c.engine.Delete(ctx, key.stored)
	} else {
		err = c.engine.Set(ctx, key.stored, item, timeout)
	}
	if err != nil {
		return fmt.Errorf("backends: set %q: %w", key.text, err)
	}
	c.debug(logging.Set, key, item.Cost)
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
	keys, err := c.plainKeys(texts, o.version)
	if err != nil {
		return texts, err
	}
	var errs []error
	for _, key := range keys {
		value := m.MapIndex(reflect.ValueOf(key.text).Convert(m.Type().Key()))
		if err := c.setPlain(ctx, key, value.Interface(), o.timeout); err != nil {
			failed = append(failed, key.text)
			errs = append(errs, err)
		}
	}
	return failed, errors.Join(errs...)
}

// Add stores value under key unless there is one, and tells whether it did. With a timeout
// that is over already it tells whether there was none.
func (c *Cache) Add(ctx context.Context, key string, value any, opts ...Option) (bool, error) {
	o := c.operation(opts)
	k, err := c.plainKey(key, o.version)
	if err != nil {
		return false, err
	}
	t, p := boxed(value)
	item, err := c.sealPlain(k, t, p)
	if err != nil {
		return false, err
	}
	done, err := c.flights.write(ctx, k)
	if err != nil {
		return false, fmt.Errorf("backends: add %q: %w", key, err)
	}
	defer done()
	if o.timeout <= 0 {
		had, err := c.has(ctx, k)
		return !had && err == nil, err
	}
	added, err := c.engine.Add(ctx, k.stored, item, o.timeout)
	if err != nil {
		return false, fmt.Errorf("backends: add %q: %w", key, err)
	}
	if added {
		c.debug(logging.Set, k, item.Cost)
	}
	return added, nil
}

// Touch gives the entry under key a new timeout, counted from now, and tells whether there
// is one. A timeout that is over already deletes it.
func (c *Cache) Touch(ctx context.Context, key string, opts ...Option) (bool, error) {
	o := c.operation(opts)
	k, err := c.plainKey(key, o.version)
	if err != nil {
		return false, err
	}
	if o.timeout <= 0 {
		return c.DeleteKey(ctx, k)
	}
	ok, err := c.engine.Touch(ctx, k.stored, o.timeout)
	if err != nil {
		return false, fmt.Errorf("backends: touch %q: %w", key, err)
	}
	return ok, nil
}

// Incr adds delta, which may be negative, to the number under key and returns the sum. It has
// to be of a predeclared integer type: int, int64, uint8 and so on. Its timeout stays. When
// nothing is there that is cacheutils.ErrCacheMiss, with anything else it is
// cacheutils.ErrNotNumber. On memcached numbers end at 0: a larger decrement gives 0, and
// a negative number can be stored but not incremented.
func (c *Cache) Incr(ctx context.Context, key string, delta int64, opts ...Option) (int64, error) {
	k, err := c.plainKey(key, c.operation(opts).version)
	if err != nil {
		return 0, err
	}
	n, err := c.engine.Incr(ctx, k.stored, delta)
	if err != nil {
		return 0, fmt.Errorf("backends: increment %q: %w", key, err)
	}
	return n, nil
}

// Decr subtracts delta as Incr adds it.
func (c *Cache) Decr(ctx context.Context, key string, delta int64, opts ...Option) (int64, error) {
	return c.Incr(ctx, key, -delta, opts...)
}

// Delete removes the entry under key and tells whether there was one. Once it has returned
// without an error, no call in this process gets a value whose computation began before:
// computations of this key that are under way here are not stored.
func (c *Cache) Delete(ctx context.Context, key string, opts ...Option) (bool, error) {
	k, err := c.plainKey(key, c.operation(opts).version)
	if err != nil {
		return false, err
	}
	return c.DeleteKey(ctx, k)
}

// DeleteKey is Delete for a Key.
func (c *Cache) DeleteKey(ctx context.Context, key Key) (bool, error) {
	done, err := c.flights.write(ctx, key)
	if err != nil {
		return false, fmt.Errorf("backends: delete %q: %w", key.text, err)
	}
	defer done()
	had, err := c.engine.Delete(ctx, key.stored)
	if err != nil {
		return false, fmt.Errorf("backends: delete %q: %w", key.text, err)
	}
	c.debug(logging.Delete, key, 0)
	return had, nil
}

// DeleteMany removes the entries under keys. It tries all of them and returns the errors
// joined.
func (c *Cache) DeleteMany(ctx context.Context, keys []string, opts ...Option) error {
	ks, err := c.plainKeys(keys, c.operation(opts).version)
	if err != nil {
		return err
	}
	var errs []error
	for _, k := range ks {
		if _, err := c.DeleteKey(ctx, k); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Has tells whether there is an entry under key, whatever its value.
func (c *Cache) Has(ctx context.Context, key string, opts ...Option) (bool, error) {
	k, err := c.plainKey(key, c.operation(opts).version)
	if err != nil {
		return false, err
	}
	return c.has(ctx, k)
}

func (c *Cache) has(ctx context.Context, key Key) (bool, error) {
	_, err := c.engine.Get(ctx, key.stored)
	if errors.Is(err, cacheutils.ErrCacheMiss) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("backends: look for %q: %w", key.text, err)
	}
	return true, nil
}

// Clear removes every entry of the store. On a server that is everything on it, other
// prefixes and other programs' entries too.
func (c *Cache) Clear(ctx context.Context) error {
	if err := c.flights.voidAll(ctx); err != nil {
		return fmt.Errorf("backends: clear %q: %w", c.name, err)
	}
	if err := c.engine.Clear(ctx); err != nil {
		return fmt.Errorf("backends: clear %q: %w", c.name, err)
	}
	if logging.Enabled(logging.LevelDebug) {
		logging.Log(logging.LevelDebug, logging.Event{Action: logging.Clear, Backend: c.name})
	}
	return nil
}

// Close releases connections, goroutines and memory. It can be called again, and a Cache
// that is used after Close opens what it needs anew.
func (c *Cache) Close() error {
	if err := c.engine.Close(); err != nil {
		return fmt.Errorf("backends: close %q: %w", c.name, err)
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
