package backends_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// Django's CACHES setting as JSON.
func ExampleConfig() {
	var config backends.Config
	err := json.Unmarshal([]byte(`{
		"default": {
			"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
			"LOCATION": "10.0.0.1:11211;10.0.0.2:11211",
			"TIMEOUT": 3600,
			"KEY_PREFIX": "shop",
			"VERSION": 2
		}
	}`), &config)
	fmt.Println(err)
	s := config["default"]
	fmt.Println(s.Backend, s.Location, s.Timeout, s.KeyPrefix, s.Version)
	// Output:
	// <nil>
	// memcached [10.0.0.1:11211 10.0.0.2:11211] 1h0m0s shop 2
}

const caches = `{
	"default": {
		"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
		"LOCATION": ["10.0.0.1:11211", "unix:/run/memcached.sock"],
		"TIMEOUT": 3600,
		"KEY_PREFIX": "shop",
		"VERSION": 2,
		"OPTIONS": {"no_delay": true, "OPERATION_TIMEOUT": "500ms", "max_conns": 16}
	},
	"pylibmc": {"BACKEND": "django.core.cache.backends.memcached.PyLibMCCache", "LOCATION": "h1:11211; h2,[::1]:11211"},
	"python-memcached": {"BACKEND": "django.core.cache.backends.memcached.MemcachedCache", "TIMEOUT": "60"},
	"local": {
		"BACKEND": "django.core.cache.backends.locmem.LocMemCache",
		"LOCATION": "unique-snowflake",
		"TIMEOUT": null,
		"VERSION": "beta",
		"OPTIONS": {"MAX_ENTRIES": 1000}
	},
	"off": {"BACKEND": "django.core.cache.backends.dummy.DummyCache", "TIMEOUT": 0},
	"own": {"BACKEND": "locmem", "TIMEOUT": "1h30m"},
	"fraction": {"BACKEND": "locmem", "TIMEOUT": 0.5},
	"endless": {"BACKEND": "locmem", "TIMEOUT": "never", "LOCATION": null, "KEY_PREFIX": null, "VERSION": null, "OPTIONS": null},
	"plain": {"BACKEND": "locmem", "KEY_FUNCTION": "django.core.cache.backends.base.default_key_func"}
}`

func TestConfigure_JSON(t *testing.T) {
	log := logTo(t, false)
	var config backends.Config
	if err := json.Unmarshal([]byte(caches), &config); err != nil {
		t.Fatal(err)
	}
	want(t, "CACHES", config, backends.Config{
		"default": {
			Backend: "memcached", Location: []string{"10.0.0.1:11211", "unix:/run/memcached.sock"},
			Timeout: time.Hour, KeyPrefix: "shop", Version: "2",
			Options: map[string]any{"no_delay": true, "OPERATION_TIMEOUT": "500ms", "max_conns": 16.0},
		},
		"pylibmc":          {Backend: "memcached", Location: []string{"h1:11211", "h2", "[::1]:11211"}},
		"python-memcached": {Backend: "memcached", Timeout: time.Minute},
		"local": {
			Backend: "locmem", Location: []string{"unique-snowflake"}, Timeout: cacheutils.Forever, Version: "beta",
			Options: map[string]any{"MAX_ENTRIES": 1000.0},
		},
		"off":      {Backend: "dummy", Timeout: -1},
		"own":      {Backend: "locmem", Timeout: 90 * time.Minute},
		"fraction": {Backend: "locmem", Timeout: 500 * time.Millisecond},
		"endless":  {Backend: "locmem", Timeout: cacheutils.Forever},
		"plain":    {Backend: "locmem"},
	})
	if events := log.logged(); len(events) != 0 {
		t.Errorf("got log %q, want none", events)
	}
	configure(t, config)
	for name, timeout := range map[string]time.Duration{"local": cacheutils.Forever, "plain": 300 * time.Second, "pylibmc": 300 * time.Second} {
		want(t, "timeout of "+name, get(t, name).Timeout(), timeout)
	}
}

func TestConfigure_JSONErrors(t *testing.T) {
	for _, test := range []struct {
		name, settings string
		names          string // what the error has to name besides the backend
	}{
		{"no object", `"locmem"`, "object"},
		{"unknown setting", `{"BACKEND": "locmem", "TIME_OUT": 1}`, "TIME_OUT"},
		{"backend of the wrong type", `{"BACKEND": 1}`, "BACKEND"},
		{"location of the wrong type", `{"LOCATION": {}}`, "LOCATION"},
		{"location of numbers", `{"LOCATION": [1]}`, "LOCATION"},
		{"prefix of the wrong type", `{"KEY_PREFIX": 1}`, "KEY_PREFIX"},
		{"version with a fraction", `{"VERSION": 1.5}`, "VERSION"},
		{"options of the wrong type", `{"OPTIONS": []}`, "OPTIONS"},
		{"key function", `{"KEY_FUNCTION": "path.to.function"}`, "KEY_FUNCTION"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var config backends.Config
			err := json.Unmarshal(fmt.Appendf(nil, `{"default": {"BACKEND": "locmem"}, "sessions": %s}`, test.settings), &config)
			if !errors.Is(err, cacheutils.ErrConfig) {
				t.Fatalf("got error %v, want ErrConfig", err)
			}
			for _, name := range []string{"sessions", test.names} {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("got error %q, want %q in it", err, name)
				}
			}
		})
	}
}
