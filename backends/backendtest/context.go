package backendtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// promptly is how soon a method has to return once its context has ended. Race detector and
// a busy machine included.
const promptly = 2 * time.Second

// invalidates has those of methods that are carried out though their context has ended.
var invalidates = map[string]bool{"Touch0": true, "Delete": true, "DeleteMany": true}

// testContext is about contexts that end.
func (s *suite) testContext(t *testing.T) {
	t.Run("EndedContext", func(t *testing.T) {
		c := s.only(t)
		c.set("key", "old")
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		for _, m := range methods {
			if invalidates[m.name] {
				continue
			}
			if err := m.call(cancelled, c, "key"); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got error %v, want context.Canceled", m.name, err)
			}
		}
		c.holds("key", "old")
	})
	t.Run("InvalidationOutlastsItsContext", s.invalidationOutlastsItsContext)
	t.Run("ComputationIsLeft", s.computationIsLeft)
	t.Run("ComputationIsUsed", s.computationIsUsed)
	t.Run("CancelledOnTheWay", s.cancelledOnTheWay)
}

func (s *suite) invalidationOutlastsItsContext(t *testing.T) {
	c := s.only(t)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancel()
	for name, over := range map[string]context.Context{"cancelled": cancelled, "its deadline has passed": late} {
		for _, m := range methods {
			if !invalidates[m.name] {
				continue
			}
			c.set("key", "old", backends.Group("group"))
			if err := m.call(over, c, "key"); err != nil {
				t.Errorf("%s, %s: got %v, want it carried out", m.name, name, err)
			}
			c.misses("key")
		}
		c.set("key", "old", backends.Group("group"))
		c.ok(c.InvalidateGroup(over, "group"))
		c.misses("key")
		c.set("key", "old")
		c.ok(c.Clear(over))
		c.misses("key")
	}
}

func (s *suite) computationIsLeft(t *testing.T) {
	c := s.only(t)
	left, cancel := context.WithCancel(ctx)
	told := make(chan struct{})
	err := c.GetOrSet(left, "key", new(string), func(ctx context.Context) (any, error) {
		cancel()
		<-ctx.Done()
		close(told)
		return "", ctx.Err()
	})
	c.fails(err, context.Canceled)
	select {
	case <-told:
	case <-time.After(promptly):
		t.Error("the computation was not told that its caller was cancelled")
	}
	c.misses("key")
}

func (s *suite) computationIsUsed(t *testing.T) {
	c := s.only(t)
	late, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := c.GetOrSet(late, "key", new(string), func(ctx context.Context) (any, error) {
		<-late.Done()
		time.Sleep(10 * time.Millisecond)
		return "late", ctx.Err()
	})
	c.fails(err, context.DeadlineExceeded)
	if d := time.Since(start); d > promptly {
		t.Errorf("returned after %v, want soon after 20ms", d)
	}
	got := ""
	c.ok(c.GetOrSet(ctx, "key", &got, func(context.Context) (any, error) { return "once more", nil }))
	c.same("what was computed for a caller that had left", "late", got)
}

// cancelledOnTheWay cancels operations at any moment. What comes out is the right value or
// the context's error: no operation may get what was meant for one before it.
func (s *suite) cancelledOnTheWay(t *testing.T) {
	c := s.only(t)
	keys := numbered("key", 8)
	for _, key := range keys {
		c.set(key, key)
	}
	together(len(keys), func(i int) {
		for range 150 {
			doomed, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(400))*time.Microsecond)
			check(t, doomed, c, keys[i])
			cancel()
		}
	})
	for _, key := range keys {
		c.holds(key, key)
	}
}

// check reads key, whose value is its own name, in two ways.
func check(t *testing.T, ctx context.Context, c cache, key string) {
	start := time.Now()
	got := "nothing"
	if err := c.Get(ctx, key, &got); err == nil && got != key || err != nil && !ended(err) {
		t.Errorf("get %q: got %q, %v", key, got, err)
	}
	many := map[string]string{}
	if err := c.GetMany(ctx, []string{key, "nothing"}, many); err == nil && (len(many) != 1 || many[key] != key) || err != nil && !ended(err) {
		t.Errorf("get many %q: got %q, %v", key, many, err)
	}
	if d := time.Since(start); d > promptly {
		t.Errorf("returned after %v, want soon after the context has ended", d)
	}
}

func ended(err error) bool {
	isEnd := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	return isEnd && !errors.Is(err, cacheutils.ErrCacheMiss)
}
