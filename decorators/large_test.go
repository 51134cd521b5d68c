package decorators_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// A result that is too large to be stored is that of all who have joined, as one that is stored.
func TestLaw4_TooLarge(t *testing.T) {
	for name, options := range map[string][]decorators.Option{"alone": nil, "in a group": {decorators.Group("g")}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cachetest.Configure(t, backends.Config{"default": {
					Backend: "locmem", Location: []string{t.Name()}, Options: map[string]any{"max_cost": 4096},
				}})
				var runs atomic.Int64
				F, _ := decorators.Cached1(func(context.Context, int) ([]byte, error) {
					runs.Add(1)
					time.Sleep(50 * time.Millisecond)
					return make([]byte, 100_000), nil
				}, append([]decorators.Option{decorators.Key(fmt.Sprint("large ", name)), decorators.Shared()}, options...)...)
				var all sync.WaitGroup
				for i := range 10 {
					all.Go(func() {
						time.Sleep(time.Duration(i) * 4 * time.Millisecond)
						if got, err := F(context.Background(), 1); err != nil || len(got) != 100_000 {
							t.Errorf("got %d bytes and %v", len(got), err)
						}
					})
				}
				all.Wait()
				if n := runs.Load(); n != 1 {
					t.Errorf("for 10 callers at the same time the function ran %d times, want once", n)
				}
			})
		})
	}
}
