//go:build unix

package stress_test

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The checkers agree on histories that are small enough to be judged by hand. All are of entry 0.
func TestCheckers(t *testing.T) {
	at := func(kind kind, call, end, value int64) record {
		return record{Kind: kind, Call: call, Return: end, Value: value}
	}
	but := func(r record, change func(*record)) record {
		change(&r)
		return r
	}
	for _, c := range []struct {
		name    string
		history []record
		stale   bool
	}{
		{"a read of what was computed after the invalidation", []record{at(invalidate, 10, 12, 0), at(read, 20, 22, 11)}, false},
		{"of what was computed before", []record{at(invalidate, 10, 12, 0), at(read, 20, 22, 9)}, true},
		{"of that, begun before the invalidation had returned", []record{at(invalidate, 10, 21, 0), at(read, 20, 22, 9)}, false},
		{"after the entry's group was invalidated", []record{
			but(at(invalidateGroup, 10, 12, 0), func(r *record) { r.Entry, r.Groups = -1, 2 }), at(read, 20, 22, 9),
		}, true},
		{"after another group was", []record{
			but(at(invalidateGroup, 10, 12, 0), func(r *record) { r.Entry, r.Groups = -1, 4 }), at(read, 20, 22, 9),
		}, false},
		{"after another entry was invalidated", []record{
			but(at(invalidate, 10, 12, 0), func(r *record) { r.Entry = 1 }), at(read, 20, 22, 9),
		}, false},
		{"after an invalidation that failed", []record{
			but(at(invalidate, 10, 12, 0), func(r *record) { r.Outcome = failed }), at(read, 20, 22, 9),
		}, false},
		{"after ForceRecalc, of its result", []record{at(force, 10, 14, 12), at(read, 20, 22, 12)}, false},
		{"after ForceRecalc, of an older result", []record{at(force, 10, 14, 12), at(read, 20, 22, 11)}, true},
		{"after ForceRecalc that met a fault", []record{
			but(at(force, 10, 14, 12), func(r *record) { r.Faulted = true }), at(read, 20, 22, 11),
		}, false},
		{"after Set, of what was set", []record{at(set, 10, 14, 10), at(read, 20, 22, 10)}, false},
		{"after Set, of an older result", []record{at(set, 10, 14, 10), at(read, 20, 22, 9)}, true},
		{"of what was set, while an invalidation was under way", []record{
			at(set, 10, 14, 10), at(invalidate, 11, 13, 0), at(read, 20, 22, 10),
		}, false},
		{"of what was set before an invalidation", []record{
			at(set, 10, 14, 10), at(invalidate, 15, 16, 0), at(read, 20, 22, 10),
		}, true},
		{"of what was set with an error, late", []record{
			but(at(set, 10, 14, 10), func(r *record) { r.Outcome = failed }), at(invalidate, 15, 16, 0), at(read, 20, 22, 10),
		}, false},
		{"RequireCache of what was computed before", []record{at(invalidate, 10, 12, 0), at(require, 20, 22, 9)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if found := findStale(c.history); len(found) > 0 != c.stale {
				t.Errorf("findStale found %v", found)
			}
			if result, _ := linearize(c.history, 10*time.Second); result == porcupine.Ok == c.stale {
				t.Errorf("porcupine says %s", result)
			}
		})
	}
}
