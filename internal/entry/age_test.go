package entry

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
)

// An entry says how old its value is, whatever has happened to its times since, as an engine's bytes and as a live value.
func TestAge(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	reread := func(t *testing.T, e Entry) Entry {
		t.Helper()
		var again Entry
		if err := again.Parse(e.Item()); err != nil {
			t.Fatal(err)
		}
		return again
	}
	for _, live := range []bool{false, true} {
		for _, c := range []struct {
			name           string
			timeout, stale time.Duration
			groups         []Generation
			unknown        bool
		}{
			{name: "plain", timeout: time.Hour},
			{name: "stale", timeout: time.Hour, stale: time.Hour},
			{name: "in a group", timeout: time.Hour, groups: []Generation{{"g", "id"}}},
			{name: "forever", timeout: cacheutils.Forever, unknown: live},
			{name: "forever in a group", timeout: cacheutils.Forever, groups: []Generation{{"g", "id"}}},
		} {
			t.Run(c.name, func(t *testing.T) {
				value := "v"
				e, err := Sealer{Live: live, CompressAbove: -1}.Seal(Check{}, codec.Of(reflect.TypeFor[string]()), &value, false, Payload{})
				if err != nil {
					t.Fatal(err)
				}
				e.Groups = c.groups
				e.Stamp(now, c.timeout, c.stale)
				want := 10 * time.Minute
				if c.unknown {
					want = 0
				}
				e = reread(t, e)
				if got := e.Age(now.Add(10 * time.Minute)); got != want {
					t.Errorf("live %v: got %v, want %v", live, got, want)
				}
				if e.Restamp(now.Add(20*time.Minute), time.Hour); !c.unknown {
					e = reread(t, e)
					if got := e.Age(now.Add(30 * time.Minute)); got != 30*time.Minute {
						t.Errorf("live %v: after a new timeout: got %v, want 30m", live, got)
					}
				}
			})
		}
	}
}

// What others write of an age is nothing but wrong, and doesn't change what else an entry says.
func TestAge_Forged(t *testing.T) {
	now := time.Now()
	for _, at := range []int64{1, math.MaxInt64, math.MinInt64, now.Add(time.Hour).UnixMilli()} {
		e := Entry{flags: flagsFrame, Meta: Meta{StoredAt: at, FreshUntil: 5, ExpiresAt: 6}}
		var again Entry
		if err := again.Parse(engine.Item{Flags: flagsFrame, Value: e.frame()}); err != nil {
			t.Fatal(err)
		}
		if again.Meta.FreshUntil != 5 || again.Meta.ExpiresAt != 6 || again.Age(now) < 0 {
			t.Errorf("stored at %d: got %+v, of the age %v", at, again.Meta, again.Age(now))
		}
	}
}
