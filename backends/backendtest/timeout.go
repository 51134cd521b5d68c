package backendtest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/store"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// brief is how long entries live whose end is waited for. A store may count in whole
// seconds and end an entry one second early, and still there is one in which it is there.
const brief = 2 * time.Second

const year = 365 * 24 * time.Hour

// day30 is the longest timeout that memcached takes for a duration.
const day30 = 30 * 24 * time.Hour

// testTimeouts is about when entries end.
func (s *suite) testTimeouts(t *testing.T) {
	t.Run("DefaultIs300Seconds", func(t *testing.T) {
		c := s.only(t)
		if got, want := c.Timeout(), 300*time.Second; got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("NoTime", func(t *testing.T) { s.noTime(t, 0) })
	t.Run("NegativeTime", func(t *testing.T) {
		s.noTime(t, -time.Second)
		s.noTime(t, -1)
	})
	t.Run("NegativeDefault", func(t *testing.T) {
		s.configure(t, backends.Config{"never": {Timeout: -1}})
		c := s.cache(t, "never")
		c.set("key", "value", backends.Timeout(time.Hour))
		c.set("key", "value")
		c.misses("key")
	})
	t.Run("FractionsOfASecond", s.fractions)
	t.Run("Waiting", s.testExpiries)
}

// noTime is for timeouts that are over already, which are neither the default nor forever.
func (s *suite) noTime(t *testing.T, d time.Duration) {
	c := s.only(t)
	over := backends.Timeout(d)
	c.set("key", "old")
	c.set("key", "new", over)
	c.misses("key")

	c.set("a", "old")
	c.setMany(map[string]string{"a": "new", "b": "new"}, over)
	c.misses("a")
	c.misses("b")

	c.yes(c.Add(ctx, "added", "value", over))
	c.misses("added")
	c.set("there", "old")
	c.no(c.Add(ctx, "there", "new", over))
	c.holds("there", "old")

	c.yes(c.Touch(ctx, "there", over))
	c.misses("there")
	c.no(c.Touch(ctx, "there", over))

	got := ""
	c.ok(c.GetOrSet(ctx, "computed", &got, func(context.Context) (any, error) { return "value", nil }, over))
	c.same("GetOrSet", "value", got)
	c.misses("computed")
}

// fractions wants 500 ms to be some time. Where a store's second may end between the two
// operations, that doesn't happen three times in a row. A number's end is known to the engine alone, which keeps
// other values for one second more.
func (s *suite) fractions(t *testing.T) {
	c := s.only(t)
	for _, value := range []any{"value", 7} {
		for _, d := range []time.Duration{500 * time.Millisecond, time.Second - 1, 1500 * time.Millisecond} {
			found := false
			for range 3 {
				c.set("key", value, backends.Timeout(d))
				if err := c.Get(ctx, "key", new(any)); err == nil {
					found = true
					break
				} else if !errors.Is(err, cacheutils.ErrCacheMiss) {
					t.Fatal(err)
				}
			}
			if !found {
				t.Errorf("timeout %v: %v is gone at once", d, value)
			}
		}
	}
}

// An expiry is an entry whose end is waited for. All of them are written first.
type expiry struct {
	name  string
	cache string // in the configuration of testExpiries
	write func(c cache, key string)
	after func(c cache, key string) // once it has ended; may be nil
}

func timeout(d time.Duration) backends.Option { return backends.Timeout(d) }

// ending are entries that live briefly.
var ending = []expiry{
	{"SetEnds", "default", func(c cache, key string) {
		c.set(key, "value", timeout(brief))
		c.holds(key, "value")
	}, func(c cache, key string) {
		c.misses(key)
		got := map[string]string{}
		c.ok(c.GetMany(ctx, []string{key}, got))
		c.same("GetMany", map[string]string{}, got)
	}},
	{"AddAfterTheEnd", "default", func(c cache, key string) {
		c.yes(c.Add(ctx, key, "old", timeout(brief)))
		c.no(c.Add(ctx, key, "new"))
	}, func(c cache, key string) {
		c.yes(c.Add(ctx, key, "new"))
		c.holds(key, "new")
	}},
	{"HasAfterTheEnd", "default", func(c cache, key string) {
		c.set(key, "value", timeout(brief))
		c.yes(c.Has(ctx, key))
	}, func(c cache, key string) {
		c.no(c.Has(ctx, key))
	}},
	{"SetManyEnds", "default", func(c cache, key string) {
		c.setMany(map[string]string{key: "value", key + "-2": "value"}, timeout(brief))
	}, func(c cache, key string) {
		c.ends(key + "-2")
	}},
	{"DefaultEnds", "brief", func(c cache, key string) {
		c.set(key, "value")
		c.setMany(map[string]string{key + "-2": "value"})
	}, func(c cache, key string) {
		c.ends(key + "-2")
	}},
	{"OtherThanTheDefault", "forever", func(c cache, key string) {
		c.set(key, "value", timeout(brief))
	}, nil},
	{"HalfASecondEnds", "default", func(c cache, key string) {
		c.set(key, "value", timeout(500*time.Millisecond))
	}, nil},
	{"SetAgainEnds", "default", func(c cache, key string) {
		c.set(key, "value", timeout(cacheutils.Forever))
		c.set(key, "value", timeout(brief))
	}, nil},
	{"TouchShortens", "default", func(c cache, key string) {
		c.set(key, "value", timeout(cacheutils.Forever))
		c.yes(c.Touch(ctx, key, timeout(brief)))
		c.holds(key, "value")
	}, nil},
	{"TouchTakesTheDefault", "brief", func(c cache, key string) {
		c.set(key, "value", timeout(time.Hour))
		c.yes(c.Touch(ctx, key))
	}, nil},
	{"TouchAfterTheEnd", "default", func(c cache, key string) {
		c.set(key, "value", timeout(brief))
	}, func(c cache, key string) {
		c.no(c.Touch(ctx, key, timeout(time.Hour)))
		c.misses(key)
	}},
	{"IncrKeepsTheEnd", "default", func(c cache, key string) {
		c.set(key, 1, timeout(brief))
		c.is(2)(c.Incr(ctx, key, 1))
		c.is(1)(c.Decr(ctx, key, 1))
	}, nil},
	{"IncrAfterTheEnd", "default", func(c cache, key string) {
		c.set(key, 1, timeout(brief))
	}, func(c cache, key string) {
		_, err := c.Incr(ctx, key, 1)
		c.fails(err, cacheutils.ErrCacheMiss)
	}},
	{"GetOrSetEnds", "default", func(c cache, key string) {
		c.ok(c.GetOrSet(ctx, key, new(string), func(context.Context) (any, error) { return "old", nil }, timeout(brief)))
	}, func(c cache, key string) {
		got := ""
		c.ok(c.GetOrSet(ctx, key, &got, func(context.Context) (any, error) { return "new", nil }))
		c.same("GetOrSet", "new", got)
	}},
	{"EndsWhenItsTimeoutSays", "default", func(c cache, key string) {
		c.set(key, "value", timeout(brief), backends.Group("lives long"))
		c.holds(key, "value", backends.Group("lives long"))
	}, nil},
	{"StaleIsNoValue", "default", func(c cache, key string) {
		c.putStale(key)
		c.holds(key, "old")
	}, func(c cache, key string) {
		c.isStale(key)
		c.misses(key)
		c.no(c.Touch(ctx, key))
		_, err := c.Incr(ctx, key, 1)
		c.fails(err, cacheutils.ErrCacheMiss)
		got := map[string]string{}
		c.ok(c.GetMany(ctx, []string{key}, got))
		c.same("GetMany", map[string]string{}, got)
		c.isStale(key)
	}},
	{"AddOverStale", "default", cache.putStale, func(c cache, key string) {
		c.isStale(key)
		c.yes(c.Add(ctx, key, "new"))
		c.no(c.Add(ctx, key, "newer"))
		c.holds(key, "new")
	}},
	{"GetOrSetOverStale", "default", cache.putStale, func(c cache, key string) {
		c.isStale(key)
		got := ""
		c.ok(c.GetOrSet(ctx, key, &got, func(context.Context) (any, error) { return "new", nil }))
		c.holds(key, "new")
	}},
	{"StaleIsDeleted", "default", cache.putStale, func(c cache, key string) {
		c.isStale(key)
		c.yes(c.Delete(ctx, key))
		_, err := c.store.FetchCached(ctx, c.Key(key), staleTask)
		c.fails(err, cacheutils.ErrNoCachedValue)
	}},
}

// staleTask is of values that may be served for long after their timeout.
var staleTask = func() *store.Task {
	task := store.NewTask("stale", reflect.TypeFor[string](), false)
	task.Stale = time.Hour
	return task
}()

func (c cache) putStale(key string) {
	c.t.Helper()
	value := "old"
	c.ok(c.store.Put(ctx, c.Key(key), staleTask, &value, brief))
}

// isStale wants the value of putStale under key.
func (c cache) isStale(key string) {
	c.t.Helper()
	got, err := c.store.FetchCached(ctx, c.Key(key), staleTask)
	c.ok(err)
	c.same("the stale value", "old", *got.(*string))
}

// staying are entries that are still there when all the others have ended.
var staying = []expiry{
	{name: "For300Seconds", cache: "default", write: func(c cache, key string) {
		c.set(key, "value")
	}},
	{name: "ForeverByDefault", cache: "forever", write: func(c cache, key string) {
		c.set(key, "value")
	}},
	{name: "TheDefaultAfterAnother", cache: "default", write: func(c cache, key string) {
		c.set(key, "value", timeout(brief))
		c.set(key, "value")
	}},
	{name: "SetForever", cache: "brief", write: func(c cache, key string) {
		c.set(key, "value", timeout(cacheutils.Forever))
	}},
	{name: "AddForever", cache: "brief", write: func(c cache, key string) {
		c.yes(c.Add(ctx, key, "value", timeout(cacheutils.Forever)))
	}},
	{name: "SetManyForever", cache: "brief", write: func(c cache, key string) {
		c.setMany(map[string]string{key: "value"}, timeout(cacheutils.Forever))
	}},
	{name: "TouchForever", cache: "brief", write: func(c cache, key string) {
		c.set(key, "value")
		c.yes(c.Touch(ctx, key, timeout(cacheutils.Forever)))
	}},
	{name: "Set30Days", cache: "brief", write: func(c cache, key string) {
		c.set(key, "value", timeout(day30))
	}},
	{name: "SetOver30Days", cache: "brief", write: func(c cache, key string) {
		c.set(key, "value", timeout(day30+time.Second))
	}},
	{name: "AddOver30Days", cache: "brief", write: func(c cache, key string) {
		c.yes(c.Add(ctx, key, "value", timeout(day30+time.Second)))
	}},
	{name: "SetManyOver30Days", cache: "brief", write: func(c cache, key string) {
		c.setMany(map[string]string{key: "value"}, timeout(day30+time.Second))
	}},
	{name: "TouchOver30Days", cache: "brief", write: func(c cache, key string) {
		c.set(key, "value")
		c.yes(c.Touch(ctx, key, timeout(day30+time.Second)))
	}},
	{name: "Set50Years", cache: "brief", write: func(c cache, key string) {
		c.set(key, "value", timeout(50*year))
	}},
	{name: "Touch50Years", cache: "brief", write: func(c cache, key string) {
		c.set(key, "value")
		c.yes(c.Touch(ctx, key, timeout(50*year)))
	}},
	{name: "AlmostForever", cache: "brief", write: func(c cache, key string) {
		c.set(key, "value", timeout(cacheutils.Forever-1))
	}},
	{name: "TouchExtends", cache: "brief", write: func(c cache, key string) {
		c.set(key, "value")
		c.yes(c.Touch(ctx, key, timeout(time.Hour)))
	}},
	{name: "TouchExtendsByTheDefault", cache: "default", write: func(c cache, key string) {
		c.set(key, "value", timeout(brief))
		c.yes(c.Touch(ctx, key))
	}},
	{name: "OutlivesTheDefault", cache: "brief", write: func(c cache, key string) {
		c.set(key, "value", timeout(time.Hour), backends.Group("lives long"))
	}},
	{name: "YearByDefault", cache: "year", write: func(c cache, key string) {
		c.set(key, "value")
	}},
}

// testExpiries writes all entries, waits for the end of those that end, and looks at the others.
func (s *suite) testExpiries(t *testing.T) {
	s.configure(t, backends.Config{
		"brief":   {Timeout: brief},
		"forever": {Timeout: cacheutils.Forever},
		"year":    {Timeout: year},
	})
	e := s.engine(t)
	must(t, e.Set(ctx, ":1:Engine_NoSwapAfterTheEnd", number(1), brief))
	over, err := e.Get(ctx, ":1:Engine_NoSwapAfterTheEnd")
	must(t, err)
	retime(t, e, ":1:Engine_SwapShortens", time.Hour, brief)
	retime(t, e, ":1:Engine_SwapProlongs", brief, time.Hour)
	retime(t, e, ":1:Engine_SwapForever", brief, cacheutils.Forever)
	for _, x := range append(ending, staying...) {
		x.write(s.cache(t, x.cache), x.name)
	}
	s.cache(t, "default").set("DeleteAfterTheEnd", "value", timeout(brief))
	s.cache(t, "brief").set("last", "value") // ends after all that live as long

	for _, x := range ending {
		t.Run(x.name, func(t *testing.T) {
			c := s.cache(t, x.cache)
			c.ends(x.name)
			if x.after != nil {
				x.after(c, x.name)
			}
		})
	}
	gone := func(key string) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			_, err := e.Get(ctx, key)
			if errors.Is(err, cacheutils.ErrCacheMiss) {
				return
			}
			must(t, err)
			if time.Now().After(end) {
				t.Fatalf("%q is still there", key)
			}
		}
	}
	t.Run("DeleteAfterTheEnd", func(t *testing.T) {
		c := s.cache(t, "default")
		c.ends("DeleteAfterTheEnd")
		gone(":1:DeleteAfterTheEnd") // an engine may drop later what has ended
		c.no(c.Delete(ctx, "DeleteAfterTheEnd"))
	})
	t.Run("Engine_SwapShortens", func(t *testing.T) { gone(":1:Engine_SwapShortens") })
	t.Run("Engine_NoSwapAfterTheEnd", func(t *testing.T) {
		gone(":1:Engine_NoSwapAfterTheEnd")
		swapped, err := e.CompareAndSwap(ctx, ":1:Engine_NoSwapAfterTheEnd", over, time.Hour)
		if swapped || err != nil {
			t.Errorf("got %v, %v, want false", swapped, err)
		}
	})
	s.cache(t, "brief").ends("last")
	for _, name := range []string{"Engine_SwapProlongs", "Engine_SwapForever"} {
		t.Run(name, func(t *testing.T) { wantItem(t, e, ":1:"+name, text("value")) })
	}
	for _, x := range staying {
		t.Run(x.name, func(t *testing.T) { s.cache(t, x.cache).holds(x.name, "value") })
	}
}

// retime stores an item for d and then has CompareAndSwap give it another timeout.
func retime(t *testing.T, e engine.Engine, key string, d, timeout time.Duration) {
	t.Helper()
	must(t, e.Set(ctx, key, text("value"), d))
	swap(t, e, key, text("value"), timeout, true)
}
