package decorators_test

import (
	"errors"
	"strings"
	"testing"
	"time"

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
	eachTwice(t, func(t *testing.T, now, next *backends.Caches) {
		type before struct{ Name string }
		type after struct{ Title string }
		Old, _ := decorators.Cached(func() before { return before{"Rome"} }, decorators.Key("law8.type"), decorators.On(now))
		New, h := decorators.Cached(func() after { return after{"Paris"} }, decorators.Key("law8.type"), decorators.On(next))
		Old()
		if got := New(); got.Title != "Paris" {
			t.Errorf("got %+v from the entry of another type", got)
		}
		if got := New(); got.Title != "Paris" || h.Stats().Hits != 1 {
			t.Errorf("the entry was not overwritten: %+v, %+v", got, h.Stats())
		}
	})
}

// A caller who looks something up in a map that it was given finds it, on the first call and on each later one.
func TestLaw8_KeysOfMaps(t *testing.T) {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	type night struct {
		Day  time.Time
		Room string
	}
	cachetest.Each(t, func(t *testing.T) {
		for name, day := range map[string]time.Time{
			"UTC": day, "Rome": day.In(rome), "fixed": day.In(time.FixedZone("X", 3600)), "Local": day.Local(), "now": time.Now(),
		} {
			days, _ := decorators.Cached(func() map[time.Time]int { return map[time.Time]int{day: 120} }, decorators.Key("law8.days."+name))
			nights, _ := decorators.Cached(func() map[night]int { return map[night]int{{day, "1"}: 120} }, decorators.Key("law8.nights."+name))
			anything, _ := decorators.Cached(func() []map[any]any { return []map[any]any{{[1]any{day}: 120}} }, decorators.Key("law8.anything."+name))
			for call := range 3 {
				if a, b, c := days()[day], nights()[night{day, "1"}], anything()[0][[1]any{day}]; a != 120 || b != 120 || c != 120 {
					t.Errorf("%s, call %d: found %d, %d and %v, want 120", name, call, a, b, c)
				}
			}
		}
	})
}
