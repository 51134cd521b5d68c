package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/entry"
	"github.com/cacheutils/cacheutils/internal/test/budget"
)

// A server is an engine that holds bytes, where others can write what they like.
type server struct{ engine.Engine }

func (server) Traits() engine.Traits { return engine.Traits{} }

// forged returns a Store whose server others can write to.
func forged(tb testing.TB) *Store {
	return forgedOn(tb, func(e engine.Engine) engine.Engine { return server{e} })
}

// forgedOn is forged with the engine that around makes of one that holds what it is given.
func forgedOn(tb testing.TB, around func(engine.Engine) engine.Engine) *Store {
	e, err := locmem.Open(engine.Settings{Location: []string{tb.Name()}})
	if err != nil {
		tb.Fatal(err)
	}
	c := New(Config{
		Name: "forged", Engine: around(e), Timeout: time.Hour, Version: "1", CompressAbove: 64, MaxDecoded: 8 << 20,
		Lease: 100 * time.Millisecond, OperationTimeout: 10 * time.Second,
	})
	tb.Cleanup(func() { c.Close() })
	return c
}

// put writes value under key, as another client does.
func put(t testing.TB, c *Store, key string, value []byte, flags uint32) {
	t.Helper()
	if err := c.Engine.Set(context.Background(), key, engine.Item{Value: slices.Clone(value), Flags: flags}, cacheutils.Forever); err != nil {
		t.Fatal(err)
	}
}

const frameFlags = 0xCA << 16

// Whatever is under a group's key, what is stored in the group is found by those who name it, and by nobody once it has been
// invalidated.
func FuzzGroup(f *testing.F) {
	c := forged(f)
	for _, text := range []string{"", "id", "12345678-1234-1234-1234-123456789abc", "666", " ", "\x00", "città"} {
		f.Add([]byte(text), uint32(entry.FlagsText))
		f.Add([]byte(text), uint32(2))
	}
	f.Add(bytes.Repeat([]byte{'x'}, 65), uint32(16))
	f.Add(bytes.Repeat([]byte{'x'}, 4<<10), uint32(0)) // larger seeds take minutes to minimize
	f.Add([]byte{0xCA, 3, 0, 0}, uint32(frameFlags))
	ctx, key := context.Background(), c.Key("k", "g")
	f.Fuzz(func(t *testing.T, value []byte, flags uint32) {
		check := func(what string, err error, ok bool) {
			t.Helper()
			if err != nil || !ok {
				t.Errorf("%s: %v, %v", what, ok, err)
			}
		}
		budget.Within(t, func() {
			put(t, c, c.groupKey("g"), value, flags)
			check("Set", c.Set(ctx, key, "v", time.Hour), true)
			has, err := c.Has(ctx, key)
			check("Has", err, has)
			has, err = c.Has(ctx, c.Key("k"))
			check("Has without the group", err, has)
			check("InvalidateGroup", c.InvalidateGroup(ctx, "g"), true)
			has, err = c.Has(ctx, key)
			check("nothing after InvalidateGroup", err, !has)
			check("Set again", c.Set(ctx, key, "v", time.Hour), true)
			put(t, c, c.groupKey("g"), value, flags)
			has, err = c.Has(ctx, key)
			check("nothing under a group that somebody has written", err, !has)
		})
	})
}

// Whatever is under a key, a lease for instance, a reader gets an answer, an invalidation of the key or a group that the
// reader names drops it, and who takes it from its holder may store.
func FuzzLease(f *testing.F) {
	c := forged(f)
	task := NewTask("f", reflect.TypeFor[firstVersion](), false)
	other := codec.Of(reflect.TypeFor[secondVersion]()).Fingerprint()
	own := task.typ.Fingerprint()
	for _, held := range []int64{0, -1, math.MinInt64, math.MaxInt64, time.Now().Add(time.Hour).UnixMilli()} {
		for _, sections := range [][]forgery{
			{{bits: forgedHeld | forgedEmpty, token: 1, held: held}},
			{{bits: forgedHeld, token: 1, held: held, body: []byte{2}}},
			{{bits: forgedHeld | forgedTimes | forgedRetry, token: 1, held: held, fresh: 1, gone: held, retry: held, body: []byte{2}}},
			{{bits: forgedHeld | forgedEmpty | forgedNone, token: 1, held: held}},
			{{fingerprint: other, bits: forgedHeld | forgedEmpty, token: 1, held: held}, {bits: forgedHeld | forgedEmpty, token: 2, held: held}},
			{{groups: []string{"g", "id"}, body: []byte{2}}, {bits: forgedHeld | forgedEmpty, token: 2, held: held}},
		} {
			f.Add(frameOf(own, sections), uint32(frameFlags))
		}
	}
	f.Add([]byte("1"), uint32(2))
	f.Add([]byte("text"), uint32(entry.FlagsText))
	ctx, key, inGroup := context.Background(), c.Key("k"), c.Key("k", "g")
	f.Fuzz(func(t *testing.T, value []byte, flags uint32) {
		answer := func(what string, err error) {
			t.Helper()
			if err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) && !errors.Is(err, cacheutils.ErrNoCachedValue) && !errors.Is(err, cacheutils.ErrUndecodable) {
				t.Errorf("%s: %v", what, err)
			}
		}
		budget.Within(t, func() {
			put(t, c, key.stored, value, flags)
			_, err := c.FetchCached(ctx, key, task)
			answer("FetchCached", err)
			answer("Get", c.Get(ctx, key, new(string)))
			_, err = c.Has(ctx, key)
			answer("Has", err)

			seen := found{reader: task.typ}
			if err := c.lookup(ctx, &seen, &key); err != nil {
				t.Errorf("lookup: %v", err)
				return
			}
			l, ok, err := c.take(ctx, &key, task.typ, seen, true)
			if err != nil || !ok {
				t.Errorf("the lease is not taken: %v, %v", ok, err)
				return
			}
			if _, err := l.finish(ctx, &ending{}); err != nil {
				t.Errorf("the lease is not ended: %v", err)
			}

			put(t, c, key.stored, value, flags)
			if err := c.InvalidateGroup(ctx, "g"); err != nil {
				t.Errorf("InvalidateGroup: %v", err)
			}
			if has, err := c.Has(ctx, inGroup); has || err != nil {
				t.Errorf("it is in a group that has been invalidated: %v, %v", has, err)
			}
			if _, err := c.Delete(ctx, key); err != nil {
				t.Errorf("Delete: %v", err)
			}
			if has, err := c.Has(ctx, key); has || err != nil {
				t.Errorf("after Delete: %v, %v", has, err)
			}
		})
	})
}

// frameOf returns the frame with the sections, whose own fingerprint is that where they have none.
func frameOf(own uint64, sections []forgery) []byte {
	b := []byte{0xCA, 3, byte(len(sections) - 1)}
	for _, s := range sections[1:] {
		b = binary.AppendUvarint(b, uint64(len(s.section(own))))
	}
	for _, s := range sections {
		b = append(b, s.section(own)...)
	}
	return b
}
