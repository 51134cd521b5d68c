package decorators_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

// hunter is an argument that nobody is to read in a warning, an error or a panic.
const hunter = "hunter2-secret"

// A login is an argument that has it.
type login struct{ User, Password string }

// A talker is an argument whose methods say what it is made of, in an error or a panic.
type talker string

func (t talker) MarshalText() ([]byte, error) {
	if strings.HasSuffix(string(t), "panics") {
		panic("MarshalText of " + t)
	}
	return nil, fmt.Errorf("no text of %s", string(t))
}

func (t *talker) UnmarshalText(text []byte) error { return fmt.Errorf("no talker in %s", text) }

// A leaky is what a leak may come by: what has been logged and returned.
type leaky struct {
	recorder
	said []string
}

// hears notes what was returned, or what a call panics with.
func (l *leaky) hears(what string, returned ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range returned {
		if err, ok := r.(error); ok {
			l.said = append(l.said, fmt.Sprintf("%s: %v|%+v", what, err, err))
		}
	}
}

func (l *leaky) call(what string, call func() error) {
	defer func() {
		if v := recover(); v != nil {
			l.mu.Lock()
			l.said = append(l.said, fmt.Sprintf("%s: panic: %v", what, v))
			l.mu.Unlock()
		}
	}()
	l.hears(what, call())
}

// check fails the test for each line that has a secret in it, and if there are no lines.
func (l *leaky) check(t *testing.T) {
	t.Helper()
	lines := slices.Clone(l.said)
	for _, e := range l.events() {
		lines = append(lines, fmt.Sprintf("%s|%s|%s|%v", e.Message(), e.Key, e.Text, e.Err))
	}
	if len(lines) == 0 {
		t.Error("nothing was said")
	}
	for _, line := range lines {
		if strings.Contains(line, "hunter2") {
			t.Errorf("it is in %q", line)
		}
	}
}

