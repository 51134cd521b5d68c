package backends_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/logging"
)

// options are the settings of a backend with these options.
func options(backend string, pairs ...any) backends.Settings {
	s := backends.Settings{Backend: backend, Options: map[string]any{}}
	for i := 0; i < len(pairs); i += 2 {
		s.Options[pairs[i].(string)] = pairs[i+1]
	}
	return s
}

// mistake reports what is wrong with an error that has to match want, have one prefix a line and all of the texts.
func mistake(err, want error, texts ...string) string {
	if !errors.Is(err, want) {
		return fmt.Sprintf("got %v, want %v", err, want)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if n := strings.Count(line, "cacheutils: "); n > 1 {
			return fmt.Sprintf("got %q with %d prefixes", line, n)
		}
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			return fmt.Sprintf("got %q, want %q in it", err, text)
		}
	}
	return ""
}

// What is wrong in settings from Go is an error of Configure that names the backend, the setting, and what to do.
func TestMistakes_Go(t *testing.T) {
	const unit = "with its unit"
	for _, test := range []struct {
		name  string
		s     backends.Settings
		texts []string
	}{
		{"a timeout as a number of seconds", backends.Settings{Backend: "locmem", Timeout: 300}, []string{"Timeout is 300ns", "300*time.Second"}},
		{"just below 1 ms", backends.Settings{Backend: "locmem", Timeout: time.Millisecond - 1}, []string{"less than 1ms"}},

		{"a lease of 1 ns", options("locmem", "lease", "1ns"), []string{"lease", `"1ns"`, "100ms", "24h"}},
		{"a lease as nanoseconds", options("locmem", "lease", time.Duration(2)), []string{"lease", "2ns", `did you mean "2s"?`}},
		{"a lease of 0", options("locmem", "lease", 0), []string{"lease", "100ms"}},
		{"a lease forever", options("locmem", "lease", cacheutils.Forever), []string{"lease", "24h"}},
		{"a lease as a number", options("locmem", "lease", 5), []string{"lease", unit, `did you mean "5s"?`}},
		{"a lease of 99 ms", options("group", "lease", "99ms"), []string{"lease", "100ms"}},
		{"a lease of nothing", options("locmem", "lease", ""), []string{"lease", `""`}},
		{"a lease that is nil", options("locmem", "lease", nil), []string{"lease", "nil"}},
		{"stale as a number", options("locmem", "stale", 3600), []string{"stale", `"3600s"`}},
		{"stale as nanoseconds", options("locmem", "stale", time.Duration(30)), []string{"stale", "30ns", `"30s"`}},
		{"stale below 0", options("locmem", "stale", -time.Second), []string{"stale", "-1s", "0, or"}},
		{"operation_timeout as a number", options("memcached", "operation_timeout", 250), []string{"operation_timeout", `did you mean "250ms"?`}},
		{"operation_timeout of 250 s", options("memcached", "operation_timeout", 250*time.Second), []string{"operation_timeout", "4m10s", "to 1m"}},
		{"operation_timeout of the class path", options("django.core.cache.backends.memcached.PyMemcacheCache", "operation_timeout", 250),
			[]string{"operation_timeout", `"250ms"`}},
		{"operation_timeout of another engine", options("dummy", "OPERATION_TIMEOUT", 250.0), []string{"operation_timeout", `"250ms"`}},
		{"operation_timeout of days", options("locmem", "operation_timeout", 48*time.Hour), []string{"operation_timeout", "48h0m0s", "to 1m"}},
		{"operation_timeout of 0", options("locmem", "operation_timeout", 0), []string{"operation_timeout", "1ms"}},
		{"connect_timeout as a number", options("memcached", "connect_timeout", 100), []string{"connect_timeout", `did you mean "100ms"?`}},
		{"connect_timeout of 0", options("memcached", "connect_timeout", "0"), []string{"connect_timeout", "1ms"}},
		{"read_timeout as text", options("memcached", "read_timeout", "100"), []string{"read_timeout", `did you mean "100ms"?`}},
		{"read_timeout of a day", options("memcached", "read_timeout", "24h"), []string{"read_timeout", "to 1m"}},
		{"probe_interval as a number", options("memcached", "probe_interval", 500), []string{"probe_interval", `"500ms"`}},
		{"probe_interval of 1 us", options("memcached", "probe_interval", "1us"), []string{"probe_interval", "1ms"}},
		{"probe_interval forever", options("memcached", "probe_interval", cacheutils.Forever), []string{"probe_interval", "to 1h"}},

		{"no connections", options("memcached", "max_conns", 0), []string{"max_conns", "from 1 to 65535"}},
		{"too many connections", options("memcached", "max_conns", 1<<30), []string{"max_conns", "from 1 to 65535"}},
		{"more idle connections than there are", options("memcached", "max_conns", 2, "max_idle_conns", 100), []string{"max_idle_conns", "from 1 to 2"}},
		{"waiting below 0", options("memcached", "max_waiting", -1), []string{"max_waiting", "from 0 to"}},
		{"all may wait", options("memcached", "max_waiting", int64(1<<40)), []string{"max_waiting", "to 1048576"}},
		{"a breaker of 0", options("memcached", "breaker_failures", 0), []string{"breaker_failures", "above 0"}},
		{"replay below 0", options("memcached", "invalidation_replay", -1), []string{"invalidation_replay", "from 0"}},
		{"replay without end", options("memcached", "invalidation_replay", 1<<30), []string{"invalidation_replay", "to 1048576"}},
		{"replay as a bool", options("memcached", "invalidation_replay", true), []string{"invalidation_replay", "true of type bool"}},
		{"max_item_size of 10", options("memcached", "max_item_size", 10), []string{"max_item_size", "from 1024"}},
		{"max_item_size as memcached has it", options("memcached", "max_item_size", "2m"), []string{"max_item_size", `"2m"`}},
		{"max_item_size of 2 GiB", options("memcached", "max_item_size", 2.0*(1<<30)), []string{"max_item_size", "to 1073741824"}},
		{"max_cost of 1", options("locmem", "max_cost", 1), []string{"max_cost", "from 4096"}},
		{"max_cost in MiB", options("group+locmem", "max_cost", 256), []string{"max_cost", "from 4096"}},
		{"max_entries of 0", options("locmem", "max_entries", 0), []string{"max_entries", "above 0"}},
		{"max_entries with a fraction", options("locmem", "MAX_ENTRIES", 0.5), []string{"max_entries", "0.5"}},
		{"compress_above as text", options("locmem", "compress_above", "1k"), []string{"compress_above", `"1k"`}},
		{"store_later as a number", options("locmem", "store_later", 1), []string{"store_later", "true or false"}},
		{"no_delay as yes", options("memcached", "no_delay", "yes"), []string{"no_delay", "true or false"}},
		{"tls as a file", options("memcached", "tls", "ca.pem"), []string{"tls"}},
		{"two spellings", options("locmem", "stale", "1m", "STALE", "2m"), []string{"STALE and stale"}},
		{"an option of another engine", options("locmem", "max_conns", 5), []string{"max_conns", "max_entries", "all backends have compress_above, group_prefix, key_secret, key_secret_env, lease"}},
		{"a setting among the options", options("memcached", "TIMEOUT", 300), []string{"TIMEOUT", "setting of the backend"}},
		{"a prefix among the options", options("locmem", "key_prefix", "p"), []string{"key_prefix", "setting of the backend"}},
		{"an option without a name", options("locmem", "", 1), []string{"has no option"}},
		{"DISTRIBUTION of pymemcache", options("django.core.cache.backends.memcached.PyMemcacheCache", "hasher", "x"), []string{"hasher"}},
		{"TLS of pymemcache", options("django.core.cache.backends.memcached.PyMemcacheCache", "tls_context", "x"), []string{"tls_context", "tls_ca"}},

		{"a URL as location", backends.Settings{Backend: "memcached", Location: []string{"memcached://h:11211"}}, []string{"is a URL", "host:port"}},
		{"two hosts in one location", backends.Settings{Backend: "memcached", Location: []string{"a:1,b:2"}}, []string{`"a:1,b:2"`, "host:port"}},
		{"an empty location", backends.Settings{Backend: "memcached", Location: []string{"a", ""}}, []string{"is empty"}},
		{"a path as a store", backends.Settings{Backend: "locmem", Location: []string{"/shop"}}, []string{`"/shop"`, "KeyPrefix"}},
		{"a location with a password", backends.Settings{Backend: "locmem", Location: []string{"u:s3cret@h", "u:s3cret@i"}}, []string{"...@i"}},
		{"a space in the prefix", backends.Settings{Backend: "locmem", KeyPrefix: "my shop"}, []string{"KeyPrefix", "my shop"}},
		{"a line break in the version", backends.Settings{Backend: "locmem", Version: "2\n"}, []string{"Version"}},

		{"a KeyFunction that gives spaces", backends.Settings{Backend: "locmem", KeyFunction: func(key, _, _ string) string { return "a " + key }},
			[]string{"KeyFunction", `' '`, "memcached"}},
		{"nothing", backends.Settings{Backend: "locmem", KeyFunction: func(_, _, _ string) string { return "" }}, []string{"KeyFunction", "nothing"}},
		{"250 bytes", backends.Settings{Backend: "locmem", KeyFunction: func(key, _, _ string) string { return strings.Repeat("p", 250) + key }},
			[]string{"KeyFunction", "more than 250"}},
		{"one key for all", backends.Settings{Backend: "locmem", KeyFunction: func(_, prefix, _ string) string { return "k" + prefix }},
			[]string{"KeyFunction", "share an entry"}},
		{"lower case", backends.Settings{Backend: "locmem", KeyFunction: func(key, _, _ string) string { return strings.ToLower(key) }},
			[]string{"KeyFunction", `"K"`, "share an entry"}},
		{"what is cut", backends.Settings{Backend: "locmem", KeyFunction: func(key, _, _ string) string { return key[:min(len(key), 64)] }},
			[]string{"KeyFunction", "share an entry"}},
		{"the end alone", backends.Settings{Backend: "locmem", KeyFunction: func(key, _, _ string) string { return key[max(0, len(key)-64):] }},
			[]string{"KeyFunction", "share an entry"}},
		{"another key each time", backends.Settings{Backend: "locmem", KeyFunction: func() func(key, _, _ string) string {
			var n atomic.Int64
			return func(key, _, _ string) string { return fmt.Sprint(key, n.Add(1)) }
		}()}, []string{"KeyFunction", "each time"}},
		{"a group's key", backends.Settings{Backend: "locmem", KeyFunction: func(key, _, _ string) string { return "_group::" + key }},
			[]string{"KeyFunction", "groups"}},
		{"a panic", backends.Settings{Backend: "locmem", KeyFunction: func(key, prefix, _ string) string { return key + prefix[:1] }},
			[]string{"KeyFunction panics", "out of range"}},
		{"a nil engine of a type", backends.Settings{Open: func(engine.Settings) (engine.Engine, error) { return (*spy)(nil), nil }}, []string{"a nil *backends_test.spy"}},
		{"a wrapper around nothing", backends.Settings{Open: func(engine.Settings) (engine.Engine, error) { return around{}, nil }},
			[]string{"backends_test.around", "Unwrap returns nil"}},
		{"a wrapper around a nil", backends.Settings{Open: func(engine.Settings) (engine.Engine, error) { return around{(*spy)(nil)}, nil }}, []string{"a nil *backends_test.spy"}},
		{"a wrapper around itself", backends.Settings{Open: func(engine.Settings) (engine.Engine, error) { return circle{}, nil }}, []string{"Unwrap leads to no engine"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			caches, err := backends.New(backends.Config{"mistaken": test.s})
			if why := mistake(err, cacheutils.ErrConfig, append(test.texts, `backend "mistaken"`)...); why != "" {
				t.Error(why)
			}
			if strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Errorf("got %v with a password", err)
			}
			caches.Close()
		})
	}
}

