package backends_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/engine"
)

const pw = "hunter2-secret"

// Settings that are printed or logged show no password, secret or credential, under whatever name.
func TestPrinting_SettingsHideSecrets(t *testing.T) {
	options := map[string]any{
		"secret": pw, "SECRET": []string{pw}, "key_secret": []byte(pw), "password": pw, "pasword": pw, "Passwd": pw, "auth": map[string]string{"a": pw},
		"dsn": "postgres://u:" + pw + "@h/db?password=" + pw, "tls": struct{ Key string }{pw}, "username": pw, "pin": 271828, "lease": "5s", "secret_env": pw, pw[:3] + "\x1b": 1,
	}
	s := backends.Settings{
		Backend: "memcached", Location: []string{"u:" + pw + "@h:1", pw + "%40h"}, Timeout: time.Hour, KeyPrefix: "shop", Options: options,
		KeyFunction: func(key, _, _ string) string { return key }, Open: func(engine.Settings) (engine.Engine, error) { return nil, nil },
	}
	config := backends.Config{"default": s}
	given := engine.Settings{Location: s.Location, Options: options}
	type program struct {
		Name   string
		Cache  backends.Config
		Engine *engine.Settings
		One    *backends.Settings
	}
	for _, v := range []any{s, &s, config, &config, given, &given, []backends.Settings{s}, program{"p", config, &given, &s}, &program{"p", config, &given, &s}, []any{s, given}} {
		texts := map[string]string{"Sprint": fmt.Sprint(v), "Errorf": fmt.Errorf("configure %v", v).Error()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			texts[verb] = fmt.Sprintf(verb, v)
		}
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		texts["slog"] = out.String()
		for name, text := range texts {
			for _, secret := range []string{pw, fmt.Sprintf("%x", pw), fmt.Sprintf("%X", pw), "271828", fmt.Sprint([]byte(pw)), "\x1b"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s of %T has %q: %s", name, v, secret, text)
				}
			}
		}
	}
	for _, v := range []any{s, config} {
		if text, err := json.Marshal(v); err == nil {
			t.Errorf("JSON: %s", text)
		}
	}
	for _, want := range []string{`"memcached"`, "1h0m0s", `"shop"`, `lease: "5s"`, "pasword: ...", `"...@h:1"`} {
		if text := fmt.Sprint(s); !strings.Contains(text, want) {
			t.Errorf("got %s, want %s in it", text, want)
		}
	}
}

// What a file or the environment has in the place of a name reaches a terminal with escapes for what that would obey.
func TestPrinting_MistakesHaveNoControlCharacters(t *testing.T) {
	for _, name := range []string{"a\x1b[31mb", "a\nb", "a\u202eb"} {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		_, option := backends.New(backends.Config{"default": {Backend: "memcached", Options: map[string]any{name: 1}}})
		_, twice := backends.ParseURL("memcached://h?" + url.QueryEscape(name) + "=1&" + url.QueryEscape(name) + "=2")
		for _, text := range []string{`{"d": {%[1]s: 1}}`, `{"d": {"VERSION": [%[1]s]}}`, `{"d": {"OPTIONS": {%[1]s: 1, %[1]s: 2}}}`, `{"d": {"TIMEOUT": %[1]s}}`, `{%[1]s: 1, %[1]s: 2}`} {
			_, err := backends.ParseJSON(fmt.Appendf(nil, text, quoted))
			for _, err := range []error{option, twice, err} {
				if err == nil || strings.ContainsAny(err.Error(), "\x1b\n\u202e") {
					t.Errorf("got %q", err)
				}
			}
		}
	}
}

