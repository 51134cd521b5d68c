package flight

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cacheutils/cacheutils/internal/goroutine"
)

// A computation that asks for its own result, directly or by way of other cached functions,
// would wait forever. So the flights that wait for one another are kept as a graph, and
// nobody is let in who would close a circle. A caller's own flight is found in the context
// that its computation was given or, where that was not passed on, by the goroutine.

type flightKey struct{}

// waits is the graph of this process. It spans all backends, since a circle may.
var waits waitGraph

type waitGraph struct {
	mu    sync.Mutex
	edges map[*Flight]map[*Flight]int // from a flight to those that its computation waits for
}

// enter notes that from waits for to. It returns false, and notes nothing, if to waits for
// from already.
func (g *waitGraph) enter(from, to *Flight) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reaches(to, from, nil) {
		return false
	}
	if g.edges == nil {
		g.edges = make(map[*Flight]map[*Flight]int)
	}
	if g.edges[from] == nil {
		g.edges[from] = make(map[*Flight]int)
	}
	g.edges[from][to]++
	return true
}

func (g *waitGraph) leave(from, to *Flight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.edges[from][to]--; g.edges[from][to] == 0 {
		delete(g.edges[from], to)
	}
	if len(g.edges[from]) == 0 {
		delete(g.edges, from)
	}
}

func (g *waitGraph) reaches(from, to *Flight, seen map[*Flight]bool) bool {
	if from == to {
		return true
	}
	if seen[from] || len(g.edges[from]) == 0 {
		return false
	}
	if seen == nil {
		seen = make(map[*Flight]bool)
	}
	seen[from] = true
	for next := range g.edges[from] {
		if g.reaches(next, to, seen) {
			return true
		}
	}
	return false
}

// Waiting returns the flights whose computations wait for f, directly or by way of others, as far as that is known, and f.
func (f *Flight) Waiting() []*Flight {
	waits.mu.Lock()
	defer waits.mu.Unlock()
	all := []*Flight{f}
	for i := 0; i < len(all); i++ {
		for from, to := range waits.edges {
			if to[all[i]] > 0 && !slices.Contains(all, from) {
				all = append(all, from)
			}
		}
	}
	return all
}

// callersFlight returns the flight in whose computation the caller runs, or nil. Where the context is of one that
// waits for nobody any more, the goroutine says whether the caller runs in another.
func callersFlight(ctx context.Context) *Flight {
	if f, _ := ctx.Value(flightKey{}).(*Flight); f.mayWait() {
		return f
	}
	if f := running.current().flight; f.mayWait() {
		return f
	}
	return nil
}

// mayWait reports whether there is a flight, and its computation may wait for others. One that has computed or
// finished waits for nobody, whatever goroutines its computation left behind.
func (f *Flight) mayWait() bool { return f != nil && !f.IsComputed() && !f.finished.Load() }

// running has what computes, the innermost by goroutine.
var running runningFlights

type runningFlights struct {
	runs   atomic.Int64 // that are under way; while there are none nobody asks which goroutine it is
	shards [64]runningShard
}

// A runner is a computation that is under way: a flight's, or one that a caller does without a flight, perhaps within that
// of a flight. The zero value is none.
type runner struct {
	flight *Flight
	caller context.Context // of the one without a flight; nil: it is the flight's
}

// A runningShard is a cache line.
type runningShard struct {
	mu        sync.Mutex
	innermost map[uintptr]runner // by goroutine
	_         [48]byte
}

func (r *runningFlights) shard(g uintptr) *runningShard {
	return &r.shards[(g>>6^g>>12)%uintptr(len(r.shards))]
}

// current returns what computes on the calling goroutine.
func (r *runningFlights) current() runner {
	if r.runs.Load() == 0 {
		return runner{}
	}
	g := goroutine.Current()
	shard := r.shard(g)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return shard.innermost[g]
}

// enter notes what computes on the calling goroutine, until leave is called there.
func (r *runningFlights) enter(inner runner) entered {
	g := goroutine.Current()
	r.runs.Add(1)
	return entered{g, r.shard(g).swap(g, inner)}
}

// An entered is what a goroutine did before it computed.
type entered struct {
	goroutine uintptr
	outer     runner
}

func (r *runningFlights) leave(e entered) {
	r.shard(e.goroutine).swap(e.goroutine, e.outer)
	r.runs.Add(-1)
}

// swap notes what computes on the goroutine, and returns what did before.
func (s *runningShard) swap(g uintptr, inner runner) (outer runner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	outer = s.innermost[g]
	switch {
	case inner.flight == nil && inner.caller == nil:
		delete(s.innermost, g)
	case s.innermost == nil:
		s.innermost = map[uintptr]runner{g: inner}
	default:
		s.innermost[g] = inner
	}
	return outer
}