// A value that no option can have is an error that names the option, whatever the option, and is never a panic; numbers
// without a unit aren't times.
func TestMistakes_EveryOption(t *testing.T) {
	log := &sink{}
	logging.SetSink(log)
	defer logging.SetSink(nil)
	times := []string{"operation_timeout", "lease", "stale", "connect_timeout", "read_timeout", "probe_interval"}
	for _, backend := range []string{"locmem", "memcached", "dummy", "group", "group+locmem"} {
		_, err := backends.New(backends.Config{"default": options(backend, "no_such", 1)})
		_, own, ok := strings.Cut(fmt.Sprint(err), "its options are ")
		if !ok && backend != "dummy" {
			t.Fatalf("%s: got %v, want a list of options", backend, err)
		}
		var names []string
		if ok {
			names = strings.Split(own, ", ")
		}
		for _, name := range append(names, engine.CommonOptions()...) {
			for _, value := range []any{
				nil, []int{1}, map[string]any{"a": 1}, func() {}, struct{}{}, (*int)(nil), make(chan int), math.NaN(), math.Inf(1), math.Inf(-1), "soon", 1i,
			} {
				if slices.Contains([]string{"tls_ca", "tls_cert", "tls_key", "tls_server_name", "group_prefix"}, name) {
					if _, isText := value.(string); isText {
						continue
					}
				}
				err := opens(options(backend, strings.ToUpper(name), value))
				if why := mistake(err, cacheutils.ErrConfig, name); why != "" {
					t.Errorf("%s with %s of %v (%T): %s", backend, name, value, value, why)
				}
			}
			if slices.Contains(times, name) {
				for _, number := range []any{1, 250, 0.5, "30", int64(-5), uint8(7), float32(1.5), json.Number("12"), time.Duration(1), time.Microsecond} {
					err := opens(options(backend, name, number))
					if why := mistake(err, cacheutils.ErrConfig, name, "duration"); why != "" {
						t.Errorf("%s with %s of %v (%T): %s", backend, name, number, number, why)
					}
				}
			}
			for _, number := range []any{math.MinInt, -1, 0, 1, 2, 1 << 20, math.MaxInt, int64(math.MinInt64), uint64(math.MaxUint64), 1e18, 1e300, cacheutils.Forever, -cacheutils.Forever} {
				if err := opens(options(backend, name, number)); err != nil {
					if why := mistake(err, cacheutils.ErrConfig, name, "it has to be"); why != "" && !strings.HasPrefix(name, "tls") {
						t.Errorf("%s with %s of %v (%T): %s", backend, name, number, number, why)
					}
				}
			}
		}
	}
}

