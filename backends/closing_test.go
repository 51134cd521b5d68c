package backends_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// settles waits until get returns at most that much.
func settles(t *testing.T, what string, most int, get func() int) {
	t.Helper()
	n := 0
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if n = get(); n <= most {
			return
		}
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("%d %s are left, want %d:\n%s", n, what, most, stacks[:runtime.Stack(stacks, true)])
}

// While the set is replaced all the time, calls return what the function does, operations of package cache are
// carried out, and a caller that kept a backend gets ErrClosed from then on and no other error. In the end
// there is nothing left of all the sets.
func TestClosed_ManyConfigures(t *testing.T) {
	configures, callers := 300, 64
	if testing.Short() {
		configures = 50
	}
	server := memcachedtest.Start(t)
	connections := func() int {
		n, err := strconv.Atoi(server.Stats(t)["curr_connections"])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, connected := runtime.NumGoroutine(), connections()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	load := func(_ context.Context, n int) (int, error) {
		if n%50 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
		return n, nil
	}
	F, f := decorators.Cached1(load, decorators.Key("closed.f"), decorators.Group("closed"), decorators.Timeout(5*time.Millisecond))
	G, _ := decorators.Cached1(load, decorators.Key("closed.g"), decorators.Timeout(5*time.Millisecond), decorators.Stale(time.Hour))
	Many, _ := decorators.CachedMany(func(_ context.Context, ids []int) (map[int]int, error) {
		found := map[int]int{}
		for _, id := range ids {
			found[id] = id
		}
		return found, nil
	}, decorators.Key("closed.many"))
	config := func(n int) backends.Config {
		if n%4 == 3 {
			return backends.Config{"default": {Backend: "locmem", Location: []string{fmt.Sprint("closed", n%5)}}}
		}
		return backends.Config{"default": {
			Backend: "group", Location: []string{server.Addr()}, KeyPrefix: fmt.Sprint("p", n%3), Options: map[string]any{"operation_timeout": "5s"},
		}}
	}
	if err := backends.Configure(config(0)); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	var refused atomic.Int64
	for i := range callers {
		all.Go(func() {
			kept, err := backends.Get("default")
			if err != nil {
				t.Error(err)
				return
			}
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := n % 100
				if got, err := F(ctx, id); got != id || err != nil {
					t.Errorf("F: got %d, %v", got, err)
				}
				if got, err := G(ctx, id); got != id || err != nil {
					t.Errorf("G: got %d, %v", got, err)
				}
				switch n % 8 {
				case 0:
					if got, err := Many(ctx, []int{id, id + 1}); got[id] != id || got[id+1] != id+1 || err != nil {
						t.Errorf("Many: got %v, %v", got, err)
					}
				case 1:
					if got, err := f.ForceRecalc(ctx, id); got != id || err != nil {
						t.Errorf("ForceRecalc: got %d, %v", got, err)
					}
				case 2:
					if err := f.Invalidate(ctx, id); err != nil {
						t.Errorf("Invalidate: %v", err)
					}
				case 3:
					if err := errors.Join(cache.Set(ctx, id, id), cache.InvalidateGroup(ctx, "closed")); err != nil {
						t.Errorf("package cache: %v", err)
					}
				case 4, 5:
					got := id
					err := kept.Set(ctx, fmt.Sprint("k", id), id)
					if err == nil {
						err = kept.Get(ctx, fmt.Sprint("k", id), &got)
					}
					if errors.Is(err, cacheutils.ErrClosed) {
						refused.Add(1)
						kept, _ = backends.Get("default")
					} else if got != id || err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) {
						t.Errorf("one that was kept: got %d, %v", got, err)
					}
				}
			}
		})
	}
	for n := range configures {
		if err := backends.Configure(config(n)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
	close(stop)
	all.Wait()
	if err := backends.Configure(nil); err != nil {
		t.Fatal(err)
	}
	if refused.Load() == 0 {
		t.Error("no backend was used that was replaced: not a test")
	}
	settles(t, "connections", connected, connections)
	settles(t, "goroutines", before, runtime.NumGoroutine)
}

// A computation that is under way when its set is replaced is stored where it began, and then nothing is left of
// that set. Another begins nothing there.
func TestClosed_UnderWay(t *testing.T) {
	server := memcachedtest.Start(t)
	settings := backends.Settings{Backend: "memcached", Location: []string{server.Addr()}}
	for _, end := range []string{"Configure", "Close"} {
		t.Run(end, func(t *testing.T) {
			configure(t, backends.Config{"default": settings})
			old := get(t, "default")
			started, release := make(chan struct{}), make(chan struct{})
			var runs atomic.Int64
			F, h := decorators.Cached1(func(context.Context, int) (int64, error) {
				n := runs.Add(1)
				if n == 1 {
					close(started)
					<-release
				}
				return n, nil
			}, decorators.Key("closed.under.way."+end))
			first := make(chan int64, 1)
			go func() {
				n, _ := F(context.Background(), 1)
				first <- n
			}()
			<-started
			begin := time.Now()
			if end == "Configure" {
				configure(t, backends.Config{"default": settings})
			} else if err := old.Close(); err != nil {
				t.Error(err)
			}
			if d := time.Since(begin); d > 10*time.Second {
				t.Errorf("it waited for the computation: %v", d)
			}
			if err := old.Set(context.Background(), "k", 1); !errors.Is(err, cacheutils.ErrClosed) {
				t.Errorf("Set: got %v, want ErrClosed", err)
			}
			if end == "Close" {
				if n, err := F(context.Background(), 2); n != 2 || err != nil {
					t.Errorf("a call: got %d, %v, want what the function returns", n, err)
				}
			}
			close(release)
			if n := <-first; n != 1 {
				t.Errorf("the first got %d", n)
			}
			if n := h.Stats().Stores; n != 1 {
				t.Errorf("%d results were stored, want that of the computation under way", n)
			}
			configure(t, backends.Config{"default": settings})
			if n, err := F(context.Background(), 1); n != 1 || err != nil {
				t.Errorf("the next set has %d, %v, want what was stored", n, err)
			}
		})
	}
}

// Close waits for what is being stored, as long as an operation may take, and for nothing else.
func TestClosed_WaitsForStores(t *testing.T) {
	release := make(chan struct{})
	c, e := spied(t, backends.Settings{Options: map[string]any{"operation_timeout": "100ms"}})
	e.hold(release)
	stored := make(chan error, 1)
	go func() {
		stored <- c.GetOrSet(context.Background(), "k", new(int), func(context.Context) (any, error) { return 1, nil })
	}()
	settles(t, "stores not begun", 0, func() int {
		for _, call := range e.peeked() {
			if strings.HasPrefix(call, "CompareAndSwap") {
				return 0
			}
		}
		return 1
	})
	start := time.Now()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d < 50*time.Millisecond || d > 10*time.Second {
		t.Errorf("Close took %v, want as long as an operation may take: the store hangs", d)
	}
	close(release)
	if err := <-stored; err != nil {
		t.Error(err)
	}
	settles(t, "engines not closed", 0, func() int {
		for _, call := range e.peeked() {
			if call == "Close" {
				return 0
			}
		}
		return 1
	})
}
