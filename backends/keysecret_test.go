package backends_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

// noted has the texts of the warnings that are logged until the end of the test.
func noted(t *testing.T) func() []string {
	n := &notes{}
	logging.SetSink(n)
	t.Cleanup(func() { logging.SetSink(nil) })
	return func() []string {
		n.mu.Lock()
		defer n.mu.Unlock()
		return slices.Clone(n.texts)
	}
}

type notes struct {
	mu    sync.Mutex
	texts []string
}

func (n *notes) Enabled(l logging.Level) bool { return l >= logging.LevelWarn }

func (n *notes) Log(_ logging.Level, e logging.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts = append(n.texts, fmt.Sprint(e.Message(), e.Err))
}

const keySecret = "0123456789abcdef-one"

type credentials struct {
	User     string
	Password cachekey.Secret
}

// keysOf returns the keys of what is cached for functions that take a Secret, by how they take it.
func keysOf(t *testing.T, set *backends.Caches) map[string]string {
	t.Helper()
	ctx, secret := context.Background(), cachekey.Secret("hunter2")
	on := func(name string, more ...decorators.Option) []decorators.Option {
		return append(more, decorators.Key(name), decorators.On(set))
	}
	keys := make(map[string]string)
	add := func(name string, calls int, stats func() decorators.Stats, key string, err error) {
		t.Helper()
		if err != nil || strings.Contains(key, "hunter") {
			t.Errorf("%s: key %s, %v", name, key, err)
		}
		if s := stats(); s.Computations != 1 || s.Hits != uint64(calls-1) || s.Errors != 0 {
			t.Errorf("%s: %+v, want one computation and hits", name, s)
		}
		keys[name] = key
	}
	typed, h1 := decorators.Cached1(func(_ context.Context, s cachekey.Secret) (cachekey.Secret, error) { return s, nil }, on("typed")...)
	for range 3 {
		if got, err := typed(ctx, secret); got != secret || err != nil {
			t.Errorf("typed: %q, %v", string(got), err)
		}
	}
	key, err := h1.CacheKey(secret)
	add("typed", 3, h1.Stats, key, err)
	reflected, h := decorators.Cached(func(c credentials, list ...*cachekey.Secret) credentials { return c }, on("reflected")...)
	for range 2 {
		if got := reflected(credentials{"bob", secret}, &secret); got != (credentials{"bob", secret}) {
			t.Errorf("reflected: %q", string(got.Password))
		}
	}
	key, err = h.CacheKey(credentials{"bob", secret}, &secret)
	add("reflected", 2, h.Stats, key, err)
	dynamic, hd := decorators.Cached2(func(_ context.Context, x any, m map[string]any) (any, error) { return x, nil }, on("dynamic")...)
	for range 2 {
		if got, err := dynamic(ctx, secret, map[string]any{"k": secret}); got != secret || err != nil {
			t.Errorf("dynamic: %v, %v", got, err)
		}
	}
	key, err = hd.CacheKey(secret, map[string]any{"k": secret})
	add("dynamic", 2, hd.Stats, key, err)
	keyed, hk := decorators.Cached1(func(_ context.Context, s string) (string, error) { return s, nil },
		on("keyOf", decorators.KeyOf(func(_ context.Context, s string) cachekey.Secret { return cachekey.Secret(s) }))...)
	for range 2 {
		if got, err := keyed(ctx, "hunter2"); got != "hunter2" || err != nil {
			t.Errorf("keyOf: %v, %v", got, err)
		}
	}
	key, err = hk.CacheKey("hunter2")
	add("keyOf", 2, hk.Stats, key, err)
	kwargs, hw := decorators.Cached(func(n int, kw cachekey.Kwargs) int { return n }, on("kwargs")...)
	for range 2 {
		kwargs(1, cachekey.Kwargs{"p": secret})
	}
	key, err = hw.CacheKey(1, cachekey.Kwargs{"p": secret})
	add("kwargs", 2, hw.Stats, key, err)
	many, hm := decorators.CachedMany(func(_ context.Context, list []cachekey.Secret) (map[cachekey.Secret]int, error) {
		return map[cachekey.Secret]int{list[0]: 1}, nil
	}, on("many")...)
	for range 2 {
		if got, err := many(ctx, []cachekey.Secret{secret}); got[secret] != 1 || err != nil {
			t.Errorf("many: %v, %v", got, err)
		}
	}
	key, err = hm.CacheKey(secret)
	add("many", 2, hm.Stats, key, err)
	hashed, hh := decorators.Cached1(func(_ context.Context, s string) (string, error) { return s, nil }, on("hashed", decorators.Hashed())...)
	for range 2 {
		if got, err := hashed(ctx, "hunter2"); got != "hunter2" || err != nil {
			t.Errorf("hashed: %v, %v", got, err)
		}
	}
	key, err = hh.CacheKey("hunter2")
	add("hashed", 2, hh.Stats, key, err)
	// Invalidation and the rest of the handle find the same key.
	if err := h1.Set(ctx, secret, "set"); err != nil {
		t.Error(err)
	}
	if got, err := h1.RequireCache(ctx, secret); got != "set" || err != nil {
		t.Errorf("RequireCache: %q, %v", string(got), err)
	}
	if err := h1.Invalidate(ctx, secret); err != nil {
		t.Error(err)
	}
	if _, err := h1.RequireCache(ctx, secret); err == nil {
		t.Error("RequireCache after Invalidate has found something")
	}
	// Package cache.
	for _, k := range []any{secret, cachekey.Tuple{"token", secret}, credentials{"bob", secret}} {
		if err := cache.Set(ctx, k, secret, cache.On(set)); err != nil {
			t.Error(err)
		}
		if got, err := cache.Get[cachekey.Secret](ctx, k, cache.On(set)); got != secret || err != nil {
			t.Errorf("cache.Get: %q, %v", string(got), err)
		}
	}
	return keys
}

