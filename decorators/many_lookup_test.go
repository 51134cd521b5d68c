package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

// What one lookup of several keys finds.

// Everything that can be found under a key, in one list.
func TestCachedMany_Mixed(t *testing.T) {
	ctx := context.Background()
	for _, groups := range [][]string{nil, {"g", "h"}} {
		eachTwice(t, func(t *testing.T, here, there *backends.Caches) {
			rows := newTable(1, 2, 4, 5, 6)
			opts := append(inGroups(groups), decorators.Key("mixed"), decorators.Stale(time.Hour))
			Load, load := decorators.CachedMany(rows.load, append(slices.Clip(opts), decorators.On(here), decorators.Absent(time.Minute), decorators.TimeoutOf(func(row string) time.Duration {
				if row == "row 2" {
					return time.Millisecond
				}
				return time.Hour
			}))...)
			LoadAny, _ := decorators.Cached1(func(ctx context.Context, id int64) (any, error) {
				if id == 5 {
					return 5, nil
				}
				return fmt.Sprint("row ", id), nil
			}, append(slices.Clip(opts), decorators.On(there))...)
			const hit, stale, absent, asAny, noString, missing = 1, 2, 3, 4, 5, 6
			Load(ctx, []int64{hit, stale, absent})
			LoadAny(ctx, asAny)
			LoadAny(ctx, noString)
			time.Sleep(5 * time.Millisecond) // 2 is past its timeout
			rows.was()
			ids := []int64{missing, stale, absent, hit, noString, asAny}

			was := load.Stats()
			got, err := load.RequireCache(ctx, ids)
			wantMany(t, "RequireCache", got, nil, hit, stale, asAny)
			if !errors.Is(err, cacheutils.ErrNoCachedValue) || !errors.Is(err, cacheutils.ErrUndecodable) || !strings.Contains(err.Error(), "2 of 6 keys") {
				t.Errorf("RequireCache: error %v", err)
			}
			is := load.Stats()
			if hits, misses := is.Hits-was.Hits, is.Misses-was.Misses; hits != 4 || misses != 2 {
				t.Errorf("RequireCache: %d hits and %d misses, want 4 and 2", hits, misses)
			}

			var sink recorder
			logging.SetSink(&sink)
			defer logging.SetSink(nil)
			was = is
			got, err = Load(ctx, ids)
			wantMany(t, "all", got, err, hit, stale, asAny, noString, missing)
			var asked [][]int64 // for what is stale in the background
			eventually(t, "the refresh", func() bool { asked = append(asked, rows.was()...); return len(asked) >= 2 })
			slices.SortFunc(asked, func(a, b []int64) int { return len(a) - len(b) })
			if diff := cmp.Diff([][]int64{{stale}, {noString, missing}}, asked); diff != "" {
				t.Errorf("the function was called for (-want +got):\n%s", diff)
			}
			is = load.Stats()
			if hits, stale, misses, faults := is.Hits-was.Hits, is.Stale-was.Stale, is.Misses-was.Misses, is.Errors-was.Errors; hits != 3 || stale != 1 || misses != 2 || faults != 1 {
				t.Errorf("%d hits, %d stale, %d misses and %d faults, want 3, 1, 2 and 1", hits, stale, misses, faults)
			}
			logged := map[string]int{}
			for _, e := range sink.events() {
				if e.Action == logging.ActionHit {
					logged[e.Key]++
				}
			}
			want := map[string]int{"[cached]mixed((1,))": 1, "[cached]mixed((3,))": 1, "[cached]mixed((4,))": 1}
			if diff := cmp.Diff(want, logged); diff != "" {
				t.Errorf("logged hits (-want +got):\n%s", diff)
			}
		})
	}
}

// A record has parts that its holder can change.
type record struct {
	ID   int64
	Tags []string
	More map[string]*int
}

func newRecord(id int64) record {
	n := int(id)
	if n%3 == 0 {
		return record{ID: id}
	}
	return record{id, []string{"a", "b"}, map[string]*int{"n": &n}}
}

func newRecords(ctx context.Context, ids []int64) (map[int64]record, error) {
	all := map[int64]record{}
	for _, id := range ids {
		all[id] = newRecord(id)
	}
	return all, nil
}

// What a caller does to one of the results shows in no other one, of the same call or of another.
func TestLaw6_CachedMany(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		Load, load := decorators.CachedMany(newRecords, decorators.Key("TestLaw6_CachedMany"))
		ids := []int64{1, 2, 3}
		want, _ := newRecords(ctx, ids)
		spoil := func(r record) {
			r.Tags[0] = "spoiled"
			_ = append(r.Tags[:1], "spoiled", "spoiled")
			*r.More["n"] = -1
			r.More["spoiled"] = nil
		}
		for what, call := range map[string]func(context.Context, []int64) (map[int64]record, error){"Load": Load, "RequireCache": load.RequireCache} {
			for range 3 {
				before, _ := Load(ctx, ids)
				got, err := call(ctx, ids)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Fatalf("%s: error %v (-want +got):\n%s", what, err, diff)
				}
				spoil(got[2])
				delete(got, 2)
				if diff := cmp.Diff(map[int64]record{1: want[1], 3: want[3]}, got); diff != "" {
					t.Errorf("%s: the others of the call (-want +got):\n%s", what, diff)
				}
				if diff := cmp.Diff(want, before); diff != "" {
					t.Errorf("%s: those of another call (-want +got):\n%s", what, diff)
				}
			}
		}
	})
}

