package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/engine"
)

// A mute engine answers no lookup of one key, and sends nothing for a context that has ended.
type mute struct {
	*sea
	about string
}

func (m *mute) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	if slices.Contains(keys, m.about) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.sea.GetMany(ctx, keys)
}

func (m *mute) Delete(ctx context.Context, key string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return m.sea.Delete(ctx, key)
}

// Once ForceRecalc of several keys has returned without an error, nothing older is left under any of them, also where a
// step for one of them took too long: what could not be replaced is deleted, in a time of its own.
func TestForceMany_Late(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		p, slow := all[0], &mute{sea: h.sea}
		keys := []Key{p.store.Key("a", "g"), p.store.Key("b", "g"), p.store.Key("c")}
		lookUp := func() (found []int) {
			for i := range keys {
				if value, _ := p.store.lookupKey(context.Background(), &keys[i], p.task, p.store.flights.Now(), nil); value != nil {
					found = append(found, value.(*firstVersion).N)
				} else {
					found = append(found, 0)
				}
			}
			return found
		}
		for _, key := range keys {
			if err := p.store.Put(context.Background(), key, p.task, p.value(1), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if found := lookUp(); !slices.Equal(found, []int{1, 1, 1}) {
			t.Fatalf("found %v before", found)
		}
		slow.about = keys[1].stored
		p.store.Engine = slow
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		results := p.store.ForceMany(ctx, keys, p.task, func(ctx context.Context, missing []int) []Result {
			return slices.Repeat([]Result{p.takes(0, 2, time.Hour)(ctx)}, len(missing))
		})
		for i, r := range results {
			if r.Err != nil || r.Value.(*firstVersion).N != 2 {
				t.Errorf("the forced result of key %d is %v, %v", i, r.Value, r.Err)
			}
		}
		p.store.Engine = h.sea
		if found := lookUp(); slices.Contains(found, 1) {
			t.Errorf("after ForceMany has returned 2 for each key, %v are found", found)
		}
	}, 0)
}
