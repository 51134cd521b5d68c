package decorators_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Keys that another process has computed in vain become free one by one. However often that happens, those that
// become free next are computed while the function runs for others.
func TestCachedMany_KeysThatComeFreeOneByOne(t *testing.T) {
	for name, ctx := range map[string]context.Context{"without end": context.Background(), "with an end": cancellable(t)} {
		t.Run(name, func(t *testing.T) {
			server := memcachedtest.Start(t)
			s := backends.Settings{Backend: "memcached", Location: []string{server.Addr()}}
			cachetest.Configure(t, backends.Config{"default": s, "other process": s})
			const n = 20
			failed, computes := errors.New("failed"), make(chan int, n)
			var fail [n]chan struct{}
			for i := range fail {
				fail[i] = make(chan struct{})
			}
			Other, _ := decorators.Cached1(func(_ context.Context, id int) (int, error) {
				computes <- id
				<-fail[id]
				return 0, failed
			}, decorators.Key("one by one"), decorators.Backend("other process"))
			var others sync.WaitGroup
			for id := range n {
				others.Go(func() { Other(context.Background(), id) })
				within(t, "the other process", computes)
			}
			runs, last := make(chan int, n), make(chan struct{})
			F, _ := decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]int, error) {
				for _, id := range ids {
					runs <- id
					if id == n-2 {
						<-last
					}
				}
				return echo(ctx, ids)
			}, decorators.Key("one by one"))
			done := make(chan error, 1)
			go func() {
				found, err := F(ctx, upTo(n))
				if len(found) != n {
					t.Errorf("%d results, want %d", len(found), n)
				}
				done <- err
			}()
			for id := range n { // also for the last one, while the function runs for the one before
				close(fail[id])
				if got := within(t, "the next key", runs); got != id {
					t.Fatalf("the function runs for %d, want %d", got, id)
				}
			}
			close(last)
			if err := within(t, "the call", done); err != nil {
				t.Error(err)
			}
			others.Wait()
		})
	}
}
