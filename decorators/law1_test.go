package decorators_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

func TestLaw1_ServerGoneAndBack(t *testing.T) {
	server := cachetest.Memcached(t)
	F, h := decorators.Cached(func(n int) int { return n * n }, decorators.Key("law1"))
	check := func(when string) {
		t.Helper()
		for n := range 20 {
			if got := F(n); got != n*n {
				t.Fatalf("%s: F(%d) = %d", when, n, got)
			}
		}
	}
	check("up")
	server.Stop()
	check("down")
	if err := h.Invalidate(1); err == nil {
		t.Error("Invalidate while the server is down reports success")
	}
	if got := h.ForceRecalc(3); got != 9 {
		t.Errorf("ForceRecalc while the server is down: %d", got)
	}
	if n := h.Stats().Errors; n == 0 {
		t.Error("no fault was counted")
	}
	server.Restart()
	eventually(t, "a hit after the restart", func() bool {
		before := h.Stats().Hits
		check("back")
		return h.Stats().Hits > before
	})
}

func TestLaw1_ServerDownAtStart(t *testing.T) {
	server := cachetest.Memcached(t)
	server.Stop()
	cachetest.Configure(t, backends.Config{"default": {Backend: "memcached", Location: []string{server.Addr()}}})
	F, _ := decorators.Cached(func(n int) (int, error) { return -n, nil }, decorators.Key("law1.start"))
	for n := range 100 {
		if got, err := F(n); got != -n || err != nil {
			t.Fatalf("F(%d) = %d, %v", n, got, err)
		}
	}
}

func TestLaw1_UnknownBackend(t *testing.T) {
	cachetest.Locmem(t)
	F, h := decorators.Cached(func(n int) int { return n + 1 }, decorators.Key("law1.unknown"), decorators.Backend("not there"))
	if got := F(1); got != 2 {
		t.Errorf("F(1) = %d", got)
	}
	if err := h.Invalidate(1); !errors.Is(err, cacheutils.ErrUnknownBackend) {
		t.Errorf("Invalidate: got %v, want ErrUnknownBackend", err)
	}
	forgotten(t, "law1.unknown")
}

// A value over memcached's limit is returned, and the one stored before is gone.
func TestLaw1_ValueTooLarge(t *testing.T) {
	cachetest.Memcached(t)
	size := 10
	F, h := decorators.Cached(func() []byte {
		b := make([]byte, size)
		rng := rand.NewChaCha8([32]byte{})
		rng.Read(b)
		return b
	}, decorators.Key("law1.large"))
	F()
	size = 3 << 20
	if got := len(h.ForceRecalc()); got != size {
		t.Fatalf("ForceRecalc returned %d bytes, want %d", got, size)
	}
	if got := len(F()); got != size {
		t.Errorf("the next call got %d bytes, want %d: the value from before is still there", got, size)
	}
}
