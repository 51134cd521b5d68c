package backends_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/logging"
)

// A spy is an engine that records the calls it gets and fails those that fail names.
type spy struct {
	engine.Engine
	settings engine.Settings // that it was opened with

	mu    sync.Mutex
	calls []string
	fail  map[string]error // by method

	gate atomic.Pointer[chan struct{}] // see hold
}

// note returns the error that the method is to fail with.
func (s *spy) note(method string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, strings.TrimSpace(fmt.Sprintln(append([]any{method}, args...)...)))
	return s.fail[method]
}

// noted returns the calls since the last noted.
func (s *spy) noted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// peeked returns those calls and leaves them for noted.
func (s *spy) peeked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *spy) Get(ctx context.Context, key string) (engine.Item, error) {
	if err := s.note("Get", key); err != nil {
		return engine.Item{}, err
	}
	return s.Engine.Get(ctx, key)
}

func (s *spy) GetMany(ctx context.Context, keys []string) (map[string]engine.Item, error) {
	if err := s.note("GetMany", keys); err != nil {
		found, _ := s.Engine.GetMany(ctx, keys[:1])
		return found, err
	}
	return s.Engine.GetMany(ctx, keys)
}

func (s *spy) Set(ctx context.Context, key string, item engine.Item, timeout time.Duration) error {
	if err := s.note("Set", key, timeout); err != nil {
		return err
	}
	return s.Engine.Set(ctx, key, item, timeout)
}

func (s *spy) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if err := s.note("Add", key, timeout); err != nil {
		return false, err
	}
	return s.Engine.Add(ctx, key, item, timeout)
}

func (s *spy) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if err := s.note("CompareAndSwap", key, timeout); err != nil {
		return false, err
	}
	if gate := s.gate.Load(); gate != nil {
		<-*gate // whatever ctx says
	}
	return s.Engine.CompareAndSwap(ctx, key, item, timeout)
}

func (s *spy) Delete(ctx context.Context, key string) (bool, error) {
	if err := s.note("Delete", key); err != nil {
		return false, err
	}
	return s.Engine.Delete(ctx, key)
}

func (s *spy) Incr(ctx context.Context, key string, delta int64) (int64, error) {
	if err := s.note("Incr", key, delta); err != nil {
		return 0, err
	}
	return s.Engine.Incr(ctx, key, delta)
}

func (s *spy) Clear(ctx context.Context, prefix string) error {
	if err := s.note("Clear", prefix); err != nil {
		return err
	}
	return s.Engine.Clear(ctx, prefix)
}

func (s *spy) Close() error {
	if err := s.note("Close"); err != nil {
		return err
	}
	return s.Engine.Close()
}

// hold keeps compare-and-swaps waiting until gate is closed.
func (s *spy) hold(gate chan struct{}) { s.gate.Store(&gate) }

// CheckKey refuses the letter x, which no other engine does.
func (s *spy) CheckKey(key string) error {
	if strings.Contains(key, "x") {
		return fmt.Errorf("%w: %q has an x", cacheutils.ErrInvalidKey, key)
	}
	return nil
}

var _ engine.KeyChecker = (*spy)(nil)

// spies are those that were opened, by location.
var spies sync.Map

func init() {
	backends.Register("spy", func(s engine.Settings) (engine.Engine, error) {
		opened := &spy{Engine: &shelf{shelfItems: &shelfItems{items: map[string]shelved{}}}, settings: s, fail: map[string]error{}}
		spies.Store(strings.Join(s.Location, ""), opened)
		return opened, nil
	})
}

// spied returns a cache with those settings on a spy.
func spied(t *testing.T, s backends.Settings) (*backends.Cache, *spy) {
	t.Helper()
	s.Backend, s.Location = "spy", []string{t.Name()}
	configure(t, backends.Config{"spied": s})
	e, _ := spies.Load(t.Name())
	return get(t, "spied"), e.(*spy)
}

// A sink keeps the messages of events with their errors.
type sink struct {
	mu     sync.Mutex
	debug  bool
	events []string
}

func (s *sink) Enabled(level logging.Level) bool { return s.debug || level > logging.LevelDebug }

func (s *sink) Log(level logging.Level, e logging.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := e.Backend + ": " + e.Message()
	if e.Err != nil {
		line += ": " + e.Err.Error()
	}
	s.events = append(s.events, line)
}

func (s *sink) logged() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// logTo sends the log to a sink for the time of the test.
func logTo(t *testing.T, debug bool) *sink {
	s := &sink{debug: debug}
	logging.SetSink(s)
	t.Cleanup(func() { logging.SetSink(nil) })
	return s
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", what, diff)
	}
}