// around is a wrapper, circle one that is wrapped around itself.
type (
	around struct{ engine.Engine }
	circle struct{ engine.Engine }
)

func (a around) Unwrap() engine.Engine { return a.Engine }
func (c circle) Unwrap() engine.Engine { return c }

// Names of engines that aren't there are errors that say which are, and what to do where it is known.
func TestMistakes_Engines(t *testing.T) {
	const (
		redis, database, files = "Redis and Valkey are not supported yet", "a cache in a database is not supported yet", "a cache in files is not supported yet"
		own                    = "engine of your own"
	)
	for _, test := range []struct{ backend, advice string }{
		{"", "BACKEND is missing"},
		{"redis", redis},
		{"rediss", redis},
		{"valkey", redis},
		{"group+redis", redis},
		{"Redis", redis},
		{"django.core.cache.backends.redis.RedisCache", redis},
		{"django_redis.cache.RedisCache", redis},
		{"redis_cache.RedisCache", redis},
		{"django.core.cache.backends.db.DatabaseCache", database},
		{"postgres", database},
		{"django.core.cache.backends.filebased.FileBasedCache", files},
		{"file", files},
		{"newcache.UnknownClass", own},
		{"path.to.backend", own},
		{"memcache", `write "memcached"`},
		{"Memcached", `write "memcached"`},
		{" locmem", `write "locmem"`},
		{"LOCMEM", `write "locmem"`},
		{"memory", `write "locmem"`},
		{"Group", `write "group"`},
		{"group+LocMem", `write "group+locmem"`},
		{"Group+locmem", `write "group+locmem"`},
		{"group+", "group+"},
		{"group+group", "group+"},
		{"django.core.cache.backends.memcached.pymemcachecache", `write "django.core.cache.backends.memcached.PyMemcacheCache"`},
		{"cache_utils.group_backend.cacheclass", `write "cache_utils.group_backend.CacheClass"`},
		{"off", `write "dummy"`},
		{"memcached://u:s3cret@h", "backends.ParseURL"},
		{"no-such-engine", "import the package"},
	} {
		err := backends.Configure(backends.Config{"mistaken": {Backend: test.backend}})
		if why := mistake(err, cacheutils.ErrUnknownBackend, test.advice, `"dummy"`, `"group"`, `"locmem"`, `"memcached"`, "group+ before", `backend "mistaken"`); why != "" {
			t.Errorf("%q: %s", test.backend, why)
		}
		if strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("%q: got %v with a password", test.backend, err)
		}
	}
}

