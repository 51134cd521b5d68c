package backends_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/engine"
)

func ExampleParseURL() {
	s, err := backends.ParseURL("memcached://10.0.0.1:11211,10.0.0.2:11211/shop?timeout=1h&operation_timeout=100ms")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Backend, s.Location, s.KeyPrefix, s.Timeout, s.Options)
	// Output: memcached [10.0.0.1:11211 10.0.0.2:11211] shop 1h0m0s map[operation_timeout:100ms]
}

func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		url  string
		want backends.Settings
	}{
		{"locmem://", backends.Settings{Backend: "locmem"}},
		{"dummy://", backends.Settings{Backend: "dummy"}},
		{"locmem://sessions", backends.Settings{Backend: "locmem", Location: []string{"sessions"}}},
		{"locmem://sessions/", backends.Settings{Backend: "locmem", Location: []string{"sessions"}}},
		{"locmem:///", backends.Settings{Backend: "locmem"}},
		{"locmem://sessions?max_entries=5000", backends.Settings{
			Backend: "locmem", Location: []string{"sessions"}, Options: map[string]any{"max_entries": "5000"}}},
		{"memcached://localhost", backends.Settings{Backend: "memcached", Location: []string{"localhost"}}},
		{"memcached://h1:11211,h2:11211/prefix?timeout=1h", backends.Settings{
			Backend: "memcached", Location: []string{"h1:11211", "h2:11211"}, KeyPrefix: "prefix", Timeout: time.Hour}},
		{"memcached://h1;h2", backends.Settings{Backend: "memcached", Location: []string{"h1", "h2"}}},
		{"memcached://[::1]:11211,[fe80::1%25eth0]/p", backends.Settings{
			Backend: "memcached", Location: []string{"[::1]:11211", "[fe80::1%eth0]"}, KeyPrefix: "p"}},
		{"memcached:///run/memcached.sock?prefix=shop", backends.Settings{
			Backend: "memcached", Location: []string{"/run/memcached.sock"}, KeyPrefix: "shop"}},
		{"memcached://unix:%2Frun%2Fm.sock/shop", backends.Settings{
			Backend: "memcached", Location: []string{"unix:/run/m.sock"}, KeyPrefix: "shop"}},
		{"memcached://h/a%2Fb/c", backends.Settings{Backend: "memcached", Location: []string{"h"}, KeyPrefix: "a/b/c"}},
		{"memcached://h/?version=2", backends.Settings{Backend: "memcached", Location: []string{"h"}, Version: "2"}},
		{"group+memcached://h", backends.Settings{Backend: "group+memcached", Location: []string{"h"}}},
		{"locmem://?timeout=300", backends.Settings{Backend: "locmem", Timeout: 300 * time.Second}},
		{"locmem://?timeout=1.5", backends.Settings{Backend: "locmem", Timeout: 1500 * time.Millisecond}},
		{"locmem://?timeout=never", backends.Settings{Backend: "locmem", Timeout: cacheutils.Forever}},
		{"locmem://?timeout=1e300", backends.Settings{Backend: "locmem", Timeout: cacheutils.Forever}},
		{"locmem://?timeout=0", backends.Settings{Backend: "locmem", Timeout: -1}},
		{"locmem://?timeout=-5", backends.Settings{Backend: "locmem", Timeout: -5 * time.Second}},
		{"locmem://?a=%26%3D&b=", backends.Settings{Backend: "locmem", Options: map[string]any{"a": "&=", "b": ""}}},
	} {
		got, err := backends.ParseURL(test.url)
		if err != nil {
			t.Errorf("ParseURL(%q): %v", test.url, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("ParseURL(%q): (-want +got)\n%s", test.url, diff)
		}
	}
}

