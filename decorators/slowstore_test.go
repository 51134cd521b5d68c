package decorators_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A slowStore is memcached, whose compare-and-swaps, and with these the stores of results, wait until
// they are let through, or fail.
type slowStore struct {
	engine.Engine
	waiting atomic.Int32
	t       *testing.T // that uses it

	mu   sync.Mutex
	open chan struct{} // closed when they are let through
	err  error
}

func (s *slowStore) Traits() engine.Traits { return engine.Traits{} }

func (s *slowStore) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	select {
	case <-open:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return false, err
	}
	return s.Engine.CompareAndSwap(ctx, key, item, timeout)
}

// hold keeps stores waiting until let is called.
func (s *slowStore) hold() (let func()) {
	open := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = open
	let = sync.OnceFunc(func() { close(open) })
	s.t.Cleanup(let)
	return let
}

func (s *slowStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

var (
	registerSlowStore sync.Once
	slowStores        sync.Map // by address
)

// onSlowStore makes a slow store the default backend.
func onSlowStore(t *testing.T, later bool) *slowStore {
	t.Helper()
	registerSlowStore.Do(func() {
		backends.Register("slow-store", func(s engine.Settings) (engine.Engine, error) {
			e, err := memcached.Open(s)
			store := &slowStore{Engine: e, open: make(chan struct{})}
			close(store.open)
			slowStores.Store(s.Location[0], store)
			return store, err
		})
	})
	server := memcachedtest.Start(t)
	cachetest.Configure(t, backends.Config{"default": {
		Backend: "slow-store", Location: []string{server.Addr()},
		Options: map[string]any{"store_later": later, "operation_timeout": "20s"}, // stores are held
	}})
	opened, _ := slowStores.Load(server.Addr())
	store := opened.(*slowStore)
	store.t = t
	return store
}

// still fails the test if there is an answer before the store waits, or soon after.
func still(t *testing.T, what string, s *slowStore, stores int32, c <-chan answer) {
	t.Helper()
	eventually(t, "the store", func() bool { return s.waiting.Load() == stores })
	select {
	case a := <-c:
		t.Fatalf("%s: %v before the store", what, a)
	case <-time.After(20 * time.Millisecond):
	}
}

func want(t *testing.T, what string, run int, c <-chan answer) {
	t.Helper()
	if a := within(t, what, c); a.run != run || a.err != nil {
		t.Errorf("%s: %d, %v, want %d", what, a.run, a.err, run)
	}
}