// everything calls what there is to be called, with the secret as an argument wherever there is one.
func (l *leaky) everything(t *testing.T, set *backends.Caches) {
	t.Helper()
	on := func(name string, more ...decorators.Option) []decorators.Option {
		return append(more, decorators.Key(name), decorators.On(set), decorators.Timeout(time.Hour))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	long := hunter + strings.Repeat(hunter, 30)
	for _, text := range []string{hunter, long} {
		user := login{"bob", text}
		typed, typedHandle := decorators.Cached1(func(_ context.Context, u login) ([]string, error) { return []string{"a"}, nil }, on("typed")...)
		reflected, handle := decorators.Cached(func(u login, n *int) string { return "" }, on("reflected", decorators.Stale(time.Minute))...)
		grouped, groupedHandle := decorators.Cached1(func(_ context.Context, u login) (int, error) { return 1, nil },
			on("grouped", decorators.GroupsOf(func(_ context.Context, u login) []string { return []string{"user:" + u.Password, "users"} }))...)
		unnamed, _ := decorators.Cached1(func(_ context.Context, u login) (int, error) { return 1, nil },
			on("unnamed", decorators.GroupsOf(func(_ context.Context, u login) []string { return []string{u.Password, ""} }))...)
		many, manyHandle := decorators.CachedMany(func(_ context.Context, keys []string) (map[string]int, error) {
			return map[string]int{keys[0]: 1}, nil
		}, on("many")...)
		spellings, _ := decorators.CachedMany(func(_ context.Context, keys []string) (map[string]int, error) {
			return map[string]int{"A" + keys[0]: 1, "a" + keys[0]: 2}, nil
		}, on("spellings", decorators.KeyOf(func(_ context.Context, key string) string { return strings.TrimLeft(strings.ToLower(key), "a") }))...)
		unstorable, _ := decorators.Cached1(func(_ context.Context, u login) (any, error) { return make(chan int), nil }, on("unstorable")...)
		large, _ := decorators.Cached1(func(_ context.Context, u login) ([]byte, error) {
			return bytes.Repeat([]byte(u.Password), 2<<20/len(u.Password)), nil
		}, on("large")...)
		told, _ := decorators.Cached1(func(_ context.Context, x any) (int, error) { return 1, nil }, on("told")...)
		hashed, hashedHandle := decorators.Cached1(func(_ context.Context, u login) (int, error) { return 1, nil }, on("hashed", decorators.Hashed())...)
		calls := 0 // that the functions have made to themselves, which without a backend nobody refuses
		var recursive func(context.Context, login) (int, error)
		recursive, recursiveHandle := decorators.Cached1(func(ctx context.Context, u login) (int, error) {
			if calls++; calls > 100 {
				return 1, nil
			}
			return recursive(ctx, u)
		}, on("recursive")...)
		var alone func(login) int
		alone, _ = decorators.Cached(func(u login) int {
			if calls++; calls > 100 {
				return 1
			}
			return alone(u)
		}, on("alone")...)
		for name, call := range map[string]func() error{
			"typed":               func() error { _, err := typed(ctx, user); return err },
			"typed Invalidate":    func() error { return typedHandle.Invalidate(ctx, user) },
			"typed RequireCache":  func() error { _, err := typedHandle.RequireCache(ctx, user); return err },
			"typed ForceRecalc":   func() error { _, err := typedHandle.ForceRecalc(ctx, user); return err },
			"typed Set":           func() error { return typedHandle.Set(ctx, user, nil) },
			"reflected":           func() error { reflected(user, nil); return nil },
			"Invalidate":          func() error { return handle.Invalidate(user, nil) },
			"Invalidate of wrong": func() error { return handle.Invalidate(text, user, user) },
			"Set":                 func() error { return handle.Set([]any{user, nil}, text) },
			"Set of wrong":        func() error { return handle.Set([]any{user, text}, user) },
			"RequireCache":        func() error { handle.RequireCache(user, nil); return nil },
			"ForceRecalc":         func() error { handle.ForceRecalc(user, nil); return nil },
			"grouped":             func() error { _, err := grouped(ctx, user); return err },
			"grouped Set":         func() error { return groupedHandle.Set(ctx, user, 1) },
			"unnamed group":       func() error { _, err := unnamed(ctx, user); return err },
			"many":                func() error { _, err := many(ctx, []string{text, "other", text + "3"}); return err },
			"many Invalidate":     func() error { return manyHandle.Invalidate(ctx, []string{text, "other"}) },
			"many Set":            func() error { return manyHandle.Set(ctx, map[string]int{text: 1}) },
			"many RequireCache":   func() error { _, err := manyHandle.RequireCache(ctx, []string{text, "other"}); return err },
			"many ForceRecalc":    func() error { _, err := manyHandle.ForceRecalc(ctx, []string{text, "other"}); return err },
			"spellings":           func() error { _, err := spellings(ctx, []string{text}); return err },
			"unstorable":          func() error { _, err := unstorable(ctx, user); return err },
			"large":               func() error { _, err := large(ctx, user); return err },
			"an error's text":     func() error { _, err := told(ctx, talker(text)); return err },
			"a panic's text":      func() error { _, err := told(ctx, talker(text+" panics")); return err },
			"an address":          func() error { _, err := told(ctx, &net.AddrError{Err: text}); return err },
			"no text":             func() error { _, err := told(ctx, netip.AddrFrom4([4]byte{1})); return err },
			"a chan inside":       func() error { _, err := told(ctx, map[string]any{text: make(chan int)}); return err },
			"hashed":              func() error { _, err := hashed(ctx, user); return err },
			"hashed Invalidate":   func() error { return hashedHandle.Invalidate(ctx, user) },
			"hashed RequireCache": func() error { _, err := hashedHandle.RequireCache(ctx, user); return err },
			"recursion":           func() error { _, err := recursive(ctx, user); return err },
			"recursion, forced":   func() error { _, err := recursiveHandle.ForceRecalc(ctx, user); return err },
			"recursion, panic":    func() error { alone(user); return nil },
			"cache.Get":           func() error { _, err := cache.Get[int](ctx, cachekey.Tuple{"login", user}, cache.On(set)); return err },
			"cache.Get of text":   func() error { _, err := cache.Get[int](ctx, text, cache.On(set)); return err },
			"cache.Get, told":     func() error { _, err := cache.Get[int](ctx, talker(text), cache.On(set)); return err },
			"cache.Set":           func() error { return cache.Set(ctx, text, 1, cache.On(set), cache.Group("g:"+text)) },
			"cache.Set of a chan": func() error { return cache.Set(ctx, text, make(chan int), cache.On(set)) },
			"cache.Delete":        func() error { _, err := cache.Delete(ctx, text, cache.On(set)); return err },
			"cache.GetOrSet": func() error {
				_, err := cache.GetOrSet(ctx, user, func(context.Context) (int, error) { return 1, nil }, cache.On(set), cache.Group(text))
				return err
			},
		} {
			for range 2 {
				l.call(name, call)
			}
		}
		c, err := set.Get("default")
		if err != nil {
			continue
		}
		// What is given as text may be quoted in an error that is returned, and not in a warning.
		quoted := func(what string, err error) {
			if err != nil && strings.Count(err.Error(), "hunter2") > 6 {
				t.Errorf("%s quotes too much: %v", what, err)
			}
		}
		for _, key := range []string{text, "a key " + text} {
			var n int
			quoted("Get", c.Get(ctx, key, &n))
			quoted("Set", c.Set(ctx, key, 1))
			quoted("Set", c.Set(ctx, key, make(chan int)))
			_, err = c.Incr(ctx, key, 1)
			quoted("Incr", err)
			_, err = c.Add(ctx, key, 1, backends.Group("g"+key))
			quoted("Add", err)
			_, err = c.Touch(ctx, key)
			quoted("Touch", err)
			_, err = c.Delete(ctx, key)
			quoted("Delete", err)
			_, err = c.Has(ctx, key)
			quoted("Has", err)
			quoted("GetMany", c.GetMany(ctx, []string{key}, map[string]string{}))
			_, err = c.SetMany(ctx, map[string]int{key: 1})
			quoted("SetMany", err)
			quoted("DeleteMany", c.DeleteMany(ctx, []string{key, "other"}))
			quoted("InvalidateGroup", c.InvalidateGroup(ctx, key))
			quoted("GetOrSet", c.GetOrSet(ctx, key, &n, func(context.Context) (any, error) { return 1, nil }))
		}
	}
}

// Whatever goes wrong, no warning, error or panic has an argument of a function, nor a key of package cache, in it.
func TestLeak_NoArgumentsInWarnings(t *testing.T) {
	// An engine of others may have the key in its errors.
	told := func(operations ...string) func(operation, key string) error {
		return func(operation, key string) error {
			if slices.Contains(operations, operation) {
				return fmt.Errorf("%s %q, which is %s, failed", operation, key, key)
			}
			return nil
		}
	}
	garbage := func(reply string) func(*testing.T) backends.Settings {
		return func(t *testing.T) backends.Settings {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var answering sync.WaitGroup
			t.Cleanup(func() { l.Close(); answering.Wait() })
			answering.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					answering.Go(func() {
						defer conn.Close()
						buf := make([]byte, 64<<10)
						n, err := conn.Read(buf)
						if err != nil {
							return
						}
						fmt.Fprintf(conn, reply, buf[:n])
					})
				}
			})
			return backends.Settings{Backend: "memcached", Location: []string{l.Addr().String()}}
		}
	}
	of := func(b *broken) func(*testing.T) backends.Settings {
		return func(*testing.T) backends.Settings { return backends.Settings{Open: b.open} }
	}
	for name, settings := range map[string]func(*testing.T) backends.Settings{
		"works": of(&broken{}),
		"locmem": func(*testing.T) backends.Settings {
			return backends.Settings{Backend: "locmem", Options: map[string]any{"max_cost": 10_000}}
		},
		"get fails":        of(&broken{fails: told("get")}),
		"add fails":        of(&broken{fails: told("add")}),
		"swap fails":       of(&broken{fails: told("swap")}),
		"set fails":        of(&broken{fails: told("set")}),
		"delete fails":     of(&broken{fails: told("delete")}),
		"everything fails": of(&broken{fails: told("get", "add", "swap", "set", "delete", "incr", "clear")}),
		"it lies":          of(&broken{lies: true}),
		"too large": of(&broken{fails: func(operation, key string) error {
			if operation == "set" {
				return fmt.Errorf("%w: %s", cacheutils.ErrTooLarge, key)
			}
			return nil
		}}),
		"a key function": func(t *testing.T) backends.Settings {
			return backends.Settings{Open: (&broken{fails: told("get", "delete")}).open, KeyFunction: func(key, prefix, version string) string { return prefix + key + "/" + version }}
		},
		"a dead server": func(t *testing.T) backends.Settings {
			server := memcachedtest.Start(t)
			server.Stop()
			return backends.Settings{Backend: "memcached", Location: []string{server.Addr()}}
		},
		"memcached": func(t *testing.T) backends.Settings {
			return backends.Settings{Backend: "memcached", Location: []string{memcachedtest.Start(t).Addr()}}
		},
		"it answers with all": garbage("%s"),
		"an error with all":   garbage("SERVER_ERROR %s"),
		"a value of all":      garbage("VALUE %s"),
		"a client error":      garbage("CLIENT_ERROR %s\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			l := &leaky{recorder: recorder{off: logging.LevelInfo + 1}}
			set := newSet(t, backends.Config{"default": settings(t)})
			logging.SetSink(l)
			defer logging.SetSink(nil)
			l.everything(t, set)
			if err := set.Close(); err != nil {
				t.Error(err)
			}
			l.everything(t, set)
			l.check(t)
		})
	}
	t.Run("no backend", func(t *testing.T) {
		l := &leaky{recorder: recorder{off: logging.LevelInfo + 1}}
		logging.SetSink(l)
		defer logging.SetSink(nil)
		l.everything(t, newSet(t, backends.Config{"other": {Backend: "locmem"}, "default": {Backend: "dummy"}}))
		l.check(t)
	})
}

