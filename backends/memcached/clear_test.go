package memcached_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Clear empties a server, which others may use, only where an option says that it may.
func TestClear_OnlyWhenAsked(t *testing.T) {
	server := memcachedtest.Start(t)
	neighbour := open(t, nil, server.Addr())
	mustSet(t, neighbour, "theirs", text("v"))
	for name, s := range map[string]backends.Settings{
		"Go":       {Backend: "memcached", Location: []string{server.Addr()}},
		"a prefix": {Backend: "memcached", Location: []string{server.Addr()}, KeyPrefix: "shop"},
		"group":    {Backend: "group", Location: []string{server.Addr()}},
		"Django":   {Backend: "django.core.cache.backends.memcached.PyMemcacheCache", Location: []string{server.Addr()}},
		"nothing":  {Backend: "memcached", Location: []string{server.Addr()}, Options: map[string]any{"clear": ""}},
		"secret":   {Backend: "memcached", Location: []string{server.Addr()}, Options: map[string]any{"secret": "a secret of a test of Clear, 1234"}},
	} {
		set, err := backends.New(backends.Config{"default": s})
		if err != nil {
			t.Fatal(err)
		}
		c, err := set.Get("default")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Set(ctx, "ours", "v"); err != nil {
			t.Fatal(err)
		}
		err = c.Clear(ctx)
		if !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), `set the option clear to "flush_all"`) {
			t.Errorf("%s: Clear: %v, want an error that says what to set", name, err)
		}
		if had, err := c.Has(ctx, "ours"); !had || err != nil || value(neighbour, "theirs") != "v" {
			t.Errorf("%s: something was cleared: %v, %v; %s", name, had, err, value(neighbour, "theirs"))
		}
		set.Close()
	}

	asked, err := backends.ParseURL("memcached://" + server.Addr() + "?clear=flush_all")
	if err != nil {
		t.Fatal(err)
	}
	set, err := backends.New(backends.Config{"default": asked})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	c, err := set.Get("default")
	if err == nil {
		err = c.Clear(ctx)
	}
	if err != nil || value(neighbour, "theirs") != miss {
		t.Errorf("Clear where it may: %v, and then %s", err, value(neighbour, "theirs"))
	}
	for _, wrong := range []any{"all", "FLUSH_ALL", "true", true, 1} {
		_, err := memcached.Open(engine.Settings{Options: map[string]any{"clear": wrong}})
		if !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), "clear") {
			t.Errorf("clear of %v: %v, want an error that names it", wrong, err)
		}
	}
}
