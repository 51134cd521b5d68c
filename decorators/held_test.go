package decorators_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A neighbour on the server copies the head of an entry, which says of what type it is, and writes a lease that nobody
// renews, without an end. Callers get through after the lease and two seconds, also those who have less time than that.
func TestHeld_ByANeighbour(t *testing.T) {
	const lease = 100 * time.Millisecond
	server := memcachedtest.Start(t)
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "memcached", Location: []string{server.Addr()}, KeyPrefix: "shop", Options: map[string]any{"lease": lease},
	}})
	neighbour := memcache.New(server.Addr())
	ctx := context.Background()
	one, handle := decorators.Cached(func(_ context.Context, id int) (string, error) { return fmt.Sprint(id), nil },
		decorators.Key("held"), decorators.Timeout(time.Hour))
	many, manyHandle := decorators.CachedMany(func(_ context.Context, ids []int) (map[int]string, error) {
		values := map[int]string{}
		for _, id := range ids {
			values[id] = fmt.Sprint(id)
		}
		return values, nil
	}, decorators.Key("held.many"), decorators.Timeout(time.Hour))
	forge := func(key string, section ...byte) {
		t.Helper()
		item, err := neighbour.Get("shop:1:" + key)
		if err != nil {
			t.Fatalf("the entry of %s: %v", key, err)
		}
		forged := append(append(slices.Clone(item.Value[:2]), 0, section[0]), item.Value[4:12]...)
		if err := neighbour.Set(&memcache.Item{Key: item.Key, Flags: item.Flags, Value: append(forged, section[1:]...)}); err != nil {
			t.Fatal(err)
		}
	}
	token := slices.Repeat([]byte{7}, 16)
	ends := func(after time.Duration) []byte { return binary.AppendVarint(nil, time.Now().Add(after).UnixMilli()) }
	bare := slices.Concat([]byte{0x50}, token, ends(-10*time.Second))
	far := slices.Concat([]byte{0x50}, token, ends(20*time.Second))
	over := slices.Concat([]byte{0x14}, []byte{0, 0, 2}, token, ends(-10*time.Second), []byte("x"))

	key := func(id int) string {
		k, err := handle.CacheKey(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	manyKey, err := manyHandle.CacheKey(1)
	if err != nil {
		t.Fatal(err)
	}
	for id := range 5 {
		if _, err := one(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := many(ctx, []int{1}); err != nil {
		t.Fatal(err)
	}
	forge(key(0), bare...)
	forge(key(1), far...)
	forge(key(2), over...)
	forge(key(3), far...)
	forge(manyKey, bare...)
	var calls sync.WaitGroup
	for name, call := range map[string]func() error{
		"a lease":                    func() error { _, err := one(ctx, 0); return err },
		"a lease of 20 s":            func() error { _, err := one(ctx, 1); return err },
		"a value that is over, held": func() error { _, err := one(ctx, 2); return err },
		"by callers of little time": func() error {
			within, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			defer cancel()
			_, err := one(within, 3)
			return err
		},
		"of many": func() error { _, err := many(ctx, []int{1, 2}); return err },
	} {
		calls.Go(func() {
			began := time.Now()
			err := call()
			for err != nil && time.Since(began) < 20*time.Second {
				err = call()
			}
			if took := time.Since(began); err != nil || took < lease+time.Second {
				t.Errorf("%s: %v after %v, want a result after %v or so", name, err, took, lease+2*time.Second)
			}
		})
	}
	calls.Wait()
	for id := range 4 {
		if _, err := handle.RequireCache(ctx, id); err != nil {
			t.Errorf("what was computed for %d is not stored: %v", id, err)
		}
	}
}
