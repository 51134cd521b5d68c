package backends_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
)

// The settings that Django's reference and its topic on caching show, and those of projects that use what is
// documented by the clients. What isn't there yet is an error that says so.
func TestDjangoCaches(t *testing.T) {
	const (
		pymemcache = "django.core.cache.backends.memcached.PyMemcacheCache"
		pylibmc    = "django.core.cache.backends.memcached.PyLibMCCache"
		redis      = "Redis and Valkey are not supported yet"
	)
	for _, test := range []struct {
		name, settings string
		want           backends.Settings
		leftOut        string // of the log
		refused        string // the error has it
	}{
		{"the default", `{"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}`, backends.Settings{Backend: "locmem"}, "", ""},
		{"locmem with a name", `{"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "unique-snowflake"}`,
			backends.Settings{Backend: "locmem", Location: []string{"unique-snowflake"}}, "", ""},
		{"locmem with an empty name", `{"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": ""}`, backends.Settings{Backend: "locmem"}, "", ""},
		{"locmem with all that is of all", `{"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "a", "TIMEOUT": 60, "VERSION": 3,
			"KEY_PREFIX": "site1", "KEY_FUNCTION": null, "OPTIONS": {"MAX_ENTRIES": 1000, "CULL_FREQUENCY": 4}}`,
			backends.Settings{Backend: "locmem", Location: []string{"a"}, Timeout: time.Minute, Version: "3", KeyPrefix: "site1",
				Options: map[string]any{"MAX_ENTRIES": 1000.0}}, "CULL_FREQUENCY", ""},
		{"memcached over TCP", `{"BACKEND": "` + pymemcache + `", "LOCATION": "127.0.0.1:11211"}`,
			backends.Settings{Backend: "memcached", Location: []string{"127.0.0.1:11211"}}, "", ""},
		{"memcached over a socket", `{"BACKEND": "` + pymemcache + `", "LOCATION": "unix:/tmp/memcached.sock"}`,
			backends.Settings{Backend: "memcached", Location: []string{"unix:/tmp/memcached.sock"}}, "", ""},
		{"a socket for pylibmc", `{"BACKEND": "` + pylibmc + `", "LOCATION": "/tmp/memcached.sock"}`,
			backends.Settings{Backend: "memcached", Location: []string{"/tmp/memcached.sock"}}, "", ""},
		{"servers in a list", `{"BACKEND": "` + pymemcache + `", "LOCATION": ["172.19.26.240:11211", "172.19.26.242:11212", "172.19.26.244:11213"]}`,
			backends.Settings{Backend: "memcached", Location: []string{"172.19.26.240:11211", "172.19.26.242:11212", "172.19.26.244:11213"}}, "", ""},
		{"servers in one text", `{"BACKEND": "` + pylibmc + `", "LOCATION": "172.19.26.240:11211;172.19.26.242:11211"}`,
			backends.Settings{Backend: "memcached", Location: []string{"172.19.26.240:11211", "172.19.26.242:11211"}}, "", ""},
		{"never and by default", `{"BACKEND": "` + pymemcache + `", "TIMEOUT": null}`, backends.Settings{Backend: "memcached", Timeout: cacheutils.Forever}, "", ""},
		{"not at all", `{"BACKEND": "` + pymemcache + `", "TIMEOUT": 0}`, backends.Settings{Backend: "memcached", Timeout: -1}, "", ""},
		{"pymemcache's options", `{"BACKEND": "` + pymemcache + `", "LOCATION": "127.0.0.1:11211",
			"OPTIONS": {"no_delay": true, "ignore_exc": true, "max_pool_size": 4, "use_pooling": true}}`,
			backends.Settings{Backend: "memcached", Location: []string{"127.0.0.1:11211"}, Options: map[string]any{"no_delay": true, "max_conns": 4.0}},
			"ignore_exc, use_pooling", ""},
		{"more of them", `{"BACKEND": "` + pymemcache + `", "OPTIONS": {"connect_timeout": 0.5, "timeout": 120, "pool_idle_timeout": 60, "default_noreply": false,
			"allow_unicode_keys": true, "encoding": "utf8", "retry_attempts": 2, "retry_timeout": 1, "dead_timeout": 60, "serde": null, "socket_keepalive": null,
			"MAX_ENTRIES": 500, "CULL_FREQUENCY": 3}}`,
			backends.Settings{Backend: "memcached", Options: map[string]any{"connect_timeout": 500 * time.Millisecond, "read_timeout": time.Minute}},
			"CULL_FREQUENCY, MAX_ENTRIES, allow_unicode_keys, dead_timeout, default_noreply, encoding, pool_idle_timeout, retry_attempts, retry_timeout", ""},
		{"without a limit", `{"BACKEND": "` + pymemcache + `", "OPTIONS": {"timeout": null, "connect_timeout": null, "max_pool_size": null}}`,
			backends.Settings{Backend: "memcached", Options: map[string]any{}}, "", ""},
		{"times of the library's", `{"BACKEND": "` + pymemcache + `", "OPTIONS": {"timeout": "50ms", "operation_timeout": "100ms"}}`,
			backends.Settings{Backend: "memcached", Options: map[string]any{"read_timeout": "50ms", "operation_timeout": "100ms"}}, "", ""},
		{"pylibmc's options", `{"BACKEND": "` + pylibmc + `", "LOCATION": "127.0.0.1:11211",
			"OPTIONS": {"binary": true, "username": "user", "password": "pass", "behaviors": {"ketama": true}}}`,
			backends.Settings{Backend: "memcached", Location: []string{"127.0.0.1:11211"}, Options: map[string]any{}}, "behaviors, binary, password, username", ""},
		{"pylibmc's without SASL", `{"BACKEND": "` + pylibmc + `", "OPTIONS": {"binary": false, "username": "user", "password": "pass", "USERNAME": null}}`,
			backends.Settings{Backend: "memcached", Options: map[string]any{"username": "user", "password": "pass"}}, "binary", ""},
		{"python-memcached", `{"BACKEND": "django.core.cache.backends.memcached.MemcachedCache", "LOCATION": "127.0.0.1:11211",
			"OPTIONS": {"server_max_value_length": 2097152, "pickleProtocol": 2, "socket_timeout": 0.5}}`, backends.Settings{Backend: "memcached",
			Location: []string{"127.0.0.1:11211"}, Options: map[string]any{"max_item_size": 2097152.0, "read_timeout": 500 * time.Millisecond}}, "pickleProtocol", ""},
		{"dummy", `{"BACKEND": "django.core.cache.backends.dummy.DummyCache"}`, backends.Settings{Backend: "dummy"}, "", ""},
		{"dummy in place of memcached", `{"BACKEND": "django.core.cache.backends.dummy.DummyCache", "LOCATION": ["127.0.0.1:11211", "127.0.0.2:11211"],
			"TIMEOUT": 60, "OPTIONS": {"MAX_ENTRIES": 5, "ignore_exc": true}}`,
			backends.Settings{Backend: "dummy", Timeout: time.Minute}, "MAX_ENTRIES, ignore_exc", ""},
		{"django-cache-utils", `{"BACKEND": "cache_utils.group_backend.CacheClass", "LOCATION": "localhost:11211", "VERSION": 2, "OPTIONS": {"max_pool_size": 8}}`,
			backends.Settings{Backend: "group", Location: []string{"localhost:11211"}, Version: "2", Options: map[string]any{"max_conns": 8.0}}, "", ""},
		{"a class of one's own", `{"BACKEND": "newcache.CacheClass", "LOCATION": "a", "OPTIONS": {"max_entries": 10}}`,
			backends.Settings{Backend: "newcache.CacheClass", Location: []string{"a"}, Options: map[string]any{"max_entries": 10.0}}, "", ""},
		{"that in a group", `{"BACKEND": "group+newcache.CacheClass"}`, backends.Settings{Backend: "group+newcache.CacheClass"}, "", ""},
		{"as an alias", `{"BACKEND": "my.site.VaultCache"}`, backends.Settings{Backend: "vault"}, "", ""},

		{"Redis", `{"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://username:s3cret@127.0.0.1:6379"}`, backends.Settings{}, "", redis},
		{"Redis with replicas", `{"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": ["redis://:s3cret@127.0.0.1:6379", "redis://127.0.0.1:6378"],
			"OPTIONS": {"db": "10", "pool_class": "redis.BlockingConnectionPool"}}`, backends.Settings{}, "", redis},
		{"a database", `{"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "my_cache_table"}`, backends.Settings{}, "", "in a database is not supported yet"},
		{"files", `{"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/var/tmp/django_cache", "TIMEOUT": 60,
			"OPTIONS": {"MAX_ENTRIES": 1000}}`, backends.Settings{}, "", "in files is not supported yet"},
		{"a class nobody has registered", `{"BACKEND": "path.to.backend"}`, backends.Settings{}, "", "engine of your own"},
		{"the hasher of pymemcache", `{"BACKEND": "` + pymemcache + `", "OPTIONS": {"hasher": "ketama"}}`, backends.Settings{}, "", "hasher"},
		{"the prefix of pymemcache", `{"BACKEND": "` + pymemcache + `", "OPTIONS": {"key_prefix": "p"}}`, backends.Settings{}, "", "key_prefix, which is a setting"},
		{"a mistyped option", `{"BACKEND": "` + pymemcache + `", "OPTIONS": {"ignore_exec": true}}`, backends.Settings{}, "", "ignore_exec"},
		{"a bad value", `{"BACKEND": "` + pymemcache + `", "OPTIONS": {"max_pool_size": 0}}`, backends.Settings{}, "", "max_conns is 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := logTo(t, false)
			config, err := backends.ParseJSON([]byte(`{"default": ` + test.settings + `}`))
			if err != nil {
				t.Fatal(err)
			}
			events := log.logged()
			err = backends.Configure(config)
			defer backends.Configure(nil)
			if test.refused != "" {
				if !errors.Is(err, cacheutils.ErrConfig) && !errors.Is(err, cacheutils.ErrUnknownBackend) || !strings.Contains(err.Error(), test.refused) ||
					strings.Contains(err.Error(), "s3cret") {
					t.Errorf("got %v, want %q, and no password", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.want, config["default"]); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if test.leftOut == "" && len(events) > 0 || test.leftOut != "" && (len(events) != 1 || !strings.HasSuffix(events[0], ": "+test.leftOut)) {
				t.Errorf("got log %q, want one line about %q", events, test.leftOut)
			}
			again := slices.DeleteFunc(log.logged(), func(event string) bool {
				return strings.Contains(event, "without TLS") && strings.Contains(fmt.Sprint(test.want.Location), "172.19.26.240")
			})
			if len(again) > 0 {
				t.Errorf("Configure logs %q again", again)
			}
		})
	}
}

// DummyCache has a location in Go, too.
func TestDjangoDummy(t *testing.T) {
	configure(t, backends.Config{"default": {Backend: "django.core.cache.backends.dummy.DummyCache", Location: []string{"127.0.0.1:11211"}}})
}

func init() {
	backends.Register("newcache.CacheClass", func(s engine.Settings) (engine.Engine, error) { return locmem.Open(s) })
}

// A class path is the name of an engine, with its case, and the scheme of URLs.
func TestRegister_ClassPath(t *testing.T) {
	s, err := backends.ParseURL("newcache.cacheclass://a?max_entries=10")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(backends.Settings{Backend: "newcache.CacheClass", Location: []string{"a"}, Options: map[string]any{"max_entries": "10"}}, s); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	configure(t, backends.Config{"default": s})
	err = backends.Configure(backends.Config{"default": {Backend: "newcache.cacheclass"}})
	if !errors.Is(err, cacheutils.ErrUnknownBackend) || !strings.Contains(err.Error(), `write "newcache.CacheClass"`) {
		t.Errorf("in lower case: got %v", err)
	}
}
