package backends_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/logging"
)

// secret is a password in the inputs below.
const secret = "s3cr3t-w0rd"

// opens returns the error of opening a backend with s and closing it.
func opens(s backends.Settings) error {
	caches, err := backends.New(backends.Config{"fuzzed": s})
	if err != nil {
		return err
	}
	return caches.Close()
}

// checkError checks that err is about the configuration and shows no password.
func checkError(t *testing.T, input string, err error) {
	t.Helper()
	if !errors.Is(err, cacheutils.ErrConfig) && !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Errorf("%q: got %v, want ErrConfig or ErrUnknownBackend", input, err)
	}
	if !strings.HasPrefix(err.Error(), "cacheutils: ") {
		t.Errorf("%q: got %q without the prefix", input, err)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("%q: got %q with a password", input, err)
	}
}

// urlOf returns a URL that ParseURL reads as s.
func urlOf(s backends.Settings) string {
	escape := func(text string) string {
		var b strings.Builder
		for i := range len(text) {
			fmt.Fprintf(&b, "%%%02X", text[i])
		}
		return b.String()
	}
	var hosts []string
	for _, l := range s.Location {
		hosts = append(hosts, escape(l))
	}
	query := url.Values{}
	switch {
	case s.Timeout == cacheutils.Forever:
		query.Set("timeout", "never")
	case s.Timeout == -1:
		query.Set("timeout", "0")
	case s.Timeout != 0:
		query.Set("timeout", s.Timeout.String())
	}
	if s.Version != "" {
		query.Set("version", s.Version)
	}
	if s.KeyPrefix != "" {
		query.Set("prefix", s.KeyPrefix)
	}
	for name, value := range s.Options {
		query.Set(name, value.(string))
	}
	text := s.Backend + "://" + strings.Join(hosts, ",")
	if len(query) > 0 {
		text += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	}
	return text
}

// Any text is settings, which a URL can say again, or an error.
func FuzzParseURL(f *testing.F) {
	for _, text := range []string{
		"", "locmem://", "locmem://a?max_entries=5", "LOCMEM://a/p?TIMEOUT=never", "memcached://h1:11211,h2;[::1]:1/shop?timeout=1h30m&version=2",
		"memcached:///a.sock,/b.sock?prefix=p", "group+memcached://h/%41?stale=1m&lease=5s", "memcached://h&timeout=5", "memcached://u:p@h", "dummy://?x=%zz",
		"memcached://unix:%2Fa.sock?timeout=-5", "locmem://a%2Cb?timeout=1e300", "redis://h", "nosuch://h/?a=b&a=c", "://", "a://?=", "locmem://%40?a=@",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := backends.ParseURL(text)
		if err != nil {
			checkError(t, text, err)
			return
		}
		if !strings.Contains(s.Backend, "vault") {
			again, err := backends.ParseURL(urlOf(s))
			if err != nil {
				t.Fatalf("%q, again as %q: %v", text, urlOf(s), err)
			}
			if diff := cmp.Diff(s, again); diff != "" {
				t.Errorf("%q, again as %q: (-want +got)\n%s", text, urlOf(s), diff)
			}
		}
		if err := opens(s); err != nil {
			checkError(t, text, err)
		}
	})
}

