package store

import (
	"context"
	"sync"

	"github.com/cacheutils/cacheutils/internal/goroutine"
)

// A computation that asks for its own result, directly or by way of other cached functions,
// would wait for ever. So the flights that wait for one another are kept as a graph, and
// nobody is let in who would close a circle. A caller's own flight is found in the context
// that its computation was given or, where that was not passed on, by the goroutine.

type flightKey struct{}

// waits is the graph of this process. It spans all backends, since a circle may.
var waits waitGraph

type waitGraph struct {
	mu    sync.Mutex
	edges map[*flight]map[*flight]int // from a flight to those that its computation waits for
}

// enter notes that from waits for to. It returns false, and notes nothing, if to waits for
// from already.
func (g *waitGraph) enter(from, to *flight) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reaches(to, from, nil) {
		return false
	}
	if g.edges == nil {
		g.edges = make(map[*flight]map[*flight]int)
	}
	if g.edges[from] == nil {
		g.edges[from] = make(map[*flight]int)
	}
	g.edges[from][to]++
	return true
}

func (g *waitGraph) leave(from, to *flight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.edges[from][to]--; g.edges[from][to] == 0 {
		delete(g.edges[from], to)
	}
	if len(g.edges[from]) == 0 {
		delete(g.edges, from)
	}
}

func (g *waitGraph) reaches(from, to *flight, seen map[*flight]bool) bool {
	if from == to {
		return true
	}
	if seen[from] || len(g.edges[from]) == 0 {
		return false
	}
	if seen == nil {
		seen = make(map[*flight]bool)
	}
	seen[from] = true
	for next := range g.edges[from] {
		if g.reaches(next, to, seen) {
			return true
		}
	}
	return false
}

// callersFlight returns the flight in whose computation the caller runs, or nil. A flight
// that has computed or landed waits for nobody, whatever goroutines its computation left behind.
func callersFlight(ctx context.Context) *flight {
	fl, _ := ctx.Value(flightKey{}).(*flight)
	if fl == nil {
		fl = running.flightOf(goroutine.Current())
	}
	if fl == nil {
		return nil
	}
	if fl.isComputed() || fl.landed.Load() {
		return nil
	}
	return fl
}

// running has the flights that compute, the innermost by goroutine.
var running runningFlights

type runningFlights struct {
	shards [64]struct {
		mu        sync.Mutex
		innermost map[uintptr]*flight // by goroutine
		_         [40]byte            // a shard is a cache line
	}
}

// swap notes that fl computes on the goroutine, or nothing, and returns what did before.
func (r *runningFlights) swap(g uintptr, fl *flight) (outer *flight) {
	shard := &r.shards[(g>>6^g>>12)%uintptr(len(r.shards))]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	outer = shard.innermost[g]
	switch {
	case fl == nil:
		delete(shard.innermost, g)
	case shard.innermost == nil:
		shard.innermost = map[uintptr]*flight{g: fl}
	default:
		shard.innermost[g] = fl
	}
	return outer
}

func (r *runningFlights) flightOf(g uintptr) *flight {
	shard := &r.shards[(g>>6^g>>12)%uintptr(len(r.shards))]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return shard.innermost[g]
}