// Names of backends that were probably meant to be "default" are refused.
func TestMistakes_Names(t *testing.T) {
	for _, name := range []string{"Default", "DEFAULT", " default", "default ", "", " "} {
		err := backends.Configure(backends.Config{name: {Backend: "locmem"}})
		if why := mistake(err, cacheutils.ErrConfig, `"default"`, fmt.Sprintf("backend %q", name)); why != "" {
			t.Error(why)
		}
	}
	configure(t, backends.Config{"A": {Backend: "locmem"}, "a": {Backend: "locmem"}, "defaults": {Backend: "locmem"}})
}

// An error of Configure names all that is wrong, with all backends.
func TestMistakes_AllAtOnce(t *testing.T) {
	opened, closed := 0, 0
	good := backends.Settings{Open: func(s engine.Settings) (engine.Engine, error) {
		e, err := locmem.Open(s)
		opened++
		return counted{e, &closed}, err
	}}
	several := options("locmem", "lease", "1ns", "max_entries", 0, "nope", 1)
	several.KeyPrefix, several.Timeout, several.Location = "a b", 5, nil
	badKeys := good
	badKeys.KeyFunction = func(_, _, _ string) string { return "" }
	err := backends.Configure(backends.Config{
		"a": good, "b": several, "c": {Backend: "redis"}, "d": {Backend: "memcached", Location: []string{"h:port", "i:0"}}, "e": badKeys,
	})
	if why := mistake(err, cacheutils.ErrConfig, `backend "b": bad configuration: Timeout is 5ns`, `backend "b": bad configuration: KeyPrefix`,
		`backend "b": bad configuration: option lease`, `backend "b": bad configuration: locmem option max_entries`, `backend "b": bad configuration: locmem has no option nope`,
		`backend "c": unknown backend`, `backend "d": bad configuration: memcached location "h:port"`, `backend "d": bad configuration: memcached location "i:0"`,
		`backend "e": bad configuration: KeyFunction`); why != "" {
		t.Error(why)
	}
	if !errors.Is(err, cacheutils.ErrUnknownBackend) || opened != closed || opened != 2 {
		t.Errorf("got %v; %d engines were opened and %d closed", err, opened, closed)
	}
	want(t, "lines", strings.Count(err.Error(), "\n"), 8)
}

