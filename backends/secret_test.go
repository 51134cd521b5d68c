package backends_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
	internal "github.com/cacheutils/cacheutils/internal/store"
)

const (
	secretOne = "s3cret of one fleet"
	secretTwo = "s3cret of another"
)

// Every form of a secret is one, and every mistake is an error that says what, and never has a secret in it.
func TestSecret_Forms(t *testing.T) {
	t.Setenv("S3CRET_GOOD", secretOne)
	t.Setenv("S3CRET_TWO", secretOne+" , "+secretTwo)
	t.Setenv("S3CRET_SPACED", secretOne+","+secretTwo)
	t.Setenv("S3CRET_SHORT", "s3cret")
	t.Setenv("S3CRET_EMPTY", "")
	many := make([]string, 9)
	for i := range many {
		many[i] = fmt.Sprint(secretOne, i)
	}
	for _, test := range []struct {
		name    string
		options map[string]any
		wrong   string // what an error has to say; empty: there is none
	}{
		{"a string", map[string]any{"secret": secretOne}, ""},
		{"in upper case", map[string]any{"SECRET": secretOne}, ""},
		{"bytes", map[string]any{"secret": []byte("s3cret\x00\xff\n of bytes")}, ""},
		{"strings", map[string]any{"secret": []string{secretOne, secretTwo}, "key_secret": secretOne}, ""},
		{"lists of bytes", map[string]any{"secret": [][]byte{[]byte(secretOne), []byte(secretTwo)}, "key_secret": []byte(secretOne)}, ""},
		{"as from JSON", map[string]any{"secret": []any{secretOne, secretTwo}, "key_secret": secretOne}, ""},
		{"eight", map[string]any{"secret": many[:8], "key_secret": secretOne}, ""},
		{"for keys alone", map[string]any{"key_secret": secretOne}, ""},
		{"for keys, from the environment", map[string]any{"key_secret_env": "S3CRET_GOOD"}, ""},
		{"from the environment", map[string]any{"secret_env": "S3CRET_GOOD"}, ""},
		{"two from the environment", map[string]any{"secret_env": "S3CRET_SPACED", "key_secret_env": "S3CRET_GOOD"}, ""},
		{"with groups left open", map[string]any{"secret": secretOne, "open_groups": true}, ""},

		{"short", map[string]any{"secret": "s3cret"}, "1 of 1 has 6 bytes"},
		{"empty", map[string]any{"secret": ""}, "1 of 1 has 0 bytes"},
		{"nil", map[string]any{"secret": nil}, "it has to be text"},
		{"a number", map[string]any{"secret": 5}, "it has to be text"},
		{"a number in a list", map[string]any{"secret": []any{secretOne, 5}}, "2 of 2 is something else"},
		{"an empty list", map[string]any{"secret": []string{}}, "a list of 0"},
		{"nine", map[string]any{"secret": many}, "a list of 9"},
		{"one twice", map[string]any{"secret": []any{secretOne, secretTwo, []byte(secretOne)}}, "3 of 3 is the same as 1"},
		{"the second is short", map[string]any{"secret": []string{secretOne, "s3cret"}}, "2 of 2 has 6 bytes"},
		{"a line break", map[string]any{"secret": secretOne + "\n"}, "line break"},
		{"not filled in", map[string]any{"secret": make([]byte, 32)}, "random"},
		{"both", map[string]any{"secret": secretOne, "secret_env": "S3CRET_GOOD"}, "leave one out"},
		{"under two names", map[string]any{"secret": secretOne, "Secret": secretTwo}, "leave one out"},
		{"not set", map[string]any{"secret_env": "S3CRET_NOT_SET"}, "secret_env"},
		{"set to nothing", map[string]any{"secret_env": "S3CRET_EMPTY"}, "secret_env"},
		{"the secret in place of the variable", map[string]any{"secret_env": secretOne}, "secret_env"},
		{"short in the environment", map[string]any{"secret_env": "S3CRET_SHORT"}, "has 6 bytes"},
		{"spaces in the environment", map[string]any{"secret_env": "S3CRET_TWO"}, "line break"},
		{"two, and none for keys", map[string]any{"secret": []string{secretOne, secretTwo}}, "set it to the secret that was the only one until now"},
		{"two for keys", map[string]any{"secret": secretOne, "key_secret": []string{secretOne, secretTwo}}, "it has to be one"},
		{"short for keys", map[string]any{"secret": secretOne, "key_secret": "s3cret"}, "option key_secret 1 of 1 has 6 bytes"},
		{"both for keys", map[string]any{"key_secret": secretOne, "key_secret_env": "S3CRET_GOOD"}, "leave one out"},
		{"not set, for keys", map[string]any{"key_secret_env": "S3CRET_NOT_SET"}, "key_secret_env"},
		{"no name", map[string]any{"secret_env": 5}, "a string"},
		{"a misspelt option", map[string]any{"secrets": secretOne}, "no option secrets"},
	} {
		for _, backend := range []string{"locmem", "memcached", "dummy"} {
			caches, err := backends.New(backends.Config{"named": {Backend: backend, Options: test.options}})
			switch {
			case test.wrong == "" && err != nil:
				t.Errorf("%s on %s: %v", test.name, backend, err)
			case test.wrong != "" && (!errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), test.wrong) || !strings.Contains(err.Error(), `"named"`)):
				t.Errorf("%s on %s: got %v, want ErrConfig with %q", test.name, backend, err, test.wrong)
			case strings.Contains(fmt.Sprintf("%v %+v", err, caches), "s3cret"):
				t.Errorf("%s on %s: %v, %+v", test.name, backend, err, caches)
			}
			if c, err := caches.Get("named"); err == nil {
				if text := fmt.Sprintf("%+v %#v", c, c); strings.Contains(text, "s3cret") {
					t.Errorf("%s on %s: %s", test.name, backend, text)
				}
			}
			caches.Close()
		}
	}
}

