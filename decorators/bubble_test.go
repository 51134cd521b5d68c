package decorators_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
)

// A program's functions may be called in a bubble of testing/synctest, first there or elsewhere before, and whether or not
// their backends are closed in it.
func TestBubble(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		name string
		opts []decorators.Option
	}{
		{"plain", nil},
		{"in a group", []decorators.Option{decorators.Group("g")}},
		{"stale", []decorators.Option{decorators.Stale(time.Hour)}},
		{"lingering", []decorators.Option{decorators.Linger(time.Minute)}},
		{"shared", []decorators.Option{decorators.Shared()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			set, err := backends.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			runs := 0
			load, handle := decorators.Cached1(func(ctx context.Context, i int) (int, error) {
				mu.Lock()
				runs++
				n := runs
				mu.Unlock()
				if i < 0 {
					return 0, errors.New("negative")
				}
				select {
				case <-time.After(time.Duration(i) * time.Millisecond):
				case <-ctx.Done():
				}
				return n, nil
			}, append(test.opts, decorators.Key("TestBubble "+test.name), decorators.On(set), decorators.Timeout(time.Minute))...)
			use := func(t *testing.T) {
				for i := range 5 {
					var wg sync.WaitGroup
					for range 3 {
						wg.Go(func() {
							if _, err := load(ctx, i); err != nil {
								t.Error(err)
							}
						})
					}
					wg.Wait()
					_, _ = load(ctx, -1)
					if err := cache.Set(ctx, i, i, cache.On(set), cache.Group("g")); err != nil {
						t.Error(err)
					}
				}
				left, cancel := context.WithCancel(ctx)
				cancel()
				_, _ = load(left, 6)
				if err := handle.Invalidate(ctx, 2); err != nil {
					t.Error(err)
				}
				if err := cache.InvalidateGroup(ctx, "g", cache.On(set)); err != nil {
					t.Error(err)
				}
			}
			inBubble := func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					use(t)
					if err := handle.Invalidate(ctx, 3); err != nil { // what was stored by another clock
						t.Error(err)
					}
					first, _ := load(ctx, 3)
					time.Sleep(30 * time.Second)
					if again, _ := load(ctx, 3); again != first {
						t.Errorf("want the result of 30 seconds ago, got %d and %d", first, again)
					}
					time.Sleep(2 * time.Hour)
					if again, _ := load(ctx, 3); again == first {
						t.Error("want another result after hours")
					}
				})
			}
			inBubble(t)
			use(t)
			inBubble(t)
			use(t)
			if err := set.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

var bubbleSquare, _ = decorators.Cached(func(n int) int { return n * n }, decorators.Key("bubbleSquare"))

// The embedded backend of the program's set may be used first in a bubble, and is not closed there.
func TestBubble_Embedded(t *testing.T) {
	if err := backends.Configure(nil); err != nil { // another one, which nothing has used
		t.Fatal(err)
	}
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			if got := bubbleSquare(3); got != 9 {
				t.Errorf("want 9, got %d", got)
			}
		})
	}
	if err := backends.Configure(nil); err != nil {
		t.Fatal(err)
	}
}
