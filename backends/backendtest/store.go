package backendtest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// testStore is about one key: what is stored there, and when.
func (s *suite) testStore(t *testing.T) {
	t.Run("SetThenGet", s.setThenGet)
	t.Run("MissLeavesVariable", s.missLeavesVariable)
	t.Run("NilIsAHit", s.nilIsAHit)
	t.Run("AddLeavesWhatIsThere", s.addLeavesWhatIsThere)
	t.Run("DeleteReportsWhatWasThere", s.deleteReportsWhatWasThere)
	t.Run("Has", s.has)
	t.Run("GetOrSetComputesOnce", s.getOrSetComputesOnce)
	t.Run("GetOrSetErrorIsNotStored", s.getOrSetErrorIsNotStored)
	t.Run("GetOrSetOfMany", s.getOrSetOfMany)
	t.Run("GetOrSetKeepsAnothersValue", s.getOrSetKeepsAnothersValue)
	t.Run("Cache_LeaseIsNotAValue", s.leaseIsNotAValue)
	t.Run("GetOrSetOfAVersion", s.getOrSetOfAVersion)
}

func (s *suite) setThenGet(t *testing.T) {
	c := s.only(t)
	c.set("key", "value")
	c.holds("key", "value")
	c.set("key", []string{"another", "type"})
	c.holds("key", []string{"another", "type"})
}

func (s *suite) missLeavesVariable(t *testing.T) {
	c := s.only(t)
	c.misses("nothing")
	type tuple struct{ A, B string }
	name, number, pair, list := "default", 42, tuple{"a", "b"}, []int{1}
	for _, into := range []any{&name, &number, &pair, &list} {
		c.fails(c.Get(ctx, "nothing", into), cacheutils.ErrCacheMiss)
	}
	c.same("variables after misses", []any{"default", 42, tuple{"a", "b"}, []int{1}}, []any{name, number, pair, list})
}

func (s *suite) nilIsAHit(t *testing.T) {
	c := s.only(t)
	c.set("nil", nil)
	c.yes(c.Has(ctx, "nil"))
	var anything any = "default"
	list, pointer := []string{"default"}, new(int)
	c.ok(c.Get(ctx, "nil", &anything))
	c.ok(c.Get(ctx, "nil", &list))
	c.ok(c.Get(ctx, "nil", &pointer))
	c.same("nil in an any, a slice and a pointer", []any{nil, []string(nil), (*int)(nil)}, []any{anything, list, pointer})
	c.no(c.Add(ctx, "nil", "value"))

	c.set("typednil", []string(nil))
	list = []string{"default"}
	c.ok(c.Get(ctx, "typednil", &list))
	c.same("a nil slice", []string(nil), list)
}

func (s *suite) addLeavesWhatIsThere(t *testing.T) {
	c := s.only(t)
	c.yes(c.Add(ctx, "key", "first"))
	c.no(c.Add(ctx, "key", "second"))
	c.holds("key", "first")
	c.yes(c.Delete(ctx, "key"))
	c.yes(c.Add(ctx, "key", "second"))
	c.holds("key", "second")
}

func (s *suite) deleteReportsWhatWasThere(t *testing.T) {
	c := s.only(t)
	c.set("one", "spam")
	c.set("two", "eggs")
	c.yes(c.Delete(ctx, "one"))
	c.misses("one")
	c.holds("two", "eggs")
	c.no(c.Delete(ctx, "one"))
}

func (s *suite) has(t *testing.T) {
	c := s.only(t)
	c.set("value", "goodbye")
	c.set("forever", "goodbye", backends.Timeout(cacheutils.Forever))
	c.set("zero", 0)
	c.set("empty", "")
	for _, key := range []string{"value", "forever", "zero", "empty"} {
		c.yes(c.Has(ctx, key))
	}
	c.no(c.Has(ctx, "nothing"))
}

func (s *suite) getOrSetErrorIsNotStored(t *testing.T) {
	c := s.only(t)
	broken := errors.New("broken")
	got := "default"
	err := c.GetOrSet(ctx, "key", &got, func(context.Context) (any, error) { return "half", broken })
	c.fails(err, broken)
	c.same("variable after an error", "default", got)
	c.misses("key")
}