// Calls at the same time, with lists of all lengths and keys of all lengths, hits and misses in all of them:
// each gets its own, and stores it under its own key.
func TestCachedMany_Together(t *testing.T) {
	ctx := context.Background()
	const texts = 300
	name := func(n int) string { return fmt.Sprint(n, strings.Repeat("x", n%290)) } // some are too long for a key
	cachetest.Each(t, func(t *testing.T) {
		type value struct{ Of []string }
		Load, load := decorators.CachedMany(func(ctx context.Context, names []string) (map[string]value, error) {
			all := map[string]value{}
			for _, name := range names {
				all[name] = value{[]string{name}}
			}
			return all, nil
		}, decorators.Key("TestCachedMany_Together"))
		wantAll := func(names []string, got map[string]value, err error) {
			t.Helper()
			if err != nil || len(got) != len(names) {
				t.Errorf("%d of %d results, error %v", len(got), len(names), err)
			}
			for _, name := range names {
				if v := got[name]; len(v.Of) != 1 || v.Of[0] != name {
					t.Errorf("%q: %q", name, v.Of)
				}
			}
		}
		var all sync.WaitGroup
		for g := range 8 {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			all.Go(func() {
				for range 40 {
					var names []string
					for _, n := range random.Perm(texts)[:1+random.IntN(50)] {
						names = append(names, name(n))
					}
					if err := load.Invalidate(ctx, names[:len(names)/4]); err != nil {
						t.Error(err)
					}
					got, err := Load(ctx, names)
					wantAll(names, got, err)
				}
			})
		}
		all.Wait()
		var names []string
		for n := range texts {
			names = append(names, name(n))
		}
		Load(ctx, names)
		got, err := load.RequireCache(ctx, names)
		wantAll(names, got, err)
		if s := load.Stats(); s.Errors != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Where one of the servers is down, what the others have is found.
func TestLaw1_CachedManyOneOfTwoDown(t *testing.T) {
	ctx := context.Background()
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	cachetest.Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{a.Addr(), b.Addr()}}})
	var ids []int64
	for i := range int64(40) {
		ids = append(ids, i)
	}
	rows := newTable(ids...)
	Load, load := decorators.CachedMany(rows.load, decorators.Key(t.Name()))
	Load(ctx, ids)
	rows.was()
	b.Stop()
	found, err := load.RequireCache(ctx, ids)
	if !errors.Is(err, cacheutils.ErrNoCachedValue) || !strings.Contains(err.Error(), b.Addr()) || len(found) == 0 || len(found) == len(ids) {
		t.Fatalf("RequireCache: %d of %d results and error %v, want some, and that %s is down", len(found), len(ids), err, b.Addr())
	}
	var lacking []int64
	for _, id := range ids {
		if _, ok := found[id]; !ok {
			lacking = append(lacking, id)
		}
	}
	got, err := Load(ctx, ids)
	wantMany(t, "one of two servers", got, err, ids...)
	wantAsked(t, "one of two servers", rows, lacking)
}

// A vague is a number whose key is its last digit.
type vague int

func (v vague) CacheKey() string { return fmt.Sprint(int(v) % 10) }

// Keys with one text share an entry, which is stored however they are computed.
func TestCachedMany_OneText(t *testing.T) {
	ctx := context.Background()
	cachetest.Each(t, func(t *testing.T) {
		Load, load := decorators.CachedMany(func(ctx context.Context, keys []vague) (map[vague]record, error) {
			all := map[vague]record{}
			for _, key := range keys {
				all[key] = record{ID: int64(key), Tags: []string{"a"}}
			}
			return all, nil
		}, decorators.Key("TestCachedMany_OneText"))
		keys := []vague{1, 11, 2, 21}
		for what, call := range map[string]func() (map[vague]record, error){
			"Load":        func() (map[vague]record, error) { return Load(ctx, keys) },
			"ForceRecalc": func() (map[vague]record, error) { return load.ForceRecalc(ctx, keys) },
			"Set": func() (map[vague]record, error) {
				all := map[vague]record{1: {ID: 1}, 11: {ID: 11}, 2: {ID: 2}, 21: {ID: 21}}
				return all, load.Set(ctx, all)
			},
		} {
			if err := load.Invalidate(ctx, keys); err != nil {
				t.Fatal(err)
			}
			got, err := call()
			if err != nil || len(got) != len(keys) {
				t.Errorf("%s: %v, %v", what, got, err)
			}
			for _, key := range keys {
				if r, ok := got[key]; !ok || r.ID%10 != int64(key)%10 {
					t.Errorf("%s: %d has %v", what, key, r)
				}
			}
			if what != "Set" {
				got[1].Tags[0] = "changed"
				if got[11].Tags[0] != "a" || got[21].Tags[0] != "a" {
					t.Errorf("%s: results share memory: %v", what, got)
				}
			}
			stored, err := load.RequireCache(ctx, keys)
			if err != nil || len(stored) != len(keys) {
				t.Errorf("after %s: %v, %v", what, stored, err)
			}
			if stored[1].ID != stored[11].ID || stored[1].ID != stored[21].ID || stored[2].ID != 2 {
				t.Errorf("after %s: %v", what, stored)
			}
		}
		if s := load.Stats(); s.Errors != 0 || s.Refusals != 0 {
			t.Errorf("%+v", s)
		}
	})
}
