package steer_test

import (
	"context"
	"testing"

	"github.com/cacheutils/cacheutils/internal/steer"
)

func TestWith(t *testing.T) {
	type key struct{}
	bg := context.WithValue(context.Background(), key{}, "kept")
	if steer.Of(bg) != nil {
		t.Error("a context says something of itself")
	}
	outer := steer.With(bg, func(c *steer.Call) { c.Caches = 1 })
	inner := steer.With(outer, func(c *steer.Call) {
		if c.Caches != 1 {
			t.Errorf("got %v, want what the outer context says", c.Caches)
		}
		c.Caches = 2
	})
	if steer.Of(outer).Caches != 1 || steer.Of(inner).Caches != 2 {
		t.Errorf("got %v and %v, want 1 and 2", steer.Of(outer).Caches, steer.Of(inner).Caches)
	}
	if inner.Value(key{}) != "kept" || !steer.Used() {
		t.Error("it has lost the context's values, or says that it was never used")
	}
	if steer.Of(steer.Attach(bg, steer.Of(inner))).Caches != 2 {
		t.Error("Attach: the context says something different")
	}
}
