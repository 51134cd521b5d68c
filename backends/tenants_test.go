package backends_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// tenants returns a backend for each of the group prefixes, on one store.
func tenants(t *testing.T, s backends.Settings, prefixes ...string) []*backends.Cache {
	t.Helper()
	config := backends.Config{"default": {Backend: "dummy"}}
	for i, prefix := range prefixes {
		own := s
		own.Options = map[string]any{"group_prefix": prefix}
		config[fmt.Sprint("tenant", i)] = own
	}
	set, err := backends.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	var all []*backends.Cache
	for i := range prefixes {
		c, err := set.Get(fmt.Sprint("tenant", i))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// Backends with group prefixes that differ share no group on one store, whatever their names, also where they share
// entries.
func TestTenants_Groups(t *testing.T) {
	ctx := context.Background()
	for name, s := range map[string]backends.Settings{
		"locmem":    {Backend: "locmem", Location: []string{t.Name()}},
		"memcached": {Backend: "memcached", Location: []string{memcachedtest.Start(t).Addr()}},
	} {
		t.Run(name, func(t *testing.T) {
			long := strings.Repeat("long ", 100)
			all := tenants(t, s, "a", "b", "a.b", strings.Repeat("x", 64))
			for _, group := range []string{"offers", "b:offers", ":", "a:b:offers", "_group::b:offers", long, "\r\n"} {
				for i, c := range all {
					if err := c.Set(ctx, fmt.Sprint("k", i), i, backends.Group(group)); err != nil {
						t.Fatal(err)
					}
				}
				for i, c := range all {
					for _, other := range []string{group, "b:" + group, ":" + group, strings.TrimPrefix(group, "b:")} {
						if err := c.InvalidateGroup(ctx, other); err != nil {
							t.Fatal(err)
						}
					}
					for j, d := range all {
						var got int
						err := d.Get(ctx, fmt.Sprint("k", j), &got)
						if (err == nil) != (j > i) {
							t.Errorf("group %.20q: after tenant %d has invalidated it tenant %d gets %d, %v", group, i, j, got, err)
						}
					}
				}
			}
			// One entry of two of them counts for the one that has stored it.
			a, b := all[0], all[1]
			for range 2 {
				if err := a.Set(ctx, "shared", 1, backends.Group("g")); err != nil {
					t.Fatal(err)
				}
				if had, err := b.Has(ctx, "shared"); had || err != nil {
					t.Errorf("another tenant finds what is in a group: %v, %v", had, err)
				}
				if err := b.InvalidateGroup(ctx, "g"); err != nil {
					t.Fatal(err)
				}
				if had, err := a.Has(ctx, "shared", backends.Group("g")); !had || err != nil {
					t.Errorf("another tenant's invalidation has reached it: %v, %v", had, err)
				}
			}
		})
	}
}

// The prefix stands in the key between the mark of groups and the name, and nothing does without one.
func TestTenants_GroupKeys(t *testing.T) {
	server := memcachedtest.Start(t)
	all := tenants(t, backends.Settings{Backend: "memcached", Location: []string{server.Addr()}, Version: "v1."}, "", "shop")
	for i, key := range []string{"v1._group::cities", "v1._group::shop:cities"} {
		if err := all[i].InvalidateGroup(context.Background(), "cities"); err != nil {
			t.Fatal(err)
		}
		item, err := memcache.New(server.Addr()).Get(key)
		if err != nil || len(item.Value) != 36 || item.Flags != 16 {
			t.Errorf("%s: %v, %v, want a uuid as text", key, item, err)
		}
	}
}

// Functions of a backend with a group prefix are invalidated by it alone.
func TestTenants_Functions(t *testing.T) {
	ctx := context.Background()
	server := memcachedtest.Start(t)
	config := backends.Config{}
	for _, name := range []string{"default", "other"} {
		config[name] = backends.Settings{
			Backend: "memcached", Location: []string{server.Addr()}, KeyPrefix: name, Options: map[string]any{"group_prefix": name},
		}
	}
	set, err := backends.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	runs := 0
	F, _ := decorators.Cached0(func(context.Context) (int, error) { runs++; return runs, nil },
		decorators.Key("tenants.f"), decorators.Group("g"), decorators.On(set), decorators.Timeout(time.Hour))
	for _, step := range []struct {
		invalidates string
		want        int
	}{{"", 1}, {"other", 1}, {"default", 2}, {"other", 2}} {
		if step.invalidates != "" {
			c, err := set.Get(step.invalidates)
			if err == nil {
				err = c.InvalidateGroup(ctx, "g")
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got, err := F(ctx); got != step.want || err != nil {
			t.Errorf("after %q has invalidated it: %d, %v, want %d", step.invalidates, got, err, step.want)
		}
	}
}

func TestTenants_WrongGroupPrefix(t *testing.T) {
	for _, prefix := range []any{"a:b", ":", "a b", " ", "\n", "\x7f", "città", "\xff", strings.Repeat("x", 65), 1, []byte("a")} {
		_, err := backends.New(backends.Config{"default": {Backend: "locmem", Options: map[string]any{"group_prefix": prefix}}})
		if !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), "group_prefix") {
			t.Errorf("%q: %v, want an error that names group_prefix", prefix, err)
		}
	}
}

// No key of an entry is that of a group, whatever is chosen of key, version and prefix.
func TestTenants_KeysOfGroups(t *testing.T) {
	ctx := context.Background()
	same := func(key, _, _ string) string { return key }
	server := memcachedtest.Start(t)
	for _, where := range []backends.Settings{
		{Backend: "locmem", Location: []string{t.Name()}},
		{Backend: "memcached", Location: []string{server.Addr()}},
	} {
		for _, c := range []struct {
			prefix, version, key string
			refused              bool
			function             func(key, prefix, version string) string
		}{
			{"_group", "", "admins", true, nil},
			{"x_group", "", "admins", true, nil},
			{"a", "b_group", ":admins", true, nil},
			{"a", "b_group:", "admins", true, nil},
			{"a", "b_group::c", "admins", true, nil},
			{"", "_group", ":admins", true, nil},
			{"a", "_grou", "p::x", false, nil}, // a:_grou:p::x
			{"", "1", "_group::admins", true, same},
			{"", "1", "1_group::a:b", true, same},
		} {
			s := where
			s.KeyPrefix, s.KeyFunction = c.prefix, c.function
			set, err := backends.New(backends.Config{"default": s})
			if err != nil {
				t.Fatal(err)
			}
			b, err := set.Get("default")
			if err != nil {
				t.Fatal(err)
			}
			v := backends.Version(c.version)
			_, added := b.Add(ctx, c.key, "x", v)
			_, touched := b.Touch(ctx, c.key, v)
			_, incremented := b.Incr(ctx, c.key, 1, v)
			_, deleted := b.Delete(ctx, c.key, v)
			_, has := b.Has(ctx, c.key, v)
			_, many := b.SetMany(ctx, map[string]any{c.key: 1}, v)
			for what, err := range map[string]error{
				"Set": b.Set(ctx, c.key, "x", v), "Get": b.Get(ctx, c.key, new(string), v), "Add": added, "Touch": touched, "Incr": incremented,
				"Delete": deleted, "Has": has, "SetMany": many, "DeleteMany": b.DeleteMany(ctx, []string{c.key}, v),
				"GetMany":  b.GetMany(ctx, []string{c.key}, map[string]any{}, v),
				"GetOrSet": b.GetOrSet(ctx, c.key, new(string), func(context.Context) (any, error) { return "x", nil }, v),
			} {
				if !c.refused && what == "Set" && err != nil {
					t.Errorf("%s: %s %q with prefix %q in version %q: %v", s.Backend, what, c.key, c.prefix, c.version, err)
				}
				if c.refused && (!errors.Is(err, cacheutils.ErrInvalidKey) || !strings.Contains(err.Error(), fmt.Sprintf("%q", c.key))) {
					t.Errorf("%s: %s %q with prefix %q in version %q: %v, want an error that names the key", s.Backend, what, c.key, c.prefix, c.version, err)
				}
			}
			set.Close()
		}
	}
	for _, s := range []backends.Settings{
		{KeyPrefix: "a", Version: "b_group"}, {Version: "_group"}, {KeyPrefix: "_group:", Version: "1"}, {KeyPrefix: "a_group::b"}, {Version: "v_group::"},
	} {
		s.Backend = "locmem"
		if _, err := backends.New(backends.Config{"default": s}); !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(fmt.Sprint(err), "_group::") {
			t.Errorf("KeyPrefix %q with Version %q: %v, want an error", s.KeyPrefix, s.Version, err)
		}
	}
}
