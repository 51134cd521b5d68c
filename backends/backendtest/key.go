package backendtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils/internal/store"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/logging"
)

// oddKeys are what memcached can't take. After ":1:", the last ones have 251 bytes; of
// characters, one has far fewer.
var oddKeys = []string{
	"with space", "with\nnewline", "with\ttab", "with\x00NUL", "with\x7fDEL", " ", "end\r\n",
	strings.Repeat("k", 248), strings.Repeat("й", 150), strings.Repeat("k", 10_000),
}

// names reports whether an error's text has the key in it, however it is quoted, or the
// beginning of a long one.
func names(err error, key string) bool {
	q := fmt.Sprintf("%q", key)
	q = q[1:min(len(q)-1, 30)]
	return strings.Contains(err.Error(), q) || strings.Contains(err.Error(), key)
}

// testKeys is about the text of keys.
func (s *suite) testKeys(t *testing.T) {
	t.Run("RefusedBeforeItIsSent", s.refusedKeys)
	t.Run("OddKeysWorkWithAWarning", s.oddKeys)
	t.Run("LengthOfTheFinalKey", func(t *testing.T) {
		s.configure(t, backends.Config{"prefixed": {KeyPrefix: "shop", Version: "23"}})
		c, prefixed := s.cache(t, "default"), s.cache(t, "prefixed")
		c.set(strings.Repeat("k", 247), "250 bytes")
		c.holds(strings.Repeat("k", 247), "250 bytes")
		prefixed.set(strings.Repeat("k", 242), "250 bytes")
		prefixed.holds(strings.Repeat("k", 242), "250 bytes")
	})
	t.Run("Unicode", func(t *testing.T) {
		c := s.only(t)
		values := map[string]any{
			"ascii": "ascii_value", "unicode_ascii": "Iñtërnâtiônàlizætiøn1", "Iñtërnâtiônàlizætiøn": "Iñtërnâtiônàlizætiøn2",
			"日本語": "数", "🎈": map[string]string{"x": "🎈"}, "\xff\xfe": "not UTF-8 \xff",
		}
		for key, value := range values {
			c.set(key, value)
			c.holds(key, value)
			c.yes(c.Delete(ctx, key))
			c.yes(c.Add(ctx, key, value))
			c.holds(key, value)
			c.yes(c.Delete(ctx, key))
		}
		c.setMany(values)
		got := map[string]any{}
		keys := make([]string, 0, len(values))
		for key := range values {
			keys = append(keys, key)
		}
		c.ok(c.GetMany(ctx, keys, got))
		c.same("GetMany", values, got)
	})
	t.Run("EmptyKey", func(t *testing.T) {
		c := s.only(t)
		for _, m := range methods {
			if err := m.call(ctx, c, ""); !errors.Is(err, cacheutils.ErrInvalidKey) {
				t.Errorf("%s: got error %v, want ErrInvalidKey", m.name, err)
			}
		}
	})
	t.Run("Cache_KeysAreShortened", s.shortenedKeys)
	s.inNoGroup(t, "Cache_CollidingKeysAreMisses", s.collidingKeys)
}

// refusedKeys has every method refuse what the engine's CheckKey refuses.
func (s *suite) refusedKeys(t *testing.T) {
	e := s.engine(t)
	if _, ok := engine.As[engine.KeyChecker](e); !ok {
		t.Skip("the engine takes any key")
	}
	c := s.only(t)
	for _, key := range oddKeys {
		if checkKey(e, ":1:"+key) == nil {
			continue
		}
		for _, m := range methods {
			err := m.call(ctx, c, key)
			if !errors.Is(err, cacheutils.ErrInvalidKey) {
				t.Errorf("%s %.20q: got error %v, want ErrInvalidKey", m.name, key, err)
			} else if !names(err, key) {
				t.Errorf("%s %.20q: got error %q, want one that names the key", m.name, key, err)
			}
		}
	}
}

