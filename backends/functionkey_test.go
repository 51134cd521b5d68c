package backends_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// No operation with a text as key stores what is cached for a function, whatever stands before the text.
func TestFunctionKey_IsNotStoredByText(t *testing.T) {
	slashes := func(key, prefix, version string) string { return prefix + "/" + version + "/" + key }
	hashing := func(key, prefix, version string) string {
		return fmt.Sprintf("%x", md5.Sum([]byte(slashes(key, prefix, version))))
	}
	server := memcachedtest.Start(t)
	for name, settings := range map[string]backends.Settings{
		"locmem":      {Backend: "locmem"},
		"memcached":   {Backend: "memcached", Location: []string{server.Addr()}},
		"KeyPrefix":   {Backend: "locmem", KeyPrefix: "shop", Version: "2"},
		"KeyFunction": {Backend: "locmem", KeyPrefix: "shop", KeyFunction: slashes},
		"hashing":     {Backend: "locmem", KeyPrefix: "shop", KeyFunction: hashing},
	} {
		t.Run(name, func(t *testing.T) {
			set := newSet(t, backends.Config{"default": settings})
			c, ctx := in(t, set, "default"), context.Background()
			isAdmin, handle := decorators.Cached1(func(context.Context, string) (bool, error) { return false, nil },
				decorators.Key("is-admin"), decorators.On(set))
			hashed, hashedHandle := decorators.Cached1(func(context.Context, string) (bool, error) { return false, nil },
				decorators.Key("is-admin"), decorators.Hashed(), decorators.On(set))
			hashedText, err := hashedHandle.CacheKey("bob")
			if err != nil {
				t.Fatal(err)
			}
			type forgery struct {
				key  string
				opts []backends.Option
			}
			forgeries := []forgery{
				{"[cached]is-admin(('bob',))", nil},
				{"[cached]", nil},
				{"1:[cached]is-admin(('bob',))", nil},
				{"a:b:[cached]is-admin(('bob',))", nil},
				{"'bob',))", []backends.Option{backends.Version("1:[cached]is-admin((")}},
			}
			switch name {
			case "hashing":
				forgeries = forgeries[:2] // the others have keys of their own
			case "KeyFunction":
				forgeries = append(forgeries, forgery{"1/[cached]is-admin(('bob',))", nil})
			}
			for _, forged := range forgeries {
				var into bool
				sum, incrErr := c.Incr(ctx, forged.key, 1, forged.opts...)
				_, decrErr := c.Decr(ctx, forged.key, 1, forged.opts...)
				_, addErr := c.Add(ctx, forged.key, true, forged.opts...)
				_, touchErr := c.Touch(ctx, forged.key, append(forged.opts, backends.Timeout(cacheutils.Forever))...)
				_, manyErr := c.SetMany(ctx, map[string]bool{"fine": true, forged.key: true}, forged.opts...)
				for operation, err := range map[string]error{
					"Set": c.Set(ctx, forged.key, true, forged.opts...), "SetMany": manyErr, "Add": addErr, "Incr": incrErr, "Decr": decrErr,
					"GetOrSet": c.GetOrSet(ctx, forged.key, &into, func(context.Context) (any, error) { return true, nil }, forged.opts...),
					"Touch":    touchErr,
				} {
					if !errors.Is(err, cacheutils.ErrInvalidKey) || !strings.Contains(err.Error(), "handle") || !strings.Contains(err.Error(), "package cache") {
						t.Errorf("%s of %q: %v, %d, want ErrInvalidKey that says what to use", operation, forged.key, err, sum)
					}
				}
				for _, key := range []string{forged.key, "fine"} {
					if had, err := c.Has(ctx, key, forged.opts...); had || err != nil {
						t.Errorf("%q is there: %v, %v", key, had, err)
					}
				}
			}
			for range 2 {
				if err := c.Set(ctx, hashedText, true); err != nil {
					t.Fatal(err)
				}
				if admin, err := isAdmin(ctx, "bob"); admin || err != nil {
					t.Errorf("bob is an admin: %v, %v", admin, err)
				}
				if admin, err := hashed(ctx, "bob"); admin || err != nil {
					t.Errorf("by the hash of the key bob is an admin: %v, %v", admin, err)
				}
			}
			// What is cached for a function can be read, and deleted by the text of its key.
			text, err := handle.CacheKey("bob")
			if err != nil {
				t.Fatal(err)
			}
			admin := true
			if err := c.Get(ctx, text, &admin); admin || err != nil {
				t.Errorf("Get: %v, %v", admin, err)
			}
			for _, text := range []string{text, hashedText} {
				if had, err := c.Delete(ctx, text); !had || err != nil {
					t.Errorf("Delete: %v, %v", had, err)
				}
			}
			if runs := handle.Stats().Computations; runs != 1 {
				t.Errorf("%d computations before, want 1", runs)
			}
			if _, err := isAdmin(ctx, "bob"); err != nil || handle.Stats().Computations != 2 {
				t.Errorf("%v; after Delete there were %d computations, want 2", err, handle.Stats().Computations)
			}
		})
	}
}