// No mistake in a location, a URL, JSON or an option has a password in its error.
func TestPrinting_MistakesHidePasswords(t *testing.T) {
	said := func(what string, err error) {
		t.Helper()
		if err == nil {
			return
		}
		for _, secret := range []string{pw, "hunter2", "s3cr3t%21", "s3cr3t!"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s has %q: %v", what, secret, err)
			}
		}
	}
	t.Setenv("CACHE_PASSWORD_OF_TEST", pw)
	for _, text := range []string{
		"user:" + pw + "@host:1", "memcached:/user:" + pw + "@h", "memcached:user:" + pw + "@h", "memcached://user:" + pw + "@h:1", "memcached://" + pw + "@h:1",
		"memcached://h:1?password=" + pw, "memcached://h:1?password=" + pw + "&password=x", "memcached://h:1?pasword=" + pw, "memcached://h:1?key_secret=" + pw,
		"memcached://h:1?secret=" + pw, "memcached://h:1?timeout=" + pw + "@x", "memcached://h:1/" + "%zz?password=" + pw,
		"memcached://u:" + pw + "%40h:1", "memcached://u%3A" + pw + "%40h:1", "mem cached://u:" + pw + "@h", "://u:" + pw + "@h", "u:" + pw + "@h", "//u:" + pw + "@h",
		"memcached://h:1#password=" + pw, "memcached://h:1?=" + pw, "memcached://h:1&password=" + pw, "redis://:" + pw + "@h:1/0", "rediss://u:" + pw + "@h", "postgres://u:" + pw + "@h/db",
		"memcached://u:" + pw + "\n@h", "memcached://u:" + pw + "@h@i", "memcached://[" + pw + "@h:1", "group+memcached://u:" + pw + "@h", "group+nosuch://u:" + pw + "@h",
		"memcached://h:1?auth=" + pw + ";x", "memcached://h:1?%70assword=" + pw, "memcached://u:s3cr3t%21@h", "memcached://h?password=s3cr3t%21", "memcached:///u:" + pw + "@h/x?a=b",
		"locmem://u:" + pw + "@h", "locmem://x?max_entries=" + "1&password=" + pw, "dummy://u:" + pw + "@h", "memcached://u:" + pw + "@", "memcached://h:1,u:" + pw + "@i:2",
		"memcached://h:1/" + "u:" + pw + "@x", "memcached://h:1?prefix=u:" + pw + "@x", "MEMCACHED://u:" + pw + "@h:99999999", "memcached://h:1?lease=1&secret_env=" + "NO_SUCH_VARIABLE",
	} {
		s, err := backends.ParseURL(text)
		said("ParseURL "+text, err)
		if err == nil {
			set, err := backends.New(backends.Config{"default": s})
			said("New of "+text, err)
			if err == nil {
				set.Close()
			}
		}
		for _, backend := range []string{"memcached", "locmem", "dummy", "nosuch", text} {
			set, err := backends.New(backends.Config{"default": {Backend: backend, Location: []string{text}}})
			said("New with the location "+text, err)
			if err == nil {
				set.Close()
			}
			quoted, _ := json.Marshal(text)
			name, _ := json.Marshal(backend)
			config, err := backends.ParseJSON([]byte(fmt.Sprintf(`{"default": {"BACKEND": %s, "LOCATION": %s}}`, name, quoted)))
			said("ParseJSON of "+text, err)
			if err == nil {
				set, err := backends.New(config)
				said("New of JSON of "+text, err)
				if err == nil {
					set.Close()
				}
			}
		}
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte(pw), 0o600); err != nil {
		t.Fatal(err)
	}
	pem := "-----BEGIN PRIVATE KEY-----\n" + pw + "\n-----END PRIVATE KEY-----\n"
	for _, options := range []map[string]any{
		{"pasword": pw}, {"password": pw}, {"PASSWORD": []string{pw}}, {"username": "u", "password": pw + "\n"}, {"username": pw, "password": ""}, {"secret": pw[:8]}, {"secret": []any{pw, 5}},
		{"key_secret": pw[:8]}, {"key_secret": map[string]any{"a": pw}}, {"secret": []string{pw, pw}}, {"secret_env": pw}, {"key_secret_env": pw}, {"password_env": pw},
		{"tls_ca": file}, {"tls_cert": pem}, {"tls_key": pem, "tls_cert": file}, {"tls_key": pem, "tls_cert": pem}, {"tls_ca": "-----BEGIN " + pw}, {"token": pw}, {"auth": pw}, {"credentials": pw}, {"password": pw, "Password": pw}, {"secret_env": "CACHE_PASSWORD_OF_TEST", "secret": pw},
	} {
		for _, backend := range []string{"memcached", "locmem", "dummy", "django.core.cache.backends.memcached.PyMemcacheCache"} {
			s := backends.Settings{Backend: backend, Options: options}
			if backend != "dummy" && backend != "locmem" {
				s.Location = []string{"127.0.0.1:1"}
			}
			set, err := backends.New(backends.Config{"default": s})
			said(fmt.Sprintf("options of %s", backend), err)
			if err == nil {
				set.Close()
			}
		}
	}
}
