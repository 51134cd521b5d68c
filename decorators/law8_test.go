package decorators_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

func TestLaw8_UnencodableResults(t *testing.T) {
	type conn struct{ fd func() }
	cachetest.Locmem(t)
	mustPanic(t, "func", func() {
		decorators.Cached(func() *conn { return &conn{} }, decorators.Key("law8"))
	})
	F, _ := decorators.Cached(func() *conn { return &conn{fd: func() {}} }, decorators.Key("law8"), decorators.Shared())
	if a, b := F(), F(); a != b {
		t.Error("a shared value that can't be encoded is not kept by locmem")
	}
	if err := backends.Configure(backends.Config{"default": {Backend: "memcached"}}); err != nil {
		t.Fatal(err)
	}
	err := backends.Check()
	if !errors.Is(err, cacheutils.ErrUnsupportedValue) || !strings.Contains(err.Error(), "law8") {
		t.Errorf("Check with memcached: got %v, want an error that names the function", err)
	}
	if c := F(); c.fd == nil {
		t.Error("no result")
	}
	mustPanic(t, "can't be cached", func() {
		decorators.Cached(func() *conn { return nil }, decorators.Key("law8.later"), decorators.Shared())
	})
	type point struct{ x, y int } // nobody can change a copy, so locmem keeps it, but memcached can't
	mustPanic(t, "point.x", func() {
		decorators.Cached(func() point { return point{1, 2} }, decorators.Key("law8.point"))
	})
}

// After a deploy that renamed a field the entries from before are misses.
func TestLaw8_ChangedTypeIsAMiss(t *testing.T) {
	cachetest.Each(t, func(t *testing.T) {
		type before struct{ Name string }
		type after struct{ Title string }
		Old, _ := decorators.Cached(func() before { return before{"Rome"} }, decorators.Key("law8.type"))
		New, h := decorators.Cached(func() after { return after{"Paris"} }, decorators.Key("law8.type"))
		Old()
		if got := New(); got.Title != "Paris" {
			t.Errorf("got %+v from the entry of another type", got)
		}
		if got := New(); got.Title != "Paris" || h.Stats().Hits != 1 {
			t.Errorf("the entry was not overwritten: %+v, %+v", got, h.Stats())
		}
	})
}
