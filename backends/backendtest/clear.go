package backendtest

import (
	"context"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// testClear is about the end of all entries.
func (s *suite) testClear(t *testing.T) {
	t.Run("Clear", func(t *testing.T) {
		s.configure(t, backends.Config{"two": {Version: "2"}})
		c, two := s.cache(t, "default"), s.cache(t, "two")
		c.setMany(map[string]any{"a": "spam", "b": 2, "c": nil})
		c.set("forever", "eggs", backends.Timeout(cacheutils.Forever))
		two.set("a", "of version 2")
		c.ok(c.Clear(ctx))
		for _, key := range []string{"a", "b", "c", "forever"} {
			c.misses(key)
		}
		two.misses("a")
		c.ok(c.Clear(ctx))
		c.yes(c.Add(ctx, "a", "after"))
		c.holds("a", "after")
	})
	t.Run("Cache_ClearIsForOnePrefix", s.clearIsForOnePrefix)
	t.Run("Cache_ClearWithoutPrefixIsForAll", func(t *testing.T) {
		s.configure(t, backends.Config{"shop": {KeyPrefix: "shop"}})
		c, shop := s.cache(t, "default"), s.cache(t, "shop")
		shop.set("key", "value")
		c.ok(c.Clear(ctx))
		shop.misses("key")
	})
}

// clearIsForOnePrefix has two prefixes over one store. Clear removes what is under its own, in groups or not
// and in all versions, and what is computed for it meanwhile; the other's stays, unless the engine can't
// distinguish them.
func (s *suite) clearIsForOnePrefix(t *testing.T) {
	s.configure(t, backends.Config{"shop": {KeyPrefix: "shop"}, "news": {KeyPrefix: "news"}, "shop2": {KeyPrefix: "shop", Version: "2"}})
	shop, news, shop2 := s.cache(t, "shop"), s.cache(t, "news"), s.cache(t, "shop2")
	clearsAll := s.engine(t).Traits().ClearsAll
	in := backends.Group("cleared")
	for _, c := range []cache{shop, news, shop2} {
		c.set("key", "value")
		c.set("number", 1)
		c.set("grouped", "value", in)
	}
	begun, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		got := ""
		done <- shop.GetOrSet(ctx, "computed", &got, func(context.Context) (any, error) {
			close(begun)
			<-release
			return "before", nil
		}, in)
	}()
	select {
	case <-begun:
	case <-time.After(patience):
		t.Fatal("nothing is computed")
	}
	shop.ok(shop.Clear(ctx))
	close(release)
	shop.ok(<-done)
	for _, key := range []string{"key", "number", "grouped", "computed"} {
		shop.misses(key)
		shop2.misses(key)
	}
	got := ""
	shop.ok(shop.GetOrSet(ctx, "computed", &got, func(context.Context) (any, error) { return "after", nil }, in))
	shop.same("computed after Clear", "after", got)
	shop.set("grouped", "again", in)
	shop.holds("grouped", "again", in)
	shop.ok(shop.InvalidateGroup(ctx, "cleared"))
	shop.misses("grouped")
	if clearsAll {
		return
	}
	news.holds("key", "value")
	news.is(2)(news.Incr(ctx, "number", 1))
	news.misses("grouped") // its group was invalidated
}
