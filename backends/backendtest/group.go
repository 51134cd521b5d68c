package backendtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
)

// groupKey is where a cache without Version has the generation of group g.
func groupKey(g string) string { return "_group::" + g }

// testGroups is about entries in groups.
func (s *suite) testGroups(t *testing.T) {
	t.Run("InAGroup", func(t *testing.T) {
		grouped := *s
		grouped.groups = []string{"g"}
		grouped.testOperations(t)
	})
	t.Run("DropsTheGroup", s.dropsTheGroup)
	t.Run("ByEveryMethod", s.droppedForEveryMethod)
	t.Run("WhoFindsWhat", s.whoFindsWhat)
	t.Run("AgreeOnOneGeneration", s.agreeOnOneGeneration)
	t.Run("ComputedBefore", s.computedBefore)
	t.Run("NoGenerationTwice", s.noGenerationTwice)
	t.Run("AnyName", s.anyName)
	t.Run("VersionsAndPrefixes", s.groupVersions)
}

// inNoGroup is t.Run for what is about entries in no group.
func (s *suite) inNoGroup(t *testing.T, name string, run func(*testing.T)) {
	if s.groups == nil {
		t.Run(name, run)
	}
}

func (s *suite) dropsTheGroup(t *testing.T) {
	c := s.only(t)
	in := backends.Group
	c.set("cities", 1, in("cities"))
	c.set("people", 2, in("people"))
	c.set("both", 3, in("cities", "people"))
	c.set("neither", 4)
	c.set("forever", 5, in("cities"), timeout(cacheutils.Forever))

	c.ok(c.InvalidateGroup(ctx, "cities"))
	for _, key := range []string{"cities", "both", "forever"} {
		c.misses(key)
		c.misses(key, in("cities"))
	}
	c.misses("both", in("cities", "people"))
	c.misses("both", in("people"))
	c.holds("people", 2, in("people"))
	c.holds("neither", 4)

	c.set("cities", 6, in("cities"))
	c.holds("cities", 6, in("cities"))
	c.ok(c.InvalidateGroup(ctx, "people", "cities", "unheard of", "people"))
	c.misses("cities")
	c.misses("people")
	c.ok(c.InvalidateGroup(ctx))
	c.ok(c.InvalidateGroup(ctx, "unheard of"))
	c.holds("neither", 4)
}

// droppedForEveryMethod wants an entry of an invalidated group to be a miss for each method.
func (s *suite) droppedForEveryMethod(t *testing.T) {
	c := s.only(t)
	c.groups = []string{"g"}
	dropped := func(value any) string {
		c.set("key", value)
		c.ok(c.InvalidateGroup(ctx, "g"))
		return "key"
	}
	c.misses(dropped("old"))
	c.no(c.Has(ctx, dropped("old")))
	c.no(c.Touch(ctx, dropped("old")))
	c.misses("key")
	_, err := c.Incr(ctx, dropped(1), 1)
	c.fails(err, cacheutils.ErrCacheMiss)
	_, err = c.Decr(ctx, dropped(1), 1)
	c.fails(err, cacheutils.ErrCacheMiss)
	many := map[string]any{}
	c.ok(c.GetMany(ctx, []string{dropped("old")}, many))
	c.same("GetMany", map[string]any{}, many)

	c.yes(c.Add(ctx, dropped("old"), "added"))
	c.holds("key", "added")
	c.set(dropped("old"), "set")
	c.holds("key", "set")
	c.setMany(map[string]string{dropped("old"): "many"})
	c.holds("key", "many")
	got := ""
	c.ok(c.GetOrSet(ctx, dropped("old"), &got, func(context.Context) (any, error) { return "computed", nil }))
	c.same("GetOrSet", "computed", got)
	c.holds("key", "computed")
	c.ok(c.DeleteMany(ctx, []string{dropped("old")}))
	c.misses("key")
}

// whoFindsWhat wants an entry to be found by lookups with some of its groups, or with none, and to be a miss
// for lookups with a group that it isn't in.
func (s *suite) whoFindsWhat(t *testing.T) {
	c := s.only(t)
	in := backends.Group
	c.ok(c.InvalidateGroup(ctx, "other")) // it has a generation
	c.set("key", "value", in("a", "b"))
	for _, groups := range [][]string{nil, {"a"}, {"b"}, {"b", "a"}, {"a", "a", "b"}} {
		c.holds("key", "value", in(groups...))
		c.yes(c.Has(ctx, "key", in(groups...)))
		many := map[string]string{}
		c.ok(c.GetMany(ctx, []string{"key"}, many, in(groups...)))
		c.same("GetMany", map[string]string{"key": "value"}, many)
	}
	for _, groups := range [][]string{{"other"}, {"a", "other"}, {"a", "b", "other"}, {"never used"}} {
		c.misses("key", in(groups...))
		c.no(c.Has(ctx, "key", in(groups...)))
	}
	c.yes(c.Touch(ctx, "key"))
	c.holds("key", "value", in("a", "b")) // it is in its groups still
	c.set("n", 1, in("a", "b"))
	c.is(2)(c.Incr(ctx, "n", 1))
	c.holds("n", 2, in("a", "b"))
	c.ok(c.InvalidateGroup(ctx, "b"))
	c.misses("key")
	c.misses("key", in("a"))
	c.misses("n")

	c.set("key", "in none", in())
	c.misses("key", in("a"))
	c.holds("key", "in none")
}

