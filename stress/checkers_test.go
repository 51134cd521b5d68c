//go:build unix

package stress_test

import (
	"math/rand/v2"
	"slices"
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
		name     string
		history  []record
		outdated bool
	}{
		{"a read of what was computed after the invalidation", []record{at(invalidate, 10, 12, 0), at(read, 20, 22, 11)}, false},
		{"of what was computed before", []record{at(invalidate, 10, 12, 0), at(read, 20, 22, 9)}, true},
		{"of nothing that was computed", []record{at(invalidate, 10, 12, 0), at(read, 20, 22, 0)}, true},
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
		{"across a cut, of what was set while an invalidation was under way", []record{
			at(set, 10, 14, 10), at(invalidate, 11, 13, 0), at(invalidate, 20, 30, 0), at(read, 21, 22, 10),
		}, false},
		{"across two cuts, of that", []record{
			at(set, 10, 14, 10), at(invalidate, 11, 13, 0), at(invalidate, 15, 16, 0), at(invalidate, 20, 30, 0), at(read, 21, 22, 10),
		}, true},
		{"across a cut, of what was computed before", []record{
			at(set, 10, 14, 10), at(invalidate, 11, 13, 0), at(invalidate, 20, 30, 0), at(read, 21, 22, 9),
		}, true},
		{"across a cut, of what was set with an error, late", []record{
			but(at(set, 10, 14, 10), func(r *record) { r.Outcome = failed }), at(invalidate, 15, 16, 0), at(invalidate, 20, 30, 0), at(read, 21, 22, 10),
		}, false},
		{"RequireCache of what was computed before", []record{at(invalidate, 10, 12, 0), at(require, 20, 22, 9)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if found := findOutdated(c.history); len(found) > 0 != c.outdated {
				t.Errorf("findOutdated found %v", found)
			}
			if v := linearize(c.history, 10*time.Second); v.result == porcupine.Ok == c.outdated {
				t.Errorf("porcupine says %s", v)
			}
		})
	}
}

// A cut loses nothing: porcupine's verdict is the same for a history that is cut, and whose reads begin and end
// at once, as for the whole.
func TestCheckers_Cuts(t *testing.T) {
	const histories = 20_000
	results, cuts, carried := map[porcupine.CheckResult]int{}, 0, 0
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range histories {
		h := randomHistory(rng)
		all := segmentsOf(h, 0)
		cuts += len(all) - 1
		for i, s := range all[:len(all)-1] {
			if ends, _ := s.ends([]modelState{{floor: s.floor}}, all[i+1], 0); len(ends) > 1 {
				carried++
			}
		}
		want := porcupine.CheckOperationsTimeout(modelFrom(modelState{}), whole(h), 0)
		got := linearize(h, 0)
		results[want]++
		// A set that failed may be in two segments, where it explains more.
		twice := slices.ContainsFunc(h, func(r record) bool { return r.Outcome == failed })
		if got.result != want && !(twice && want == porcupine.Illegal) {
			t.Fatalf("history %d: cut, porcupine says %s, of the whole %s: %v", n, got, want, h)
		}
	}
	t.Logf("%d histories: %v, %d cuts, %d with a set whose value is read after it", histories, results, cuts, carried)
	if results[porcupine.Ok] < histories/10 || results[porcupine.Illegal] < histories/10 || cuts < histories || carried < histories/100 {
		t.Error("too few of one of them: not a test")
	}
}

// randomHistory returns what four clients did to entry 0, whose reads got outdated values now and then.
func randomHistory(rng *rand.Rand) (h []record) {
	type client struct{ now *record }
	clients, tick := make([]client, 4), int64(10)
	for len(h) < 10 {
		tick++
		c := &clients[rng.IntN(len(clients))]
		if c.now == nil {
			c.now = &record{Kind: []kind{read, read, read, set, set, invalidate, invalidate, force}[rng.IntN(8)], Call: tick}
			continue
		}
		switch r := c.now; {
		case r.Kind == read && rng.IntN(2) == 0 && len(h) > 0:
			r.Value = h[rng.IntN(len(h))].Value // of a set, mostly
		case r.Kind == read:
			r.Value = tick - rng.Int64N(10)
		case r.Kind == set:
			r.Value = r.Call
			if rng.IntN(10) == 0 {
				r.Outcome = failed
			}
		case r.Kind == force:
			tick++
			r.Value = tick - 1
		}
		c.now.Return = tick
		h, c.now = append(h, *c.now), nil
	}
	return h
}

// whole returns the history of entry 0 as it is.
func whole(h []record) (ops []porcupine.Operation) {
	s := new(segment)
	for _, r := range h {
		switch {
		case r.Kind == read:
			s.add(r, modelInput{read, r.Value})
		case r.Kind == set:
			s.add(setsOf(h, 0)[r.Value], modelInput{set, r.Value})
		case r.Kind == force:
			r.Call = r.Value
			s.add(r, modelInput{force, r.Value})
		default:
			s.add(r, modelInput{r.Kind, r.promises()})
		}
	}
	return s.ops
}
