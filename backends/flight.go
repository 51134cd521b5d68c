package backends

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cacheutils/cacheutils/internal/goroutine"
)

// Flights keep the computations of a process to one per key.
//
// A caller that finds nothing joins the flight of its key or, if there is none, starts one. The
// flight gets the key's lease, or waits for another process's value, computes, stores and lands:
// all its callers get the outcome, if it is for them. It leaves the table when it lands, or
// earlier when its key is written or deleted in this process, so that later callers don't
// wait for it in vain.
//
// An outcome is for the callers who started before it was known to be valid, see outcome.valid.
// The others start again. A flight whose callers have all left has its context cancelled;
// it stays on the table, so that the next caller starts anew only once it has ended.
//
// Where it takes round trips to store a result, callers who started before the computation have it
// earlier, and the flight lands in the background. Whoever asks meanwhile waits for that.
type flights struct {
	clock atomic.Uint64 // ticks order what happens in this process
	later chan struct{} // has a token for each result that was handed out and is being stored; nil: none is

	mu      sync.Mutex
	table   map[string]*flight // what a caller that finds nothing joins
	aloft   int                // flights that have not landed, on the table or not
	retired bool               // the Cache was replaced
	closing bool               // it was closed while flights were aloft
}

// A flight is one computation of one key's value.
type flight struct {
	key    *Key
	task   *Task
	cancel context.CancelFunc // ends the computation's context
	landed atomic.Bool        // outcome is complete

	// computed is closed when the result is known and only has to be stored. It is for callers who
	// started before began, the tick of the computation. Nil where nothing is handed out early.
	computed chan struct{}
	began    uint64 // written before computed is closed, read after; 0 if it never is

	// Guarded by flights.mu.
	callers   int           // who still wait for the outcome
	landing   chan struct{} // closed when the flight lands; nil: nobody waits for that, see lands
	abandoned bool          // there was a moment when nobody waited; its result counts for nobody
	voided    uint64        // not 0: a tick, at which one of its groups was invalidated in this process

	outcome // written before landed is set, read after
}

// An outcome is how a computation ended.
type outcome struct {
	result  Result
	payload []byte // result.Value encoded, where callers or the engine need it
	ending
	stored bool

	// valid is a tick: the outcome is for callers who started before it. An invalidation that
	// one of them could know of came before its start, and so before that tick. It is either
	// the tick at which the computation began, or one at which the lease was still there
	// and the groups were what they were.
	valid uint64

	// unseen, if not 0, is the tick at which a computation without a lease began. Nobody can tell
	// whether another process has invalidated its result, so it isn't for a caller who started later
	// and could look for a value: the server was there for an invalidation, too.
	unseen uint64
}

// always is the tick of outcomes that are for everybody.
const always uint64 = math.MaxUint64

// now returns the tick that a caller starts at.
func (f *flights) now() uint64 { return f.clock.Load() }

// tick returns a tick after every caller's who has started.
func (f *flights) tick() uint64 { return f.clock.Add(1) }

// join returns the flight under way for key, or a new one that the caller has to run.
// With force it is always a new one, which takes the place of the other on the table, and whose
// result is stored when it is handed out.
func (f *flights) join(key *Key, task *Task, force bool) (fl *flight, leads bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.table[key.stored]; fl != nil && !force {
		fl.callers++
		return fl, false
	}
	fl = &flight{key: key, task: task, callers: 1}
	if f.later != nil && !force && !task.plain {
		fl.computed = make(chan struct{})
	}
	if f.table == nil {
		f.table = make(map[string]*flight)
	}
	f.table[key.stored] = fl
	f.aloft++
	return fl, true
}

// leave takes a caller off the flight. When it was the last, the computation is told to end.
func (f *flights) leave(fl *flight) {
	f.mu.Lock()
	fl.callers--
	last := fl.callers == 0
	if last {
		fl.abandoned = true
	}
	f.mu.Unlock()
	if last && fl.cancel != nil {
		fl.cancel()
	}
}

// void takes the flight of key off the table: nobody joins it any more.
func (f *flights) void(key Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.table, key.stored)
}

