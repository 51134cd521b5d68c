package errtext_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

func TestWithoutPassword(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"h:11211":              "h:11211",
		"u:s3cret@h:11211":     "...@h:11211",
		"redis://:s3c@ret@h/0": "...@h/0",
		"u:s3cret%40h":         "...%40h",
		"redis://h?pw=s3cret":  "redis://h?...",
		"u:s3@h?a=@i":          "...@i",
		"h#s3cret":             "h#...",
		"h?":                   "h?",
	} {
		if got := errtext.WithoutPassword(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	err := errtext.Wrap(fmt.Errorf("%w: no such option", cacheutils.ErrConfig), "backend %q", "default")
	err = errtext.Wrap(errors.Join(err, cacheutils.ErrClosed), "configure")
	const want = "cacheutils: configure: backend \"default\": bad configuration: no such option\nbackend is closed"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !errors.Is(err, cacheutils.ErrConfig) || !errors.Is(err, cacheutils.ErrClosed) {
		t.Error("it doesn't match what it wraps")
	}
}

// What is quoted in a text is not its prefix.
func TestWrap_QuotedPrefix(t *testing.T) {
	const key = "cacheutils: a"
	err := errtext.Wrap(fmt.Errorf("get %q: %w", key, cacheutils.ErrServerDown), "look up %s", key)
	err = errtext.Wrap(errors.Join(err, fmt.Errorf("%w: %w", cacheutils.ErrCacheMiss, errtext.Wrap(cacheutils.ErrClosed, "key %s", key))), "%s", key)
	const want = "cacheutils: cacheutils: a: look up cacheutils: a: get \"cacheutils: a\": server is down\ncache miss: key cacheutils: a: backend is closed"
	if err.Error() != want {
		t.Errorf("got  %q, want %q", err, want)
	}
	for _, is := range []error{cacheutils.ErrServerDown, cacheutils.ErrCacheMiss, cacheutils.ErrClosed} {
		if !errors.Is(err, is) {
			t.Errorf("it doesn't match %v", is)
		}
	}
	if got := errtext.Bare(errors.New(key)).Error(); got != "a" {
		t.Errorf("got %q", got)
	}
}
