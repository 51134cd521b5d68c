package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// What a hit takes on a memcached, compared with the least that the same round trips take.

// remoteGoroutines is how many of them call at once in the second measurement.
const remoteGoroutines = 64

// A remotePair is one of ours and what it is compared with.
type remotePair struct {
	ours, peer string
	mine       load[place]
	theirs     load[place]
}

func newRawClient(addr string) *memcache.Client {
	client := memcache.New(addr)
	client.MaxIdleConns = 2 * remoteGoroutines
	client.Timeout = 10 * time.Second
	return client
}

// A remote is a decorated function with groups, and its key.
type remote struct {
	name   string
	cached load[place]
	key    func() (string, error)
}

// remoteOurs are our ways with a hit in that many groups.
func remoteOurs(groups []string) []remote {
	ctx := context.Background()
	options := func(name string) []decorators.Option {
		name = fmt.Sprint(name, "-remote-", len(groups))
		all := []decorators.Option{decorators.Key(name), decorators.Backend("memcached")}
		if len(groups) > 0 {
			all = append(all, decorators.Group(groups...))
		}
		return all
	}
	cached2, handle2 := decorators.Cached2(loadPlace, options("typed")...)
	cached, handle := decorators.Cached(load[place](loadPlace), options("reflected")...)
	return []remote{
		{typed, cached2, func() (string, error) { return handle2.CacheKey(hotID, "it") }},
		{reflected, cached, func() (string, error) { return handle.CacheKey(ctx, hotID, "it") }},
	}
}

// remotePairs warms all of ours, so that the raw client reads the very items that they do.
func remotePairs(addr string) ([]remotePair, error) {
	ctx := context.Background()
	client := newRawClient(addr)
	var pairs []remotePair
	for n := range 4 {
		if n == 2 {
			continue
		}
		var groups, keys []string
		for i := range n {
			group := fmt.Sprint("group-", i)
			groups = append(groups, group)
			keys = append(keys, "_group::"+group)
		}
		name := ""
		if n > 0 {
			name = fmt.Sprintf(", groups: %d", n)
		}
		for _, our := range remoteOurs(groups) {
			if _, err := our.cached(ctx, hotID, "it"); err != nil {
				return nil, err
			}
			key, err := our.key()
			if err != nil {
				return nil, err
			}
			key = ":1:" + key
			if all, err := client.GetMulti(append([]string{key}, keys...)); err != nil || len(all) != n+1 {
				return nil, fmt.Errorf("%s and its groups: %d of %d items, %v", key, len(all), n+1, err)
			}
			add := func(peer string, theirs load[place]) {
				pairs = append(pairs, remotePair{our.name + name, peer, our.cached, theirs})
			}
			if n == 0 {
				byHand, err := getAndJSON(client)
				if err != nil {
					return nil, err
				}
				add("Get", rawGets(client, key))
				add("Get and encoding/json", byHand)
			}
			add(fmt.Sprintf("GetMulti of %d", n+1), rawGetMulti(client, append([]string{key}, keys...)))
			if n == 1 {
				add("Get of the group, then of the entry", rawGets(client, keys[0], key))
			}
		}
	}
	many, err := manyPairs(client)
	return append(pairs, many...), err
}

// manyPairs compares a decorated function over a list of 100 ids, all of them hits, with GetMulti
// and the same codec, and with as many calls for one id.
func manyPairs(client *memcache.Client) ([]remotePair, error) {
	ctx := context.Background()
	ids := make([]int64, 100)
	for i := range ids {
		ids[i] = int64(i)
	}
	same := []decorators.Option{decorators.Key("many"), decorators.Backend("memcached")}
	many, _ := decorators.CachedMany(func(ctx context.Context, ids []int64) (map[int64]place, error) {
		found := make(map[int64]place, len(ids))
		for _, id := range ids {
			found[id], _ = loadPlace(ctx, id, "it")
		}
		return found, nil
	}, same...)
	one, _ := decorators.Cached1(func(ctx context.Context, id int64) (place, error) { return loadPlace(ctx, id, "it") }, same...)
	all := func(ctx context.Context, _ int64, _ string) (place, error) {
		found, err := many(ctx, ids)
		if err == nil && len(found) != len(ids) {
			err = fmt.Errorf("%d of %d results", len(found), len(ids))
		}
		return place{}, err
	}
	if _, err := all(ctx, 0, ""); err != nil {
		return nil, err
	}
	byHand, err := getMultiAndCodec(client, ids)
	if err != nil {
		return nil, err
	}
	oneByOne := func(ctx context.Context, _ int64, _ string) (place, error) {
		for _, id := range ids {
			if _, err := one(ctx, id); err != nil {
				return place{}, err
			}
		}
		return place{}, nil
	}
	const ours = "CachedMany of 100 keys"
	return []remotePair{
		{ours, "GetMulti of 100 and the same codec", all, byHand},
		{ours, "100 calls of Cached1", all, oneByOne},
	}, nil
}

// getMultiAndCodec is what CachedMany can't do without.
func getMultiAndCodec(client *memcache.Client, ids []int64) (load[place], error) {
	typ := codec.Of(reflect.TypeFor[place]())
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = fmt.Sprint("many:", id)
		value, err := loadPlace(context.Background(), id, "it")
		if err != nil {
			return nil, err
		}
		encoded, err := typ.Append(nil, unsafe.Pointer(&value))
		if err != nil {
			return nil, err
		}
		if err := client.Set(&memcache.Item{Key: keys[i], Value: encoded}); err != nil {
			return nil, err
		}
	}
	return func(context.Context, int64, string) (place, error) {
		items, err := client.GetMulti(keys)
		if err != nil {
			return place{}, err
		}
		found := make(map[int64]place, len(ids))
		for i, id := range ids {
			item := items[keys[i]]
			if item == nil {
				return place{}, fmt.Errorf("%s is missing", keys[i])
			}
			var value place
			if err := typ.Decode(item.Value, unsafe.Pointer(&value)); err != nil {
				return place{}, err
			}
			found[id] = value
		}
		return place{}, nil
	}, nil
}

// rawGets is one round trip for each of the keys.
func rawGets(client *memcache.Client, keys ...string) load[place] {
	return func(context.Context, int64, string) (place, error) {
		for _, key := range keys {
			if _, err := client.Get(key); err != nil {
				return place{}, err
			}
		}
		return place{}, nil
	}
}

// rawGetMulti is one round trip for all keys.
func rawGetMulti(client *memcache.Client, keys []string) load[place] {
	return func(context.Context, int64, string) (place, error) {
		items, err := client.GetMulti(keys)
		if err == nil && len(items) != len(keys) {
			err = fmt.Errorf("%d of %d items", len(items), len(keys))
		}
		return place{}, err
	}
}

// getAndJSON is what people write.
func getAndJSON(client *memcache.Client) (load[place], error) {
	byHand := func(ctx context.Context, number int64, lang string) (place, error) {
		key := text(number, lang)
		var value place
		if item, err := client.Get(key); err == nil {
			err := json.Unmarshal(item.Value, &value)
			return value, err
		}
		value, err := loadPlace(ctx, number, lang)
		if err != nil {
			return place{}, err
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			return place{}, err
		}
		return value, client.Set(&memcache.Item{Key: key, Value: encoded, Expiration: int32(timeout.Seconds())})
	}
	_, err := byHand(context.Background(), hotID, "it")
	return byHand, err
}
