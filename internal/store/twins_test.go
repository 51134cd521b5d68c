package store_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/store"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Two texts that have one md5 and one beginning, so that their keys are shortened to the same.
var twinTexts = func() (twins [2]string) {
	head := "report of " + strings.Repeat("k", 246)
	for i, tail := range [...]string{
		"470e6c3d74e384c5fa2ab85d27192bb15de4327e98283c523d3e3b22a4922aeb5d0cb60bc8c257d6670051f406ca9a4c" +
			"e05585afd9beb5e7da893496939e05a63ec2720bcdaf9881871d475ae1851458cc2c0a762546465ed15afebdec06fe65" +
			"ae653e5bf410e011682b6897690012af2d60d8244c05778e3ded4207bae43811",
		"470e6c3d74e384c5fa2ab85d27192bb15de432fe98283c523d3e3b22a4922aeb5d0cb60bc8c257d6670051f4064a9b4c" +
			"e05585afd9beb5e7da893416939e05a63ec2720bcdaf9881871d475ae1851458cc2c0af62546465ed15afebdec06fe65" +
			"ae653e5bf410e011682b6897698011af2d60d8244c05778e3ded4287bae43811",
	} {
		bytes, err := hex.DecodeString(tail)
		if err != nil {
			panic(err)
		}
		twins[i] = head + string(bytes)
	}
	return twins
}()

