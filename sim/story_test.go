package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A story is a trace with what was called and what came of it, after the event at which that was.
func (r *result) story() string {
	at := make(map[int][]string)
	for _, rec := range r.history.records {
		at[rec.called] = append(at[rec.called], fmt.Sprintf("p%d %s: called", rec.process, rec.operation.String()))
		if rec.ended != never {
			at[rec.ended] = append(at[rec.ended], fmt.Sprintf("p%d %s: %s", rec.process, rec.operation.String(), rec.came()))
		}
	}
	for _, c := range r.history.computations {
		what := fmt.Sprintf("#%d computes %s %v in p%d", c.id, c.function, c.keys, c.process)
		if c.given != nil {
			what = fmt.Sprintf("#%d is given for %s %v in p%d", c.id, c.function, c.keys, c.process)
		}
		at[c.started] = append(at[c.started], what)
		if c.given == nil && c.ended != never {
			at[c.ended] = append(at[c.ended], fmt.Sprintf("#%d has ended, error %v", c.id, c.err))
		}
	}
	var out strings.Builder
	step := 0
	more := func() {
		slices.Sort(at[step])
		for _, line := range at[step] {
			fmt.Fprintf(&out, "                                      %s\n", line)
		}
		delete(at, step)
	}
	for line := range strings.Lines(r.trace.all.String()) {
		var n int
		if _, err := fmt.Sscan(line, &n); err == nil && n != step {
			more()
			step = n
		}
		out.WriteString(line)
	}
	more()
	return out.String()
}

// came says what came of the operation.
func (r *record) came() string {
	switch {
	case r.err != nil:
		return "error " + r.err.Error()
	case len(r.got) == 0:
		return "done"
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(r.got)) {
		all = append(all, fmt.Sprintf("#%d for %d", r.got[key].id, key))
	}
	return "got " + strings.Join(all, ", ")
}

// reduce returns as little of the plan as still breaks the same law, whatever the order of events has to be for that.
func reduce(t *testing.T, full reduction, broken string) reduction {
	const schedules = 20 // tried for each
	breaks := func(r reduction) (reduction, bool) {
		for i := range uint64(schedules) {
			try := r
			try.schedule = full.schedule + i
			if slices.ContainsFunc(run(t, try.plan(), false).broken, func(text string) bool { return lawOf(text) == lawOf(broken) }) {
				return try, true
			}
		}
		return r, false
	}
	best := full
	for _, fault := range full.faults {
		try := best
		try.faults = slices.DeleteFunc(slices.Clone(best.faults), func(f string) bool { return f == fault })
		if less, ok := breaks(try); ok {
			best = less
		}
	}
	for size := max(len(best.operations)/2, 1); size > 0; size /= 2 {
		for from := 0; from < len(best.operations); {
			try := best
			try.operations = slices.Delete(slices.Clone(best.operations), from, min(from+size, len(best.operations)))
			if less, ok := breaks(try); ok {
				best = less
			} else {
				from += size
			}
		}
	}
	return best
}

// lawOf returns which law a text says is broken.
func lawOf(text string) string {
	name, _, _ := strings.Cut(text, ":")
	return name
}
