package store

import (
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/entry"
)

// A token is known for one to two minutes, whether or not others follow, and then takes no memory.
func TestOrphans_IsForgotten(t *testing.T) {
	var d orphans
	now := time.Unix(1_800_000_000, 0)
	first, second := entry.NewToken("", ""), entry.NewToken("", "")
	d.add(first, now)
	d.add(second, now.Add(orphanedFor*3/2))
	for _, test := range []struct {
		after         time.Duration
		first, second bool
	}{
		{orphanedFor * 3 / 2, true, true}, {2*orphanedFor - 1, true, true},
		{2 * orphanedFor, false, true}, {3*orphanedFor - 1, false, true}, {4 * orphanedFor, false, false},
	} {
		if has := d.has(first, now.Add(test.after)); has != test.first {
			t.Errorf("after %v: the first is known: %v, want %v", test.after, has, test.first)
		}
		if has := d.has(second, now.Add(test.after)); has != test.second {
			t.Errorf("after %v: the second is known: %v, want %v", test.after, has, test.second)
		}
	}
	if len(d.tokens)+len(d.older) > 0 {
		t.Errorf("%d tokens are kept", len(d.tokens)+len(d.older))
	}
}

func TestOrphans_AreBounded(t *testing.T) {
	var d orphans
	now := time.Now()
	var last entry.Token
	for range 3 * maxOrphans {
		last = entry.NewToken("", "")
		d.add(last, now)
	}
	if n := len(d.tokens) + len(d.older); n > 2*maxOrphans || !d.has(last, now) {
		t.Errorf("want at most %d tokens, the last of them there, got %d, %v", 2*maxOrphans, n, d.has(last, now))
	}
}