// No error shows the password of a URL, wherever that stands and whatever is around it.
func FuzzParseURL_Passwords(f *testing.F) {
	for _, seed := range [][4]string{
		{"memcached", "me", "h:11211", "/shop?timeout=soon"},
		{"memcached", "", "h", "?timeout=soon"},
		{"redis", "", "h:6379", "/0"},
		{"vault", "me", "h:port", ""},
		{"vault", "me/you", "h", "?stale=1&stale=2"},
		{"vault", "me", "h", "?timeout=soon"},
		{"vault", "%zz", "h", "/%zz?%zz"},
		{"vault", "a?timeout=", "h", ""},
		{"vault", "a?x", "h", "&x@y"},
		{"vault", "\"", "h h", "#"},
		{"", "me", "h", ""},
		{"memcached:me", "a", "h", "?b=://"},
		{"locmem://a/", "me", "h", ""},
		{"nosuch", "a#b", "h", "\n"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	logging.SetSink(&sink{})
	defer logging.SetSink(nil)
	f.Fuzz(func(t *testing.T, scheme, user, host, tail string) {
		for _, text := range []string{
			scheme + "://" + user + ":" + secret + "@" + host + tail,
			scheme + ":" + user + ":" + secret + "@" + host + tail,
			scheme + "://" + user + ":" + secret + "%40" + host + tail,
			scheme + "://" + host + "/?password=" + secret + "&" + user + tail,
		} {
			if s, err := backends.ParseURL(text); err != nil {
				checkError(t, text, err)
			} else if err := opens(s); err != nil {
				checkError(t, text, err)
			}
		}
		for _, location := range []string{user + ":" + secret + "@" + host, scheme + "://" + user + ":" + secret + "@" + host} {
			for _, backend := range []string{"memcached", "locmem", "dummy", "redis", "group", location} {
				if err := opens(backends.Settings{Backend: backend, Location: []string{location, tail}}); err != nil {
					checkError(t, location, err)
				}
			}
			text, err := json.Marshal(map[string]any{"default": map[string]any{"BACKEND": "memcached", "LOCATION": location, "OPTIONS": map[string]any{"password": secret}}})
			if err != nil {
				t.Fatal(err)
			}
			config, err := backends.ParseJSON(text)
			if err == nil {
				err = opens(config["default"])
			}
			checkError(t, location, err)
		}
	})
}

// jsonOf returns JSON that ParseJSON reads as config, which it has read.
func jsonOf(t *testing.T, config backends.Config) []byte {
	all := map[string]any{}
	for name, s := range config {
		fields := map[string]any{"BACKEND": s.Backend, "KEY_PREFIX": s.KeyPrefix, "VERSION": s.Version}
		if s.Location != nil {
			fields["LOCATION"] = s.Location
		}
		switch {
		case s.Timeout == cacheutils.Forever:
			fields["TIMEOUT"] = nil
		case s.Timeout == -1:
			fields["TIMEOUT"] = 0
		case s.Timeout != 0:
			fields["TIMEOUT"] = s.Timeout.String()
		}
		if s.Options != nil {
			options := maps.Clone(s.Options)
			for name, value := range options {
				if d, ok := value.(time.Duration); ok {
					options[name] = d.String()
				}
			}
			fields["OPTIONS"] = options
		}
		all[name] = fields
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Any text is a configuration, which JSON can say again, or an error.
func FuzzParseJSON(f *testing.F) {
	for _, text := range []string{
		caches, `{}`, `null`, `[]`, `{"default": null}`, `{"a": {"BACKEND": "locmem", "TIMEOUT": 1e300}, "b": {"VERSION": 007}}`, `{"a": {}, "a": {}}`,
		`{"default": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": ["h", "unix:/a"], "TIMEOUT": null,
		  "OPTIONS": {"timeout": 1.5, "max_pool_size": 4, "ignore_exc": true, "behaviors": {"a": [1, null]}}}}`,
		`{"default": {"BACKEND": "dummy", "LOCATION": "a;b,c", "KEY_FUNCTION": "x"}}`, `{"x": {"OPTIONS": {"stale": 1, "stale": 2}}}`, "{\n'a': None}", `{"a": {"TIMEOUT": "-1h"}} x`,
	} {
		f.Add([]byte(text))
	}
	logging.SetSink(&sink{})
	defer logging.SetSink(nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := backends.ParseJSON(text)
		if err != nil {
			checkError(t, string(text), err)
			var unmarshalled backends.Config
			if json.Unmarshal(text, &unmarshalled) == nil && strings.TrimSpace(string(text)) != "null" {
				t.Errorf("%q: json.Unmarshal reads what ParseJSON refuses with %v", text, err)
			}
			return
		}
		again, err := backends.ParseJSON(jsonOf(t, config))
		if err != nil {
			t.Fatalf("%q, again as %q: %v", text, jsonOf(t, config), err)
		}
		sameTimes := cmp.Comparer(func(a, b any) bool { // "1.5s" is what a duration was written as
			return fmt.Sprint(a) == fmt.Sprint(b)
		})
		values := cmp.FilterPath(func(p cmp.Path) bool {
			return slices.ContainsFunc(p, func(s cmp.PathStep) bool { _, ok := s.(cmp.MapIndex); return ok && s.Type().String() == "interface {}" })
		}, sameTimes)
		if diff := cmp.Diff(config, again, values, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q, again as %q: (-want +got)\n%s", text, jsonOf(t, config), diff)
		}
		for name, s := range config {
			if err := opens(s); err != nil {
				checkError(t, strconv.Quote(name), err)
			}
		}
	})
}
