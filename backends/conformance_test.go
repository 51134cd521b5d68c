package backends_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/backendtest"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/sealed"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

func TestConformance_Locmem(t *testing.T) {
	backendtest.Run(t, func(s engine.Settings) (engine.Engine, error) {
		s.Location = []string{"conformance"}
		return locmem.Open(s)
	})
}

func TestConformance_Memcached(t *testing.T) {
	server := memcachedtest.Start(t)
	backendtest.Run(t, func(s engine.Settings) (engine.Engine, error) {
		s.Location = []string{server.Addr()}
		s.Options = patient(s.Options)
		return memcached.Open(s)
	})
}

// The keys of the suite are spread over two servers as any keys are.
func TestConformance_TwoMemcacheds(t *testing.T) {
	one, two := memcachedtest.Start(t), memcachedtest.Start(t)
	backendtest.Run(t, func(s engine.Settings) (engine.Engine, error) {
		s.Location = []string{one.Addr(), two.Addr()}
		s.Options = patient(s.Options)
		return memcached.Open(s)
	})
}

// What is sealed is to its users as what is not. How an engine's multi-get is used that has a map is shown by
// TestConformance_ThirdParty.
func TestConformance_Sealed(t *testing.T) {
	server := memcachedtest.Start(t)
	backendtest.Run(t, func(s engine.Settings) (engine.Engine, error) {
		s.Location = []string{server.Addr()}
		s.Options = patient(s.Options)
		return sealedBy(memcached.Open(s))
	})
}

func sealedBy(e engine.Engine, err error) (engine.Engine, error) {
	if err != nil {
		return nil, err
	}
	secrets, err := sealed.NewSecrets([][]byte{[]byte("a secret of the conformance suite")})
	return sealed.New(e, secrets, ""), err
}

// patient gives memcached's operations more time than they need on a busy machine, and lets Clear empty the server.
func patient(options map[string]any) map[string]any {
	all := map[string]any{"operation_timeout": "5s", "clear": "flush_all"}
	maps.Copy(all, options)
	return all
}

// A shelf is an engine as others may write one, against package backends only.
type shelf struct {
	*shelfItems
	closed atomic.Bool
}

type shelfItems struct {
	mu     sync.Mutex
	items  map[string]shelved
	writes uint64
}

type shelved struct {
	engine.Item
	end time.Time // zero: never
}

// shelves are the stores by location, so that engines opened twice share one.
var shelves = struct {
	sync.Mutex
	at map[string]*shelfItems
}{at: map[string]*shelfItems{}}

func openShelf(s engine.Settings) (engine.Engine, error) {
	for name := range s.Options {
		return nil, fmt.Errorf("%w: a shelf has no option %s", cacheutils.ErrConfig, name)
	}
	shelves.Lock()
	defer shelves.Unlock()
	location := strings.Join(s.Location, " ")
	if shelves.at[location] == nil {
		shelves.at[location] = &shelfItems{items: map[string]shelved{}}
	}
	return &shelf{shelfItems: shelves.at[location]}, nil
}

func init() { backends.Register("shelf", openShelf) }

func (s *shelf) find(key string) (shelved, error) {
	item, ok := s.items[key]
	if !ok || !item.end.IsZero() && !time.Now().Before(item.end) {
		return shelved{}, cacheutils.ErrCacheMiss
	}
	return item, nil
}

func (s *shelf) put(key string, item engine.Item, timeout time.Duration) {
	s.writes++
	item.CAS = s.writes
	s.items[strings.Clone(key)] = shelved{item, end(timeout)}
}

func end(timeout time.Duration) time.Time {
	if timeout == cacheutils.Forever {
		return time.Time{}
	}
	return time.Now().Add(timeout)
}

