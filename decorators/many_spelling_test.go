package decorators_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

type spelt struct{ ID int }

// respelt decorates a function that returns each key as respell has it, and asks for keys, with the cache and without.
func respelt[K comparable](t *testing.T, respell func(K) []K, key K, opts ...decorators.Option) (results []map[K]string, errs []error) {
	t.Helper()
	fn := func(_ context.Context, keys []K) (map[K]string, error) {
		found := make(map[K]string)
		for _, key := range keys {
			for _, other := range respell(key) {
				found[other] = "found"
			}
		}
		return found, nil
	}
	opts = append(opts, decorators.Absent(time.Minute))
	Load, h := decorators.CachedMany(fn, append(opts, decorators.Key(strings.ReplaceAll(t.Name(), "/", ".")))...)
	Nowhere, _ := decorators.CachedMany(fn, append(opts, decorators.Key("nowhere"), decorators.Backend("nowhere"))...)
	for _, call := range []func(context.Context, []K) (map[K]string, error){Load, Load, Nowhere, h.ForceRecalc} {
		found, err := call(t.Context(), []K{key})
		results, errs = append(results, found), append(errs, err)
	}
	return results, errs
}

func checkRespelt[K comparable](t *testing.T, name string, key K, others ...K) {
	t.Run(name, func(t *testing.T) {
		results, errs := respelt(t, func(K) []K { return others }, key)
		for i, found := range results {
			if errs[i] != nil || len(found) != 1 {
				t.Errorf("call %d: got %v, %v, want one result", i, found, errs[i])
			}
			if _, ok := found[key]; !ok && key == key {
				t.Errorf("call %d: got %v, want it under the key that was asked for", i, found)
			}
		}
	})
}

// A function may return results under keys that are the same in the cache as what it was asked for, though they are
// not equal in Go: nothing is taken for absent.
func TestCachedMany_KeysSpeltOtherwise(t *testing.T) {
	cachetest.Locmem(t)
	now := time.Now()
	a, b := &spelt{1}, &spelt{1}
	checkRespelt(t, "a time with a monotonic part", now, now.Round(0))
	checkRespelt(t, "another pointer", a, b)
	checkRespelt[any](t, "another pointer in an interface", a, b)
	checkRespelt(t, "NaN", math.NaN(), math.NaN())
	checkRespelt(t, "the same", "a", "a", "A")
}

func TestCachedMany_KeysTheSameByKeyOf(t *testing.T) {
	cachetest.Locmem(t)
	lower := decorators.KeyOf(func(_ context.Context, s string) string { return strings.ToLower(s) })
	results, errs := respelt(t, func(s string) []string { return []string{strings.ToLower(s)} }, "Roma", lower)
	for i, found := range results {
		if found["Roma"] != "found" || errs[i] != nil {
			t.Errorf("call %d: got %v, %v", i, found, errs[i])
		}
	}
	results, errs = respelt(t, func(string) []string { return []string{"ROMA", "roma"} }, "Roma2", lower)
	if len(results[0]) != 0 || errs[0] != nil {
		t.Errorf("other keys: got %v, %v", results[0], errs[0])
	}
	results, errs = respelt(t, func(string) []string { return []string{"MILANO", "milano"} }, "Milano", lower)
	for i, found := range results {
		if len(found) != 0 || errs[i] == nil || !strings.Contains(errs[i].Error(), "2 results under keys that are all key ") {
			t.Errorf("call %d, two results for one key: got %v, %v, want an error", i, found, errs[i])
		}
	}
}

// An error about such keys has the digest of what CacheKey returns, from which nobody can find a Secret without the key_secret.
func TestCachedMany_TheSameByKeyOfHaveOneDigest(t *testing.T) {
	set, err := backends.New(backends.Config{"default": {Backend: "locmem", Options: map[string]any{"key_secret": "0123456789abcdef"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	long := strings.Repeat("x", 300)
	Load, h := decorators.CachedMany(func(context.Context, []cachekey.Secret) (map[cachekey.Secret]string, error) {
		return map[cachekey.Secret]string{"ROMA": "a", "roma": "b"}, nil
	}, decorators.Key("one.digest"), decorators.On(set), decorators.KeyOf(func(_ context.Context, s cachekey.Secret) (string, cachekey.Secret) {
		return long, cachekey.Secret(strings.ToLower(string(s)))
	}))
	key, err := h.CacheKey("Roma")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(context.Background(), []cachekey.Secret{"Roma"}); err == nil || !strings.Contains(err.Error(), "all key "+cachekey.Digest(key)+" in the cache") {
		t.Errorf("got %v, want the digest %s", err, cachekey.Digest(key))
	}
}

// Keys that are the same in the cache may be asked for together: each gets the result.
func TestCachedMany_AskedForInTwoSpellings(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		a, b := &spelt{1}, &spelt{1}
		runs := 0
		Load, h := decorators.CachedMany(func(_ context.Context, keys []*spelt) (map[*spelt]string, error) {
			runs++
			return map[*spelt]string{keys[0]: "found"}, nil
		}, decorators.Key("two.spellings"))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for _, call := range []func(context.Context, []*spelt) (map[*spelt]string, error){Load, Load, h.ForceRecalc, Load} {
			if found, err := call(ctx, []*spelt{a, b}); len(found) != 2 || err != nil {
				t.Errorf("got %v, %v, want both", found, err)
			}
		}
		if runs > 4 {
			t.Errorf("%d runs", runs)
		}
	})
}
