package sealed

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/entry"
)

// A shelf is an engine that keeps one item, whatever the key.
type shelf struct {
	engine.Engine
	item    engine.Item
	timeout time.Duration
}

func (s *shelf) Set(_ context.Context, _ string, item engine.Item, timeout time.Duration) error {
	s.item, s.timeout = item, timeout
	s.item.CAS++
	return nil
}

func (s *shelf) CompareAndSwap(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if item.CAS != s.item.CAS {
		return false, nil
	}
	return true, s.Set(ctx, key, item, timeout)
}

func (s *shelf) Get(context.Context, string) (engine.Item, error) { return s.item, nil }

var ctx = context.Background()

func secrets(texts ...string) Secrets {
	var all [][]byte
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	s, err := NewSecrets(all)
	if err != nil {
		panic(err)
	}
	return s
}

// wantNobodys wants what is under key to count for nobody, and to be there.
func wantNobodys(t *testing.T, what string, e engine.Engine, key string, cas uint64) {
	t.Helper()
	item, err := e.Get(ctx, key)
	if err != nil || item.Value != nil || item.Flags != entry.FlagsSealed || item.CAS != cas {
		t.Errorf("%s: got %q, flags %#x, CAS %d, %v", what, item.Value, item.Flags, item.CAS, err)
	}
	var found entry.Entry
	if err := found.Parse(item); !errors.Is(err, cacheutils.ErrUndecodable) || found.CAS != cas {
		t.Errorf("%s: parsed with CAS %d and error %v", what, found.CAS, err)
	}
}

// Each bit of what is stored, its length, and the key that it is under, decide whether it is opened.
func TestSealed_EveryBit(t *testing.T) {
	inside := &shelf{}
	e := New(inside, secrets("secret one"), "")
	value := []byte("the value of the item")
	if err := e.Set(ctx, "key", engine.Item{Value: value, Flags: 7}, time.Hour); err != nil {
		t.Fatal(err)
	}
	stored := inside.item
	if len(stored.Value) != len(value)+Overhead || stored.Flags != entry.FlagsSealed || stored.Cost != len(stored.Value) {
		t.Fatalf("stored are %d bytes, flags %#x, cost %d", len(stored.Value), stored.Flags, stored.Cost)
	}
	if bytes.Contains(stored.Value, value[:4]) || bytes.Contains(stored.Value, []byte("key")) {
		t.Fatalf("stored is %q", stored.Value)
	}
	item, err := e.Get(ctx, "key")
	if string(item.Value) != string(value) || item.Flags != 7 || item.Cost != len(value) || item.CAS != 1 || err != nil {
		t.Fatalf("got %+v, %v", item, err)
	}
	for i := range 8 * len(stored.Value) {
		inside.item = stored
		inside.item.Value = bytes.Clone(stored.Value)
		inside.item.Value[i/8] ^= 1 << (i % 8)
		wantNobodys(t, "another bit", e, "key", 1)
	}
	for i := range stored.Value {
		inside.item.Value = stored.Value[:i]
		wantNobodys(t, "cut", e, "key", 1)
		inside.item.Value = stored.Value[i+1:]
		wantNobodys(t, "cut at the front", e, "key", 1)
	}
	inside.item.Value = append(bytes.Clone(stored.Value), 0)
	wantNobodys(t, "longer", e, "key", 1)
	for i := range 32 {
		inside.item = stored
		inside.item.Flags ^= 1 << i
		wantNobodys(t, "other flags", e, "key", 1)
	}
	inside.item = stored
	for _, key := range []string{"", "ke", "key2", "Key", ":1:key", "key\x00"} {
		wantNobodys(t, "under "+key, e, key, 1)
	}
	of := e.(*Engine)
	head := bytes.Clone(stored.Value[:headSize])
	head[0] = format + 1
	nonce := make([]byte, nonceSize)
	inside.item.Value = of.secrets.all[0].key.seal(append(bytes.Clone(head), nonce...), nonce, value, data(nil, head, "key"))
	wantNobodys(t, "another format, sealed with the secret", e, "key", 1)
	inside.item = stored
	wantNobodys(t, "another secret", New(inside, secrets("secret two"), ""), "key", 1)
	inside.item = engine.Item{Value: value, Flags: 7, CAS: 9}
	wantNobodys(t, "not sealed", e, "key", 9)
}

