package backendtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/store"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/logging"
)

var ctx = context.Background()

// patience bounds every wait for what has to happen.
const patience = 20 * time.Second

// A suite is an engine under test.
type suite struct {
	open    func(engine.Settings) (engine.Engine, error)
	backend string   // the name that it is registered under
	groups  []string // those of every operation
	log     *recorder
}

// configure makes caches on the engine, with "default" among them, and empties the store.
func (s *suite) configure(t *testing.T, config backends.Config) {
	t.Helper()
	all := backends.Config{"default": {}}
	maps.Copy(all, config)
	for name, settings := range all {
		if settings.Backend == "" {
			settings.Backend = s.backend
		}
		all[name] = settings
	}
	t.Cleanup(func() { configure(t, nil) })
	configure(t, all)
	if err := s.cache(t, "default").Clear(ctx); err != nil {
		t.Fatalf("clear the store: %v", err)
	}
	s.log.forget()
}

func configure(t *testing.T, config backends.Config) {
	t.Helper()
	if err := backends.Configure(config); err != nil {
		t.Fatal(err)
	}
}

// cache returns the cache of that name in the configuration.
func (s *suite) cache(t *testing.T, name string) cache {
	t.Helper()
	c, err := backends.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	st, err := backends.Default().Store(name, store.Caller{})
	if err != nil {
		t.Fatal(err)
	}
	return cache{c, st, t, s.groups}
}

// only configures a "default" and nothing else.
func (s *suite) only(t *testing.T) cache {
	t.Helper()
	s.configure(t, nil)
	return s.cache(t, "default")
}

