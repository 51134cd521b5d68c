package sim

import (
	"bytes"
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// An event is a request to a server that is on its way, its answer that is, or anything else that waits for its turn.
type event struct {
	from         *process
	verb, object string       // what it is, in one word, and of what
	effect       func() error // what it does when it is picked; nil: nothing
	remote       bool         // it goes to a server and comes back: faults may befall it
	late         bool         // it is carried out, though who has asked for it no longer waits
	back         bool         // it is the answer that is on its way
	at           uint8        // the bits of the servers that it goes to
	err          error        // the answer

	// done is closed when it has happened. What is sent to it asks for the stack of the goroutine that waits.
	done chan struct{}

	// Of two events of one text, one comes first, whichever of the two was posted first: by the item that it stores, by
	// the caller for whom it is, by the set of backends, and by where in the library it was made.
	item   []byte
	caller string
	set    int       // of the process, which has one after the other
	stack  []uintptr // where in the library that is; nil unless it was asked for
}

const deepestStack = 24 // that tells two events apart

// compare orders the events that wait. Those that it finds equal have but their stacks to differ in.
func (e *event) compare(other *event) int {
	if e.from != other.from {
		return cmp.Compare(e.from.index, other.from.index)
	}
	if e.back != other.back {
		if e.back {
			return -1
		}
		return 1
	}
	return cmp.Or(
		strings.Compare(e.verb, other.verb), strings.Compare(e.object, other.object),
		bytes.Compare(e.item, other.item), strings.Compare(e.caller, other.caller), cmp.Compare(e.set, other.set),
	)
}

// wait returns once the event has happened, or ended is closed. It reports whether the event has happened.
func (e *event) wait(ended <-chan struct{}) bool {
	for {
		select {
		case _, asks := <-e.done:
			if !asks {
				return true
			}
			e.stack = make([]uintptr, deepestStack)
			e.stack = e.stack[:runtime.Callers(2, e.stack)]
		case <-ended:
			return false
		}
	}
}

// sortStacks puts events that compare finds equal into the order of their stacks, for which it asks those who wait. Where
// nobody waits any more there is none.
func sortStacks(equal []*event) {
	for _, e := range equal {
		if e.stack != nil {
			continue
		}
		select {
		case e.done <- struct{}{}:
			synctest.Wait()
		default:
		}
	}
	slices.SortStableFunc(equal, func(a, b *event) int { return slices.Compare(a.stack, b.stack) })
}

// String is what a trace shows of an event.
func (e *event) String() string {
	arrow, late := "> ", ""
	if e.back {
		arrow = "< "
	}
	if e.late {
		late = "late: "
	}
	return e.from.name + arrow + late + e.verb + " " + e.object
}

// A trace is what has happened: the sum of it, and its text if that is shown.
type trace struct {
	show bool
	all  strings.Builder
	sum  sum64
}

// event adds an event, and what befell it.
func (t *trace) event(step int, at time.Duration, e *event, fate string) {
	s := t.sum.number(uint64(step)).number(uint64(at)).text(e.from.name)
	if e.back {
		s = s.text("<")
	}
	if e.late {
		s = s.text("late")
	}
	t.sum = s.text(e.verb).text(e.object).text(fate)
	if !t.show {
		return
	}
	if fate != "" {
		fate = " (" + fate + ")"
	}
	fmt.Fprintf(&t.all, "%6d %v %v%s\n", step, at, e, fate)
}

// fault adds what no process has asked for.
func (t *trace) fault(step int, at time.Duration, kind, what string) {
	t.sum = t.sum.number(uint64(step)).number(uint64(at)).text(kind).text(what)
	if t.show {
		fmt.Fprintf(&t.all, "%6d %v -- %s: %s\n", step, at, kind, what)
	}
}

// A sum64 is one of FNV-1a. Each text has an end of its own in it.
type sum64 uint64

const fnvPrime = 1099511628211

func (s sum64) text(text string) sum64 {
	for i := range len(text) {
		s = (s ^ sum64(text[i])) * fnvPrime
	}
	return (s ^ 0xff) * fnvPrime
}

func (s sum64) number(n uint64) sum64 {
	for range 8 {
		s, n = (s^sum64(n&0xff))*fnvPrime, n>>8
	}
	return s
}