func (s *suite) getOrSetKeepsAnothersValue(t *testing.T) {
	s.configure(t, backends.Config{"another": {}})
	c, another := s.cache(t, "default"), s.cache(t, "another")
	got := 0
	c.ok(c.GetOrSet(ctx, "key", &got, func(ctx context.Context) (any, error) {
		return 1, another.Set(ctx, "key", 7)
	}))
	c.same("the value handed out", 7, got)
	c.holds("key", 7)
}

func (s *suite) getOrSetOfAVersion(t *testing.T) {
	c := s.only(t)
	got := ""
	c.ok(c.GetOrSet(ctx, "key", &got, func(context.Context) (any, error) { return "two", nil }, backends.Version("2")))
	c.misses("key")
	c.holds("key", "two", backends.Version("2"))
}

func (s *suite) getOrSetComputesOnce(t *testing.T) {
	c := s.only(t)
	calls := 0
	value := func(v any) func(context.Context) (any, error) {
		return func(context.Context) (any, error) {
			calls++
			return v, nil
		}
	}
	got := ""
	c.ok(c.GetOrSet(ctx, "key", &got, value("first")))
	c.same("computed", "first", got)
	c.holds("key", "first")
	c.ok(c.GetOrSet(ctx, "key", &got, value("second")))
	c.same("read", "first", got)

	var none any = "default"
	c.ok(c.GetOrSet(ctx, "nil", &none, value(nil)))
	c.same("computed nil", nil, none)
	none = "default"
	c.ok(c.GetOrSet(ctx, "nil", &none, value("second")))
	c.same("read nil", nil, none)
	c.same("computations", 2, calls)
}

// getOrSetOfMany wants one computation for all that call meanwhile, each with a value of its own.
func (s *suite) getOrSetOfMany(t *testing.T) {
	c := s.only(t)
	const callers = 16
	var calls, waiting atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			waiting.Add(1)
			var got []int
			err := c.GetOrSet(ctx, "key", &got, func(context.Context) (any, error) {
				calls.Add(1)
				for end := time.Now().Add(patience); waiting.Load() < callers && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				return []int{1, 2, 3}, nil
			})
			if err != nil || len(got) != 3 || got[0] != 1 {
				t.Errorf("got %v, %v, want [1 2 3]", got, err)
				return
			}
			got[0] = -1
		})
	}
	wg.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("%d callers: got %d computations, want 1", callers, n)
	}
	c.holds("key", []int{1, 2, 3})
}

// leaseIsNotAValue is about a key whose value is being computed: it is a miss, and a value that is added is not
// overwritten.
func (s *suite) leaseIsNotAValue(t *testing.T) {
	c := s.only(t)
	nothing := func(key string) {
		c.misses(key)
		c.no(c.Has(ctx, key))
		c.no(c.Touch(ctx, key))
		_, err := c.Incr(ctx, key, 1)
		c.fails(err, cacheutils.ErrCacheMiss)
		many := map[string]any{}
		c.ok(c.GetMany(ctx, []string{key}, many))
		c.same("GetMany", map[string]any{}, many)
	}
	got := ""
	c.ok(c.GetOrSet(ctx, "key", &got, func(context.Context) (any, error) {
		nothing("key")
		return "computed", nil
	}))
	c.same("GetOrSet", "computed", got)
	c.holds("key", "computed")

	c.ok(c.GetOrSet(ctx, "added", &got, func(context.Context) (any, error) {
		nothing("added")
		c.yes(c.Add(ctx, "added", "another"))
		c.no(c.Add(ctx, "added", "a third"))
		return "computed", nil
	}))
	c.same("GetOrSet of what was added meanwhile", "another", got)
	c.holds("added", "another")

	c.ok(c.GetOrSet(ctx, "deleted", &got, func(context.Context) (any, error) {
		_, err := c.Delete(ctx, "deleted")
		return "computed", err
	}))
	c.same("GetOrSet of what was deleted meanwhile", "computed", got)
	nothing("deleted")

	// What is left of a computation without a result.
	broken := errors.New("broken")
	c.fails(c.GetOrSet(ctx, "failed", &got, func(context.Context) (any, error) { return "", broken }), broken)
	nothing("failed")
	c.yes(c.Add(ctx, "failed", "another"))
	c.holds("failed", "another")
}
