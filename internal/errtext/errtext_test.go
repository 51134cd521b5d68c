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