// agreeOnOneGeneration has many write to a group that isn't there, in several caches, as
// processes would. Whichever process began the group, no entry is lost.
func (s *suite) agreeOnOneGeneration(t *testing.T) {
	const caches, each, rounds = 4, 8, 20
	config := backends.Config{}
	names := numbered("process", caches)
	for _, name := range names {
		config[name] = backends.Settings{}
	}
	s.configure(t, config)
	reader := s.cache(t, "default")
	for round := range rounds {
		in := backends.Group(fmt.Sprintf("new-%d", round), "another")
		together(caches*each, func(i int) {
			c, err := backends.Get(names[i%caches])
			if err == nil {
				err = c.Set(ctx, fmt.Sprintf("key-%d", i), i, in)
			}
			if err != nil {
				t.Error(err)
			}
		})
		for i := range caches * each {
			reader.holds(fmt.Sprintf("key-%d", i), i, in)
		}
	}
}

// computedBefore invalidates a group while an entry of it is computed, from another cache on the store. The
// caller had called before, so it may get the value; no other caller may.
func (s *suite) computedBefore(t *testing.T) {
	s.configure(t, backends.Config{"another": {}})
	c, another := s.cache(t, "default"), s.cache(t, "another")
	in := backends.Group("g", "h")
	for name, started := range map[string]func(){
		"nothing there":        func() {},
		"outdated entry there": func() { c.set("key", "outdated", in); c.ok(c.InvalidateGroup(ctx, "h")) },
	} {
		started()
		begun, release := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			got := ""
			err := c.GetOrSet(ctx, "key", &got, func(context.Context) (any, error) {
				close(begun)
				<-release
				return "before", nil
			}, in)
			if got != "before" || err != nil {
				t.Errorf("%s: the caller from before got %q, %v, want its own value", name, got, err)
			}
		})
		select {
		case <-begun:
		case <-time.After(patience):
			t.Fatalf("%s: nothing is computed", name)
		}
		another.ok(another.InvalidateGroup(ctx, "g"))
		close(release)
		wg.Wait()
		for _, reader := range []cache{c, another} {
			reader.misses("key", in)
			reader.misses("key")
		}
		got := ""
		c.ok(c.GetOrSet(ctx, "key", &got, func(context.Context) (any, error) { return "after", nil }, in))
		another.holds("key", "after", in)
		c.yes(c.Delete(ctx, "key"))
	}
}

// noGenerationTwice brings entries back, as they were, that were stored before the group's key was lost: they
// stay misses, whatever generation follows.
func (s *suite) noGenerationTwice(t *testing.T) {
	c := s.only(t)
	e := s.engine(t)
	in := backends.Group("g")
	seen := map[string]bool{}
	for round, lose := range []func(){
		func() { c.ok(c.Clear(ctx)) },
		func() { c.ok(c.InvalidateGroup(ctx, "g")) },
		func() { // evicted
			_, err := e.Delete(ctx, groupKey("g"))
			c.ok(err)
		},
		func() { c.ok(c.Clear(ctx)) },
	} {
		c.set("key", round, in)
		old, err := e.Get(ctx, ":1:key")
		c.ok(err)
		generation, err := e.Get(ctx, groupKey("g"))
		c.ok(err)
		id := string(generation.Value)
		if len(id) != 36 || seen[id] {
			t.Errorf("round %d: generation %q, want another uuid each time", round, id)
		}
		if generation.Flags != 16 {
			t.Errorf("round %d: flags %d of a group key, want 16: it is text", round, generation.Flags)
		}
		seen[id] = true

		lose()
		restore := func() { c.ok(e.Set(ctx, ":1:key", old, time.Hour)) }
		restore()
		c.misses("key", in)
		c.misses("key")
		c.set("begins-the-group", 0, in)
		restore()
		c.misses("key", in)
		c.misses("key")
	}
}