// A URL has no secret, however it is spelt, and no error shows it; it may name an environment variable.
func TestSecret_NotInURLs(t *testing.T) {
	engine.Register(engine.Driver{
		Names: []string{"secretdriver"},
		Open:  openShelf,
		ParseURL: func(string) (engine.Settings, error) {
			return engine.Settings{Options: map[string]any{"seen": true}}, nil
		},
	})
	for _, name := range []string{"secret", "SECRET", "Secret", "s%65cret", "password", "PassWord", "key_secret"} {
		for _, scheme := range []string{"memcached", "group+memcached", "locmem", "secretdriver"} {
			if scheme == "secretdriver" && !strings.EqualFold(name, "secret") {
				continue // other options are the driver's
			}
			_, err := backends.ParseURL(scheme + "://h?a=b&" + name + "=s3cretofsixteenbytes")
			if !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), "_env") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s with %s: %v", scheme, name, err)
			}
		}
	}
	t.Setenv("S3CRET_GOOD", secretOne)
	t.Setenv("S3CRET_PASSWORD", "s3cret")
	for _, text := range []string{
		"memcached://127.0.0.1/shop?secret_env=S3CRET_GOOD&open_groups=true",
		"group+memcached://127.0.0.1?SECRET_ENV=S3CRET_GOOD&key_secret_env=S3CRET_GOOD",
		"memcached://cache?tls=true&username=shop&password_env=S3CRET_PASSWORD",
		"secretdriver://h?secret_env=S3CRET_GOOD",
	} {
		s, err := backends.ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		delete(s.Options, "seen")
		caches, err := backends.New(backends.Config{"default": s})
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		caches.Close()
	}
}

