package decorators_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
)

// A caller with less time than an operation may take gets all results where the store hangs for one of the keys, or for
// all, when it looks for them, takes their leases or stores them.
func TestLaw1_CachedManyWithLittleTime(t *testing.T) {
	var all sync.WaitGroup
	over := make(chan struct{}) // ends what still hangs
	defer close(over)
	defer all.Wait()
	for _, hang := range []string{"get", "get after the first", "add", "cas"} {
		for _, which := range []string{"one", "all"} {
			for _, keys := range []int{1, 5, 100, 2000} {
				name := fmt.Sprintf("%s hangs for %s of %d", hang, which, keys)
				var gets atomic.Int64
				s := watched(t, name, watch{before: func(step context.Context, operation, key string) error {
					hangs := operation == hang
					if operation == "get" && gets.Add(1) > 1 {
						hangs = hangs || hang == "get after the first"
					}
					if hangs && (which == "all" || strings.HasSuffix(key, "((0,))")) {
						select {
						case <-step.Done():
						case <-over:
						}
						return context.DeadlineExceeded
					}
					return nil
				}}, map[string]any{"operation_timeout": "20s"})
				caches, err := backends.New(backends.Config{"default": s})
				if err != nil {
					t.Fatal(err)
				}
				F, _ := decorators.CachedMany(echo, decorators.Key(name), decorators.On(caches))
				all.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
					defer cancel()
					t.Cleanup(func() { caches.Close() })
					if found, err := F(ctx, upTo(keys)); len(found) != keys || err != nil {
						t.Errorf("%s: got %d results, %v", name, len(found), err)
					}
				})
			}
		}
	}
}

// A caller that waits for one key of a call whose caller has left waits for none of the other keys, whose
// leases the store doesn't give.
func TestLaw9_CachedManyForOthersAtOnce(t *testing.T) {
	for _, hanging := range []int{1, 100} { // more than use the store at a time
		t.Run(fmt.Sprint(hanging), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hangFor(t, func(key string) bool { return !strings.HasSuffix(key, "((0,))") })
				var asked [][]int
				F, _ := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]int, error) {
					asked = append(asked, ids)
					return echo(ctx, ids)
				}, decorators.Key("others at once"))
				ctx, cancel := context.WithCancel(context.Background())
				var all sync.WaitGroup
				all.Go(func() {
					if _, err := F(ctx, upTo(1+hanging)); !errors.Is(err, context.Canceled) {
						t.Errorf("the caller that left got %v", err)
					}
				})
				synctest.Wait()
				all.Go(func() {
					start := time.Now()
					if found, err := F(context.Background(), []int{0}); found[0] != 0 || len(found) != 1 || err != nil {
						t.Errorf("the caller that stayed got %v, %v", found, err)
					}
					if d := time.Since(start); d > time.Second {
						t.Errorf("the caller that stayed waited %v", d)
					}
				})
				synctest.Wait()
				cancel()
				all.Wait()
				if diff := cmp.Diff([][]int{{0}}, asked); diff != "" {
					t.Errorf("called for (-want +got):\n%s", diff)
				}
			})
		})
	}
}
