// Package cache stores values under keys of any type on the configured backends.
//
//	err := cache.Set(ctx, cachekey.Tuple{"city", 42}, city, cache.Timeout(time.Hour))
//	city, err := cache.Get[City](ctx, cachekey.Tuple{"city", 42})
//	found, err := cache.Delete(ctx, cachekey.Tuple{"city", 42})
//
// Values can be put into groups, which are invalidated at once, whatever they hold:
//
//	err := cache.Set(ctx, cachekey.Tuple{"city", 42}, city, cache.Group("cities"))
//	err = cache.InvalidateGroup(ctx, "cities")
//
// A key is rendered as in package cachekey, so that two values that differ in value or type
// are two keys: "5" and 5, or [a b] and "a-b". Any length and any characters will do; nil is an error that matches
// cacheutils.ErrInvalidKey. What is
// done is logged by package logging.
//
// Values, timeouts and errors are those of backends.Cache, which has more operations, for callers that have the
// text of their keys. Backends are looked up by name in each call, so that one which Configure replaces
// meanwhile is not an error.
package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/internal/store"
)

// An Option changes one call.
type Option func(*call)

type call struct {
	backend string
	caches  *backends.Caches // nil: the program's
	wrong   string           // what is wrong with an option; empty: nothing
	timeout time.Duration
	groups  []string
}

// Backend names the backend to use. Without it that is "default".
func Backend(name string) Option { return func(c *call) { c.backend = name } }

// On names the set of backends in which the backend is looked up (see backends.New). Without it that is the
// program's. A context of backends.With comes before both. A nil c is an error that matches
// cacheutils.ErrArguments.
func On(c *backends.Caches) Option {
	return func(o *call) {
		if o.caches = c; c == nil {
			o.wrong = "cache.On has a nil set of backends: make it with backends.New"
		}
	}
}

// Timeout says how long the value is kept. Without it that is the backend's timeout. With
// zero or less nothing is stored, and what was there before is gone; with
// cacheutils.Forever it never expires. One above zero and below a millisecond is a number without a unit, which counts
// nanoseconds, and an error that matches cacheutils.ErrArguments.
func Timeout(d time.Duration) Option {
	return func(c *call) {
		c.timeout = max(d, 0)
		if wrong := errtext.MissingUnit("cache.Timeout", d); wrong != "" {
			c.wrong = wrong
		}
	}
}

// Group puts the value into groups, which InvalidateGroup drops at once, in all processes. Get with it finds
// only what is in all of them, and costs one round trip; without it Get finds a value whatever its groups, but
// takes a second round trip if there are any. The functions of package decorators, and backends on the same
// server with the same Version, share the groups. An empty name, or one of more than 1024 bytes, is an error that matches
// cacheutils.ErrArguments, and so are more than 1000 groups. On engines outside of this process Get has to
// name all but 16 of them.
func Group(names ...string) Option {
	return func(c *call) {
		c.groups = append(c.groups, names...)
		if wrong := errtext.WrongGroups("cache.Group", c.groups, store.MaxGroups); wrong != "" {
			c.wrong = wrong
		}
	}
}

// Get returns the value under key. It is an error that matches cacheutils.ErrCacheMiss when
// there is none, or none of type T.
func Get[T any](ctx context.Context, key any, opts ...Option) (T, error) {
	var value T
	err := at(ctx, key, opts, func(p place) error { return p.store.Get(ctx, p.key, &value) })
	return value, err
}

// Set stores value, nil too, under key.
func Set(ctx context.Context, key, value any, opts ...Option) error {
	return at(ctx, key, opts, func(p place) error { return p.store.Set(ctx, p.key, value, p.timeout) })
}

// Delete removes what is under key, whatever its groups, and reports whether there was something. Once it has
// returned without an error, no call that starts later, in any process, gets that, nor a value of a GetOrSet
// that began to compute before. It is carried out though ctx has been cancelled or its deadline has passed,
// within the backend's operation_timeout; a deadline that is ahead bounds it, too.
func Delete(ctx context.Context, key any, opts ...Option) (bool, error) {
	var had bool
	err := at(ctx, key, opts, func(p place) (err error) {
		had, err = p.store.Delete(ctx, p.key)
		return err
	})
	return had, err
}

