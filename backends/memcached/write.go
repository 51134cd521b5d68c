package memcached

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// A verb is a way to store an item. None is idempotent. Had a lost reply to an add or a
// compare-and-swap been "stored", the second try would be told that it came too late; and a
// second set would overwrite what others have stored since the first, so that what they have
// invalidated could come back.
type verb struct {
	operation
	send func(*client, *memcache.Item) error
}

var (
	set = verb{operation{name: "set", success: "STORED\r"}, (*client).Set}
	add = verb{operation{name: "add", success: "STORED\r"}, (*client).Add}
	cas = verb{operation{name: "compare-and-swap", success: "STORED\r"}, (*client).CompareAndSwap}

	deletion = operation{name: "delete", idempotent: true, success: "DELETED\r"}
	incr     = operation{name: "incr"}
	clearing = operation{name: "clear", idempotent: true, success: "OK\r"}
)

// Set doesn't send an item of which it knows that the server will refuse it. It returns an error when
// its reply is lost; whether the item was stored is then unknown.
func (m *memcached) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	stored, err := m.store(ctx, set, key, item, timeout)
	if err == nil && !stored {
		return m.serverOf(ctx, key).operationError(set.operation, errors.New("the server says that it wasn't stored"))
	}
	return err
}

// Add returns an error when its reply is lost; whether the item was stored is then unknown.
func (m *memcached) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	return m.store(ctx, add, key, item, timeout)
}

// CompareAndSwap returns an error when its reply is lost; whether the item was stored is then
// unknown.
func (m *memcached) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	return m.store(ctx, cas, key, item, timeout)
}

func (m *memcached) store(ctx context.Context, v verb, key string, item engine.Item, timeout time.Duration) (bool, error) {
	s, err := m.server(ctx, key)
	if err != nil {
		return false, err
	}
	size := int64(itemSize(key, item.Value))
	if size >= s.tooLarge.Load() {
		return s.storeTooLarge(ctx, v, key, item.CAS, size)
	}
	stored, err := s.send(ctx, v, itemFor(key, item, expiration(timeout, time.Now())))
	if refusedAsTooLarge(err) {
		s.lowerTooLarge(size)
		return s.storeTooLarge(ctx, v, key, item.CAS, size)
	}
	return stored, err
}

func itemFor(key string, item engine.Item, seconds int32) *memcache.Item {
	return &memcache.Item{Key: key, Value: item.Value, Flags: item.Flags, CasID: item.CAS, Expiration: seconds}
}

// send stores it, or returns false if the verb's condition isn't met.
func (s *server) send(ctx context.Context, v verb, it *memcache.Item) (bool, error) {
	err := s.do(ctx, v.operation, func(c *client) error { return v.send(c, it) })
	if answer(err) {
		return false, nil
	}
	if err == nil {
		s.swaps.note(it.Key)
	}
	return err == nil, err
}

// storeTooLarge does what the verb would do with an item too large to store, and returns
// cacheutils.ErrTooLarge when the verb's condition was met: whatever it would have replaced
// is gone then. An add and a compare-and-swap store an item that has already expired, so that
// the server decides about their condition as ever.
func (s *server) storeTooLarge(ctx context.Context, v verb, key string, casID uint64, size int64) (bool, error) {
	met := true
	var err error
	if v.name == set.name {
		_, err = s.delete(ctx, key)
	} else {
		met, err = s.send(ctx, v, &memcache.Item{Key: key, CasID: casID, Expiration: expired})
	}
	switch {
	case err != nil:
		return false, errtext.Wrap(err, "%s of %d bytes, too large for memcached %s, without removing the value from before", v.name, size, s.address)
	case !met:
		return false, nil
	default:
		return false, errtext.Wrap(cacheutils.ErrTooLarge, "%s of %d bytes on memcached %s", v.name, size, s.address)
	}
}

// lowerTooLarge lowers the size from which items are not sent.
func (s *server) lowerTooLarge(size int64) {
	for {
		known := s.tooLarge.Load()
		if size >= known || s.tooLarge.CompareAndSwap(known, size) {
			return
		}
	}
}

// itemHeader is what memcached adds to an item: a header of 48 bytes, the number for
// compare-and-swap, the flags, a NUL after the key and CR LF after the value.
const itemHeader = 48 + 8 + 4 + 1 + 2

func itemSize(key string, value []byte) int { return itemHeader + len(key) + len(value) }

func refusedAsTooLarge(err error) bool {
	return err != nil && strings.Contains(err.Error(), "SERVER_ERROR object too large for cache")
}

func (m *memcached) Delete(ctx context.Context, key string) (bool, error) {
	s, err := m.server(ctx, key)
	if err != nil {
		return false, err
	}
	return s.delete(ctx, key)
}

func (s *server) delete(ctx context.Context, key string) (bool, error) {
	err := s.do(ctx, deletion, func(c *client) error { return c.Delete(key) })
	if err == memcache.ErrCacheMiss {
		return false, nil
	}
	return err == nil, err
}

// Incr adds as memcached does: see the package. It returns an error when its reply is lost;
// whether the number was changed is then unknown.
func (m *memcached) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	s, err := m.server(ctx, key)
	if err != nil {
		return 0, err
	}
	var sum uint64
	err = s.do(ctx, incr, func(c *client) (err error) {
		if delta < 0 {
			sum, err = c.Decrement(key, -uint64(delta))
		} else {
			sum, err = c.Increment(key, uint64(delta))
		}
		return err
	})
	switch {
	case err == nil && sum > math.MaxInt64:
		return 0, s.operationError(incr, fmt.Errorf("%w: it is now %d, more than an int64 holds", cacheutils.ErrNotNumber, sum))
	case err == nil:
		return int64(sum), nil
	case errors.Is(err, memcache.ErrCacheMiss):
		return 0, cacheutils.ErrCacheMiss
	case strings.Contains(err.Error(), "decrement non-"):
		return 0, s.operationError(incr, cacheutils.ErrNotNumber)
	default:
		return 0, err
	}
}

// operationError is an error that says nothing about the server's health.
func (s *server) operationError(op operation, err error) error {
	return errtext.Wrap(err, "%s on memcached %s", op.name, s.address)
}
