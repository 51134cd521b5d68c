package backends_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
)

// A Django project's OPTIONS are used as they are: those that mean nothing here are left out, and the log says so.
func TestConfigure_DjangoOptions(t *testing.T) {
	const django = "django.core.cache.backends."
	for _, test := range []struct {
		name, backend, options string
		want                   backends.Settings
		leftOut                string
	}{
		{
			"PyMemcacheCache", django + "memcached.PyMemcacheCache",
			`{"no_delay": true, "ignore_exc": true, "max_pool_size": 4, "use_pooling": true, "connect_timeout": 1}`,
			backends.Settings{Backend: "memcached", Options: map[string]any{"no_delay": true, "max_conns": 4.0, "connect_timeout": time.Second}},
			"ignore_exc, use_pooling",
		},
		{
			"PyLibMCCache", django + "memcached.PyLibMCCache",
			`{"binary": true, "username": "u", "password": "p", "behaviors": {"ketama": true}}`,
			backends.Settings{Backend: "memcached", Options: map[string]any{}},
			"behaviors, binary, password, username",
		},
		{
			"one of ours as well", django + "memcached.PyMemcacheCache", `{"max_pool_size": 4, "MAX_CONNS": 8}`,
			backends.Settings{Backend: "memcached", Options: map[string]any{"MAX_CONNS": 8.0}},
			"max_pool_size",
		},
		{
			"LocMemCache", django + "locmem.LocMemCache", `{"MAX_ENTRIES": 100, "CULL_FREQUENCY": 2}`,
			backends.Settings{Backend: "locmem", Options: map[string]any{"MAX_ENTRIES": 100.0}},
			"CULL_FREQUENCY",
		},
		{
			"DummyCache", django + "dummy.DummyCache", `{"MAX_ENTRIES": 100, "max_pool_size": 2}`,
			backends.Settings{Backend: "dummy"},
			"MAX_ENTRIES, max_pool_size",
		},
		{
			"the group backend", "cache_utils.group_backend.CacheClass", `{"MAX_ENTRIES": 100, "stale": "1s"}`,
			backends.Settings{Backend: "group", Options: map[string]any{"stale": "1s"}},
			"MAX_ENTRIES",
		},
		{
			"as a group backend", "group+" + django + "locmem.LocMemCache", `{"MAX_ENTRIES": 100, "CULL_FREQUENCY": 2, "stale": "1s"}`,
			backends.Settings{Backend: "group+locmem", Options: map[string]any{"MAX_ENTRIES": 100.0, "stale": "1s"}},
			"CULL_FREQUENCY",
		},
		{
			"by the engine's own name", "locmem", `{"MAX_ENTRIES": 100}`,
			backends.Settings{Backend: "locmem", Options: map[string]any{"MAX_ENTRIES": 100.0}},
			"",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := logTo(t, false)
			var config backends.Config
			if err := json.Unmarshal(fmt.Appendf(nil, `{"default": {"BACKEND": %q, "OPTIONS": %s}}`, test.backend, test.options), &config); err != nil {
				t.Fatal(err)
			}
			want(t, "settings", config["default"], test.want)
			events := log.logged()
			if test.leftOut == "" && len(events) > 0 || test.leftOut != "" && (len(events) != 1 || !strings.HasSuffix(events[0], ": "+test.leftOut)) {
				t.Errorf("got log %q, want one line about %q", events, test.leftOut)
			}
			configure(t, config)
			if strings.Contains(test.backend, ".") { // in Go, too
				var options map[string]any
				if err := json.Unmarshal([]byte(test.options), &options); err != nil {
					t.Fatal(err)
				}
				configure(t, backends.Config{"default": {Backend: test.backend, Options: options}})
			}
		})
	}
	err := backends.Configure(backends.Config{"default": {Backend: django + "locmem.LocMemCache", Options: map[string]any{"MAX_ENTRY": 1}}})
	if !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), "MAX_ENTRY") {
		t.Errorf("a mistyped option: got %v, want ErrConfig", err)
	}
}

// An engine that registers a driver says how its URLs are read.
func TestParseURL_ByDriver(t *testing.T) {
	for _, test := range []struct {
		url  string
		want backends.Settings
	}{
		{"vault://user:secret@h:1/7?timeout=1h&prefix=p&version=2&stale=1m&size=3", backends.Settings{
			Backend: "vault", Location: []string{"h:1"}, Timeout: time.Hour, KeyPrefix: "p", Version: "2",
			Options: map[string]any{"stale": "1m", "user": "user", "room": "7", "size": "3"},
		}},
		{"vaults+tls://h", backends.Settings{Backend: "vault", Location: []string{"h"}, Options: map[string]any{"tls": true}}},
		{"group+vaults+tls://h", backends.Settings{Backend: "group+vault", Location: []string{"h"}, Options: map[string]any{"tls": true}}},
	} {
		s, err := backends.ParseURL(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
		}
		if diff := cmp.Diff(test.want, s); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.url, diff)
		}
		if test.want.Version == "" {
			configure(t, backends.Config{"default": s})
		}
	}
	_, err := backends.ParseURL("vault://user:secret@h?stale=1&stale=2")
	if !errors.Is(err, cacheutils.ErrConfig) || strings.Contains(err.Error(), "secret") {
		t.Errorf("an option that is given twice: got %v, want ErrConfig without the password", err)
	}
}

func init() {
	engine.Register(engine.Driver{
		Names:   []string{"vault", "my.site.VaultCache"},
		Schemes: []string{"vault", "vaults+tls"},
		Open: func(s engine.Settings) (engine.Engine, error) {
			return locmem.Open(engine.Settings{Location: s.Location})
		},
		ParseURL: func(text string) (s engine.Settings, err error) {
			u, err := url.Parse(text)
			if err != nil {
				return s, err
			}
			s.Location, s.Options = []string{u.Host}, map[string]any{}
			for name, value := range u.Query() {
				s.Options[name] = value[0]
			}
			if u.User != nil {
				s.Options["user"] = u.User.Username()
			}
			if u.Scheme == "vaults+tls" {
				s.Options["tls"] = true
			}
			if room := strings.Trim(u.Path, "/"); room != "" {
				s.Options["room"] = room
			}
			return s, nil
		},
	})
}

// Settings.Open brings an engine along that nobody has registered.
func ExampleSettings_open() {
	shared, err := locmem.Open(engine.Settings{Location: []string{"at hand"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = backends.Configure(backends.Config{"default": {
		Open: func(engine.Settings) (engine.Engine, error) { return shared, nil },
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer backends.Configure(nil)
	c, err := backends.Get("default")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Set(context.Background(), "city", "Rome"))
	// Output: <nil>
}

func TestSettings_Open(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name string
		s    backends.Settings
		want error
	}{
		{"an error", backends.Settings{Open: func(engine.Settings) (engine.Engine, error) { return nil, broken }}, broken},
		{"nothing", backends.Settings{Open: func(engine.Settings) (engine.Engine, error) { return nil, nil }}, cacheutils.ErrConfig},
		{"along with Backend", backends.Settings{Backend: "locmem", Open: locmem.Open}, cacheutils.ErrConfig},
		{"an unknown option", backends.Settings{Open: locmem.Open, Options: map[string]any{"nope": 1}}, cacheutils.ErrConfig},
		{"grouped", backends.Settings{Backend: "group", Open: locmem.Open}, nil},
	} {
		err := backends.Configure(backends.Config{"default": test.s})
		if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), `"default"`) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	backends.Configure(nil)
}