// A Secret is in no key, and what stands for it depends on the key_secret alone: in each process, and on each engine.
func TestKeySecret_Keys(t *testing.T) {
	form := regexp.MustCompile(`Secret\('[A-Za-z0-9_-]{43}'\)`)
	server := memcachedtest.Start(t)
	warnings := noted(t)
	open := func(backend, prefix string, options map[string]any) *backends.Caches {
		s := backends.Settings{Backend: backend, KeyPrefix: prefix, Options: map[string]any{}}
		for name, value := range options {
			s.Options[name] = value
		}
		if backend == "memcached" {
			s.Location, s.Options["operation_timeout"] = []string{server.Addr()}, "10s"
		}
		return newSet(t, backends.Config{"default": s})
	}
	keyed := keysOf(t, open("memcached", "a", map[string]any{"key_secret": keySecret}))
	for name, key := range keyed {
		if name != "hashed" && !form.MatchString(key) {
			t.Errorf("%s: %s", name, key)
		}
		if name == "hashed" && (len(key) != 64 || strings.Trim(key, "0123456789abcdef") != "") {
			t.Errorf("%s: %s", name, key)
		}
	}
	if w := warnings(); len(w) > 0 {
		t.Errorf("with a key_secret there are warnings: %q", w)
	}
	unkeyed := keysOf(t, open("memcached", "b", nil))
	for i := range 2 {
		texts := warnings()
		for name := range unkeyed {
			n := 0
			for _, w := range texts {
				if strings.HasPrefix(w, name+" ") && strings.Contains(w, "key_secret") {
					n++
				}
			}
			if want := 1; name == "hashed" && n != 0 || name != "hashed" && n != want {
				t.Errorf("round %d: %d warnings for %s, want %d: %q", i, n, name, want, texts)
			}
		}
		if len(texts) != len(unkeyed) { // one of package cache, none of hashed
			t.Errorf("warnings %q", texts)
		}
	}
	for what, same := range map[string]struct {
		keys map[string]string
		want bool
	}{
		"locmem with the key_secret":    {keysOf(t, open("locmem", "", map[string]any{"key_secret": []byte(keySecret)})), true},
		"locmem without one":            {keysOf(t, open("locmem", "", nil)), false},
		"memcached with another":        {keysOf(t, open("memcached", "c", map[string]any{"key_secret": keySecret + "2"})), false},
		"memcached without one":         {unkeyed, false},
		"memcached with the same again": {keysOf(t, open("memcached", "d", map[string]any{"key_secret": keySecret})), true},
	} {
		for name, key := range same.keys {
			if (key == keyed[name]) != same.want {
				t.Errorf("%s, %s: %s and %s, the same: want %v", what, name, key, keyed[name], same.want)
			}
		}
	}
}

// Under a context that names another set, what stands for a Secret is by that one's key.
func TestKeySecret_OfTheCall(t *testing.T) {
	one := newSet(t, backends.Config{"default": {Backend: "locmem", Options: map[string]any{"key_secret": keySecret}}})
	two := newSet(t, backends.Config{"default": {Backend: "locmem", Options: map[string]any{"key_secret": keySecret + "2"}}})
	var mu sync.Mutex
	var keys []string
	logging.SetSink(keyed{func(key string) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, key)
	}})
	defer logging.SetSink(nil)
	f, _ := decorators.Cached1(func(_ context.Context, s cachekey.Secret) (int, error) { return 1, nil }, decorators.Key("of-the-call"), decorators.On(one))
	for _, ctx := range []context.Context{context.Background(), backends.With(context.Background(), two), context.Background()} {
		if _, err := f(ctx, "hunter2"); err != nil {
			t.Error(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(keys)
	if distinct := slices.Compact(slices.Clone(keys)); len(distinct) != 2 || strings.Contains(strings.Join(keys, ""), "hunter") {
		t.Errorf("got the keys %q, want two that differ", keys)
	}
}

type keyed struct{ log func(key string) }

func (keyed) Enabled(logging.Level) bool { return true }

func (k keyed) Log(_ logging.Level, e logging.Event) {
	if e.Key != "" {
		k.log(e.Key)
	}
}

// What a caller changes while the function goes on without it is seen, with a key too.
func TestKeySecret_ChangedArguments(t *testing.T) {
	server := memcachedtest.Start(t)
	set := newSet(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}, Options: map[string]any{"key_secret": keySecret, "operation_timeout": "10s"}}})
	f, h := decorators.Cached1(func(ctx context.Context, list []cachekey.Secret) (string, error) { return string(list[0]), nil },
		decorators.Key("changed"), decorators.On(set), decorators.Linger(time.Minute))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range 2 {
		if got, err := f(ctx, []cachekey.Secret{"hunter2", "b"}); got != "hunter2" || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
	if s := h.Stats(); s.Hits != 1 || s.Computations != 1 {
		t.Errorf("%+v", s)
	}
}