func TestFunctionKey_NotInPrefix(t *testing.T) {
	for _, settings := range []backends.Settings{{Backend: "locmem", KeyPrefix: "[cached]f"}, {Backend: "locmem", Version: "1:[cached]f(("}} {
		if _, err := backends.New(backends.Config{"default": settings}); !errors.Is(err, cacheutils.ErrConfig) {
			t.Errorf("%+v: %v, want ErrConfig", settings.KeyPrefix+settings.Version, err)
		}
	}
}

// What has no metadata, such as a number or a text that another program has set, is a value for low-level operations, and never a
// result of a function.
func TestFunctionKey_PlainItemsAreNoResults(t *testing.T) {
	server := memcachedtest.Start(t)
	client := memcache.New(server.Addr())
	set := newSet(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}, Options: map[string]any{"stale": "1m"}}})
	c, ctx := in(t, set, "default"), context.Background()
	on := decorators.On(set)
	long := strings.Repeat("long", 100)
	type asked struct {
		call, require func() (any, error)
		key           string
	}
	var all []asked
	for i, arg := range []string{"bob", long} {
		numbers, numberHandle := decorators.Cached1(func(context.Context, string) (int, error) { return 1, nil }, decorators.Key(fmt.Sprint("numbers", i)), on)
		texts, textHandle := decorators.Cached1(func(context.Context, string) (string, error) { return "true", nil }, decorators.Key(fmt.Sprint("texts", i)), on, decorators.Group("g"))
		anys, anyHandle := decorators.Cached1(func(context.Context, string) (any, error) { return "true", nil }, decorators.Key(fmt.Sprint("anys", i)), on)
		hashed, hashedHandle := decorators.Cached1(func(context.Context, string) (int64, error) { return 1, nil }, decorators.Key(fmt.Sprint("hashed", i)), on, decorators.Hashed())
		many, manyHandle := decorators.CachedMany(func(_ context.Context, keys []string) (map[string]uint8, error) {
			return map[string]uint8{keys[0]: 1}, nil
		}, decorators.Key(fmt.Sprint("many", i)), on)
		wrap := func(call func() (any, error), require func() (any, error), key string, err error) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, asked{call: call, require: require, key: key})
		}
		key, err := numberHandle.CacheKey(arg)
		wrap(func() (any, error) { return numbers(ctx, arg) }, func() (any, error) { return numberHandle.RequireCache(ctx, arg) }, key, err)
		key, err = textHandle.CacheKey(arg)
		wrap(func() (any, error) { return texts(ctx, arg) }, func() (any, error) { return textHandle.RequireCache(ctx, arg) }, key, err)
		key, err = anyHandle.CacheKey(arg)
		wrap(func() (any, error) { return anys(ctx, arg) }, func() (any, error) { return anyHandle.RequireCache(ctx, arg) }, key, err)
		key, err = hashedHandle.CacheKey(arg)
		wrap(func() (any, error) { return hashed(ctx, arg) }, func() (any, error) { return hashedHandle.RequireCache(ctx, arg) }, key, err)
		key, err = manyHandle.CacheKey(arg)
		wrap(func() (any, error) { found, err := many(ctx, []string{arg}); return found[arg], err },
			func() (any, error) { found, err := manyHandle.RequireCache(ctx, []string{arg}); return found[arg], err }, key, err)
	}
	for _, item := range []memcache.Item{
		{Value: []byte("666"), Flags: 2}, {Value: []byte("poison"), Flags: 16}, {Value: []byte("666"), Flags: 2 | 6<<8}, {Value: []byte("66"), Flags: 2 | 8<<8},
		{Value: []byte("\x80\x04K\x05."), Flags: 1}, {Value: []byte("poison"), Flags: 0}, {Value: nil, Flags: 16},
	} {
		for _, a := range all {
			forge := func() {
				t.Helper()
				item.Key = ":1:" + a.key
				if err := client.Set(&item); err != nil {
					t.Fatal(err)
				}
			}
			forge()
			if got, err := a.require(); !errors.Is(err, cacheutils.ErrNoCachedValue) {
				t.Errorf("flags %d: RequireCache of %.20s has %v, %v", item.Flags, a.key, got, err)
			}
			for range 2 {
				if got, err := a.call(); err != nil || fmt.Sprint(got) != "1" && got != "true" {
					t.Errorf("flags %d: a call of %.20s has %v, %v", item.Flags, a.key, got, err)
				}
			}
		}
	}
	if err := client.Set(&memcache.Item{Key: ":1:number", Value: []byte("41"), Flags: 2}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Incr(ctx, "number", 1); n != 42 || err != nil {
		t.Errorf("a number of another program, incremented: %d, %v", n, err)
	}
}