func TestParseURL_Errors(t *testing.T) {
	for _, test := range []struct {
		name, url string
		names     string // what the error has to name
	}{
		{"empty", "", "scheme"},
		{"no scheme", "localhost:11211", "scheme"},
		{"empty scheme", "://localhost", "scheme"},
		{"user and password", "memcached://me:secret@localhost", "password_env"},
		{"timeout of no form", "locmem://?timeout=soon", "timeout=soon"},
		{"no timeout", "locmem://?timeout=", "timeout"},
		{"timeout that is not a number", "locmem://?timeout=NaN", "NaN"},
		{"two timeouts", "locmem://?timeout=1&timeout=2", "timeout is given 2 times"},
		{"two prefixes", "memcached://h/a?prefix=b", "prefix"},
		{"broken escape in a host", "memcached://h%zz", "%zz"},
		{"broken escape in a path", "memcached://h/%zz", "%zz"},
		{"broken escape in a query", "memcached://h?a=%zz", "%zz"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := backends.ParseURL(test.url)
			if !errors.Is(err, cacheutils.ErrConfig) {
				t.Fatalf("got %+v, %v, want ErrConfig", s, err)
			}
			if !strings.Contains(err.Error(), test.names) {
				t.Errorf("got error %q, want %q in it", err, test.names)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("got error %q, which contains a password", err)
			}
			if diff := cmp.Diff(backends.Settings{}, s); diff != "" {
				t.Errorf("settings along with an error: (-want +got)\n%s", diff)
			}
		})
	}
}

// No error shows a password, wherever that stands.
func TestParseURL_HidesPasswords(t *testing.T) {
	for _, text := range []string{
		"memcached://me:s3cret@localhost",
		"memcached://h1,me:s3cret@h2/p@x?timeout=soon",
		"memcached:/me:s3cret@localhost",
		"me:s3cret@localhost:11211",
		"memcached://h?password=s3cret&timeout=soon",
		"memcached://h?password=s3cret&%zz",
		"memcached://h/%zz?password=s3cret",
		"vault://h?password=s3cret&stale=1&stale=2",
	} {
		_, err := backends.ParseURL(text)
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Count(err.Error(), "cacheutils: ") != 1 {
			t.Errorf("ParseURL(%q): %v", text, err)
		}
	}
	for _, location := range []string{"me:s3cret@h:11211", "memcached://me:s3cret@h:11211", "me:s3cret@h"} {
		caches, err := backends.New(backends.Config{"default": {Backend: "memcached", Location: []string{location}}})
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "@h") {
			t.Errorf("Location %q: %v", location, err)
		}
		_ = caches.Close()
	}
}

// What ParseURL returns is checked by Configure like any settings.
func TestParseURL_Configure(t *testing.T) {
	for _, test := range []struct{ url, names string }{
		{"nosuchengine://", "nosuchengine"},
		{"locmem://?no_such_option=1", "no_such_option"},
		{"locmem://?max_entries=many", "max_entries"},
		{"memcached://h:port", "h:port"},
		{"memcached://h/two%20words", "two words"},
	} {
		s, err := backends.ParseURL(test.url)
		if err != nil {
			t.Errorf("ParseURL(%q): %v", test.url, err)
			continue
		}
		err = backends.Configure(backends.Config{"sessions": s})
		if err == nil || !strings.Contains(err.Error(), test.names) || !strings.Contains(err.Error(), "sessions") {
			t.Errorf("%s: got error %v, want one that names sessions and %s", test.url, err, test.names)
		}
	}

	s, err := backends.ParseURL("shelf://url/prefix?version=2&timeout=never")
	if err != nil {
		t.Fatal(err)
	}
	configure(t, backends.Config{"default": s})
	if err := get(t, "default").Set(context.Background(), "key", 1); err != nil {
		t.Fatal(err)
	}
	e, _ := openShelf(engine.Settings{Location: []string{"url"}})
	if _, err := e.Get(context.Background(), "prefix:2:key"); err != nil {
		t.Errorf("under prefix:2:key: %v", err)
	}
}
