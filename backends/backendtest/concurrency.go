package backendtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cacheutils/cacheutils"
)

// testConcurrency is about many goroutines on one cache, for the race detector too.
func (s *suite) testConcurrency(t *testing.T) {
	t.Run("EveryMethodAtOnce", s.everyMethodAtOnce)
	t.Run("ManyGets", func(t *testing.T) {
		c := s.only(t)
		keys := numbered("key", 10)
		for _, key := range keys {
			c.set(key, []string{key})
		}
		together(100, func(i int) {
			for j := range 100 {
				key := keys[(i+j)%len(keys)]
				var got []string
				if err := c.Get(ctx, key, &got); err != nil || len(got) != 1 || got[0] != key {
					t.Errorf("get %q: got %q, %v", key, got, err)
					return
				}
			}
		})
	})
}

// everyMethodAtOnce has each goroutine do everything to keys that it shares with others,
// where only faults are wrong, and to a key of its own, where results are known.
func (s *suite) everyMethodAtOnce(t *testing.T) {
	c := s.only(t)
	shared := numbered("shared", 4)
	together(64, func(i int) {
		own := fmt.Sprintf("own-%d", i)
		for round := range 5 {
			for _, m := range methods {
				if err := m.call(ctx, c, shared[(i+round)%len(shared)]); !harmless(err) {
					t.Errorf("%s: %v", m.name, err)
				}
			}
			if err := ownKey(c, own, round); err != nil {
				t.Errorf("round %d: %v", round, err)
				return
			}
		}
	})
}

// harmless reports whether err is what a method may find on a key that others delete and
// set to text.
func harmless(err error) bool {
	return err == nil || errors.Is(err, cacheutils.ErrCacheMiss) || errors.Is(err, cacheutils.ErrNotNumber)
}

// ownKey does to a key that nobody else uses what has one outcome.
func ownKey(c cache, key string, n int) error {
	if _, err := c.Delete(ctx, key); err != nil {
		return err
	}
	if added, err := c.Add(ctx, key, n); err != nil || !added {
		return fmt.Errorf("add: got %v, %w, want true", added, err)
	}
	if sum, err := c.Incr(ctx, key, 2); err != nil || sum != int64(n+2) {
		return fmt.Errorf("incr: got %d, %w, want %d", sum, err, n+2)
	}
	if touched, err := c.Touch(ctx, key); err != nil || !touched {
		return fmt.Errorf("touch: got %v, %w, want true", touched, err)
	}
	got := -1
	err := c.GetOrSet(ctx, key, &got, func(context.Context) (any, error) { return -2, nil })
	if err != nil || got != n+2 {
		return fmt.Errorf("get or set: got %d, %w, want %d", got, err, n+2)
	}
	many := map[string]int{}
	if err := c.GetMany(ctx, []string{key, "nothing"}, many); err != nil || len(many) != 1 || many[key] != n+2 {
		return fmt.Errorf("get many: got %v, %w, want %d", many, err, n+2)
	}
	return nil
}
