package decorators_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// echo is a function of many keys whose results are the keys.
func echo(ctx context.Context, ids []int) (map[int]int, error) {
	found := make(map[int]int, len(ids))
	for _, id := range ids {
		found[id] = id
	}
	return found, ctx.Err()
}

// upTo returns n keys.
func upTo(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	return ids
}

// An engine that panics for one key keeps no caller from the others.
func TestLaw5_CachedManyWhenTheEnginePanics(t *testing.T) {
	for _, operation := range []string{"add", "cas"} {
		for name, ctx := range map[string]context.Context{"without end": context.Background(), "with an end": cancellable(t)} {
			t.Run(operation+"/"+name, func(t *testing.T) {
				var panics atomic.Bool
				panics.Store(true)
				s := watched(t, "", watch{before: func(_ context.Context, o, key string) error {
					if o == operation && panics.Load() && strings.HasSuffix(key, "((3,))") {
						panic("engine")
					}
					return nil
				}}, map[string]any{"lease": "1s"})
				cachetest.Configure(t, backends.Config{"default": s})
				F, _ := decorators.CachedMany(echo, decorators.Key("panics"))
				func() {
					defer func() {
						if p := fmt.Sprint(recover()); !strings.Contains(p, "engine") {
							t.Errorf("panicked with %q, want the engine's panic", p)
						}
					}()
					F(ctx, upTo(6))
				}()
				panics.Store(false)
				limited, cancel := context.WithTimeout(ctx, 10*time.Second) // the lease of the key ends before that
				defer cancel()
				if found, err := F(limited, upTo(6)); len(found) != 6 || err != nil {
					t.Errorf("afterwards: got %v, %v", found, err)
				}
			})
		}
	}
}

// A run that panics is a computation of each of its keys.
func TestCachedMany_PanicsAreCounted(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		F, h := decorators.CachedMany(func(context.Context, []int) (map[int]int, error) { panic("boom") }, decorators.Key("panics.counted"))
		func() {
			defer func() { recover() }()
			F(context.Background(), upTo(3))
		}()
		if n := h.Stats().Computations; n != 3 {
			t.Errorf("%d computations, want 3", n)
		}
	})
}