// anyName has names of groups that no key could have, and that could be taken for one another.
func (s *suite) anyName(t *testing.T) {
	names := []string{
		" ", "  ", "a", "A", "a b", "a\nb", "a\x00b", "\r\nset x 0 0 1\r\n", "città", "組", "\xff\xfe", "a:b", "a::b", "_group::a",
		strings.Repeat("x", 250), strings.Repeat("x", 1000) + "a", strings.Repeat("x", 1000) + "b", strings.Repeat("組", 341),
	}
	c := s.only(t)
	for i, name := range names {
		c.set(fmt.Sprintf("key-%d", i), i, backends.Group(name))
	}
	for i, name := range names {
		c.holds(fmt.Sprintf("key-%d", i), i, backends.Group(name))
		c.ok(c.InvalidateGroup(ctx, name))
		c.misses(fmt.Sprintf("key-%d", i), backends.Group(name))
		c.set(fmt.Sprintf("key-%d", i), i, backends.Group(name))
		for j, other := range names {
			c.holds(fmt.Sprintf("key-%d", j), j, backends.Group(other))
		}
	}

	// There is a limit to how long a name can be, and to how many groups there can be, and neither is met in silence.
	c.fails(c.Set(ctx, "many", "value", backends.Group(strings.Repeat("x", 1025))), cacheutils.ErrArguments)
	many := numbered("group", 1000)
	c.set("many", "value", backends.Group(many...))
	c.holds("many", "value", backends.Group(many...))
	c.fails(c.Set(ctx, "many", "more", backends.Group(append(many, "one more")...)), cacheutils.ErrArguments)

	// A group is not a part of the key that another part could be, too.
	c.set("b:c", "one", backends.Group("a"))
	c.set("c", "two", backends.Group("a:b"))
	c.holds("b:c", "one", backends.Group("a"))
	c.holds("c", "two", backends.Group("a:b"))
	c.ok(c.InvalidateGroup(ctx, "a"))
	c.misses("b:c")
	c.holds("c", "two", backends.Group("a:b"))
}

// groupVersions has each method of a cache see its own version and prefix, and the groups of its
// own Version.
func (s *suite) groupVersions(t *testing.T) {
	s.configure(t, backends.Config{
		"v1": {Version: "v1."}, "v2": {Version: "v2."}, "prefixed": {KeyPrefix: "shop", Version: "v2."},
	})
	names := []string{"default", "v1", "v2", "prefixed"}
	in := backends.Group("g")
	fill := func() {
		for i, name := range names {
			c := s.cache(t, name)
			c.set("key", name, in)
			c.set("n", 10*i, in)
		}
	}
	// gone and there use all methods that report whether something is there.
	gone := func(name string) {
		t.Helper()
		c := s.cache(t, name)
		c.misses("key", in)
		c.no(c.Has(ctx, "key", in))
		c.no(c.Touch(ctx, "key", in))
		_, err := c.Incr(ctx, "n", 1, in)
		c.fails(err, cacheutils.ErrCacheMiss)
		many := map[string]string{}
		c.ok(c.GetMany(ctx, []string{"key"}, many, in))
		c.same("GetMany", map[string]string{}, many)
		c.yes(c.Add(ctx, "key", name, in))
		c.yes(c.Delete(ctx, "key", in))
	}
	there := func(i int, name string) {
		t.Helper()
		c := s.cache(t, name)
		c.holds("key", name, in)
		c.yes(c.Has(ctx, "key", in))
		c.yes(c.Touch(ctx, "key", in))
		c.is(int64(10*i + 1))(c.Incr(ctx, "n", 1, in))
		c.no(c.Add(ctx, "key", "another", in))
		many := map[string]string{}
		c.ok(c.GetMany(ctx, []string{"key"}, many, in))
		c.same("GetMany", map[string]string{"key": name}, many)
		got := ""
		c.ok(c.GetOrSet(ctx, "key", &got, func(context.Context) (any, error) { return "", errors.New("computed") }, in))
	}
	for _, test := range []struct {
		invalidate string
		dropped    map[string]bool
	}{
		{"default", map[string]bool{"default": true}},
		{"v1", map[string]bool{"v1": true}},
		{"v2", map[string]bool{"v2": true, "prefixed": true}}, // groups have no prefix
		{"prefixed", map[string]bool{"v2": true, "prefixed": true}},
	} {
		fill()
		s.cache(t, test.invalidate).ok(s.cache(t, test.invalidate).InvalidateGroup(ctx, "g"))
		for i, name := range names {
			if test.dropped[name] {
				gone(name)
			} else {
				there(i, name)
			}
		}
	}
	e := s.engine(t)
	for _, key := range []string{"_group::g", "v1._group::g", "v2._group::g"} {
		if _, err := e.Get(ctx, key); err != nil {
			t.Errorf("the group key %s: %v", key, err)
		}
	}

	// The version of a call is that of the key.
	c := s.cache(t, "default")
	c.set("key", "of version 2", in, backends.Version("2"))
	c.holds("key", "of version 2", in, backends.Version("2"))
	c.ok(c.InvalidateGroup(ctx, "g"))
	c.misses("key", in, backends.Version("2"))
}
