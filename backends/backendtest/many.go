package backendtest

import (
	"slices"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// testMany is about the operations on several keys.
func (s *suite) testMany(t *testing.T) {
	t.Run("GetManyReturnsWhatThereIs", s.getManyReturnsWhatThereIs)
	t.Run("GetManyLeavesOutOtherTypes", s.getManyLeavesOutOtherTypes)
	t.Run("SetManyStoresAll", s.setManyStoresAll)
	t.Run("SetManyReturnsWhatFailed", s.setManyReturnsWhatFailed)
	t.Run("NothingToDo", s.nothingToDo)
	t.Run("DeleteManyRemovesThese", s.deleteManyRemovesThese)
	t.Run("KeysTwice", s.keysTwice)
	t.Run("ManyKeys", s.manyKeys)
}

func (s *suite) getManyReturnsWhatThereIs(t *testing.T) {
	s.configure(t, backends.Config{"prefixed": {KeyPrefix: "shop", Version: "3"}})
	c := s.cache(t, "prefixed")
	c.set("a", "x")
	c.set("b", nil)
	c.set("c", 3)
	got := map[string]any{}
	c.ok(c.GetMany(ctx, []string{"a", "b", "c", "nothing"}, got))
	c.same("GetMany", map[string]any{"a": "x", "b": nil, "c": 3}, got)

	type name string
	typed := map[name]string{"before": "stays"}
	c.ok(c.GetMany(ctx, []string{"a"}, typed))
	c.same("GetMany into a filled map", map[name]string{"before": "stays", "a": "x"}, typed)

	none := map[string]string{}
	c.ok(c.GetMany(ctx, []string{"nothing", "neither"}, none))
	c.same("GetMany of nothing there", map[string]string{}, none)
}

func (s *suite) getManyLeavesOutOtherTypes(t *testing.T) {
	c := s.only(t)
	c.set("text", "x")
	c.set("list", []int{1})
	got := map[string]string{}
	c.ok(c.GetMany(ctx, []string{"text", "list"}, got))
	c.same("GetMany of strings", map[string]string{"text": "x"}, got)
}

func (s *suite) setManyStoresAll(t *testing.T) {
	c := s.only(t)
	c.setMany(map[string]any{"a": 1, "b": "x", "c": []string{"y"}, "d": nil})
	c.holds("a", 1)
	c.holds("b", "x")
	c.holds("c", []string{"y"})
	c.holds("d", nil)
}

func (s *suite) setManyReturnsWhatFailed(t *testing.T) {
	s.configure(t, backends.Config{"prefixed": {KeyPrefix: "shop"}})
	c := s.cache(t, "prefixed")
	failed, err := c.SetMany(ctx, map[string]any{"good": 1, "bad": make(chan int), "worse": func() {}})
	slices.Sort(failed)
	c.same("failed keys", []string{"bad", "worse"}, failed)
	c.fails(err, cacheutils.ErrUnsupportedValue)
	c.holds("good", 1)
	c.misses("bad")
}

func (s *suite) nothingToDo(t *testing.T) {
	c := s.only(t)
	c.set("key", "stays")
	c.setMany(map[string]int{})
	c.setMany(map[string]int(nil))
	c.ok(c.GetMany(ctx, nil, map[string]int{}))
	c.ok(c.DeleteMany(ctx, nil))
	c.holds("key", "stays")
}

func (s *suite) deleteManyRemovesThese(t *testing.T) {
	c := s.only(t)
	c.setMany(map[string]string{"a": "spam", "b": "eggs", "c": "ham"})
	c.ok(c.DeleteMany(ctx, []string{"a", "b", "nothing"}))
	c.misses("a")
	c.misses("b")
	c.holds("c", "ham")
}

func (s *suite) keysTwice(t *testing.T) {
	c := s.only(t)
	c.set("a", 1)
	got := map[string]int{}
	c.ok(c.GetMany(ctx, []string{"a", "nothing", "a", "a", "nothing"}, got))
	c.same("GetMany of a key three times", map[string]int{"a": 1}, got)
	c.ok(c.DeleteMany(ctx, []string{"a", "a"}))
	c.misses("a")
}

func (s *suite) manyKeys(t *testing.T) {
	c := s.only(t)
	keys := numbered("many", 2500)
	want := map[string]int{}
	for i, key := range keys {
		if i%2 == 0 {
			want[key] = i
		}
	}
	c.setMany(want)
	got := map[string]int{}
	c.ok(c.GetMany(ctx, keys, got))
	c.same("GetMany of 2500 keys", want, got)
	c.ok(c.DeleteMany(ctx, keys))
	clear(got)
	c.ok(c.GetMany(ctx, keys, got))
	c.same("GetMany after DeleteMany", map[string]int{}, got)
}
