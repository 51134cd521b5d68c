package backendtest

import (
	"context"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
)

// testVersions is about what stands before a key.
func (s *suite) testVersions(t *testing.T) {
	s.inNoGroup(t, "KeysInTheStore", func(t *testing.T) {
		s.configure(t, backends.Config{
			"prefixed": {KeyPrefix: "shop", Version: "2"},
			"custom": {KeyPrefix: "p", Version: "v", KeyFunction: func(key, prefix, version string) string {
				return "custom-" + prefix + "-" + version + "-" + key
			}},
		})
		e := s.engine(t)
		for _, test := range []struct{ cache, stored string }{
			{"default", ":1:key"},
			{"prefixed", "shop:2:key"},
			{"custom", "custom-p-v-key"},
		} {
			c := s.cache(t, test.cache)
			c.set("key", 5)
			item, err := e.Get(ctx, test.stored)
			if err != nil || string(item.Value) != "5" {
				t.Errorf("cache %s: under %q got %q, %v, want 5", test.cache, test.stored, item.Value, err)
			}
		}
	})
	t.Run("PrefixesAreApart", s.prefixesAreApart)
	t.Run("VersionOfTheCall", s.versionOfTheCall)
	s.inNoGroup(t, "VersionOfTheCache", func(t *testing.T) {
		s.configure(t, backends.Config{"two": {Version: "2"}})
		c, two := s.cache(t, "default"), s.cache(t, "two")
		c.set("key", "v1")
		two.misses("key")
		two.set("key", "v2")
		c.holds("key", "v1")
		c.holds("key", "v2", backends.Version("2"))
		two.holds("key", "v1", backends.Version("1"))
		c.set("n", 1, backends.Version("2"))
		two.is(2)(two.Incr(ctx, "n", 1))
		two.yes(two.Delete(ctx, "key", backends.Version("1")))
		c.misses("key")
	})
	t.Run("KeyFunctions", s.keyFunctions)
	t.Run("ResultsHaveCallersKeys", s.resultsHaveCallersKeys)
}

func (s *suite) prefixesAreApart(t *testing.T) {
	s.configure(t, backends.Config{"other": {KeyPrefix: "other"}})
	c, other := s.cache(t, "default"), s.cache(t, "other")
	c.set("key", "c")
	other.misses("key")
	other.yes(other.Add(ctx, "key", "other"))
	c.holds("key", "c")
	other.holds("key", "other")
	c.yes(c.Delete(ctx, "key"))
	other.holds("key", "other")
}

func (s *suite) keyFunctions(t *testing.T) {
	custom := func(key, prefix, version string) string { return "custom" + prefix + version + key }
	s.configure(t, backends.Config{
		"custom": {KeyFunction: custom},
		"same":   {KeyFunction: custom, Timeout: time.Hour},
	})
	c, a, b := s.cache(t, "default"), s.cache(t, "custom"), s.cache(t, "same")
	c.set("key", "default")
	a.misses("key")
	a.set("key", "custom")
	b.holds("key", "custom")
	c.holds("key", "default")
	a.holds("key", "custom", backends.Version("1"))
	a.misses("key", backends.Version("2"))
}

func (s *suite) resultsHaveCallersKeys(t *testing.T) {
	s.configure(t, backends.Config{"custom": {KeyFunction: func(key, _, _ string) string { return "custom/" + key }}})
	c := s.cache(t, "custom")
	c.setMany(map[string]string{"a": "x", "b": "y"})
	got := map[string]string{}
	c.ok(c.GetMany(ctx, []string{"a", "b", "c"}, got))
	c.same("GetMany", map[string]string{"a": "x", "b": "y"}, got)
}

// versionOfTheCall has each method work on version 2 and leave version 1 alone.
func (s *suite) versionOfTheCall(t *testing.T) {
	c := s.only(t)
	two := backends.Version("2")
	c.set("key", "one")

	c.misses("key", two)
	c.no(c.Has(ctx, "key", two))
	c.no(c.Touch(ctx, "key", two))
	c.no(c.Delete(ctx, "key", two))
	c.yes(c.Add(ctx, "key", "two", two))
	c.holds("key", "two", two)
	c.yes(c.Has(ctx, "key", two))
	c.yes(c.Touch(ctx, "key", two))
	c.yes(c.Delete(ctx, "key", two))
	c.misses("key", two)
	c.holds("key", "one")

	c.set("n", 1)
	c.set("n", 20, two)
	c.is(21)(c.Incr(ctx, "n", 1, two))
	c.is(19)(c.Decr(ctx, "n", 2, two))
	c.holds("n", 1)

	c.setMany(map[string]string{"key": "many", "more": "many"}, two)
	c.misses("more")
	got := map[string]string{}
	c.ok(c.GetMany(ctx, []string{"key", "more"}, got, two))
	c.same("GetMany of version 2", map[string]string{"key": "many", "more": "many"}, got)
	c.ok(c.DeleteMany(ctx, []string{"key", "more"}, two))
	c.misses("key", two)
	c.holds("key", "one")

	text := ""
	c.ok(c.GetOrSet(ctx, "key", &text, func(context.Context) (any, error) { return "computed", nil }, two))
	c.holds("key", "computed", two)
	c.holds("key", "one")
}
