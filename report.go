package cacheutils

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils/internal/steer"
)

// WithReport returns a context under which cached functions say what they do, and the Report that has it: to find out in a test
// whether a call was a hit, or why a request took its time.
//
//	ctx, report := cacheutils.WithReport(ctx)
//	page(ctx)
//	log.Print(report)
//
// Every call under the context is in it: of the functions that package decorators returns, of ForceRecalc and of
// RequireCache, also those that other cached functions make while they compute for a call that is in it, in the background too. A function
// that takes no context is under that of the cached function which calls it. Operations of packages cache and backends
// are not in it. Under a second WithReport, calls are in that report alone.
//
// A call in a report costs some microseconds more than another one.
func WithReport(ctx context.Context) (context.Context, *Report) {
	r := new(Report)
	return steer.With(ctx, func(call *steer.Call) { call.Report, call.Record = &r.report, nil }), r
}

// A Report has what cached functions did under a context of WithReport. It may be read at any time, by many goroutines at
// once.
type Report struct{ report steer.Report }

// An Outcome is what a call of a cached function has come to.
type Outcome int

const (
	UnderWay Outcome = iota // the call has not ended
	Hit                     // it got results from the cache
	Stale                   // it got results past their timeout from the cache
	Joined                  // it waited for the results of another call, in this process or in another one
	Miss                    // it computed, since nothing that counts was cached; for RequireCache, which does not compute, that alone
	Forced                  // it computed whatever was cached, by ForceRecalc or under Refresh
	Bypassed                // it ran without the cache, as it was to: under Bypass, or BypassIf says so
	Fault                   // it ran without the cache, which could not be used: Err says why
)

var outcomeTexts = [...]string{"under way", "hit", "stale", "joined", "miss", "forced", "bypassed", "fault"}

// String returns it in words.
func (o Outcome) String() string {
	if o < 0 || int(o) >= len(outcomeTexts) {
		return fmt.Sprint(int(o))
	}
	return outcomeTexts[o]
}

// A Call is what a Report says of one call of a cached function.
type Call struct {
	Function string // its name in keys
	Key      string // without the backend's prefix and version; "": none was made, or there are many
	Outcome  Outcome

	// Keys says for a call of a function that CachedMany has made how many of its keys came to what. Outcome is then the last in
	// order: Hit if all of them were hits. It is nil for other calls.
	Keys map[Outcome]int

	Age  time.Duration // how old the results from the cache were; 0: that isn't known, or they aren't from there
	Took time.Duration // how long the call took, or has taken so far
	Err  error         // of the cache, which the caller has not got; nil: there was none

	// Caller is the index in Calls of the call in whose computation it was made; -1: there is none. A function that takes a
	// context of a type of its own counts as a part of the call that calls it.
	Caller int
}

// Calls returns the calls in the order in which they began: the first 1000.
func (r *Report) Calls() []Call {
	entries, _ := r.report.Entries()
	calls := make([]Call, len(entries))
	for i, e := range entries {
		calls[i] = Call{Function: e.Function, Key: e.Key, Outcome: Outcome(e.Outcome), Age: e.Age, Took: e.Took, Caller: e.Caller, Err: e.Err}
		for o, n := range e.Keys {
			if n > 0 {
				if calls[i].Keys == nil {
					calls[i].Keys = make(map[Outcome]int)
				}
				calls[i].Keys[Outcome(o)] = n
			}
		}
	}
	return calls
}

// Count returns how many calls have come to that, those beyond the first 1000 included.
func (r *Report) Count(o Outcome) int { return r.report.Count(steer.Outcome(o)) }

// String returns the calls on a line each, with their keys, which have the arguments. A call is indented below the one in whose computation
// it was made.
func (r *Report) String() string {
	_, leftOut := r.report.Entries()
	calls := r.Calls()
	var b strings.Builder
	depths := make([]int, len(calls))
	for i, c := range calls {
		if c.Caller >= 0 {
			depths[i] = depths[c.Caller] + 1
		}
		fmt.Fprintf(&b, "%s%s\n", strings.Repeat("  ", min(depths[i], maxIndent)), c)
	}
	if leftOut > 0 {
		fmt.Fprintf(&b, "and %d more\n", leftOut)
	}
	return b.String()
}

// maxIndent bounds how far a line of a report is indented, so that a chain of calls takes no more than so much for each.
const maxIndent = 20

// String returns the call on one line.
func (c Call) String() string {
	name := c.Key
	if name == "" {
		name = c.Function
	}
	text := fmt.Sprintf("%s: %s", name, c.Outcome)
	if len(c.Keys) > 0 {
		var parts []string
		for o := range outcomeTexts {
			if n := c.Keys[Outcome(o)]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, Outcome(o)))
			}
		}
		text = fmt.Sprintf("%s: %s", name, strings.Join(parts, ", "))
	}
	if c.Age > 0 {
		text += fmt.Sprintf(", %v old", c.Age.Round(time.Millisecond))
	}
	text += fmt.Sprintf(", took %v", c.Took.Round(time.Microsecond))
	if c.Err != nil {
		text += fmt.Sprintf(" (%v)", c.Err)
	}
	return text
}