// oddKeys has them work on engines that take them, with a warning where the engine takes
// any key: on memcached they would not.
func (s *suite) oddKeys(t *testing.T) {
	e := s.engine(t)
	_, checks := engine.As[engine.KeyChecker](e)
	for _, key := range oddKeys {
		if checkKey(e, ":1:"+key) != nil {
			continue
		}
		c := s.only(t)
		c.set(key, 1)
		warnings := s.log.logged(logging.ActionNotice)
		switch {
		case checks && len(warnings) > 0:
			t.Errorf("%.20q: got warnings %q on an engine that checks its keys, want none", key, warnings)
		case !checks && (len(warnings) != 1 || !strings.Contains(warnings[0], cachekey.Digest(key))):
			t.Errorf("%.20q: got warnings %q, want one with the digest of the key", key, warnings)
		}
		c.holds(key, 1)
		c.is(2)(c.Incr(ctx, key, 1))
		c.yes(c.Touch(ctx, key))
		c.yes(c.Has(ctx, key))
		got := map[string]int{}
		c.ok(c.GetMany(ctx, []string{key, "key"}, got))
		c.same("GetMany", map[string]int{key: 2}, got)
		c.yes(c.Delete(ctx, key))
		c.setMany(map[string]string{key: "many"})
		c.no(c.Add(ctx, key, "added"))
		c.ok(c.DeleteMany(ctx, []string{key}))
		c.misses(key)
	}
}

// shortenedKeys has long keys that differ only at their ends, or in what no engine takes, be
// different keys.
func (s *suite) shortenedKeys(t *testing.T) {
	s.configure(t, backends.Config{
		"prefixed": {KeyPrefix: strings.Repeat("p", 100)},
		"custom":   {KeyFunction: func(key, _, _ string) string { return strings.Repeat("f", 100) + key }},
	})
	for _, name := range []string{"default", "prefixed", "custom"} {
		c := s.cache(t, name)
		head := strings.Repeat("long ", 100)
		texts := []string{head + "a", head + "b", head, "a b", "a\nb", "a\x20b", "a", "", strings.Repeat("й", 200)}
		for _, text := range texts {
			c.ok(c.store.Set(ctx, c.Key(text), []string{text}, store.DefaultTimeout))
			c.ok(c.store.Set(ctx, c.Key("n"+text), len(text), store.DefaultTimeout))
		}
		for _, text := range texts {
			var got []string
			c.ok(c.store.Get(ctx, c.Key(text), &got))
			c.same("value of a shortened key", []string{text}, got)
			n := -1
			c.ok(c.store.Get(ctx, c.Key("n"+text), &n))
			c.same("number of a shortened key", len(text), n)
		}
		c.yes(c.store.Delete(ctx, c.Key(head+"a")))
		c.fails(c.store.Get(ctx, c.Key(head+"a"), new([]string)), cacheutils.ErrCacheMiss)
		c.ok(c.store.Get(ctx, c.Key(head+"b"), new([]string)))

		got := ""
		c.ok(c.store.GetOrSet(ctx, c.Key(head+"c"), &got, func(context.Context) (any, error) { return "computed", nil }, store.DefaultTimeout))
		c.ok(c.store.Get(ctx, c.Key(head+"c"), &got))
		c.same("GetOrSet by a Key", "computed", got)
	}
}

// collidingKeys puts the entry of one key where that of another is looked up, as if two keys had one md5.
func (s *suite) collidingKeys(t *testing.T) {
	e := s.engine(t)
	for _, value := range []any{"text", []string{"list"}, 42, map[string]int{"a": 1}, nil} {
		c := s.only(t)
		one, two := c.Key(strings.Repeat("one ", 100)), c.Key(strings.Repeat("two ", 100))
		c.ok(c.store.Set(ctx, one, value, store.DefaultTimeout))
		raw(t, e, ":1:"+one.Text(), ":1:"+two.Text())
		into := variable(value)
		if err := c.store.Get(ctx, two, into.Interface()); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("%v of a key with the same hash: got %v, %v, want ErrCacheMiss", value, into.Elem(), err)
		}
		if err := c.Get(ctx, one.Text(), into.Interface()); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("%v of a key that was shortened to this one: got %v, %v, want ErrCacheMiss", value, into.Elem(), err)
		}
		c.set(one.Text(), value)
		if err := c.store.Get(ctx, one, into.Interface()); !errors.Is(err, cacheutils.ErrCacheMiss) {
			t.Errorf("%v of a key that looks like a shortened one: got %v, %v, want ErrCacheMiss", value, into.Elem(), err)
		}
	}
}