// onTwins runs test with the store of each engine that stores something, and two keys that it stores under one text.
func onTwins(t *testing.T, test func(t *testing.T, s *store.Store, a, b store.Key)) {
	if md5.Sum([]byte(twinTexts[0])) != md5.Sum([]byte(twinTexts[1])) || twinTexts[0] == twinTexts[1] {
		t.Fatal("the texts are not twins")
	}
	for name, settings := range map[string]func(*testing.T) backends.Settings{
		"locmem": func(*testing.T) backends.Settings { return backends.Settings{Backend: "locmem"} },
		"memcached": func(t *testing.T) backends.Settings {
			return backends.Settings{Backend: "memcached", Location: []string{memcachedtest.Start(t).Addr()}}
		},
		"memcached, stored later": func(t *testing.T) backends.Settings {
			return backends.Settings{Backend: "memcached", Location: []string{memcachedtest.Start(t).Addr()}, Options: map[string]any{"store_later": true}}
		},
		"dummy": func(*testing.T) backends.Settings { return backends.Settings{Backend: "dummy"} },
	} {
		t.Run(name, func(t *testing.T) {
			set, err := backends.New(backends.Config{"default": settings(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			s, err := set.Store("default", store.Caller{})
			if err != nil {
				t.Fatal(err)
			}
			test(t, s, s.Key(twinTexts[0]), s.Key(twinTexts[1]))
		})
	}
}

func textTask() *store.Task { return store.NewTask("twins", reflect.TypeFor[string](), false) }

func computes(text string) func(context.Context) store.Result {
	return func(context.Context) store.Result {
		return store.Result{Value: &text, Timeout: time.Hour}
	}
}

func wantText(t *testing.T, what, want string, r store.Result) {
	t.Helper()
	if r.Err != nil || r.Value == nil || *r.Value.(*string) != want {
		t.Errorf("%s: got %v, %v, want %s", what, r.Value, r.Err, want)
	}
}

// Nobody gets a result that is being computed for the other key, and nobody waits for it.
func TestTwins_ShareNoComputation(t *testing.T) {
	onTwins(t, func(t *testing.T, s *store.Store, a, b store.Key) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		task := textTask()
		fetch := func(key store.Key, compute func(context.Context) store.Result) store.Result {
			return s.Fetch(ctx, key, task, compute)
		}
		plain := func(key store.Key, compute func(context.Context) store.Result) store.Result {
			var text string
			err := s.GetOrSet(ctx, key, &text, func(ctx context.Context) (any, error) { return *compute(ctx).Value.(*string), nil }, time.Hour)
			return store.Result{Value: &text, Err: err}
		}
		force := func(key store.Key, compute func(context.Context) store.Result) store.Result {
			return s.Force(ctx, key, task, compute)
		}
		many := func(key store.Key, compute func(context.Context) store.Result) store.Result {
			var got store.Result
			misses := s.LookupMany(ctx, []store.Key{key}, task, nil, func(int) any { return new(string) }, func(_ int, value any) { got.Value = value })
			if misses != nil {
				results := make([]store.Result, 1)
				s.FetchMisses(ctx, misses, results, func(ctx context.Context, _ []int) []store.Result { return []store.Result{compute(ctx)} })
				return results[0]
			}
			return got
		}
		for name, way := range map[string]func(store.Key, func(context.Context) store.Result) store.Result{
			"Fetch": fetch, "GetOrSet": plain, "Force": force, "FetchMisses": many,
		} {
			if _, err := s.Delete(ctx, a); err != nil {
				t.Fatal(err)
			}
			began, end, ofA := make(chan bool), make(chan bool), make(chan store.Result, 1)
			go func() {
				ofA <- way(a, func(ctx context.Context) store.Result {
					close(began)
					select {
					case <-end:
					case <-ctx.Done():
					}
					return computes("of a")(ctx)
				})
			}()
			<-began
			wantText(t, name+" of b while a is computed", "of b", way(b, computes("of b")))
			close(end)
			wantText(t, name+" of a", "of a", <-ofA)
			wantText(t, name+" of b afterwards", "of b", way(b, computes("of b")))
			wantText(t, name+" of a afterwards", "of a", way(a, computes("of a")))
		}
		wantText(t, "of b within the computation of a", "of a", fetch(a, func(ctx context.Context) store.Result {
			wantText(t, "of b within that of a", "of b", s.Fetch(ctx, b, task, computes("of b")))
			return computes("of a")(ctx)
		}))
	})
}

// Many keys at once, both among them.
func TestTwins_InOneCall(t *testing.T) {
	onTwins(t, func(t *testing.T, s *store.Store, a, b store.Key) {
		ctx := context.Background()
		task, keys := textTask(), []store.Key{a, b, s.Key("c")}
		compute := func(_ context.Context, missing []int) (results []store.Result) {
			for _, i := range missing {
				results = append(results, computes([]string{"of a", "of b", "of c"}[i])(ctx))
			}
			return results
		}
		check := func(what string, results []store.Result) {
			t.Helper()
			for i, want := range []string{"of a", "of b", "of c"} {
				wantText(t, what, want, results[i])
			}
		}
		for range 3 {
			results := make([]store.Result, len(keys))
			misses := s.LookupMany(ctx, keys, task, nil, func(int) any { return new(string) }, func(i int, value any) { results[i].Value = value })
			if misses != nil {
				s.FetchMisses(ctx, misses, results, compute)
			}
			check("FetchMisses", results)
		}
		check("ForceMany", s.ForceMany(ctx, keys, task, compute))
		if err := s.PutMany(ctx, keys, task, func(i int) any { return &[]string{"of a", "of b", "of c"}[i] }, func(int) time.Duration { return time.Hour }); err != nil {
			t.Error(err)
		}
		for i, want := range []string{"of a", "of b"} {
			if value, err := s.FetchCached(ctx, keys[i], task); err == nil && *value.(*string) != want {
				t.Errorf("FetchCached: got %v, want %s or nothing", *value.(*string), want)
			}
		}
		for _, err := range s.SetMany(ctx, keys, func(i int) any { return []string{"of a", "of b", "of c"}[i] }, time.Hour) {
			if err != nil {
				t.Error(err)
			}
		}
		if err := s.GetMany(ctx, keys, nil, reflect.TypeFor[string](), func(i int, value reflect.Value) {
			if want := []string{"of a", "of b", "of c"}[i]; value.String() != want {
				t.Errorf("GetMany: got %s, want %s or nothing", value, want)
			}
		}); err != nil {
			t.Error(err)
		}
	})
}

// What is stored under one key is not there under the other, whatever the operation.
func TestTwins_HaveNothingOfEachOther(t *testing.T) {
	onTwins(t, func(t *testing.T, s *store.Store, a, b store.Key) {
		ctx := context.Background()
		for _, value := range []any{"of a", 41} {
			stores := false
			set := func() {
				t.Helper()
				if err := s.Set(ctx, a, value, time.Hour); err != nil {
					t.Fatal(err)
				}
				stores, _ = s.Has(ctx, a)
			}
			set()
			var got any
			if err := s.Get(ctx, b, &got); !errors.Is(err, cacheutils.ErrCacheMiss) {
				t.Errorf("Get of b: %v, %v", got, err)
			}
			if had, err := s.Has(ctx, b); had || err != nil {
				t.Errorf("Has of b: %v, %v", had, err)
			}
			if had, err := s.Touch(ctx, b, time.Hour); had || err != nil {
				t.Errorf("Touch of b: %v, %v", had, err)
			}
			if had, err := s.Touch(ctx, b, 0); had || err != nil {
				t.Errorf("Touch of b with a timeout that is over: %v, %v", had, err)
			}
			if n, err := s.Incr(ctx, b, 1); !errors.Is(err, cacheutils.ErrCacheMiss) {
				t.Errorf("Incr of b: %d, %v", n, err)
			}
			if had, err := s.Has(ctx, a); had != stores || err != nil {
				t.Errorf("what was done to b has changed a: %v, %v", had, err)
			}
			if added, err := s.Add(ctx, b, "of b", time.Hour); !added || err != nil {
				t.Errorf("Add of b: %v, %v", added, err)
			}
			if had, err := s.Has(ctx, a); had || err != nil {
				t.Errorf("after Add of b a is there: %v, %v", had, err)
			}
			set()
			if _, err := s.Delete(ctx, a); err != nil {
				t.Error(err)
			}
			for _, key := range []store.Key{a, b} {
				if had, err := s.Has(ctx, key); had || err != nil {
					t.Errorf("after Delete: %v, %v", had, err)
				}
			}
		}
	})
}

// Who writes a number without metadata to the server has not made one of the caller's key.
func TestTwins_NumberOfAnother(t *testing.T) {
	server := memcachedtest.Start(t)
	set, err := backends.New(backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	s, err := set.Store("default", store.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	key := s.Key(twinTexts[0])
	if err := memcache.New(server.Addr()).Set(&memcache.Item{Key: ":1:" + key.Text(), Value: []byte("41"), Flags: 2}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Incr(context.Background(), key, 1); !errors.Is(err, cacheutils.ErrCacheMiss) {
		t.Errorf("Incr: %d, %v, want ErrCacheMiss", n, err)
	}
}

// An invalidation reaches the computation under way of its key, though there is one of the other key, and though it comes by
// the stored text of the key.
func TestTwins_Invalidation(t *testing.T) {
	onTwins(t, func(t *testing.T, s *store.Store, a, b store.Key) {
		ctx := context.Background()
		task := textTask()
		byText, err := s.PlainKey(a.Text(), s.Version, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, key := range map[string]store.Key{"by the key": a, "by its text": byText} {
			began, end, done := make(chan bool, 2), make(chan bool), make(chan store.Result, 2)
			for _, key := range []store.Key{a, b} {
				go func() {
					done <- s.Fetch(ctx, key, task, func(ctx context.Context) store.Result {
						began <- true
						<-end
						return computes("old")(ctx)
					})
				}()
				<-began
			}
			if _, err := s.Delete(ctx, key); err != nil {
				t.Fatal(err)
			}
			wantText(t, name+": a call after the invalidation", "new", s.Fetch(ctx, a, task, computes("new")))
			close(end)
			<-done
			<-done
			r := s.Fetch(ctx, a, task, computes("newer"))
			if r.Err != nil || *r.Value.(*string) == "old" {
				t.Errorf("%s: a call after all has %v, %v", name, *r.Value.(*string), r.Err)
			}
			if _, err := s.Delete(ctx, a); err != nil {
				t.Fatal(err)
			}
		}
	})
}
