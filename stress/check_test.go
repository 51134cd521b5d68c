//go:build unix

package stress_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Two checkers look for old values in a history. Both know these rules, for one entry:
//
//   - after an invalidation, of the entry or of one of its groups, no call gets a value whose
//     computation began before the invalidation did;
//   - after ForceRecalc, no call gets a value whose computation began before its own;
//   - after Set, no call gets a value whose computation began before the set did. A value that
//     was set is as new as the set: it is old when the set ended before an invalidation began.
//
// "After" means that the one had returned before the other was called, and an invalidation or
// a Set that returned an error has promised nothing, as has a ForceRecalc during which the
// server failed. A Set with an error may still have happened, at any later time.
//
// findStale looks at each read and the strongest promise before it. linearize asks
// porcupine whether there is an order of all operations that explains what they returned.

// A violation is a read that broke a promise.
type violation struct {
	read, promise record
}

func (v violation) String() string {
	return fmt.Sprintf("process %d got %d from a %s of entry %d in [%d, %d], after a %s by process %d in [%d, %d]",
		v.read.Process, v.read.Value, v.read.Kind, v.read.Entry, v.read.Call, v.read.Return,
		v.promise.Kind, v.promise.Process, v.promise.Call, v.promise.Return)
}

// promises returns the oldest value that may be read after r, or 0 if r promises nothing.
func (r *record) promises() int64 {
	switch {
	case r.Outcome != done || r.Kind == force && r.Faulted:
		return 0
	case r.Kind == force:
		return r.Value
	default:
		return r.Call
	}
}

// setsOf returns the sets of an entry by their values.
func setsOf(h []record, entry int) map[int64]record {
	sets := make(map[int64]record)
	for _, r := range h {
		if r.Kind == set && int(r.Entry) == entry {
			if r.Outcome != done {
				r.Return = math.MaxInt64
			}
			sets[r.Value] = r
		}
	}
	return sets
}

// findStale returns the reads that got a value which is too old.
func findStale(h []record) (found []violation) {
	for entry := range entries {
		sets := setsOf(h, entry)
		var promises []record // by their ends, only those stronger than all before
		for _, r := range h {
			if r.writes(entry) && r.promises() > 0 {
				promises = append(promises, r)
			}
		}
		slices.SortFunc(promises, func(a, b record) int { return cmp.Compare(a.Return, b.Return) })
		strongest := promises[:0]
		for _, p := range promises {
			if n := len(strongest); n == 0 || p.promises() > strongest[n-1].promises() {
				strongest = append(strongest, p)
			}
		}
		for _, r := range h {
			if !r.reads() || int(r.Entry) != entry {
				continue
			}
			n, _ := slices.BinarySearchFunc(strongest, r.Call, func(p record, call int64) int { return cmp.Compare(p.Return, call) })
			if n == 0 {
				continue
			}
			age := r.Value
			if s, ok := sets[r.Value]; ok {
				age = s.Return
			}
			if p := strongest[n-1]; age < p.promises() {
				found = append(found, violation{r, p})
			}
		}
	}
	return found
}

// The model of an entry: values from floor on may be read, and the one that was set last.
type (
	modelState struct{ floor, set int64 }
	modelInput struct {
		kind  kind
		value int64 // of a read: what it returned; of the others: what they promise
	}
)

var model = porcupine.Model{
	Init: func() any { return modelState{} },
	Step: func(state, input, _ any) (bool, any) {
		s, in := state.(modelState), input.(modelInput)
		switch in.kind {
		case read, require:
			return in.value >= s.floor || in.value == s.set, s
		case force:
			return in.value >= s.floor, modelState{floor: in.value}
		case set:
			return true, modelState{floor: max(s.floor, in.value), set: in.value}
		default:
			return true, modelState{floor: max(s.floor, in.value)}
		}
	},
}

// window is how many reads porcupine gets at once, so that it finds out in a short time.
const window = 200

// linearize tells whether porcupine finds an order, and returns the first window where it doesn't.
//
// A read of a value as new as all promises before its end may come anywhere, and is left out. A
// window is some of the other reads of an entry in the order of their calls, all writes that
// overlap them, the strongest promise from before and the sets whose values they return. To leave
// promises out can hide a violation, but makes none.
func linearize(h []record, timeout time.Duration) (porcupine.CheckResult, []porcupine.Operation) {
	for entry := range entries {
		sets := setsOf(h, entry)
		var reads, writes []record
		for _, r := range h {
			switch {
			case r.writes(entry) && r.promises() > 0:
				writes = append(writes, r)
			case r.reads() && int(r.Entry) == entry:
				reads = append(reads, r)
			}
		}
		slices.SortFunc(reads, func(a, b record) int { return cmp.Compare(a.Call, b.Call) })
		reads = slices.DeleteFunc(reads, newest(writes))
		slices.SortFunc(writes, func(a, b record) int { return cmp.Compare(a.Return, b.Return) })
		for some := range slices.Chunk(reads, window) {
			ops := operations(some, writes, sets)
			if result := porcupine.CheckOperationsTimeout(model, ops, timeout); result != porcupine.Ok {
				return result, ops
			}
		}
	}
	return porcupine.Ok, nil
}

// newest returns a function that tells whether a read's value is as new as all promises of
// the writes that were called before the read ended.
func newest(writes []record) func(record) bool {
	slices.SortFunc(writes, func(a, b record) int { return cmp.Compare(a.Call, b.Call) })
	strongest := make([]int64, len(writes)+1) // of the first n
	for i, w := range writes {
		strongest[i+1] = max(strongest[i], w.promises())
	}
	return func(r record) bool {
		n, _ := slices.BinarySearchFunc(writes, r.Return, func(w record, end int64) int { return cmp.Compare(w.Call, end) })
		return r.Value >= strongest[n]
	}
}

func operations(reads, writes []record, sets map[int64]record) (ops []porcupine.Operation) {
	from, to := reads[0].Call, int64(0)
	add := func(r record, in modelInput) {
		ops = append(ops, porcupine.Operation{ClientId: int(r.Process)<<8 | int(r.Client), Input: in, Call: r.Call, Return: r.Return})
	}
	change := func(w record) {
		if w.Kind == force {
			w.Call = w.Value // it promises something about what is older than its computation
		}
		add(w, modelInput{w.Kind, w.promises()})
	}
	wanted := make(map[int64]record)
	for _, r := range reads {
		to = max(to, r.Return)
		if s, ok := sets[r.Value]; ok {
			wanted[r.Value] = s
		}
		add(r, modelInput{read, r.Value})
	}
	var before record
	for _, w := range writes {
		switch {
		case w.Return < from:
			if w.promises() > before.promises() {
				before = w
			}
		case w.Call <= to:
			delete(wanted, w.Value)
			change(w)
		}
	}
	if before.promises() > 0 {
		delete(wanted, before.Value)
		change(before)
	}
	for _, s := range wanted {
		add(s, modelInput{set, s.Value})
	}
	return ops
}
