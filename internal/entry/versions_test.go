package entry

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/codec"
)

type (
	cityBefore struct{ Name string }
	cityAfter  struct{ Name, Mayor string }
	cityThird  struct{ Called string }
)

var (
	before = codec.Of(reflect.TypeFor[cityBefore]())
	after  = codec.Of(reflect.TypeFor[cityAfter]())
	third  = codec.Of(reflect.TypeFor[cityThird]())
)

func sealed(t *testing.T, typ *codec.Type, p any) Entry {
	t.Helper()
	e, err := bytesOnly.Seal(Check{}, typ, p, false, Payload{})
	if err != nil {
		t.Fatal(err)
	}
	e.Stamp(time.Now(), time.Hour, 0)
	return e
}

// reparse returns the entry that is read from the item of e.
func reparse(t *testing.T, e *Entry) (read Entry) {
	t.Helper()
	if err := read.Parse(e.Item()); err != nil {
		t.Fatal(err)
	}
	return read
}

// Each reader has the section of its type, whichever was written last, and the other one is kept as it is.
func TestPick(t *testing.T) {
	long := strings.Repeat("Rome ", 1000) // is compressed
	old := sealed(t, before, &cityBefore{long})
	old.Groups = []Generation{{"cities", "one"}}
	now := time.Now()

	e := reparse(t, &old)
	if e.Pick(after, now) || e.OtherValue(after) == nil || !e.Empty {
		t.Fatalf("a reader of another type has picked %+v", e)
	}
	written, token := bytesOnly.Tombstone(Check{}, after), NewToken("", "")
	written.Hold(token, now.Add(time.Minute))
	written.KeepOthers(&e)
	for range 2 {
		e = reparse(t, &written)
		if !e.Pick(after, now) || e.Holder != token || !e.HasOthers() {
			t.Fatalf("the lease: picked %+v", e)
		}
		if e = reparse(t, &written); !e.PickHolder(token, now) || e.fingerprint != after.Fingerprint() {
			t.Fatalf("its holder has picked %+v", e)
		}
		if e = reparse(t, &written); e.PickHolder(NewToken("", ""), now) || e.Holder != (Token{}) {
			t.Fatalf("somebody else has picked %+v", e)
		}
		e = reparse(t, &written)
		if !e.Pick(before, now) || len(e.Groups) != 1 || e.Groups[0] != old.Groups[0] || e.ExpiresAt != old.ExpiresAt {
			t.Fatalf("the old value: picked %+v", e)
		}
		if v, err := e.Value(before, false); err != nil || v.(*cityBefore).Name != long {
			t.Fatalf("the old value: %v", err)
		}
		written = e // by the other version
	}
	e = reparse(t, &written)
	e.PickHolder(token, now)
	young := sealed(t, after, &cityAfter{"Rome", "Nathan"})
	young.KeepOthers(&e)
	e = reparse(t, &young)
	if len(e.others) != 1 || !bytes.Equal(e.others[0].appendSection(nil), old.appendSection(nil)) {
		t.Errorf("the old value is not what it was")
	}
	for _, typ := range []*codec.Type{before, after} {
		e = reparse(t, &young)
		if !e.Pick(typ, now) {
			t.Errorf("%s: there is no section", typ.Type())
		}
		if _, err := e.Value(typ, false); err != nil {
			t.Error(err)
		}
		e = reparse(t, &young)
		if e.Pick(typ, now.Add(2*time.Hour)) || e.HasOthers() {
			t.Errorf("%s: what has ended is picked: %+v", typ.Type(), e)
		}
	}
}

// Damage to one of the sections behind the first is no more than its loss, and never a panic.
func TestParse_DamagedSections(t *testing.T) {
	first, second := sealed(t, before, &cityBefore{"Rome"}), sealed(t, after, &cityAfter{"Rome", "Nathan"})
	second.Groups = []Generation{{"cities", "one"}}
	was := second
	was.others = []Entry{second}
	first.KeepOthers(&was)
	whole := first.Item()
	for at := range whole.Value {
		for range 20 {
			damaged := whole
			damaged.Value = bytes.Clone(whole.Value)
			damaged.Value[at] ^= byte(1 + rand.N(255))
			var e Entry
			if e.Parse(damaged) != nil {
				continue
			}
			e.Pick(before, time.Now())
			_, _ = e.Value(before, false)
			e.Pick(after, time.Now())
			_, _ = e.Value(after, false)
		}
	}
	for n := range len(whole.Value) {
		cut := whole
		cut.Value = whole.Value[:n]
		var e Entry
		_ = e.Parse(cut)
	}
	// A section with bits that there are not.
	damaged := whole
	damaged.Value = bytes.Clone(whole.Value)
	damaged.Value[len(damaged.Value)-len(second.appendSection(nil))+9+5+5] ^= 0xff
	var e Entry
	if err := e.Parse(damaged); err != nil {
		t.Errorf("the first section is lost with the second: %v", err)
	}
}

// A new timeout is for the values that are fresh. What is past its timeout stays so, and goes when it would have gone.
func TestRestamp(t *testing.T) {
	now := time.Now()
	stale := sealed(t, before, &cityBefore{"Rome"})
	stale.Stamp(now.Add(-2*time.Hour), time.Hour, 5*time.Hour)
	fresh := sealed(t, third, &cityThird{"Rome"})
	for _, test := range []struct {
		name  string
		other Entry
		typ   *codec.Type
		want  State
		left  time.Duration
	}{
		{"stale", stale, before, Stale, 4 * time.Hour},
		{"fresh", fresh, third, Fresh, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := reparse(t, &test.other)
			e.Pick(after, now)
			own := sealed(t, after, &cityAfter{"Rome", "Nathan"})
			own.KeepOthers(&e)
			e = reparse(t, &own)
			if !e.Pick(after, now) {
				t.Fatal("picked nothing")
			}
			if keep := e.Restamp(now, time.Minute); keep != time.Minute {
				t.Errorf("want the own value kept for a minute, got %v", keep)
			}
			e = reparse(t, &e)
			e.Pick(test.typ, now)
			left := time.UnixMilli(e.ExpiresAt).Sub(now)
			if state := e.StateAt(now); state != test.want || left.Round(time.Second) != test.left {
				t.Errorf("want state %d for %v, got %d for %v", test.want, test.left, state, left)
			}
		})
	}
}