// GetOrSet returns the value under key or, if there is none, that of compute, which is stored, a nil too.
// compute runs once for all callers that call meanwhile, in this process and in others that use the same
// server. When those in this process have all left it goes on for a lease, 5 seconds, if the last one's
// deadline had passed, and its context ends at once if that was cancelled. Its error is returned as it is, and
// nothing is stored. A value that could not be stored is logged, and is not an error. What is deleted, or whose
// group is invalidated, while compute runs is not stored. Under cacheutils.Bypass compute runs without the cache, under
// cacheutils.Refresh whatever is stored.
func GetOrSet[T any](ctx context.Context, key any, compute func(context.Context) (T, error), opts ...Option) (T, error) {
	var value T
	err := at(ctx, key, opts, func(p place) error {
		return p.store.GetOrSet(store.Steered(ctx), p.key, &value, func(ctx context.Context) (any, error) { return compute(ctx) }, p.timeout)
	})
	return value, err
}

// InvalidateGroup drops every value that is in the group, in one round trip whatever their number.
// Once it has returned nil, no call that starts later, in any process, gets one of them, nor
// one of a computation that began before. On an error they may still be there. It is carried out though
// ctx has ended, as Delete. Of the options only Backend and On count.
func InvalidateGroup(ctx context.Context, group string, opts ...Option) error {
	return InvalidateGroups(ctx, []string{group}, opts...)
}

// InvalidateGroups is InvalidateGroup for several groups, in two round trips: all are written, and then
// all once more, since what is in one may have been computed in between from what was in another. It
// tries all of them and returns the errors joined.
func InvalidateGroups(ctx context.Context, groups []string, opts ...Option) error {
	return on(ctx, collect(opts), func(b *store.Store) error { return b.InvalidateGroup(ctx, groups...) })
}

// A place is where a call's key is.
type place struct {
	store   *store.Store
	key     store.Key
	timeout time.Duration
}

func collect(opts []Option) call {
	c := call{backend: "default", timeout: store.DefaultTimeout}
	for i, opt := range opts {
		if opt == nil {
			c.wrong = errtext.NilOption(i)
			break
		}
		opt(&c)
	}
	return c
}

// at carries out an operation on what is under key.
func at(ctx context.Context, key any, opts []Option, operation func(place) error) error {
	if key == nil {
		return fmt.Errorf("%w: the key is nil; give a value that names the entry, such as a text or a cachekey.Tuple", cacheutils.ErrInvalidKey)
	}
	c := collect(opts)
	return on(ctx, c, func(b *store.Store) error {
		k, err := b.KeyFor(key, c.groups...)
		if err != nil {
			return err
		}
		return operation(place{b, k, c.timeout})
	})
}

// on carries out an operation on the backend that c and ctx say. One that is closed when it is used may have been
// replaced since it was looked up, and is looked up again.
func on(ctx context.Context, c call, operation func(*store.Store) error) error {
	if ctx == nil {
		c.wrong = errtext.NilContext
	}
	if c.wrong != "" {
		return fmt.Errorf("%w: %s", cacheutils.ErrArguments, c.wrong)
	}
	for {
		caches := c.set(ctx)
		b, err := caches.Store(c.backend, store.Caller{})
		if err != nil {
			return err
		}
		if err = operation(b); !errors.Is(err, cacheutils.ErrClosed) || c.set(ctx) == caches {
			return err
		}
	}
}

// set returns the set of backends for a call under ctx.
func (c *call) set(ctx context.Context) *backends.Caches {
	if steering := store.Steering(ctx); steering != nil {
		if caches, ok := steering.Caches.(*backends.Caches); ok {
			return caches
		}
	}
	if c.caches != nil {
		return c.caches
	}
	return backends.Default()
}
