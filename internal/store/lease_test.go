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

// A lease of which nobody knows whether it is there is looked for and taken away, unless the store is closed, which
// begins nothing any more.
func TestOrphan(t *testing.T) {
	for _, closed := range []bool{false, true} {
		inSea(t, -1, func(t *testing.T, h *history, all []*program) {
			p, ctx := all[0], context.Background()
			key := p.key()
			l, ok, err := p.store.take(ctx, &key, p.task.typ, found{reader: p.task.typ, generations: []entry.Generation{{Group: "g"}}}, false)
			if err != nil || !ok {
				t.Fatalf("take the lease: %v, %v", ok, err)
			}
			p.store.renewals.end(l)
			p.store.closed.Store(closed)
			h.sea.mu.Lock()
			before := h.sea.asked
			h.sea.mu.Unlock()
			l.orphan()
			time.Sleep(2 * time.Second)
			h.sea.mu.Lock()
			asked := h.sea.asked > before
			h.sea.mu.Unlock()
			if asked == closed || !p.store.orphans.has(l.token, time.Now()) {
				t.Errorf("the store is closed: %v, the lease was looked for: %v, the token is known: %v", closed, asked, p.store.orphans.has(l.token, time.Now()))
			}
		}, 0)
	}
}
