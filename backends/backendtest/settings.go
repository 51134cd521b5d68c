package backendtest

import (
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// testSettings is about how an engine is opened.
func (s *suite) testSettings(t *testing.T) {
	t.Run("UnknownAlias", func(t *testing.T) {
		c := s.only(t)
		_, err := backends.Get("does not exist")
		c.fails(err, cacheutils.ErrUnknownBackend)
		wantText(t, err, "does not exist", "default")
	})
	t.Run("OneInstance", func(t *testing.T) {
		c := s.only(t)
		again := s.cache(t, "default")
		if c.Cache != again.Cache {
			t.Error("Get twice: got two caches, want one")
		}
	})
	t.Run("UnknownOption", func(t *testing.T) {
		s.only(t)
		err := backends.Configure(backends.Config{
			"mistaken": {Backend: s.backend, Options: map[string]any{"no_such_option": 1}},
		})
		cache{t: t}.fails(err, cacheutils.ErrConfig)
		wantText(t, err, "mistaken", "no_such_option")
		if _, err := backends.Get("mistaken"); err == nil {
			t.Error("a configuration with an error is in force")
		}
		s.cache(t, "default").set("key", "still works")
	})
	t.Run("WrongTypeOfAnOption", func(t *testing.T) {
		err := backends.Configure(backends.Config{
			"mistaken": {Backend: s.backend, Options: map[string]any{"compress_above": "much"}},
		})
		cache{t: t}.fails(err, cacheutils.ErrConfig)
		wantText(t, err, "mistaken", "compress_above", "much")
	})
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got error %q, want %q in it", err, part)
		}
	}
}