// A set logs one line about all servers on other hosts to which it connects without TLS, unless it was told to.
func TestPlainServers(t *testing.T) {
	for _, test := range []struct {
		name   string
		config backends.Config
		want   []string // what the line names; nil: there is none
	}{
		{"two backends", backends.Config{
			"a": {Backend: "memcached", Location: []string{"127.0.0.1", "10.0.0.1", "cache.example.com:1"}},
			"b": {Backend: "group", Location: []string{"10.0.0.2"}},
			"c": {Backend: "memcached", Location: []string{"10.0.0.3"}, Options: map[string]any{"tls": true}},
			"d": {Backend: "memcached", Location: []string{"10.0.0.4"}, Options: map[string]any{"tls": "false"}},
			"e": {Backend: "memcached", Location: []string{"/run/e.sock", "localhost", "::1"}},
		}, []string{`10.0.0.1:11211 of "a", cache.example.com:1 of "a", 10.0.0.2:11211 of "b";`}},
		{"with a secret", backends.Config{"a": {Backend: "memcached", Location: []string{"10.0.0.1"}, Options: map[string]any{"secret": secretOne}}},
			[]string{"10.0.0.1"}},
		{"in a wrapper", backends.Config{"a": {Open: func(s engine.Settings) (engine.Engine, error) {
			inner, err := memcached.Open(engine.Settings{Location: []string{"10.0.0.1"}})
			return unwrapped{wrapped{inner}}, err
		}}}, []string{"10.0.0.1"}},
		{"twelve", backends.Config{"a": {Backend: "memcached", Location: strings.Fields("h1 h2 h3 h4 h5 h6 h7 h8 h9 h10 h11 h12")}},
			[]string{"h1:11211", "and 2 more"}},
		{"none", backends.Config{"a": {Backend: "memcached"}, "b": {Backend: "locmem"}, "c": {Backend: "dummy"}}, nil},
		{"an error", backends.Config{"a": {Backend: "memcached", Location: []string{"10.0.0.1"}}, "b": {Backend: "none"}}, nil},
	} {
		log := logTo(t, false)
		caches, err := backends.New(test.config)
		if (err != nil) != (test.name == "an error") {
			t.Errorf("%s: %v", test.name, err)
		}
		caches.Close()
		lines := log.logged()
		if len(lines) != min(len(test.want), 1) {
			t.Errorf("%s: got %q", test.name, lines)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(lines[0], want) || !strings.Contains(lines[0], "tls: false") {
				t.Errorf("%s: got %q, want %q in it", test.name, lines[0], want)
			}
		}
	}
}

// The secret for keys is that of the option, or the only secret, and the same in both cases, so that it stays what it was
// when a second secret comes.
func TestSecret_ForKeys(t *testing.T) {
	forKeys := func(options map[string]any) string {
		t.Helper()
		caches, err := backends.New(backends.Config{"default": {Backend: "memcached", Options: options}})
		if err != nil {
			t.Fatal(err)
		}
		defer caches.Close()
		s, err := caches.Store("default", internal.Caller{})
		if err != nil {
			t.Fatal(err)
		}
		return string(s.KeySecret)
	}
	alone := forKeys(map[string]any{"secret": secretOne})
	want(t, "without any", forKeys(nil), "")
	want(t, "its length", len(alone), 32)
	want(t, "with a second", forKeys(map[string]any{"secret": []string{secretOne, secretTwo}, "key_secret": secretOne}), alone)
	want(t, "with the second alone", forKeys(map[string]any{"secret": secretTwo, "key_secret": secretOne}), alone)
	want(t, "on its own", forKeys(map[string]any{"key_secret": []byte(secretOne)}), alone)
	if forKeys(map[string]any{"secret": secretTwo}) == alone {
		t.Error("two secrets have one for keys")
	}
}

// What stays in this process, or nowhere, is not sealed: hits there cost what they did.
func TestSecret_NothingToSeal(t *testing.T) {
	for name, sealed := range map[string]bool{"locmem": false, "group+locmem": false, "dummy": false, "memcached": true, "shelf": true} {
		caches, err := backends.New(backends.Config{"default": {Backend: name, Options: map[string]any{"secret": secretOne}}})
		if err != nil {
			t.Fatal(err)
		}
		defer caches.Close()
		s, err := caches.Store("default", internal.Caller{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(fmt.Sprintf("%T", s.Engine), "sealed"); got != sealed {
			t.Errorf("%s: the engine is a %T", name, s.Engine)
		}
	}
}