// locked runs f with the shelf to itself, unless ctx has ended.
func (s *shelf) locked(ctx context.Context, f func() error) error {
	if s.closed.Load() {
		return cacheutils.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

func (s *shelf) Traits() engine.Traits { return engine.Traits{} }

func (s *shelf) Get(ctx context.Context, key string) (item engine.Item, err error) {
	err = s.locked(ctx, func() error {
		found, err := s.find(key)
		item = found.Item
		return err
	})
	return item, err
}

func (s *shelf) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	found := map[string]engine.Item{}
	err := s.locked(ctx, func() error {
		for _, key := range keys {
			if item, err := s.find(key); err == nil {
				found[strings.Clone(key)] = item.Item
			}
		}
		return nil
	})
	return found, err
}

func (s *shelf) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	return s.locked(ctx, func() error {
		s.put(key, item, timeout)
		return nil
	})
}

// putIf puts the item if the one that is there, or ErrCacheMiss, is as it should be.
func (s *shelf) putIf(ctx context.Context, key string, item engine.Item, timeout time.Duration, asItShouldBe func(shelved, error) bool) (put bool, err error) {
	err = s.locked(ctx, func() error {
		if put = asItShouldBe(s.find(key)); put {
			s.put(key, item, timeout)
		}
		return nil
	})
	return put, err
}

func (s *shelf) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	return s.putIf(ctx, key, item, timeout, func(_ shelved, err error) bool { return err != nil })
}

func (s *shelf) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	return s.putIf(ctx, key, item, timeout, func(old shelved, err error) bool { return err == nil && old.CAS == item.CAS })
}

func (s *shelf) Delete(ctx context.Context, key string) (had bool, err error) {
	err = s.locked(ctx, func() error {
		_, err := s.find(key)
		had = err == nil
		delete(s.items, key)
		return nil
	})
	return had, err
}

func (s *shelf) Incr(ctx context.Context, key string, delta int64) (sum int64, err error) {
	err = s.locked(ctx, func() error {
		item, err := s.find(key)
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(item.Value), 10, 64)
		if err != nil {
			return cacheutils.ErrNotNumber
		}
		sum = n + delta
		end := item.end
		item.Value = strconv.AppendInt(nil, sum, 10)
		s.put(key, item.Item, cacheutils.Forever)
		item = s.items[key]
		item.end = end
		s.items[strings.Clone(key)] = item
		return nil
	})
	return sum, err
}

func (s *shelf) Clear(ctx context.Context, prefix string) error {
	return s.locked(ctx, func() error {
		maps.DeleteFunc(s.items, func(key string, _ shelved) bool { return strings.HasPrefix(key, prefix) })
		return nil
	})
}

func (s *shelf) Close() error {
	s.closed.Store(true)
	return nil
}

func TestConformance_ThirdParty(t *testing.T) {
	backendtest.Run(t, func(s engine.Settings) (engine.Engine, error) {
		s.Location = []string{"conformance"}
		return openShelf(s)
	})
}

// What a cache does that stores nothing.
func TestDummy(t *testing.T) {
	configure(t, backends.Config{"default": {Backend: "dummy"}})
	c := get(t, "default")
	ctx := context.Background()
	check := func(what string, got any, err error, want any, wantErr error) {
		t.Helper()
		if !errors.Is(err, wantErr) || !cmp.Equal(want, got) {
			t.Errorf("%s: got %v, %v, want %v, %v", what, got, err, want, wantErr)
		}
	}
	check("Set", nil, c.Set(ctx, "key", "value"), nil, nil)
	text := "default"
	check("Get", nil, c.Get(ctx, "key", &text), nil, cacheutils.ErrCacheMiss)
	check("the variable after a miss", text, nil, "default", nil)
	for range 2 {
		added, err := c.Add(ctx, "key", "value")
		check("Add", added, err, true, nil)
	}
	has, err := c.Has(ctx, "key")
	check("Has", has, err, false, nil)
	had, err := c.Delete(ctx, "key")
	check("Delete", had, err, false, nil)
	touched, err := c.Touch(ctx, "key")
	check("Touch", touched, err, false, nil)
	check("SetMany of a number", nil, c.Set(ctx, "n", 1), nil, nil)
	_, err = c.Incr(ctx, "n", 1)
	check("Incr", nil, err, nil, cacheutils.ErrCacheMiss)
	_, err = c.Decr(ctx, "n", 1)
	check("Decr", nil, err, nil, cacheutils.ErrCacheMiss)
	failed, err := c.SetMany(ctx, map[string]int{"a": 1, "b": 2})
	check("SetMany", failed, err, []string(nil), nil)
	many := map[string]int{}
	check("GetMany", many, c.GetMany(ctx, []string{"a", "b"}, many), map[string]int{}, nil)
	check("DeleteMany", nil, c.DeleteMany(ctx, []string{"a", "b"}), nil, nil)
	for _, want := range []string{"first", "second"} {
		err = c.GetOrSet(ctx, "key", &text, func(context.Context) (any, error) { return want, nil })
		check("GetOrSet", text, err, want, nil)
	}
	check("Clear", nil, c.Clear(ctx), nil, nil)
	check("Set of an empty key", nil, c.Set(ctx, "", "value"), nil, cacheutils.ErrInvalidKey)
	check("Set of a channel", nil, c.Set(ctx, "key", make(chan int)), nil, cacheutils.ErrUnsupportedValue)
	check("Close", nil, c.Close(), nil, nil)
	check("Set after Close", nil, c.Set(ctx, "key", 1), nil, cacheutils.ErrClosed)
}

