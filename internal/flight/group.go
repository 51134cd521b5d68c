// Package flight keeps the computations of a process to one per key, as golang.org/x/sync/singleflight
// does, and more: callers have contexts of their own, a computation goes on for a while when all of them have left, it
// can be started for several keys at once, an invalidation keeps its outcome from callers who start later, and
// computations that wait for one another in a circle are refused.
//
// It knows no engine and no codec: what a computation does, and what its result is, is its owner's affair.
package flight

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Group has the flights of one store. Its exported fields are set before it is used; the rest of the zero Group is
// ready.
//
// A caller that finds nothing joins the flight of its key or, if there is none, starts one. The flight computes and
// finishes: all its callers get the outcome, if it is for them. It leaves the table when it finishes, or earlier when
// its key is forgotten, so that later callers don't wait for it in vain.
//
// An outcome is for the callers who started before it was known to be valid, see Flight.Valid. The others start again.
//
// A flight whose callers have all left before the function began ends. Later it goes on for its linger, and stays
// on the table: its result is stored, and a caller who comes meanwhile joins it. Then its context ends. If the function
// goes on for a lease after that, it hangs: the flight is abandoned, and those who wait for it start again.
//
// The result is known before it is stored. A caller who started before the computation has it at once when its own time
// is up, whatever the store does; where the result is stored later, it has it at once in any case. A caller
// whose time runs out while the flight waits for the store goes on by a bare flight, one that has no part in the store.
type Group struct {
	Remote bool          // what flights do with the store may take its time
	Lease  time.Duration // after which a function hangs whose context has ended
	Idle   func()        // is called when the last flight of a closed Group has ended

	clock atomic.Uint64 // ticks order what happens in this process

	mu      sync.Mutex
	table   map[place]*Flight // what a caller that finds nothing joins; those of one place are linked by beside
	most    int               // how many places were on this table at the same time: a map never shrinks
	active  int               // flights that have not ended, on the table or not
	storing int               // of those: their function has returned
	closed  bool              // none starts any more
	settled chan struct{}     // closed when none is storing; nil: nobody waits for that
}

// keptTable is for how many flights a table is kept that has none.
const keptTable = 1000

// A place is where flights are on the table. Flights of one place differ in their Check.
type place struct {
	key  string
	bare bool
}

// A Check distinguishes keys that are stored under one text: those that were shortened to the same. The zero Check is that
// of a key that is stored under its own text.
type Check [16]byte

// Always is the tick of outcomes that are for everybody.
const Always uint64 = 1<<64 - 1

// Now returns the tick that a caller starts at.
func (g *Group) Now() uint64 { return g.clock.Load() }

// Tick returns a tick after every caller's who has started.
func (g *Group) Tick() uint64 { return g.clock.Add(1) }

// A Start says which flight a caller wants.
type Start struct {
	Key   string
	Check Check
	Bare  bool
	Fresh bool    // nothing is for the caller that began before Tick, nor what was not started by such a caller
	Hasty bool    // of a Fresh one: it doesn't wait for a flight whose outcome is not for it
	Tick  uint64  // that the caller started at
	After *Flight // the flight before, whose outcome was not for the caller; nil: there was none
}

// Join returns the flight under way for the key, or a new one that the caller has to run, or nil if none may start any
// more. One next flight is for all for whom the outcome of After was not, even if it has finished by now.
//
// A Fresh caller joins none but the flights of such callers. Where the function of one runs that began before, it waits for
// that, unless it is Hasty, and then starts the next one with all who have waited, so that there is one run at a time. Its
// flight takes the place of any other.
//
// new makes the flight if one starts, with its Computation and Groups, and does no more: others wait.
func (g *Group) Join(ctx context.Context, s Start, new func() *Flight) (f *Flight, leads bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := place{s.Key, s.Bare}
	if f = s.After.nextFor(&s, at); f == nil {
		f = g.at(at, s.Check)
	}
	if f != nil && s.Bare && f.isUseless(s.Tick) { // a caller who comes here has no time to wait for another
		f = nil
	}
	if f != nil && s.Fresh && f.isUselessFresh(&s) {
		f = nil
	}
	if leads = f == nil; leads {
		if f = g.start(ctx, at, s.Check, new); f != nil {
			f.forced, f.renews = s.Fresh, s.Fresh
		}
	} else {
		g.addCaller(ctx, f)
	}
	if s.After != nil && f != nil && f != s.After {
		s.After.next, f.joined = f, true
	}
	return f, leads
}

