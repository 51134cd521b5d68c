package backends_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
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

// An invalidation that doesn't reach its server is an error. With invalidation_replay, this process gets
// nothing that it has invalidated, from the moment that the error is returned.
func TestInvalidationReplay(t *testing.T) {
	ctx := context.Background()
	for _, queued := range []bool{false, true} {
		server := memcachedtest.Start(t)
		options := map[string]any{"operation_timeout": "250ms", "probe_interval": "50ms"}
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

type wrapped struct{ engine.Engine }

type unwrapped struct{ wrapped }

func (u unwrapped) Unwrap() engine.Engine { return u.Engine }

// A wrapper around memcached says that its server is down if it has an Unwrap, and knows which keys it can't take.
func TestServers_OfAWrapper(t *testing.T) {
	server := memcachedtest.Start(t)
	for name, wrap := range map[string]func(engine.Engine) engine.Engine{
		"with Unwrap":    func(e engine.Engine) engine.Engine { return unwrapped{wrapped{e}} },
		"without Unwrap": func(e engine.Engine) engine.Engine { return wrapped{e} },
	} {
		c := openWith(t, server.Addr(), wrap)
		if err := c.Ping(context.Background()); err != nil {
			t.Errorf("%s: Ping: %v", name, err)
		}
	}
	server.Stop()
	c := openWith(t, server.Addr(), func(e engine.Engine) engine.Engine { return unwrapped{wrapped{e}} })
	if err := c.Ping(context.Background()); err == nil || !strings.Contains(err.Error(), server.Addr()) {
		t.Errorf("Ping with the server down: got %v, want an error that names it", err)
	}
	if len(c.Servers()) != 1 {
		t.Errorf("Servers: got %v", c.Servers())
	}
	if err := c.Set(context.Background(), "two words", 1); !errors.Is(err, cacheutils.ErrInvalidKey) {
		t.Errorf("Set with a key that memcached can't take: got %v, want ErrInvalidKey", err)
	}
	c = openWith(t, server.Addr(), func(e engine.Engine) engine.Engine { return wrapped{e} })
	if err := c.Ping(context.Background()); err != nil || len(c.Servers()) != 0 {
		t.Errorf("without Unwrap: Ping: %v, Servers: %v, want none: the docs say so", err, c.Servers())
	}
}

var wrappers atomic.Int64

// openWith configures a "default" on memcached that is wrapped.
func openWith(t *testing.T, address string, wrap func(engine.Engine) engine.Engine) *backends.Cache {
	t.Helper()
	name := fmt.Sprint("wrapper", wrappers.Add(1))
	backends.Register(name, func(s engine.Settings) (engine.Engine, error) {
		e, err := memcached.Open(s)
		return wrap(e), err
	})
	configure(t, backends.Config{"default": {Backend: name, Location: []string{address}}})
	return get(t, "default")
}