// The first secret seals, all of them open, whatever their order, and none that is not there any more.
func TestSealed_SeveralSecrets(t *testing.T) {
	inside := &shelf{}
	for _, test := range []struct {
		name         string
		sealed, open []string
		want         bool
	}{
		{"the same", []string{"a", "b"}, []string{"a", "b"}, true},
		{"in another order", []string{"a", "b"}, []string{"b", "a"}, true},
		{"the first alone", []string{"a", "b"}, []string{"a"}, true},
		{"the second alone", []string{"a", "b"}, []string{"b"}, false},
		{"one more", []string{"a"}, []string{"b", "c", "a"}, true},
	} {
		if err := New(inside, secrets(test.sealed...), "").Set(ctx, "key", engine.Item{Value: []byte("v")}, time.Hour); err != nil {
			t.Fatal(err)
		}
		item, _ := New(inside, secrets(test.open...), "").Get(ctx, "key")
		if got := string(item.Value) == "v"; got != test.want {
			t.Errorf("%s: opened is %v", test.name, got)
		}
	}
}

// Two secrets whose numbers are the same, as one in four billion pairs are, are both tried.
func TestSealed_SameNumber(t *testing.T) {
	inside := &shelf{}
	both := secrets("a", "b")
	both.all[0].number = both.all[1].number
	second := Secrets{all: both.all[1:]}
	if err := New(inside, second, "").Set(ctx, "key", engine.Item{Value: []byte("v")}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if item, _ := New(inside, both, "").Get(ctx, "key"); string(item.Value) != "v" {
		t.Errorf("got %q", item.Value)
	}
}

// No two items are sealed alike, so that nobody sees that they are the same.
func TestSealed_Nonces(t *testing.T) {
	inside := &shelf{}
	e := New(inside, secrets("secret"), "")
	seen := make(map[string]bool)
	for range 1000 {
		e.Set(ctx, "key", engine.Item{Value: []byte("v")}, time.Hour)
		seen[string(inside.item.Value[headSize:headSize+nonceSize])] = true
		seen[string(inside.item.Value[headSize+nonceSize:])] = true
	}
	if len(seen) != 2000 {
		t.Errorf("%d nonces and texts of 1000 items", len(seen))
	}
}

// What has ended isn't opened, wherever it has been kept meanwhile; a number is, until stores that count in seconds have
// dropped it.
func TestSealed_Ended(t *testing.T) {
	inside := &shelf{}
	e := New(inside, secrets("secret"), "").(*Engine)
	start := time.Now()
	at := func(d time.Duration) { e.now = func() time.Time { return start.Add(d) } }
	at(0)
	e.Set(ctx, "key", engine.Item{Value: []byte("1")}, time.Minute)
	at(time.Minute + 1900*time.Millisecond)
	if sum, err := e.Incr(ctx, "key", 1); sum != 2 || err != nil || inside.timeout != time.Millisecond {
		t.Errorf("Incr at the end: %d, %v, for %v", sum, err, inside.timeout)
	}
	at(time.Minute + 2100*time.Millisecond)
	wantNobodys(t, "ended", e, "key", 2)
	if _, err := e.Incr(ctx, "key", 1); !errors.Is(err, cacheutils.ErrNotNumber) {
		t.Errorf("Incr after the end: %v", err)
	}
	at(0)
	for _, forever := range []time.Duration{cacheutils.Forever, math.MaxInt64 - time.Hour} {
		e.Set(ctx, "key", engine.Item{Value: []byte("1")}, forever)
		at(100 * 365 * 24 * time.Hour)
		if item, _ := e.Get(ctx, "key"); string(item.Value) != "1" {
			t.Errorf("with a timeout of %v: got %q", forever, item.Value)
		}
		if _, err := e.Incr(ctx, "key", 1); inside.timeout != cacheutils.Forever || err != nil {
			t.Errorf("with a timeout of %v: Incr for %v, %v", forever, inside.timeout, err)
		}
		at(0)
	}
}

// A clocked shelf has a clock of its own.
type clocked struct {
	shelf
	now time.Time
}

func (c *clocked) Now() time.Time { return c.now }

// What is sealed ends by the clock of the engine inside, where it has one.
func TestSealed_Clock(t *testing.T) {
	inside := &clocked{now: time.Now().Add(-1000 * time.Hour)}
	e := New(inside, secrets("secret"), "").(*Engine)
	e.Set(ctx, "key", engine.Item{Value: []byte("1")}, time.Minute)
	if item, _ := e.Get(ctx, "key"); string(item.Value) != "1" {
		t.Errorf("by a clock that is behind: got %q", item.Value)
	}
	inside.now = inside.now.Add(time.Hour)
	wantNobodys(t, "ended by the engine's clock", e, "key", 1)
}

// Incr keeps the end of a number, however often it is changed, and its flags.
func TestSealed_IncrKeepsTheEnd(t *testing.T) {
	inside := &shelf{}
	e := New(inside, secrets("secret"), "").(*Engine)
	start := time.Now()
	e.now = func() time.Time { return start }
	e.Set(ctx, "key", engine.Item{Value: []byte("-3"), Flags: 2}, time.Minute)
	for i := range 59 {
		e.now = func() time.Time { return start.Add(time.Duration(i) * time.Second) }
		if sum, err := e.Incr(ctx, "key", 1); sum != int64(i-2) || err != nil {
			t.Fatalf("got %d, %v", sum, err)
		}
		if want := time.Minute - time.Duration(i)*time.Second; inside.timeout < want-time.Millisecond || inside.timeout > want+time.Millisecond {
			t.Fatalf("after %d s it is kept for %v", i, inside.timeout)
		}
	}
	if item, _ := e.Get(ctx, "key"); item.Flags != 2 {
		t.Errorf("got flags %d", item.Flags)
	}
	for value, delta := range map[string]int64{
		"9223372036854775807": 1, "-9223372036854775808": -1, "x": 1, "": 1, " 1": 1, "18446744073709551615": 0, "1": math.MaxInt64,
	} {
		e.Set(ctx, "key", engine.Item{Value: []byte(value)}, time.Minute)
		if sum, err := e.Incr(ctx, "key", delta); !errors.Is(err, cacheutils.ErrNotNumber) {
			t.Errorf("Incr of %q by %d: %d, %v", value, delta, sum, err)
		}
	}
}

// What begins with the text that is left open is stored as it is, and all else is not.
func TestSealed_Open(t *testing.T) {
	inside := &shelf{}
	e := New(inside, secrets("secret"), "v_group::")
	for key, open := range map[string]bool{"v_group::a": true, "v_group::": true, "_group::a": false, ":1:v_group::a": false, "v_group:": false} {
		e.Set(ctx, key, engine.Item{Value: []byte("v"), Flags: 16}, time.Hour)
		if got := string(inside.item.Value) == "v" && inside.item.Flags == 16; got != open {
			t.Errorf("%s: stored is %q", key, inside.item.Value)
		}
		if item, _ := e.Get(ctx, key); string(item.Value) != "v" || item.Flags != 16 {
			t.Errorf("%s: got %q", key, item.Value)
		}
	}
}

// An eachShelf is a shelf whose multi-get does without a map.
type eachShelf struct{ *shelf }

func (s eachShelf) GetEach(_ context.Context, keys []string, each func(i int, item engine.Item)) error {
	for i := range keys {
		each(i, s.item)
	}
	return nil
}

func (s *shelf) GetMany(_ context.Context, keys []string) (map[string]engine.Item, error) {
	items := make(map[string]engine.Item)
	for _, key := range keys {
		items[key] = s.item
	}
	return items, nil
}

// Both kinds of multi-get open what was sealed for its key, and an engine has no other kind than the one inside.
func TestSealed_MultiGets(t *testing.T) {
	for name, inside := range map[string]engine.Engine{"with a map": &shelf{}, "without": eachShelf{&shelf{}}} {
		e := New(inside, secrets("secret"), "")
		if err := e.Set(ctx, "b", engine.Item{Value: []byte("value"), Flags: 16}, time.Hour); err != nil {
			t.Fatal(err)
		}
		keys := []string{"a", "b", "c"}
		got, err := e.GetMany(ctx, keys)
		each, ok := engine.As[engine.EachGetter](e)
		if ok != (name == "without") {
			t.Errorf("%s: it is an EachGetter: %v", name, ok)
		}
		if ok {
			clear(got)
			err = errors.Join(err, each.GetEach(ctx, keys, func(i int, item engine.Item) { got[keys[i]] = item }))
		}
		if err != nil || len(got) != len(keys) {
			t.Errorf("%s: %d items, %v", name, len(got), err)
		}
		for key, item := range got {
			if opened := string(item.Value) == "value" && item.Flags == 16; opened != (key == "b") {
				t.Errorf("%s: under %s there is %+v", name, key, item)
			}
		}
	}
}

// What is derived from a secret has nothing in common with what else is.
func TestSealed_Derived(t *testing.T) {
	text := []byte("secret")
	all := [][]byte{text}
	for _, info := range []string{infoKey, infoNumber, infoHashes} {
		key, err := derive(text, info)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key[:])
	}
	for i := range all {
		for j := range i {
			if bytes.Contains(all[i], all[j]) || bytes.Equal(all[i][:4], all[j][:4]) {
				t.Errorf("%x and %x", all[i], all[j])
			}
		}
	}
	of, err := derive(text, infoKey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := newXAES(of)
	if err != nil {
		t.Fatal(err)
	}
	by := &secrets(string(text)).all[0]
	nonce := make([]byte, nonceSize)
	if got, err := key.open(nil, nonce, by.key.seal(nil, nonce, text, nil), nil); err != nil || !bytes.Equal(got, text) {
		t.Errorf("items are not sealed with the key for that: %q, %v", got, err)
	}
	if number, _ := derive(text, infoNumber); binary.BigEndian.Uint32(number[:]) != by.number {
		t.Errorf("the number of the secret is %x, want %x", by.number, number[:4])
	}
	one, _ := KeySecret(text)
	again, _ := KeySecret(text)
	other, _ := KeySecret([]byte("secres"))
	if !bytes.Equal(one, again) || bytes.Equal(one, other) {
		t.Error("KeySecret isn't a function of the secret")
	}
}

// Nothing but what was sealed is opened.
func FuzzOpened(f *testing.F) {
	inside := &shelf{}
	e := New(inside, secrets("secret"), "").(*Engine)
	e.Set(ctx, "key", engine.Item{Value: []byte("value")}, cacheutils.Forever)
	sealed := inside.item.Value
	f.Add(sealed, uint32(entry.FlagsSealed))
	f.Add(sealed[:Overhead], uint32(entry.FlagsSealed))
	f.Add([]byte("1"), uint32(2))
	f.Add([]byte(nil), uint32(0))
	f.Fuzz(func(t *testing.T, stored []byte, flags uint32) {
		item, _ := e.opened("key", engine.Item{Value: stored, Flags: flags})
		if opened := item.Flags != entry.FlagsSealed; opened && (string(item.Value) != "value" || flags != entry.FlagsSealed) {
			t.Errorf("%q with flags %#x is opened: %+v", stored, flags, item)
		}
	})
}