// nextFor returns the flight, which may have finished by now, that those join who want what s says and for whom the outcome of f, which
// may be nil, was not; nil: there is none.
func (f *Flight) nextFor(s *Start, at place) *Flight {
	if f == nil || f.next == nil || f.next.place != at || f.next.check != s.Check || s.Fresh && f.next.isUselessFresh(s) {
		return nil
	}
	return f.next
}

// Replace returns a new flight for a forced computation, which takes the place of the one on the table, or nil if none
// may start any more.
func (g *Group) Replace(ctx context.Context, key string, check Check, new func() *Flight) *Flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.start(ctx, place{key: key}, check, new)
	if f != nil {
		f.forced = true
	}
	return f
}

// Refresh returns a new flight that nobody waits for, if there is none under way for the key, otherwise nil.
func (g *Group) Refresh(ctx context.Context, key string, check Check, new func() *Flight) *Flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := place{key: key}
	if g.at(at, check) != nil {
		return nil
	}
	f := g.start(ctx, at, check, new)
	if f != nil {
		f.refresh, f.led = true, false
	}
	return f
}

// at returns the flight on the table at that place with that check, or nil.
func (g *Group) at(at place, check Check) *Flight {
	f := g.table[at]
	for f != nil && f.check != check {
		f = f.beside
	}
	return f
}

// takeOff takes the flight with that check, if there is one, off the table.
func (g *Group) takeOff(at place, check Check) {
	first := g.table[at]
	link := &first
	for *link != nil && (*link).check != check {
		link = &(*link).beside
	}
	if *link == nil {
		return
	}
	(*link).beside, *link = nil, (*link).beside
	if first == nil {
		delete(g.table, at)
	} else {
		g.table[at] = first
	}
}

// start puts a new flight on the table, in the place of one with the same key and check.
func (g *Group) start(ctx context.Context, at place, check Check, new func() *Flight) *Flight {
	if g.closed {
		return nil
	}
	f := new()
	f.group, f.place, f.check, f.callers, f.led, f.leader, f.leaseless = g, at, check, 1, true, ctx, at.bare
	f.watches = f.Watch.within(watchingOf(ctx))
	if g.Remote {
		f.computed = make(chan struct{})
	}
	if g.table == nil {
		g.table = make(map[place]*Flight)
	}
	if g.table[at] != nil {
		g.takeOff(at, check)
		f.beside = g.table[at]
	}
	g.table[at] = f
	g.most = max(g.most, len(g.table))
	g.active++
	return f
}

// Forget takes the flights of key off the table, whatever their checks: nobody joins them any more.
func (g *Group) Forget(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.table, place{key: key})
	delete(g.table, place{key: key, bare: true})
}

// Invalidate keeps the outcomes of flights in the groups from callers who start later. The flights
// stay on the table: such a caller may be part of one, and is told so when it joins.
func (g *Group) Invalidate(groups []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	tick := g.Tick()
	for _, f := range g.table {
		for ; f != nil; f = f.beside {
			in := func(group string) bool { return slices.Contains(f.Groups, group) }
			if f.invalidatedAt == 0 && slices.ContainsFunc(groups, in) {
				f.invalidatedAt = tick
			}
		}
	}
}

// ForgetAll takes all flights off the table.
func (g *Group) ForgetAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.table)
}

// Stores returns the flight of key whose result was handed out and is being stored, or nil.
func (g *Group) Stores(key string, check Check) *Flight {
	g.mu.Lock()
	f := g.at(place{key: key}, check)
	g.mu.Unlock()
	if f == nil || !f.IsComputed() {
		return nil
	}
	return f
}

// IsUnderWay reports whether there is a flight of key on the table.
func (g *Group) IsUnderWay(key string, check Check) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.at(place{key: key}, check) != nil || g.at(place{key: key, bare: true}, check) != nil
}

// Close lets no flight start any more, and reports whether all have ended.
func (g *Group) Close() (idle bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	return g.active == 0
}

// Settled returns a channel that is closed when no flight is storing a result.
func (g *Group) Settled() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.settled == nil {
		g.settled = make(chan struct{})
	}
	settled := g.settled
	if g.storing == 0 {
		g.settle()
	}
	return settled
}

// settle closes the channel that Settled has returned.
func (g *Group) settle() {
	if g.settled != nil {
		close(g.settled)
		g.settled = nil
	}
}

// remove counts the flight as ended: from here on nobody joins it. It reports whether it was the last one.
func (g *Group) remove(f *Flight) (last bool) {
	if g.at(f.place, f.check) == f {
		g.takeOff(f.place, f.check)
	}
	if len(g.table) == 0 && g.most > keptTable {
		g.table, g.most = nil, 0
	}
	f.removed = true
	g.active--
	return g.closed && g.active == 0
}
