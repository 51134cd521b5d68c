//go:build linux

package faults_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

var ctx = context.Background()

// configure makes servers the default backend, with the settings of the group backend.
func configure(t *testing.T, options map[string]any, addrs ...string) *backends.Cache {
	t.Helper()
	cachetest.Configure(t, backends.Config{"default": settings(options, addrs...)})
	c := backend(t, "default")
	if n := len(c.Servers()); n != len(addrs) {
		t.Fatalf("the backend has %d servers, want %d", n, len(addrs))
	}
	return c
}

func settings(options map[string]any, addrs ...string) backends.Settings {
	all := map[string]any{"clear": "flush_all"}
	maps.Copy(all, options)
	return backends.Settings{Backend: "group", Location: addrs, Options: all}
}

func backend(t *testing.T, name string) *backends.Cache {
	t.Helper()
	c, err := backends.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type loader func(ctx context.Context, n int) (string, error)

// A function is a decorated one whose results are checked. What it returns names its argument
// and the version of the data at the time that it ran.
type function struct {
	*decorators.Handle[loader]
	call    loader
	version atomic.Int64
	runs    atomic.Int64

	calls, failed, wrong atomic.Int64
}

func decorate(t *testing.T, opts ...decorators.Option) *function {
	f := &function{}
	opts = append(opts, decorators.Key(t.Name()))
	f.call, f.Handle = decorators.Cached(loader(f.load), opts...)
	return f
}

func (f *function) load(_ context.Context, n int) (string, error) {
	f.runs.Add(1)
	return f.value(n), nil
}

func (f *function) value(n int) string { return fmt.Sprintf("%d in version %d", n, f.version.Load()) }

// get calls the function, while nobody changes the version, and returns how long that took.
func (f *function) get(n int) time.Duration {
	start := time.Now()
	got, err := f.call(ctx, n)
	took := time.Since(start)
	f.calls.Add(1)
	switch {
	case err != nil:
		f.failed.Add(1)
	case got != f.value(n):
		f.wrong.Add(1)
	}
	return took
}

// warm caches the values of 0 to n-1.
func (f *function) warm(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		f.get(i)
	}
	before := f.runs.Load()
	for i := range n {
		f.get(i)
	}
	if again := f.runs.Load() - before; again > 0 {
		t.Fatalf("%d of %d values are not cached", again, n)
	}
}

// right asserts that there were calls, none of which has got an error or another value than its own.
func (f *function) right(t *testing.T, what string, raw any) {
	t.Helper()
	calls := int(f.calls.Load())
	if calls == 0 {
		t.Errorf("%s: there were no calls: not a test", what)
	}
	exactly(t, what+": right results", calls, calls-int(f.failed.Load()+f.wrong.Load()), raw)
}

// met asserts that calls have met a fault.
func (f *function) met(t *testing.T, what string) {
	t.Helper()
	if f.Stats().Errors == 0 {
		t.Errorf("%s: no call has met a fault: not a test", what)
	}
}

// together runs f n times at once.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// server returns what the default backend knows of one of its servers.
func server(t *testing.T, c *backends.Cache, addr string) backends.Server {
	t.Helper()
	for _, s := range c.Servers() {
		if s.Address == addr {
			return s
		}
	}
	t.Fatalf("the backend has no server %s", addr)
	return backends.Server{}
}
