package backends_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

func TestPing(t *testing.T) {
	ctx := context.Background()
	cachetest.Locmem(t)
	c := get(t, "default")
	if err := c.Ping(ctx); err != nil || len(c.Servers()) != 0 || len(c.Health(ctx)) != 0 {
		t.Errorf("locmem: %v, %v, %v", err, c.Servers(), c.Health(ctx))
	}

	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	cachetest.Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{a.Addr(), b.Addr()}}})
	c = get(t, "default")
	if err := c.Ping(ctx); err != nil {
		t.Error(err)
	}
	if servers := c.Servers(); len(servers) != 2 || servers[0].Address >= servers[1].Address || servers[0].Dials != 1 {
		t.Errorf("got %+v", servers)
	}
	a.Stop()
	err := c.Ping(ctx)
	if err == nil || !strings.Contains(err.Error(), a.Addr()) || strings.Contains(err.Error(), b.Addr()) {
		t.Errorf("got %v, want an error that names %s", err, a.Addr())
	}
	if health := c.Health(ctx); health[a.Addr()] == nil || health[b.Addr()] != nil {
		t.Errorf("got %v", health)
	}
}

// An invalidation that doesn't reach its server is an error. With invalidation_replay, this
// process then gets nothing that it has invalidated, from the moment that the error is returned.
func TestInvalidationReplay(t *testing.T) {
	ctx := context.Background()
	for _, queued := range []bool{false, true} {
		server := memcachedtest.Start(t)
		options := map[string]any{"operation_timeout": "50ms", "probe_interval": "50ms"}
		if queued {
			options["invalidation_replay"] = 100
		}
		cachetest.Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}, Options: options}})
		c := get(t, "default")
		for _, key := range []string{"deleted", "kept"} {
			if err := c.Set(ctx, key, "old"); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Set(ctx, "grouped", "old", backends.Group("g")); err != nil {
			t.Fatal(err)
		}
		server.Pause()
		_, err := c.Delete(ctx, "deleted")
		groupErr := c.InvalidateGroup(ctx, "g")
		if err == nil || errors.Is(err, cacheutils.ErrQueued) != queued {
			t.Errorf("delete: %v, want ErrQueued: %v", err, queued)
		}
		if groupErr == nil || errors.Is(groupErr, cacheutils.ErrQueued) != queued {
			t.Errorf("invalidate the group: %v, want ErrQueued: %v", groupErr, queued)
		}
		server.Resume()

		// Read from the first moment that it is served.
		var got string
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the server doesn't come back")
			}
			deleted := c.Get(ctx, "deleted", &got)
			grouped := c.Get(ctx, "grouped", &got, backends.Group("g"))
			if queued && (deleted == nil || grouped == nil) {
				t.Fatalf("what was invalidated is served: %v, %v", deleted, grouped)
			}
			if c.Get(ctx, "kept", &got) == nil {
				break
			}
		}
	}
}
