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

// Two checkers search a history for outdated values. Both know these rules, for one entry:
//
//   - after an invalidation, of the entry or of one of its groups, no call gets a value whose
//     computation began before the invalidation did;
//   - after ForceRecalc, no call gets a value whose computation began before its own;
//   - after Set, no call gets a value whose computation began before the set did. A value that was set is as
//     new as the set: it is outdated when the set ended before an invalidation began.
//
// "After" means that the one had returned before the other was called, and an invalidation or
// a Set that returned an error has promised nothing, as has a ForceRecalc during which the
// server failed. A Set with an error may still have happened, at any later time.
//
// findOutdated compares each read with the strongest promise before it. linearize reports whether porcupine
// finds an order of all operations that explains what they returned.

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

// bounds reports whether r is a write that promises something about the entry.
func (r *record) bounds(entry int) bool { return r.writes(entry) && r.promises() > 0 }

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

// findOutdated returns the reads that got an outdated value.
func findOutdated(h []record) (found []violation) {
	for entry := range entries {
		sets := setsOf(h, entry)
		var promises []record // by their ends, only those stronger than all before
		for _, r := range h {
			if r.bounds(entry) {
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

// The model of an entry: values from floor on may be read, and the one that was set last, if any.
type (
	modelState struct{ floor, set int64 }
	modelInput struct {
		kind  kind
		value int64 // of a read: what it returned; of the others: what they promise
	}
)

// modelFrom returns the model of an entry that starts in a state.
func modelFrom(start modelState) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return start },
		Step: func(state, input, _ any) (bool, any) {
			s, in := state.(modelState), input.(modelInput)
			switch in.kind {
			case read, require:
				return in.value >= s.floor || s.set != 0 && in.value == s.set, s
			case force:
				return in.value >= s.floor, modelState{floor: in.value}
			case set:
				return true, modelState{floor: max(s.floor, in.value), set: in.value}
			default:
				return true, modelState{floor: max(s.floor, in.value)}
			}
		},
	}
}

// A verdict is what porcupine says of a history.
type verdict struct {
	result   porcupine.CheckResult
	bad      []porcupine.Operation // the first segment that has no order, or for which the time was too short
	segments int
	largest  int           // operations of a segment
	slowest  time.Duration // for a segment
}

func (v verdict) String() string {
	return fmt.Sprintf("%s of %d segments, the largest with %d operations, the slowest in %v", v.result, v.segments, v.largest, v.slowest)
}

// linearize reports whether porcupine finds an order, for which it has the timeout for each segment.
// The doc of the package says how the history is cut into segments.
func linearize(h []record, timeout time.Duration) verdict {
	v := verdict{result: porcupine.Ok}
	for entry := range entries {
		starts := []modelState{{}}
		all := segmentsOf(h, entry)
		for i, s := range all {
			began := time.Now()
			v.note(s, s.check(starts, s.ops, timeout))
			if i+1 < len(all) {
				var result porcupine.CheckResult
				starts, result = s.ends(starts, all[i+1], timeout)
				v.note(s, result)
			}
			v.segments++
			v.largest = max(v.largest, len(s.ops))
			v.slowest = max(v.slowest, time.Since(began))
		}
	}
	return v
}

func (v *verdict) note(s *segment, result porcupine.CheckResult) {
	if result != porcupine.Ok && v.result != porcupine.Illegal && v.result != result {
		v.result, v.bad = result, s.ops
	}
}

// A segment is the part of an entry's history between two quiet moments.
type segment struct {
	ops   []porcupine.Operation
	start int64          // when it begins
	floor int64          // of the model then
	sets  map[int64]bool // the values that are set in it
}

// check reports whether porcupine finds an order of the operations from one of the states.
func (s *segment) check(starts []modelState, ops []porcupine.Operation, timeout time.Duration) porcupine.CheckResult {
	result := porcupine.Illegal
	for _, start := range starts {
		switch porcupine.CheckOperationsTimeout(modelFrom(start), ops, timeout) {
		case porcupine.Ok:
			return porcupine.Ok
		case porcupine.Unknown:
			result = porcupine.Unknown
		}
	}
	return result
}

// ends returns the states in which the segment may end, as far as they differ for the next one, and
// Unknown if the time was too short to tell. The floor is known. The value that was set last counts
// in the next segment only where that reads it below the floor. Then it was set in this segment,
// which begins with a write, and it may be the last if this segment has an order after
// which it is read.
func (s *segment) ends(starts []modelState, next *segment, timeout time.Duration) ([]modelState, porcupine.CheckResult) {
	ends, told := []modelState{{floor: next.floor}}, porcupine.Ok
	for _, op := range next.ops {
		in := op.Input.(modelInput)
		end := modelState{next.floor, in.value}
		if in.kind > require || in.value >= next.floor || !s.sets[in.value] || slices.Contains(ends, end) {
			continue
		}
		last := porcupine.Operation{Input: modelInput{read, in.value}, Call: next.start, Return: next.start}
		switch s.check(starts, append(slices.Clip(s.ops), last), timeout) {
		case porcupine.Ok:
			ends = append(ends, end)
		case porcupine.Unknown:
			told = porcupine.Unknown
		}
	}
	return ends, told
}

// segmentsOf cuts the history of an entry before each write that begins when no other operation is
// pending. A set that returned an error is in each segment that reads its value.
func segmentsOf(h []record, entry int) (all []*segment) {
	sets := setsOf(h, entry)
	var quiet, floor int64 // when the operations so far have all ended, and what they promise
	for _, r := range operationsOf(h, entry, sets) {
		isWrite := r.bounds(entry)
		if len(all) == 0 || isWrite && r.Call > quiet {
			all = append(all, &segment{start: r.Call, floor: floor, sets: map[int64]bool{}})
		}
		s := all[len(all)-1]
		quiet = max(quiet, r.Return)
		if isWrite {
			floor = max(floor, r.promises())
			s.write(r, r.promises())
			continue
		}
		s.add(r, modelInput{read, r.Value})
		if failed, ok := sets[r.Value]; ok && failed.Outcome != done && !s.sets[r.Value] {
			s.write(failed, r.Value)
		}
	}
	return all
}

// operationsOf returns the operations that promise something, or returned a value, in the order of
// their calls. The doc of the package says which reads are moments, and which are left out.
func operationsOf(h []record, entry int, sets map[int64]record) []record {
	var writes, reads []record
	for _, r := range h {
		switch {
		case r.bounds(entry):
			if r.Kind == force {
				r.Call = r.Value // it promises something about what is older than its computation
			}
			writes = append(writes, r)
		case r.reads() && int(r.Entry) == entry:
			reads = append(reads, r)
		}
	}
	byCall := func(a, b record) int { return cmp.Compare(a.Call, b.Call) }
	slices.SortFunc(writes, byCall)
	slices.SortFunc(reads, byCall)
	strongest := strongestOf(writes)
	for i, r := range reads {
		if _, wasSet := sets[r.Value]; !wasSet || r.Value >= strongest(r.Call) {
			reads[i].Return = r.Call
		}
	}
	some := append(writes, shortest(reads)...)
	slices.SortFunc(some, byCall)
	return some
}

// strongestOf returns a function that returns the strongest promise of the writes that were called
// before a moment.
func strongestOf(writes []record) func(moment int64) int64 {
	strongest := make([]int64, len(writes)+1) // of the first n
	for i, w := range writes {
		strongest[i+1] = max(strongest[i], w.promises())
	}
	return func(moment int64) int64 {
		n, _ := slices.BinarySearchFunc(writes, moment, func(w record, moment int64) int { return cmp.Compare(w.Call, moment) })
		return strongest[n]
	}
}

// shortest leaves out the reads during which another one of the same value began and ended.
func shortest(reads []record) (some []record) {
	first := make(map[int64]int64) // by value, the first end of those that were called later
	for _, r := range slices.Backward(reads) {
		if end, ok := first[r.Value]; !ok || r.Return < end {
			first[r.Value] = r.Return
			some = append(some, r)
		}
	}
	return some
}

func (s *segment) write(r record, promised int64) {
	if r.Kind == set {
		s.sets[r.Value] = true
	}
	s.add(r, modelInput{r.Kind, promised})
}

func (s *segment) add(r record, in modelInput) {
	s.ops = append(s.ops, porcupine.Operation{ClientId: int(r.Process)<<8 | int(r.Client), Input: in, Call: r.Call, Return: r.Return})
}