type counted struct {
	engine.Engine
	closed *int
}

func (c counted) Close() error {
	*c.closed++
	return c.Engine.Close()
}

// What is wrong in JSON is an error that names the backend, the setting, and what to do.
func TestMistakes_JSON(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       error
		texts      []string
	}{
		{"a backend twice", `{"default": {"BACKEND": "locmem"}, "default": {"BACKEND": "dummy"}}`, cacheutils.ErrConfig, []string{"default is given twice"}},
		{"a setting twice", `{"default": {"BACKEND": "locmem", "BACKEND": "dummy"}}`, cacheutils.ErrConfig, []string{`"default"`, "BACKEND is given twice"}},
		{"an option twice", `{"default": {"BACKEND": "locmem", "OPTIONS": {"stale": "1m", "stale": "2m"}}}`, cacheutils.ErrConfig, []string{"OPTIONS", "stale is given twice"}},
		{"another default", `{"Default": {"BACKEND": "locmem"}}`, cacheutils.ErrConfig, []string{`"Default"`, "write that"}},
		{"no BACKEND", `{"default": {}}`, cacheutils.ErrUnknownBackend, []string{"BACKEND is missing", `"group"`}},
		{"a null BACKEND", `{"default": {"BACKEND": null}}`, cacheutils.ErrUnknownBackend, []string{"BACKEND is missing"}},
		{"null settings", `{"default": null}`, cacheutils.ErrUnknownBackend, []string{"BACKEND is missing"}},
		{"lower case", `{"default": {"backend": "locmem"}}`, cacheutils.ErrConfig, []string{"backend", "write BACKEND"}},
		{"an option outside", `{"default": {"BACKEND": "locmem", "max_entries": 5}}`, cacheutils.ErrConfig, []string{"max_entries", "stands in OPTIONS"}},
		{"a list", `[]`, cacheutils.ErrConfig, []string{"an object by their names, not a list"}},
		{"null", `null`, cacheutils.ErrConfig, []string{"not null"}},
		{"nothing", ` `, cacheutils.ErrConfig, []string{"line 1", "unexpected end"}},
		{"a URL as settings", `{"default": "memcached://u:s3cret@h"}`, cacheutils.ErrConfig, []string{"not a text", "backends.ParseURL"}},
		{"a number as settings", `{"default": 5}`, cacheutils.ErrConfig, []string{"not a number"}},
		{"a number as BACKEND", `{"default": {"BACKEND": 5}}`, cacheutils.ErrConfig, []string{"BACKEND: it is a number", "double quotes"}},
		{"a number as KEY_PREFIX", `{"default": {"BACKEND": "locmem", "KEY_PREFIX": 5}}`, cacheutils.ErrConfig, []string{"KEY_PREFIX: it is a number"}},
		{"a bool as VERSION", `{"default": {"BACKEND": "locmem", "VERSION": true}}`, cacheutils.ErrConfig, []string{"VERSION: it is true", "integer or a text"}},
		{"a fraction as VERSION", `{"default": {"BACKEND": "locmem", "VERSION": 1.5}}`, cacheutils.ErrConfig, []string{"VERSION: it is 1.5"}},
		{"a number as LOCATION", `{"default": {"BACKEND": "memcached", "LOCATION": 11211}}`, cacheutils.ErrConfig, []string{"LOCATION: it is a number", "a list of texts"}},
		{"pairs as LOCATION", `{"default": {"BACKEND": "memcached", "LOCATION": [["h", 11211]]}}`, cacheutils.ErrConfig, []string{"LOCATION: number 1 in the list: it is a list"}},
		{"null in LOCATION", `{"default": {"BACKEND": "memcached", "LOCATION": ["h", null]}}`, cacheutils.ErrConfig, []string{"LOCATION: location 2", "empty"}},
		{"an unset variable in LOCATION", `{"default": {"BACKEND": "memcached", "LOCATION": "h1;;h3"}}`, cacheutils.ErrConfig, []string{"LOCATION: location 2", "empty"}},
		{"a password in LOCATION", `{"default": {"BACKEND": "memcached", "LOCATION": "u:s3cret@h:1"}}`, cacheutils.ErrConfig, []string{"...@h:1", "password"}},
		{"a password of Redis in LOCATION", `{"default": {"BACKEND": "memcached", "LOCATION": "redis://:s3cret@h:6379"}}`, cacheutils.ErrConfig, []string{"...@h:6379"}},
		{"an hour as TIMEOUT", `{"default": {"BACKEND": "locmem", "TIMEOUT": "an hour"}}`, cacheutils.ErrConfig, []string{"TIMEOUT", `"an hour"`, "use seconds"}},
		{"None as TIMEOUT", `{"default": {"BACKEND": "locmem", "TIMEOUT": "None"}}`, cacheutils.ErrConfig, []string{"TIMEOUT", `"None"`, "never"}},
		{"NaN as TIMEOUT", `{"default": {"BACKEND": "locmem", "TIMEOUT": "nan"}}`, cacheutils.ErrConfig, []string{"TIMEOUT", `"nan"`}},
		{"infinity as TIMEOUT", `{"default": {"BACKEND": "locmem", "TIMEOUT": "-inf"}}`, cacheutils.ErrConfig, []string{"TIMEOUT", `"-inf"`}},
		{"a hexadecimal TIMEOUT", `{"default": {"BACKEND": "locmem", "TIMEOUT": "0x10"}}`, cacheutils.ErrConfig, []string{"TIMEOUT", `"0x10"`}},
		{"nothing as TIMEOUT", `{"default": {"BACKEND": "locmem", "TIMEOUT": ""}}`, cacheutils.ErrConfig, []string{"TIMEOUT", `""`}},
		{"true as TIMEOUT", `{"default": {"BACKEND": "locmem", "TIMEOUT": true}}`, cacheutils.ErrConfig, []string{"TIMEOUT: it is true"}},
		{"a list as TIMEOUT", `{"default": {"BACKEND": "locmem", "TIMEOUT": [1]}}`, cacheutils.ErrConfig, []string{"TIMEOUT: it is a list"}},
		{"nanoseconds as TIMEOUT", `{"default": {"BACKEND": "locmem", "TIMEOUT": 1e-12}}`, cacheutils.ErrConfig, []string{"TIMEOUT", "less than 1ms"}},
		{"a list as OPTIONS", `{"default": {"BACKEND": "locmem", "OPTIONS": []}}`, cacheutils.ErrConfig, []string{"OPTIONS", "not a list"}},
		{"null as an option", `{"default": {"BACKEND": "locmem", "OPTIONS": {"MAX_ENTRIES": null}}}`, cacheutils.ErrConfig, []string{"max_entries", "nil"}},
		{"a number of ms", `{"default": {"BACKEND": "memcached", "OPTIONS": {"operation_timeout": 250}}}`, cacheutils.ErrConfig, []string{"operation_timeout", `"250ms"`}},
		{"a key function", `{"default": {"BACKEND": "locmem", "KEY_FUNCTION": "path.to.function"}}`, cacheutils.ErrConfig, []string{"KEY_FUNCTION", "Settings.KeyFunction"}},
		{"two of them", `{"a": {"BACKEND": 5, "TIMEOUT": "soon"}, "b": {"LOCATION": 5}}`, cacheutils.ErrConfig,
			[]string{`backend "a": bad configuration: BACKEND`, `backend "a": bad configuration: TIMEOUT`, `backend "b": bad configuration: LOCATION`}},

		{"a comma too many", "{\n\t\"default\": {\n\t\t\"BACKEND\": \"locmem\",\n\t}\n}", cacheutils.ErrConfig, []string{"line 4, column 2", "no comma after the last"}},
		{"a comma too few", "{\"default\": {\"BACKEND\": \"locmem\"\n  \"TIMEOUT\": 5}}", cacheutils.ErrConfig, []string{"line 2, column 3"}},
		{"Python", "{'default': {'BACKEND': 'locmem'}}", cacheutils.ErrConfig, []string{"line 1, column 2", "double quotes"}},
		{"None", "{\"default\": {\"BACKEND\": \"locmem\",\n\"TIMEOUT\": None}}", cacheutils.ErrConfig, []string{"line 2, column 12", "null"}},
		{"a comment", "{ # of mine\n}", cacheutils.ErrConfig, []string{"line 1, column 3", "no comments"}},
		{"two texts", "{}\n{}", cacheutils.ErrConfig, []string{"line 2, column 1"}},
		{"an open text", "{\"default", cacheutils.ErrConfig, []string{"line 1", "unexpected end"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := backends.ParseJSON([]byte(test.text))
			if err == nil {
				err = backends.Configure(config)
			}
			if why := mistake(err, test.want, test.texts...); why != "" {
				t.Error(why)
			}
			if strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Errorf("got %v with a password", err)
			}
		})
	}
	backends.Configure(nil)
}

