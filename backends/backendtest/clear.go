package backendtest

import (
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// testClear is about the end of all entries.
func (s *suite) testClear(t *testing.T) {
	t.Run("Clear", func(t *testing.T) {
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
}
