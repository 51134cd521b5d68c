package main

import (
	"strings"
	"testing"
)

// The short form has one row for this module's backends, unless they answer differently.
func TestShorten(t *testing.T) {
	ok := []string{"ok", "ok", "ok", "ok", "ok"}
	bad := []string{"ok", "ok", "hangs", "ok", "ok"}
	peer := row{"a/peer 1.0", false, bad}
	for _, test := range []struct {
		name string
		rows []row
		want []string // the rows begin with
	}{
		{"alike", []row{{"**locmem**", true, ok}, {"**group**", true, ok}, peer}, []string{"| **cacheutils** | ok |", "| a/peer 1.0 | ok | ok | hangs |"}},
		{"different", []row{{"**locmem**", true, ok}, {"**group**", true, bad}, peer}, []string{"| **locmem** | ok |", "| **group** |", "| a/peer 1.0 |"}},
		{"others only", []row{peer}, []string{"| a/peer 1.0 |"}},
	} {
		lines := strings.Split(strings.TrimSpace(table(shorten(test.rows))), "\n")[2:]
		if len(lines) != len(test.want) {
			t.Errorf("%s: got %q, want %q", test.name, lines, test.want)
			continue
		}
		for i, want := range test.want {
			if !strings.HasPrefix(lines[i], want) {
				t.Errorf("%s: got %q, want it to begin with %q", test.name, lines[i], want)
			}
		}
	}
}