// An entry that can't be decoded is named by a digest, which one who knows the arguments can match.
func TestLeak_UndecodableEntriesByDigest(t *testing.T) {
	server := memcachedtest.Start(t)
	client := memcache.New(server.Addr())
	set := newSet(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}, Options: map[string]any{"operation_timeout": "10s"}}})
	l := &leaky{recorder: recorder{off: logging.LevelInfo + 1}}
	logging.SetSink(l)
	defer logging.SetSink(nil)
	f, handle := decorators.Cached1(func(context.Context, string) ([]string, error) { return nil, nil }, decorators.Key("undecodable"), decorators.On(set))
	ctx := context.Background()
	key, err := handle.CacheKey(hunter)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range []memcache.Item{
		{Flags: 0xCA << 16, Value: []byte(hunter)},
		{Flags: 16, Value: []byte(strings.Repeat(hunter, 1000))},
		{Flags: 2, Value: []byte(strings.Repeat(hunter, 1000))},
	} {
		item.Key = ":1:" + key
		if err := client.Set(&item); err != nil {
			t.Fatal(err)
		}
		_, err := handle.RequireCache(ctx, hunter)
		if !errors.Is(err, cacheutils.ErrNoCachedValue) || !strings.Contains(err.Error(), cachekey.Digest(key)) || !strings.Contains(err.Error(), "undecodable") {
			t.Errorf("RequireCache: %v, want ErrNoCachedValue with the digest %s", err, cachekey.Digest(key))
		}
		l.hears("RequireCache", err)
		if _, err := f(ctx, hunter); err != nil {
			t.Error(err)
		}
	}
	l.check(t)
}

