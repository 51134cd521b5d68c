//go:build linux

package faults_test

import (
	"errors"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// An InvalidateGroup whose answer is lost has been carried out, and is once more when the server is
// back. What another process has invalidated in between stays so.
func TestFault_ReplayTwice(t *testing.T) {
	behind := memcachedtest.Start(t)
	proxy := faultproxy.Start(t, behind.Addr())
	cachetest.Configure(t, backends.Config{
		"here": {Backend: "memcached", Location: []string{proxy.Addr()}, Options: map[string]any{
			"invalidation_replay": 10, "operation_timeout": "100ms", "probe_interval": "50ms",
		}},
		"there": {Backend: "memcached", Location: []string{behind.Addr()}},
	})
	here, _ := backends.Get("here")
	there, _ := backends.Get("there")

	proxy.Rewrite(func([]byte) []byte { return nil })
	if err := here.InvalidateGroup(ctx, "g"); !errors.Is(err, cacheutils.ErrQueued) {
		t.Fatalf("got %v, want ErrQueued", err)
	}
	if err := there.Set(ctx, "k", "old", backends.Group("g")); err != nil {
		t.Fatal(err)
	}
	if err := there.InvalidateGroup(ctx, "g"); err != nil {
		t.Fatal(err)
	}
	proxy.Pass()
	eventually(t, "nothing waits", func() bool { return server(t, here, proxy.Addr()).Queued == 0 })
	var got string
	if err := there.Get(ctx, "k", &got, backends.Group("g")); !errors.Is(err, cacheutils.ErrCacheMiss) {
		t.Errorf("got %q, %v, want a miss: it was invalidated", got, err)
	}
}
