// Package cachetest configures backends for tests: for one test, or for the same test on each
// engine that stores something.
package cachetest

import (
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Configure sets the backends until the end of the test.
func Configure(t testing.TB, config backends.Config) {
	t.Helper()
	configure(t, config)
	t.Cleanup(func() { configure(t, nil) })
}

func configure(t testing.TB, config backends.Config) {
	t.Helper()
	if err := backends.Configure(config); err != nil {
		t.Fatal(err)
	}
}

// Each runs test with each engine as the default backend, on a store of its own.
func Each(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Run("locmem", func(t *testing.T) {
		Locmem(t)
		test(t)
	})
	t.Run("memcached", func(t *testing.T) {
		memcached(t, map[string]any{"operation_timeout": "5s"}) // a busy machine is not a fault
		test(t)
	})
}

// Locmem makes an empty locmem the default backend.
func Locmem(t testing.TB) {
	t.Helper()
	Configure(t, backends.Config{"default": {Backend: "locmem", Location: []string{t.Name()}}})
}

// Memcached makes a new memcached, which Clear empties, the default backend and returns it.
func Memcached(t testing.TB) *memcachedtest.Server {
	t.Helper()
	return memcached(t, map[string]any{})
}

func memcached(t testing.TB, options map[string]any) *memcachedtest.Server {
	t.Helper()
	server := memcachedtest.Start(t)
	options["clear"] = "flush_all"
	Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}, Options: options}})
	return server
}