// What is wrong in a URL is an error of ParseURL or Configure that says what to do.
func TestMistakes_URL(t *testing.T) {
	for _, test := range []struct {
		url   string
		want  error
		texts []string
	}{
		{"locmem", cacheutils.ErrConfig, []string{"scheme", "locmem://"}},
		{"locmem:/x", cacheutils.ErrConfig, []string{"scheme"}},
		{"memcached://h&timeout=5", cacheutils.ErrConfig, []string{"&", "?name=value"}},
		{"locmem://a&max_entries=5", cacheutils.ErrConfig, []string{"&"}},
		{"memcached://h/shop&timeout=5", cacheutils.ErrConfig, []string{"&"}},
		{"memcached://h/timeout=5", cacheutils.ErrConfig, []string{"=", "%3D"}},
		{"memcached:///a.sock,b.sock", cacheutils.ErrConfig, []string{"b.sock", "not a path"}},
		{"memcached://h1,/b.sock", cacheutils.ErrConfig, []string{"location 2", "empty"}},
		{"memcached://h1,,h3", cacheutils.ErrConfig, []string{"location 2", "empty"}},
		{"memcached://,h", cacheutils.ErrConfig, []string{"location 1", "empty"}},
		{"locmem:///shop", cacheutils.ErrConfig, []string{`"/shop"`, "prefix="}},
		{"locmem://a#x", cacheutils.ErrConfig, []string{"#", "%23"}},
		{"locmem://?timeout=1h#x", cacheutils.ErrConfig, []string{"#"}},
		{"memcached://h/shop/", cacheutils.ErrConfig, []string{"slash", "%2F"}},
		{"memcached://h1 ,h2", cacheutils.ErrConfig, []string{"space"}},
		{"locmem://a\n", cacheutils.ErrConfig, []string{"line break"}},
		{" locmem://", cacheutils.ErrConfig, []string{"space"}},
		{"memcached://h?key_prefix=x", cacheutils.ErrConfig, []string{"key_prefix", "named prefix"}},
		{"memcached://h?KEY_PREFIX=x", cacheutils.ErrConfig, []string{"KEY_PREFIX", "named prefix"}},
		{"memcached://h?timeout=5&TIMEOUT=6", cacheutils.ErrConfig, []string{"timeout", "TIMEOUT"}},
		{"memcached://h?stale=1m&stale=2m", cacheutils.ErrConfig, []string{"stale is given 2 times"}},
		{"memcached://h?stale=1m&Stale=2m", cacheutils.ErrConfig, []string{"Stale and stale"}},
		{"memcached://h?timeout=5?stale=1m", cacheutils.ErrConfig, []string{"timeout=5?stale=1m", "use seconds"}},
		{"memcached://h?timeout=5&amp;stale=1m", cacheutils.ErrConfig, []string{"semicolon"}},
		{"memcached://h?timeout=1d", cacheutils.ErrConfig, []string{"timeout=1d", "1h30m"}},
		{"memcached://h?timeout=Never", cacheutils.ErrConfig, []string{"never"}},
		{"memcached://h?=5", cacheutils.ErrConfig, []string{"without a name"}},
		{"memcached://h?operation_timeout=250", cacheutils.ErrConfig, []string{"operation_timeout", `"250ms"`}},
		{"memcached://h?stale", cacheutils.ErrConfig, []string{"stale", `""`}},
		{"memcached://h?max_conns=-1", cacheutils.ErrConfig, []string{"max_conns", "1 to 65535"}},
		{"memcached://h?nope=1", cacheutils.ErrConfig, []string{"no option nope", "max_conns", "compress_above"}},
		{"memcached://h:11211:5", cacheutils.ErrConfig, []string{"h:11211:5"}},
		{"memcached://h:", cacheutils.ErrConfig, []string{`"h:"`, "port"}},
		{"memcached://::1:11211", cacheutils.ErrConfig, []string{"::1:11211"}},
		{"dummy://x", cacheutils.ErrConfig, []string{"dummy has no location"}},
		{"redis://:s3cret@h:6379/0", cacheutils.ErrUnknownBackend, []string{"Redis and Valkey are not supported yet", `"group"`}},
		{"rediss://h", cacheutils.ErrUnknownBackend, []string{"Redis and Valkey are not supported yet"}},
		{"redis+sentinel://h", cacheutils.ErrUnknownBackend, []string{"Redis and Valkey are not supported yet"}},
		{"group+redis://h", cacheutils.ErrUnknownBackend, []string{"Redis and Valkey are not supported yet"}},
		{"postgres://u:s3cret@h/db", cacheutils.ErrUnknownBackend, []string{"database is not supported yet"}},
		{"file:///var/tmp/cache", cacheutils.ErrUnknownBackend, []string{"files is not supported yet"}},
		{"memcache://h", cacheutils.ErrUnknownBackend, []string{`write "memcached"`}},
		{"memcached+tls://h", cacheutils.ErrUnknownBackend, []string{"memcached+tls", `"memcached"`}},
		{"group+://h", cacheutils.ErrUnknownBackend, []string{`"group+"`}},
		{"group+group://h", cacheutils.ErrUnknownBackend, []string{`"group+group"`}},
		{"http://h", cacheutils.ErrUnknownBackend, []string{`"http"`, `"memcached"`}},
	} {
		s, err := backends.ParseURL(test.url)
		if err == nil {
			err = backends.Configure(backends.Config{"mistaken": s})
		}
		if why := mistake(err, test.want, test.texts...); why != "" {
			t.Errorf("%s: %s", test.url, why)
		}
		if strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("%s: got %v with a password", test.url, err)
		}
	}
	backends.Configure(nil)
}
