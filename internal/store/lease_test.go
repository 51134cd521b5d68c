package store

import (
	"context"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/entry"
)

// The lease is not taken on an entry whose groups have, after all, the generations that it carries:
// whoever asks for it looks again.
func TestTake_StoredBetweenTheAnswers(t *testing.T) {
	ctx := context.Background()
	c := leasing(t)
	if err := c.Set(ctx, c.Key("k", "a", "b"), "v", time.Hour); err != nil {
		t.Fatal(err)
	}
	key := c.Key("k").withGroups([]string{"a", "b"})
	look := func() found {
		t.Helper()
		var f found
		err := c.lookup(ctx, &f, &key)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := look()
	if f.state != entry.Fresh {
		t.Fatalf("what was set is %v", f.state)
	}
	f.state, f.generations = entry.Dead, []entry.Generation{f.generations[0], {Group: "b"}} // one answer was older
	if _, ok, err := c.take(ctx, &key, anyType, f, false); ok || err != nil {
		t.Errorf("the lease was taken over a value that counts: %v, %v", ok, err)
	}
	if f := look(); f.state != entry.Fresh {
		t.Errorf("then it is %v", f.state)
	}

	// A value that is dead for good is no obstacle.
	if err := c.InvalidateGroup(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	l, ok, err := c.take(ctx, &key, anyType, look(), false)
	if !ok || err != nil {
		t.Fatalf("the lease on a dead entry: %v, %v", ok, err)
	}
	if _, err := l.finish(ctx, &ending{}); err != nil {
		t.Fatal(err)
	}
	// Nor is what is left of a computation, nor one whose group key is gone.
	if err := c.Set(ctx, c.Key("k", "a", "b"), "v", cacheutils.Forever); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Engine.Delete(ctx, c.groupKey("b")); err != nil {
		t.Fatal(err)
	}
	if l, ok, err = c.take(ctx, &key, anyType, look(), false); !ok || err != nil {
		t.Fatalf("the lease on an entry whose group key is gone: %v, %v", ok, err)
	}
	c.renewals.end(l)
}
