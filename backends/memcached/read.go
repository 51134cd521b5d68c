package memcached

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

type client = memcache.Client

// perRequest is how many keys there are in one multi-get, at most.
const perRequest = 1000

var get = operation{name: "get", idempotent: true, values: 1}

// endOfValues ends the reply to a get.
const endOfValues = "END\r\n"

// flagInt marks decimal integers, as Django's client does.
const flagInt = 2

// Get returns an error unless the server's reply is for key.
func (m *memcached) Get(ctx context.Context, key string) (engine.Item, error) {
	s, err := m.server(ctx, key)
	if err != nil {
		return engine.Item{}, err
	}
	var got *memcache.Item
	err = s.do(ctx, get, func(c *client) (err error) {
		if got, err = c.Get(key); err == nil && got.Key != key {
			return foreign(got.Key)
		}
		if err != nil {
			return err
		}
		return s.swaps.check(got.CasID)
	})
	switch {
	case err == memcache.ErrCacheMiss:
		return engine.Item{}, cacheutils.ErrCacheMiss
	case err != nil:
		return engine.Item{}, err
	}
	return item(got.Value, got.Flags, got.CasID), nil
}

// GetMany is GetEach for keys without repetitions.
func (m *memcached) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	keys = once(keys)
	found := make(map[string]engine.Item, len(keys))
	err := m.GetEach(ctx, keys, func(i int, item engine.Item) { found[strings.Clone(keys[i])] = item })
	return found, err
}

// once returns keys without repetitions.
func once(keys []string) []string {
	if len(keys) < 2 {
		return keys
	}
	seen := make(map[string]bool, len(keys))
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		again := seen[key]
		seen[key] = true
		return again
	})
}

// GetEach sends its requests to all servers at once, for 1000 keys at a time. All of them together take no longer than one
// may. Where that is not enough, it has handed out what came in time.
func (m *memcached) GetEach(ctx context.Context, keys []string, each func(i int, item engine.Item)) error {
	if m.closed.isClosed() {
		return cacheutils.ErrClosed
	}
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	if len(m.locations) == 1 && len(keys) <= perRequest {
		if all := m.locations[0].servers(ctx); len(all) == 1 {
			return all[0].getEach(ctx, keys, each)
		}
	}
	if len(keys) > perRequest {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, maxTimeouts*m.operation)
		defer cancel()
	}
	var mu sync.Mutex
	return onEach(m.spread(ctx, keys), func(s *server, indices []int) error {
		for batch := range slices.Chunk(indices, perRequest) {
			asked := make([]string, len(batch))
			for i, index := range batch {
				asked[i] = keys[index]
			}
			err := s.getEach(ctx, asked, func(i int, item engine.Item) {
				mu.Lock()
				defer mu.Unlock()
				each(batch[i], item)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// getEach is one multi-get. A value that was not requested is an error.
func (s *server) getEach(ctx context.Context, keys []string, each func(i int, item engine.Item)) error {
	if len(keys) == 0 {
		return nil
	}
	next := 0 // what memcached has, it has in the order of the keys
	op := operation{name: "get many", idempotent: true, values: len(keys), success: "END\r", take: func(t taken) error {
		i := find(keys, t.key, next)
		if i < 0 {
			return foreign(string(t.key))
		}
		if err := s.swaps.check(t.cas); err != nil {
			return err
		}
		next = i + 1
		each(i, item(t.value, t.flags, t.cas))
		return nil
	}}
	return s.do(ctx, op, func(c *client) error {
		_, err := c.GetMulti(keys)
		return err
	})
}

// find returns the index of key in keys, from next on and then before that, or -1.
func find(keys []string, key []byte, next int) int {
	for i := next; i < len(keys); i++ {
		if keys[i] == string(key) {
			return i
		}
	}
	for i := range next {
		if keys[i] == string(key) {
			return i
		}
	}
	return -1
}

// item is what memcached returned. A decrement to a number with fewer digits leaves spaces after it, "9 " for
// 9, which are not a part of an integer.
func item(value []byte, flags uint32, cas uint64) engine.Item {
	if flags == flagInt {
		value = bytes.TrimRight(value, " ")
	}
	return engine.Item{Value: value, Flags: flags, Cost: len(value), CAS: cas}
}
