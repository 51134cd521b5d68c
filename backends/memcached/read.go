package memcached

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/engine"
)

type client = memcache.Client

// perRequest is how many keys are asked for in one multi-get.
const perRequest = 1000

var get = operation{"get", true, 1, ""}

// flagInt marks decimal integers, as Django's client does.
const flagInt = 2

// Get returns an error unless the server's reply is for key.
func (m *memcached) Get(ctx context.Context, key string) (engine.Item, error) {
	if err := checkKey(key); err != nil {
		return engine.Item{}, err
	}
	var got *memcache.Item
	err := m.servers.of(key).do(ctx, get, func(c *client) (err error) {
		if got, err = c.Get(key); err == nil && got.Key != key {
			return foreign(got.Key)
		}
		return err
	})
	switch {
	case err == memcache.ErrCacheMiss:
		return engine.Item{}, cacheutils.ErrCacheMiss
	case err != nil:
		return engine.Item{}, err
	}
	return item(got), nil
}

// GetMany asks every server at once, for 1000 keys at a time.
func (m *memcached) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	keys = once(keys)
	found := make(map[string]engine.Item, len(keys))
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return found, err
		}
	}
	if len(keys) == 0 {
		return found, nil
	}
	var mu sync.Mutex // guards found
	err := onEach(m.servers.spread(keys), func(s *server, keys []string) error {
		for batch := range slices.Chunk(keys, perRequest) {
			var got map[string]*memcache.Item
			err := s.do(ctx, operation{"get many", true, len(batch), ""}, func(c *client) (err error) {
				got, err = getMulti(c, batch)
				return err
			})
			mu.Lock()
			for key, one := range got {
				found[key] = item(one)
			}
			mu.Unlock()
			if err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// once returns long lists of keys without repetitions. In short ones they cost less than to look
// for them.
func once(keys []string) []string {
	if len(keys) <= 32 {
		return keys
	}
	seen := make(map[string]bool, len(keys))
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		again := seen[key]
		seen[key] = true
		return again
	})
}

// getMulti drops what was not asked for. The keys of the result are the reply's own strings.
func getMulti(c *client, keys []string) (map[string]*memcache.Item, error) {
	got, err := c.GetMulti(keys)
	asked := 0
	for _, key := range keys {
		if got[key] != nil {
			asked++
		}
	}
	if asked == len(got) {
		return got, err
	}
	maps.DeleteFunc(got, func(key string, _ *memcache.Item) bool {
		if slices.Contains(keys, key) {
			return false
		}
		err = foreign(key)
		return true
	})
	return got, err
}

// item takes what memcached returned. A decrement to a number with fewer digits leaves spaces
// after it, "9 " for 9, which are no part of an integer.
func item(it *memcache.Item) engine.Item {
	value := it.Value
	if it.Flags == flagInt {
		value = bytes.TrimRight(value, " ")
	}
	return engine.Item{Value: value, Flags: it.Flags, Cost: len(value), CAS: it.CasID}
}
