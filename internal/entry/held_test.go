package entry

import (
	"math"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
)

// Times that nobody can have written are none, and no sum of them overflows.
func TestDistrust(t *testing.T) {
	now, lease := time.Now(), 5*time.Second
	at := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	for _, c := range []struct {
		name        string
		held, retry int64
		want        bool // it is left alone
	}{
		{"held", at(lease), 0, true},
		{"held by a clock ahead", at(lease + 29*time.Second), 0, true},
		{"held for longer", at(lease + 31*time.Second), 0, false},
		{"held forever", math.MaxInt64, 0, false},
		{"held long ago", math.MinInt64, 0, false},
		{"again later", 0, at(30 * time.Second), true},
		{"again later by a clock ahead", 0, at(59 * time.Second), true},
		{"again much later", 0, at(61 * time.Second), false},
		{"again never", 0, math.MaxInt64, false},
		{"again long ago", 0, math.MinInt64, false},
	} {
		e := Entry{Meta: Meta{Holder: Token{1}, HeldUntil: c.held, RetryAt: c.retry}}
		e.others = []Entry{e}
		e.Distrust(Token{}, now, lease)
		if got := e.IsRefreshed(now); got != c.want {
			t.Errorf("%s: IsRefreshed is %v, want %v", c.name, got, c.want)
		}
		if got := e.others[0].IsRefreshed(now); got != c.want {
			t.Errorf("%s, in another section: IsRefreshed is %v, want %v", c.name, got, c.want)
		}
	}
}

// A lease that has been over for long is nobody's, and what is beside the reader's own lease is judged, but not that.
func TestDistrust_Leases(t *testing.T) {
	now, lease := time.Now(), 5*time.Second
	of := func(token byte, held time.Duration) Entry {
		return Entry{Meta: Meta{Empty: true, Holder: Token{token}, HeldUntil: now.Add(held).UnixMilli()}}
	}
	for _, c := range []struct {
		name string
		held time.Duration
		want bool // it is a lease
	}{
		{"over", -29 * time.Second, true},
		{"long over", -31 * time.Second, false},
		{"for long", 36 * time.Second, false},
	} {
		e := of(1, c.held)
		if e.Distrust(Token{}, now, lease); e.isLease() != c.want {
			t.Errorf("%s: it is a lease: %v, want %v", c.name, !c.want, c.want)
		}
		e = of(1, c.held)
		e.others = []Entry{of(2, c.held)}
		if e.Distrust(Token{1}, now, lease); !e.isLease() || e.HasOthers() != c.want {
			t.Errorf("%s: the reader's own is a lease: %v, and there is another one: %v, want true and %v", c.name, e.isLease(), e.HasOthers(), c.want)
		}
		e = of(2, c.held)
		e.others = []Entry{of(1, c.held)}
		if e.Distrust(Token{1}, now, lease); !e.others[0].isLease() || e.isLease() != c.want {
			t.Errorf("%s: before the reader's own: %v, and that: %v, want %v and true", c.name, e.isLease(), e.others[0].isLease(), c.want)
		}
	}
}

func TestOthers_NoTimeOverflows(t *testing.T) {
	now := time.Now()
	for _, end := range []int64{math.MaxInt64, math.MaxInt64 - 999, math.MaxInt64 - 1001, math.MaxInt64 / 2} {
		held := Entry{Meta: Meta{Empty: true, Holder: Token{1}, HeldUntil: end}}
		if held.isOver(now) {
			t.Errorf("a lease until %d is over", end)
		}
		value := Entry{Meta: Meta{FreshUntil: end, ExpiresAt: end}}
		for _, other := range []Entry{held, value} {
			e := Entry{others: []Entry{other}}
			if left := e.OthersLeft(now); left < 100*365*24*time.Hour || left > cacheutils.Forever {
				t.Errorf("what ends at %d is kept for %v", end, left)
			}
		}
	}
	for _, end := range []int64{math.MinInt64, math.MinInt64 + 1001, -1} {
		held := Entry{Meta: Meta{Empty: true, Holder: Token{1}, HeldUntil: end}}
		value := Entry{Meta: Meta{FreshUntil: end, ExpiresAt: end}}
		if !held.isOver(now) || !value.isOver(now) || value.StateAt(now) != Dead {
			t.Errorf("what was to end at %d is not over", end)
		}
	}
}