// engine opens the engine itself. What a cache without prefix calls "k" is ":1:k" there.
func (s *suite) engine(t *testing.T) engine.Engine {
	t.Helper()
	e, err := s.open(engine.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if e == nil {
		t.Fatal("open returned neither an engine nor an error")
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

// emptied is engine with nothing in its store.
func (s *suite) emptied(t *testing.T) engine.Engine {
	t.Helper()
	e := s.engine(t)
	if err := e.Clear(ctx, ""); err != nil {
		t.Fatalf("Clear: %v", err)
	}
	return e
}

// checkKey returns the engine's verdict on a key as it is stored. Engines without one take
// any key.
func checkKey(e engine.Engine, stored string) error {
	if k, ok := engine.As[engine.KeyChecker](e); ok {
		return k.CheckKey(stored)
	}
	return nil
}

// A cache is a cache whose operations have to succeed. Those that Cache has, too, are in
// the groups.
type cache struct {
	*backends.Cache
	store  *store.Store
	t      *testing.T
	groups []string
}

func (c cache) ok(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c cache) fails(err, want error) {
	c.t.Helper()
	if !errors.Is(err, want) {
		c.t.Fatalf("got error %v, want one that matches %q", err, want)
	}
}

// yes takes the answer of Add, Touch, Delete or Has and wants it to be true.
func (c cache) yes(got bool, err error) {
	c.t.Helper()
	c.ok(err)
	if !got {
		c.t.Fatal("got false, want true")
	}
}

func (c cache) no(got bool, err error) {
	c.t.Helper()
	c.ok(err)
	if got {
		c.t.Fatal("got true, want false")
	}
}

// is takes the answer of Incr or Decr.
func (c cache) is(want int64) func(int64, error) {
	return func(got int64, err error) {
		c.t.Helper()
		c.ok(err)
		if got != want {
			c.t.Fatalf("got %d, want %d", got, want)
		}
	}
}

func (c cache) set(key string, value any, opts ...backends.Option) {
	c.t.Helper()
	c.ok(c.Set(ctx, key, value, opts...))
}

// setMany wants all values stored.
func (c cache) setMany(values any, opts ...backends.Option) {
	c.t.Helper()
	failed, err := c.SetMany(ctx, values, opts...)
	c.ok(err)
	if len(failed) > 0 {
		c.t.Fatalf("SetMany returned %q as failed without an error", failed)
	}
}

// holds wants a value equal to want under key, in a variable of its type.
func (c cache) holds(key string, want any, opts ...backends.Option) {
	c.t.Helper()
	into := variable(want)
	if err := c.Get(ctx, key, into.Interface(), opts...); err != nil {
		c.t.Fatalf("get %q: got error %v, want %v", key, err, want)
	}
	c.same("get "+key, want, into.Elem().Interface())
}

// variable returns a pointer to a new variable that can hold value.
func variable(value any) reflect.Value {
	if value == nil {
		return reflect.New(reflect.TypeFor[any]())
	}
	return reflect.New(reflect.TypeOf(value))
}

// same compares values of any types, NaN with NaN too.
func (c cache) same(what string, want, got any) {
	c.t.Helper()
	if reflect.DeepEqual(want, got) {
		return // cmp is slow
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		c.t.Fatalf("%s: (-want +got)\n%s", what, diff)
	}
}

// misses wants nothing under key, and the variable left alone.
func (c cache) misses(key string, opts ...backends.Option) {
	c.t.Helper()
	var into any = "as it was"
	err := c.Get(ctx, key, &into, opts...)
	if !errors.Is(err, cacheutils.ErrCacheMiss) {
		c.t.Fatalf("get %q: got %v with error %v, want ErrCacheMiss", key, into, err)
	}
	if errors.Is(err, cacheutils.ErrUndecodable) {
		c.t.Fatalf("get %q: got error %v, want a plain miss", key, err)
	}
	if into != "as it was" {
		c.t.Fatalf("get %q: a miss set the variable to %v", key, into)
	}
}

// ends waits until nothing is under key.
func (c cache) ends(key string) {
	c.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		has, err := c.Has(ctx, key)
		c.ok(err)
		if !has {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("%q is still there", key)
		}
	}
}

// raw copies what is under one stored key to another, as no caller of a Cache can.
func raw(t *testing.T, e engine.Engine, from, to string) {
	t.Helper()
	item, err := e.Get(ctx, from)
	if err != nil {
		t.Fatalf("engine: get %q: %v", from, err)
	}
	if err := e.Set(ctx, to, item, time.Hour); err != nil {
		t.Fatalf("engine: set %q: %v", to, err)
	}
}

// methods are those of a Cache that take keys.
var methods = []struct {
	name string
	call func(ctx context.Context, c cache, key string) error
}{
	{"Get", func(ctx context.Context, c cache, key string) error {
		return c.Get(ctx, key, new(any))
	}},
	{"GetMany", func(ctx context.Context, c cache, key string) error {
		return c.GetMany(ctx, []string{"plain", key}, map[string]any{})
	}},
	{"Set", func(ctx context.Context, c cache, key string) error {
		return c.Set(ctx, key, "value")
	}},
	{"SetMany", func(ctx context.Context, c cache, key string) error {
		_, err := c.SetMany(ctx, map[string]string{key: "value"})
		return err
	}},
	{"Add", func(ctx context.Context, c cache, key string) error {
		_, err := c.Add(ctx, key, "value")
		return err
	}},
	{"Touch", func(ctx context.Context, c cache, key string) error {
		_, err := c.Touch(ctx, key)
		return err
	}},
	{"Touch0", func(ctx context.Context, c cache, key string) error {
		_, err := c.Touch(ctx, key, backends.Timeout(0))
		return err
	}},
	{"Incr", func(ctx context.Context, c cache, key string) error {
		_, err := c.Incr(ctx, key, 1)
		return err
	}},
	{"Decr", func(ctx context.Context, c cache, key string) error {
		_, err := c.Decr(ctx, key, 1)
		return err
	}},
	{"Has", func(ctx context.Context, c cache, key string) error {
		_, err := c.Has(ctx, key)
		return err
	}},
	{"Delete", func(ctx context.Context, c cache, key string) error {
		_, err := c.Delete(ctx, key)
		return err
	}},
	{"DeleteMany", func(ctx context.Context, c cache, key string) error {
		return c.DeleteMany(ctx, []string{"plain", key})
	}},
	{"GetOrSet", func(ctx context.Context, c cache, key string) error {
		return c.GetOrSet(ctx, key, new(any), func(ctx context.Context) (any, error) {
			return "value", ctx.Err()
		})
	}},
}

// A recorder is a sink that keeps the events of level warn and above.
type recorder struct {
	mu     sync.Mutex
	events []logging.Event
}

func (r *recorder) Enabled(level logging.Level) bool { return level >= logging.LevelWarn }

func (r *recorder) Log(_ logging.Level, e logging.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// logged returns the messages of events of that action.
func (r *recorder) logged(action logging.Action) (messages []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Action == action {
			messages = append(messages, e.Message())
		}
	}
	return messages
}

func numbered(head string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s-%d", head, i)
	}
	return keys
}