// What others have put into a value stands in an error or a warning with 40 bytes at most.
func TestLeak_ForeignTextsAreCut(t *testing.T) {
	server := memcachedtest.Start(t)
	client := memcache.New(server.Addr())
	set := newSet(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}, Options: map[string]any{"operation_timeout": "10s"}}})
	var sink recorder
	logging.SetSink(&sink)
	defer logging.SetSink(nil)
	c, err := set.Get("default")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	foreign := "\x1b[31m\u202e" + strings.Repeat("foreign", 120_000)
	for _, flags := range []uint32{2, 16, 0, 1, 2 | 6<<8, 0xCA << 16} {
		if err := client.Set(&memcache.Item{Key: ":1:k", Flags: flags, Value: []byte(foreign)}); err != nil {
			t.Fatal(err)
		}
		for _, into := range []any{new(int), new([]string), new(time.Time), new(netip.Addr), new(uint8)} {
			err := c.Get(ctx, "k", into)
			if !errors.Is(err, cacheutils.ErrUndecodable) || len(err.Error()) > 300 || strings.ContainsAny(err.Error(), "\x1b\u202e") {
				t.Errorf("flags %d into %T: %.300q", flags, into, err)
			}
			found := reflect.MakeMap(reflect.MapOf(reflect.TypeFor[string](), reflect.TypeOf(into).Elem()))
			if err := c.GetMany(ctx, []string{"k"}, found.Interface()); err != nil || found.Len() > 0 {
				t.Errorf("GetMany: %v", err)
			}
			if err := c.GetOrSet(ctx, "k", into, func(context.Context) (any, error) { return reflect.ValueOf(into).Elem().Interface(), nil }); err != nil {
				t.Errorf("GetOrSet: %v", err)
			}
			if err := client.Set(&memcache.Item{Key: ":1:k", Flags: flags, Value: []byte(foreign)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Incr(ctx, "k", 1); err == nil || len(err.Error()) > 300 {
			t.Errorf("Incr: %.300q", err)
		}
	}
	for _, e := range sink.events() {
		if line := lineOf(e); len(line) > 400 {
			t.Errorf("a line of %d bytes: %.200q", len(line), line)
		}
	}
}
