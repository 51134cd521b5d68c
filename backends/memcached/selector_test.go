package memcached

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils/engine"
)

func opened(t *testing.T, texts ...string) locations {
	t.Helper()
	e, err := Open(engine.Settings{Location: texts})
	if err != nil {
		t.Fatal(err)
	}
	return e.(*memcached).locations
}

// Keys are where pymemcache's HashClient puts them: this is what its RendezvousHash says.
func TestPlaces(t *testing.T) {
	all := opened(t, "127.0.0.1", "10.0.0.2:11211", "cache3:11212", "/tmp/x.sock")
	for key, want := range map[string]string{
		"a":    "10.0.0.2:11211",
		":1:k": "10.0.0.2:11211",
		":1:[cached]example.com/app/geo.LoadCity:42(('test',))": "10.0.0.2:11211",
		"_group::cities":         "cache3:11212",
		"_group::città":          "/tmp/x.sock",
		"1_group::日本":            "cache3:11212",
		":1:ключ":                "10.0.0.2:11211",
		strings.Repeat("x", 250): "10.0.0.2:11211",
	} {
		if got := all.of(key).known()[0].address.String(); got != want {
			t.Errorf("%q: got %s, want %s", key, got, want)
		}
	}
}

// From 3 to 4 servers at most 30 % of the keys move, from 10 to 11 and without one of 10 at most
// 12 %; another order moves none; no server has more than 15 % above or below its share.
func TestSpread(t *testing.T) {
	const keys = 100_000
	list := func(n int) []string {
		var l []string
		for i := range n {
			l = append(l, fmt.Sprintf("10.0.0.%d:11211", i+1))
		}
		return l
	}
	without := func(l []string, i int) []string { return append(append([]string{}, l[:i]...), l[i+1:]...) }
	tests := []struct {
		name     string
		from, to []string
		most     float64
	}{
		{"3 to 4", list(3), list(4), 0.30},
		{"10 to 11", list(10), list(11), 0.12},
		{"without the 5th of 10", list(10), without(list(10), 4), 0.12},
		{"reordered", []string{"a", "b", "c"}, []string{"c", "a", "b"}, 0},
		{"one named twice", []string{"a", "b", "c"}, []string{"a", "b", "c", "b:11211"}, 0},
	}
	for _, test := range tests {
		from, to := opened(t, test.from...), opened(t, test.to...)
		count := map[string]int{}
		moved := 0
		for i := range keys {
			key := fmt.Sprintf(":1:[cached]example.com/app/geo.LoadCity:42((%d,))", i)
			place := to.of(key).known()[0].address
			count[place.String()]++
			if from.of(key).known()[0].address != place {
				moved++
			}
		}
		share := float64(moved) / keys
		t.Logf("%s: %.1f %% of the keys move, want at most %.0f %%", test.name, share*100, test.most*100)
		if share > test.most {
			t.Errorf("%s: %.1f %% of the keys move", test.name, share*100)
		}
		for address, n := range count {
			if balance := float64(n) * float64(len(to)) / keys; balance < 0.85 || balance > 1.15 {
				t.Errorf("%s: %s has %.2f of its share", test.name, address, balance)
			}
		}
	}
}
