package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Everything that is promised is about computations and calls, and which began and ended when. Times are numbers of events:
// what has the same number was at the same time.

// never is when something ended that has not.
const never = 1 << 60

// A record is what one operation did.
type record struct {
	operation
	function      string // whose entries it is about; empty: those of a group, or all
	called, ended int
	began, over   time.Time
	cancelledAt   time.Time     // zero: its context was not
	got           map[int]value // by key, what it returned
	err           error
	settled       bool // after the faults
	isInside      bool // it was called by a function
	isLast        bool // it has ended with the world
	isClosed      bool // the backends that it uses were closed when it began, or meanwhile
}

// A value is what a result says of itself: which computation made it, and for which key.
type value struct{ id, key int }

// A computation is one run of a function, or a value that somebody gave to a set.
type computation struct {
	id             int
	function       string
	keys           []int
	process        int
	started, ended int
	began, over    time.Time
	given          *record  // the set
	mode           string   // what the context of the call said that it is for
	isForced       bool     // that is a ForceRecalc
	isNamed        bool     // it has returned an error that is a result
	err            error    // what it returned
	inner          int      // the computation whose result it has from a function that it has called; 0: none
	named          []string // by the caller whose function of package cache it is: the groups that its result is in
}

func (c *computation) String() string {
	return fmt.Sprintf("#%d of %s %v by p%d [%d, %s]", c.id, c.function, c.keys, c.process, c.started, tick(c.ended))
}

func tick(n int) string {
	if n == never {
		return "never"
	}
	return fmt.Sprint(n)
}

func (r *record) String() string {
	return fmt.Sprintf("p%d %s [%d, %s]", r.process, r.operation.String(), r.called, tick(r.ended))
}

// covers reports whether the operation invalidates or replaces what is cached of the function for the key, in the groups.
func (r *record) covers(function string, key int, groups []string) bool {
	if r.renews() {
		return r.function == function && slices.Contains(r.keys, key)
	}
	switch r.kind {
	case invalidate, force, set, invalidateMany, forceMany, setMany, invalidatePair, forcePair, setPair:
		return r.function == function && slices.Contains(r.keys, key)
	case invalidateGroup, invalidateGroups:
		return slices.ContainsFunc(strings.Split(r.group, "+"), func(group string) bool { return slices.Contains(groups, group) })
	case clearAll:
		return true
	}
	return false
}

// A history is all that was done.
type history struct {
	plan         *plan
	records      []*record
	computations map[int]*computation
	dead, closed []bool        // by process: what goes on there is nothing that anybody can see
	allStored    int           // the event after which everything had been computed and stored, with nothing to disturb it
	disturbed    []bool        // by process: its backends were closed, if only for others that it uses now
	replaced     []bool        // by process: its set was replaced under its calls, which then go on in both
	apart        time.Duration // that two clocks were at most
	restored     int           // the event after which a server had data from before
}
