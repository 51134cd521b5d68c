package store

import (
	"context"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
)

// An overtaken engine has something else happen before it carries out the next swap.
type overtaken struct {
	*sea
	first func()
}

func (o *overtaken) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if first := o.first; first != nil {
		o.first = nil
		first()
	}
	return o.sea.CompareAndSwap(ctx, key, item, timeout)
}

// A renewal that is refused, since another version of the program has written its section after the lookup, is tried
// again: the lease goes on, and is renewed later. Where the token has gone it is over.
func TestLaw4_RefusedRenewal(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		a, b, ctx := all[0], all[1], context.Background()
		slow := &overtaken{sea: h.sea}
		a.store.Engine = slow
		key := a.key()
		l, ok, err := a.store.take(ctx, &key, a.task.typ, found{reader: a.task.typ, generations: []entry.Generation{{Group: "g"}}}, false)
		if err != nil || !ok {
			t.Fatalf("take the lease: %v, %v", ok, err)
		}
		defer a.store.renewals.end(l)
		heldUntil := func() int64 {
			f := found{reader: a.task.typ, holder: l.token}
			if err := a.store.lookup(ctx, &f, &key); err != nil || f.entry.Holder != l.token {
				return 0
			}
			return f.entry.HeldUntil
		}
		queued := func() bool {
			a.store.renewals.mu.Lock()
			defer a.store.renewals.mu.Unlock()
			return l.queued
		}

		before := heldUntil()
		time.Sleep(10 * time.Millisecond) // less than a third of the lease
		slow.first = func() { b.wants(t, "between lookup and swap", 1, 1, 1) }
		l.renew()
		if after := heldUntil(); after <= before || !queued() {
			t.Errorf("the lease was until %d, and is until %d after a renewal that was refused once; it is renewed further: %v", before, after, queued())
		}
		b.wants(t, "beside the lease", 1, 1, 0)

		slow.first = func() { _, _ = b.store.Delete(ctx, b.key()) }
		l.renew()
		if after := heldUntil(); after != 0 || queued() {
			t.Errorf("after an invalidation the lease is until %d; it is renewed further: %v", after, queued())
		}
	}, 0, 1)
}