// voidGroups keeps the outcomes of flights in the groups from callers who start later. The flights
// stay on the table: such a caller may be part of one, and is told so when it joins.
func (f *flights) voidGroups(groups []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	tick := f.tick()
	for _, fl := range f.table {
		in := func(group string) bool { return slices.Contains(fl.key.groups, group) }
		if fl.voided == 0 && slices.ContainsFunc(groups, in) {
			fl.voided = tick
		}
	}
}

// voidAll takes all flights off the table.
func (f *flights) voidAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.table)
}

// retire is for a Cache that Configure has replaced.
func (f *flights) retire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retired = true
}

// close is for a Cache that was closed.
func (f *flights) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closing = f.aloft > 0
}

// deserted tells whether the Cache was replaced or closed, and since then has had no more flights
// for the first time.
func (f *flights) deserted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.aloft > 0 {
		return false
	}
	closing := f.closing
	f.closing = false
	return f.retired || closing
}

// lands returns a channel that is closed when the flight lands.
func (f *flights) lands(fl *flight) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.landing == nil {
		fl.landing = make(chan struct{})
		if fl.landed.Load() {
			close(fl.landing)
		}
	}
	return fl.landing
}

// land lets those have the outcome who wait for it.
func (f *flights) land(fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.landed.Store(true)
	if fl.landing != nil {
		close(fl.landing)
	}
}

// takeOff ends the flight: from here on nobody joins it. It returns how many callers wait for
// the outcome.
func (f *flights) takeOff(fl *flight) (callers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.table[fl.key.stored] == fl {
		delete(f.table, fl.key.stored)
	}
	f.aloft--
	return fl.callers
}

// isFor tells whether the outcome of fl, which has landed, is for a caller who joined it: one who
// asked for key and started at that tick. looked tells whether it could look for a value.
func (f *flights) isFor(fl *flight, key *Key, started uint64, looked bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case fl.abandoned, fl.voided != 0 && started >= fl.voided:
		return false
	case started < fl.began: // it may not have landed yet
	case started >= fl.valid:
		return false
	case fl.unseen != 0 && looked && started >= fl.unseen:
		return false
	}
	return slices.Equal(fl.key.groups, key.groups) // an invalidation of other groups would not have shown
}

func (f *flights) isAbandoned(fl *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fl.abandoned
}

// maxLater bounds how many results of a Cache wait to be stored after they were handed out. Callers
// whose results would be more wait as well.
const maxLater = 256

// putOff tells whether one more result may be stored later, which caughtUp ends.
func (f *flights) putOff() bool {
	select {
	case f.later <- struct{}{}:
		return true
	default:
		return false
	}
}

func (f *flights) caughtUp() { <-f.later }

// storing returns the flight of key whose result was handed out and is being stored, or nil.
func (f *flights) storing(key Key) *flight {
	if f.later == nil {
		return nil
	}
	f.mu.Lock()
	fl := f.table[key.stored]
	f.mu.Unlock()
	if fl == nil || !fl.isComputed() {
		return nil
	}
	return fl
}

func (fl *flight) isComputed() bool {
	select {
	case <-fl.computed:
		return true
	default:
		return false
	}
}

// giveUp makes the error of the flight's context its outcome, for nobody: all who waited have left.
func (fl *flight) giveUp(err error) { fl.result, fl.valid = Result{Err: err}, 0 }

// run does the work of a flight of c and lands it. It never panics, and doesn't
// return when the computation ended its goroutine, but the flight lands.
func (fl *flight) run(ctx context.Context, c *Cache, work func(context.Context)) {
	returned := false
	g := goroutine.Current()
	outer := running.swap(g, fl)
	defer func() {
		running.swap(g, outer)
		if !returned {
			if v := recover(); v != nil {
				fl.panic = asPanicError(v)
			} else {
				fl.exited = true
			}
		}
		if fl.began == 0 {
			c.land(fl)
		}
	}()
	work(context.WithValue(ctx, flightKey{}, fl))
	returned = true
}
