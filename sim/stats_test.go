package sim

import (
	"fmt"

	"github.com/cacheutils/cacheutils/decorators"
)

// A counter is the statistics of a function of a process.
type counter struct {
	function string
	stats    func() decorators.Stats
}

// counted notes that the function that has just been decorated has these statistics.
func (p *program) counted(function string, stats func() decorators.Stats) {
	p.counters = append(p.counters, counter{function, stats})
}

// stats returns those of the function since the process began, in all of the sets that it has had.
func (p *program) stats(function string) (sum decorators.Stats) {
	for _, c := range p.counters {
		if c.function != function {
			continue
		}
		s := c.stats()
		sum.Hits += s.Hits
		sum.Stale += s.Stale
		sum.Misses += s.Misses
		sum.Joins += s.Joins
		sum.Computations += s.Computations
		sum.Stores += s.Stores
		sum.Refusals += s.Refusals
		sum.Unstorable += s.Unstorable
		sum.Invalidations += s.Invalidations
		sum.Errors += s.Errors
	}
	return sum
}

// tally: statistics add up. Each call is a hit, stale or a miss, each miss joins once at most, and each run of the function
// is a computation, which is stored once at most. Where nothing goes wrong there are no errors.
func (p *program) tally() (broken []string) {
	for _, function := range []string{oneName, manyName, outerName, pairName} {
		calls, runs, invalidations, ended := uint64(0), uint64(0), uint64(0), false
		p.runner.mu.Lock()
		for _, r := range p.history.records {
			n := uint64(len(r.keys))
			switch {
			case r.process != p.index || r.function != function || r.mode != "": // under Bypass and Refresh nothing is looked up
			case r.kind == callOne, r.kind == callMany, r.kind == callOuter, r.kind == callPair, r.kind == require, r.kind == requireMany, r.kind == requirePair:
				calls += n
			case (r.kind == invalidate || r.kind == invalidateMany || r.kind == invalidatePair) && r.err == nil:
				invalidations += n
			}
		}
		for _, c := range p.history.computations {
			if c.process == p.index && c.function == function && c.given == nil {
				runs += uint64(len(c.keys))
				ended = ended || c.err != nil // as a refresh whose value may not be served any more
			}
		}
		p.runner.mu.Unlock()
		s := p.stats(function)
		bad := func(what string) {
			broken = append(broken, fmt.Sprintf("law 10: %s of %s in %s: %d calls, %d runs, %d invalidations, and %+v", what, function, p.name, calls, runs, invalidations, s))
		}
		counted := s.Hits + s.Stale + s.Misses
		switch {
		case counted > calls, counted < calls && !p.history.isDisturbed(p.index):
			bad("hits, stale and misses are not the calls")
		case s.Joins > s.Misses:
			bad("there are more joins than misses")
		case s.Computations != runs:
			bad("the computations are not the runs")
		case s.Stores+s.Refusals+s.Unstorable > s.Computations:
			bad("there are more results than computations")
		case s.Invalidations != invalidations:
			bad("the invalidations are not those that were done")
		case s.Errors > 0 && !ended && !p.plan.hasFaults() && !p.plan.isHasty() && !p.history.isDisturbed(p.index):
			bad("there are errors, and nothing went wrong,")
		}
	}
	return broken
}

// allDone reports whether nothing is under way in the processes that live, in the background neither.
func (r *runner) allDone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.history.computations {
		if c.ended == never && !r.processes[c.process].dead {
			return false
		}
	}
	return true
}
