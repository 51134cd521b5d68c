package backendtest

import (
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// testClear is about the end of everything: Clear and Close.
func (s *suite) testClear(t *testing.T) {
	t.Run("C83_Clear", func(t *testing.T) {
		s.configure(t, backends.Config{"two": {Version: "2"}})
		c, two := s.cache(t, "default"), s.cache(t, "two")
		c.setMany(map[string]any{"a": "spam", "b": 2, "c": nil})
		c.set("forever", "eggs", backends.Timeout(cacheutils.Forever))
		two.set("a", "of version 2")
		c.ok(c.Clear(ctx))
		for _, key := range []string{"a", "b", "c", "forever"} {
			c.misses(key)
		}
		two.misses("a")
		c.ok(c.Clear(ctx))
		c.yes(c.Add(ctx, "a", "after"))
		c.holds("a", "after")
	})
	t.Run("C85_CloseAndUseAgain", func(t *testing.T) {
		c := s.only(t)
		c.set("key", "before")
		c.ok(c.Close())
		c.ok(c.Close())
		c.set("key", "after")
		c.holds("key", "after")
		c.ok(c.Close())
		c.set("n", 1)
		c.is(2)(c.Incr(ctx, "n", 1))
	})
	t.Run("C85_ConfigureAgain", func(t *testing.T) {
		c := s.only(t)
		c.set("key", "before")
		again := s.only(t)
		again.misses("key")
		again.set("key", "after")
		again.holds("key", "after")
	})
}