// What the other servers have is returned together with the error.
func TestOneServerOfTwoIsDown(t *testing.T) {
	up, down := memcachedtest.Start(t), memcachedtest.Start(t)
	configure(t, backends.Config{
		"default": {Backend: "memcached", Location: []string{up.Addr(), down.Addr()}, Options: patient(nil)},
	})
	c := get(t, "default")
	ctx := context.Background()
	all := map[string]int{}
	var keys []string
	for i := range 50 {
		keys = append(keys, fmt.Sprintf("key-%d", i))
		all[keys[i]] = i
	}
	if failed, err := c.SetMany(ctx, all); err != nil {
		t.Fatalf("SetMany: got %q, %v", failed, err)
	}
	down.Stop()

	got := map[string]int{}
	err := c.GetMany(ctx, keys, got)
	if err == nil || len(got) == 0 || len(got) == len(all) {
		t.Fatalf("GetMany: got %d of %d values and error %v, want some and an error", len(got), len(all), err)
	}
	if !strings.Contains(err.Error(), down.Addr()) {
		t.Errorf("GetMany: got error %q, want one that names %s", err, down.Addr())
	}
	for key, n := range got {
		if n != all[key] {
			t.Errorf("%s: got %d, want %d", key, n, all[key])
		}
	}
	failed, err := c.SetMany(ctx, all)
	if err == nil || len(failed) != len(all)-len(got) {
		t.Errorf("SetMany: got %d keys failed and error %v, want %d", len(failed), err, len(all)-len(got))
	}
	if err := c.DeleteMany(ctx, keys); err == nil {
		t.Error("DeleteMany: got no error, want one")
	}
	clear(got)
	if err := c.GetMany(ctx, keys, got); err == nil || len(got) > 0 {
		t.Errorf("GetMany after DeleteMany: got %v, %v, want nothing and an error", got, err)
	}
}

// A server that doesn't answer keeps a caller no longer than the caller's context, and what it says later is
// not taken for the answer to another caller.
func TestServerHangs(t *testing.T) {
	server := memcachedtest.Start(t)
	configure(t, backends.Config{
		"default": {Backend: "memcached", Location: []string{server.Addr()}, Options: patient(nil)},
	})
	c := get(t, "default")
	ctx := context.Background()
	for _, key := range []string{"a", "b"} {
		if err := c.Set(ctx, key, key); err != nil {
			t.Fatal(err)
		}
	}
	server.Pause()
	short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := c.Get(short, "a", new(string)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want context.DeadlineExceeded", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("returned after %v, want soon after 30ms", d)
	}
	server.Resume()
	got := ""
	if err := c.Get(ctx, "b", &got); err != nil || got != "b" {
		t.Errorf("got %q, %v, want b", got, err)
	}
}
