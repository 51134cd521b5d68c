package store

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
// The others start again.
//
// A flight whose callers have all left before the function began ends. Later it goes on for its
// linger, and stays on the table: its result is stored, and who comes meanwhile joins it. Then its
// context ends. If the function goes on for a lease after that, it hangs: its lease is given up, and
// those who wait for it start again.
//
// The result is known before it is stored. A caller who started before the computation has it at
// once when its own time is up, whatever the store does; with store_later it has it at once in any
// case. A caller whose time runs out while the flight waits for the store goes on by a bare flight, one
// that has no part in the store.
type flights struct {
	clock  atomic.Uint64 // ticks order what happens in this process
	later  chan struct{} // has a token for each result that was handed out and is being stored; nil: none is
	remote bool          // the store may take its time

	mu      sync.Mutex
	table   map[place]*flight // what a caller that finds nothing joins
	aloft   int               // flights that have not ended, on the table or not
	storing int               // of those: have computed
	closing bool              // none starts any more
	lease   time.Duration     // after which a function hangs whose context has ended
	hung    func(*flight)     // gives a flight up
	quiet   chan struct{}     // closed when none is storing; nil: nobody waits for that
}

// A place is where a flight is on the table.
type place struct {
	key  string // as the engine knows it
	bare bool
}

// A flight is one computation of one key's value.
type flight struct {
	place
	key     *Key
	task    *Task
	seat    *seat // of one that is part of a computation for several keys
	refresh bool  // nobody waits for it while there is a value to serve
	forced  bool
	later   bool // it lands in the background

	landed atomic.Bool // outcome is complete

	// asking is when the flight began what it does with the store at the moment, in nanoseconds since
	// epoch; 0: nothing. Only where the store may take its time.
	asking atomic.Int64

	// computed is closed when the result is known and only has to be stored: early is the outcome as it is then.
	// Nil where storing takes no time.
	computed chan struct{}
	early    *outcome // written before computed is closed, read after

	// Guarded by flights.mu.
	cancel    context.CancelCauseFunc // ends the computation's context; nil: it is the caller's own, which has no end
	callers   int                     // who still wait for the outcome
	leader    context.Context         // of the first caller
	joiner    context.Context         // of the caller who joined last
	phase     phase                   // of the function
	joined    bool                    // others than the first caller may have the outcome
	linger    *time.Timer             // ends the context; nil: somebody waits, or it goes on without
	hangs     *time.Timer             // gives the flight up; nil: nobody knows when the context ends
	led       bool                    // the first caller waits, or waited until the function had returned
	givenUp   bool                    // the outcome is for nobody
	ends      time.Time               // when the context ends or has ended; zero: that isn't known
	lease     *lease                  // while the function runs
	over      bool                    // it counts as ended
	landing   chan struct{}           // closed when the flight lands; nil: nobody waits for that, see lands
	voided    uint64                  // not 0: a tick, at which one of its groups was invalidated in this process
	leaseless bool                    // its result won't be stored
	next      *flight                 // that those join for whom the outcome is not

	outcome // written before landed is set, read after
}

// A phase is how far a flight's function is.
type phase int

const (
	before phase = iota
	runs
	returned
)

// An outcome is how a computation ended.
type outcome struct {
	result  Result
	payload []byte // result.Value encoded, where callers or the engine need it
	ending
	began  uint64 // the tick at which the function began; 0: it didn't run
	cut    bool   // the context had ended before the function returned
	astray bool   // it is for other arguments than those of the key
	stored bool

	// valid is a tick: the outcome is for callers who started before it. An invalidation that
	// one of them could know of came before its start, and so before that tick. It is either
	// the tick at which the computation began, or one at which the lease was still there
	// and the groups were what they were.
	valid uint64

	// unasked says that the store could not be asked: who starts again doesn't ask it either.
	unasked bool
}

// always is the tick of outcomes that are for everybody.
const always uint64 = math.MaxUint64

// now returns the tick that a caller starts at.
func (f *flights) now() uint64 { return f.clock.Load() }

// tick returns a tick after every caller's who has started.
func (f *flights) tick() uint64 { return f.clock.Add(1) }

// join returns the flight under way for key, or a new one that the caller has to run, or nil if none
// may start any more. started is the tick at which the caller did. last is the flight before, whose outcome was
// not for the caller, or nil: one next flight is for all for whom that was not, even if it has landed by now.
func (f *flights) join(ctx context.Context, key *Key, task *Task, bare bool, started uint64, last *flight) (fl *flight, leads bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := place{key.stored, bare}
	if last != nil && last.next != nil && last.next.place == at {
		fl = last.next
	} else {
		fl = f.table[at]
	}
	if fl != nil && bare && fl.isUseless(started) { // who comes here has no time to wait for another
		fl = nil
	}
	if leads = fl == nil; leads {
		fl = f.start(ctx, at, key, task)
	} else {
		f.board(ctx, fl)
	}
	if last != nil && fl != nil && fl != last {
		last.next, fl.joined = fl, true
	}
	return fl, leads
}

// replace returns a new flight for a forced computation, which takes the place of the one on the
// table, or nil if none may start any more.
func (f *flights) replace(ctx context.Context, key *Key, task *Task) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl := f.start(ctx, place{key: key.stored}, key, task)
	if fl != nil {
		fl.forced = true
	}
	return fl
}

// first returns a new flight for a refresh if there is none under way for key, else nil.
func (f *flights) first(ctx context.Context, key *Key, task *Task) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := place{key: key.stored}
	if f.table[at] != nil {
		return nil
	}
	fl := f.start(ctx, at, key, task)
	if fl != nil {
		fl.refresh, fl.led = true, false
	}
	return fl
}

// start puts a new flight on the table.
func (f *flights) start(ctx context.Context, at place, key *Key, task *Task) *flight {
	if f.closing {
		return nil
	}
	fl := &flight{place: at, key: key, task: task, callers: 1, led: true, leader: ctx, leaseless: at.bare}
	if f.remote {
		fl.computed = make(chan struct{})
	}
	if f.table == nil {
		f.table = make(map[place]*flight)
	}
	f.table[at] = fl
	f.aloft++
	return fl
}

// under notes the context of the flight, and when that ends, if it has a deadline.
func (f *flights) under(fl *flight, w *working, deadline time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.cancel, fl.ends = w.cancel, deadline
}

// waiting returns the context of the first caller or of the one who joined last, if that has not ended, else nil.
func (f *flights) waiting(fl *flight) context.Context {
	f.mu.Lock()
	callers := [...]context.Context{fl.leader, fl.joiner}
	f.mu.Unlock()
	for _, caller := range callers {
		if caller != nil && caller.Err() == nil {
			return caller
		}
	}
	return nil
}

// board adds a caller.
func (f *flights) board(ctx context.Context, fl *flight) {
	fl.callers++
	fl.joined, fl.joiner = true, ctx
	if fl.linger != nil {
		fl.linger.Stop()
		fl.linger = nil
	}
	f.watch(fl)
}

// watch has the flight given up a lease after its context has ended, if the function goes on until then.
func (f *flights) watch(fl *flight) {
	if fl.hangs == nil && !fl.ends.IsZero() && fl.phase != returned {
		fl.hangs = time.AfterFunc(time.Until(fl.ends)+f.lease, func() { f.hung(fl) })
	}
}

// leave takes a caller off the flight, whose context ended with cause if it has; leads says that it is the first
// one. When it was the last, the flight goes on for linger if its function runs, and its context ends then.
func (f *flights) leave(fl *flight, leads bool, linger time.Duration, cause error) {
	f.mu.Lock()
	fl.callers--
	if leads && fl.phase != returned {
		fl.led = false
	}
	if fl.callers > 0 || fl.cancel == nil || fl.phase == returned {
		f.mu.Unlock()
		return
	}
	if fl.phase == runs && linger > 0 && !fl.leaseless {
		fl.linger = time.AfterFunc(linger, func() { f.end(fl, cause) })
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	f.end(fl, cause)
}

// end ends the flight's context unless somebody has joined it.
func (f *flights) end(fl *flight, cause error) {
	f.mu.Lock()
	ends := fl.callers == 0 && fl.phase != returned
	if ends {
		if now := time.Now(); fl.ends.IsZero() || now.Before(fl.ends) {
			fl.ends = now
		}
		f.watch(fl)
	}
	f.mu.Unlock()
	if ends {
		fl.cancel(cause)
	}
}

// begins notes that the function is about to run, under l or without a lease. It returns false if
// nobody waits for it any more.
func (f *flights) begins(ctx context.Context, fl *flight, l *lease, leaseless bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.callers == 0 || fl.over || ctx.Err() != nil {
		return false
	}
	fl.began = f.tick()
	fl.phase, fl.lease, fl.leaseless = runs, l, leaseless
	return true
}

// returns notes that the function has ended, and tells whether the first caller waits for it.
func (f *flights) returns(fl *flight) (led bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.phase, fl.lease = returned, nil
	fl.stopTimers()
	if !fl.over {
		f.storing++
	}
	return fl.led
}

func (fl *flight) stopTimers() {
	for _, timer := range [...]*time.Timer{fl.linger, fl.hangs} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// isUseless reports whether the outcome can't be for a caller who started at that tick, since it began
// before and nobody will know whether it is still valid.
func (fl *flight) isUseless(started uint64) bool {
	return fl.leaseless && fl.phase != before && started >= fl.began
}

// holdsUp reports whether a caller who started at that tick waits in vain: for a store that doesn't answer,
// or for an outcome that is not for it.
func (f *flights) holdsUp(fl *flight, started uint64) bool {
	if fl.asksFor() >= leastPatience {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return fl.isUseless(started)
}

// isJoined reports whether anybody but the first caller has the outcome, or may come to have it.
func (f *flights) isJoined(fl *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fl.joined
}

// void takes the flights of key off the table: nobody joins them any more.
func (f *flights) void(key Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.table, place{key: key.stored})
	delete(f.table, place{key: key.stored, bare: true})
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

// close lets no flight start any more, and tells whether all have ended.
func (f *flights) close() (ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closing = true
	return f.aloft == 0
}

// settled returns a channel that is closed when no flight is storing: where that was the last flight, not
// before the engine is closed.
func (f *flights) settled() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.storing == 0 && f.aloft > 0 {
		return done
	}
	if f.quiet == nil || f.storing > 0 && isClosed(f.quiet) {
		f.quiet = make(chan struct{})
	}
	return f.quiet
}

// done is a channel that is closed.
var done = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// rest closes the channel that settled has returned. The caller holds f.mu.
func (f *flights) rest() {
	if f.quiet == nil {
		f.quiet = make(chan struct{})
	}
	if !isClosed(f.quiet) {
		close(f.quiet)
	}
}

// gone is for when the engine is closed.
func (f *flights) gone() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rest()
}

// lands returns a channel that is closed when the flight lands.
func (f *flights) lands(fl *flight) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.landing == nil {
		fl.landing = make(chan struct{})
		if fl.landed.Load() || fl.givenUp {
			close(fl.landing)
		}
	}
	return fl.landing
}

// giveUp ends a flight whose function hangs: those who wait for it start again. It returns the lease that is to be
// given up, or nil, and whether the last flight has ended.
func (f *flights) giveUp(fl *flight) (l *lease, last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.over || fl.phase == returned {
		return nil, false
	}
	fl.givenUp = true
	if fl.landing != nil {
		close(fl.landing)
	}
	l, fl.lease = fl.lease, nil
	return l, f.takeOff(fl)
}

// takeOff counts the flight as ended: from here on nobody joins it. It tells whether it was the last one.
func (f *flights) takeOff(fl *flight) (last bool) {
	if f.table[fl.place] == fl {
		delete(f.table, fl.place)
	}
	fl.over = true
	f.aloft--
	return f.closing && f.aloft == 0
}

// finish ends the flight, and tells whether it was the last one.
func (f *flights) finish(fl *flight) (last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !fl.over {
		last = f.takeOff(fl)
		if fl.phase == returned {
			f.storing--
		}
		if f.quiet != nil && f.storing == 0 && !last {
			f.rest()
		}
	}
	fl.stopTimers()
	fl.landed.Store(true)
	if fl.landing != nil && !fl.givenUp {
		close(fl.landing)
	}
	return last
}

// isFor tells whether o, the outcome of fl, is for a caller who joined that: one who asked for key and
// started at that tick.
func (f *flights) isFor(fl *flight, o *outcome, key *Key, started uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case fl.givenUp, o.astray, fl.voided != 0 && started >= fl.voided:
		return false
	case o.cut && (o.failed() || fl.task.Doubted): // it may be so since its context had ended, which is nothing to who has time
		return false
	case started >= o.valid:
		return false
	}
	return slices.Equal(fl.key.groups, key.groups) // an invalidation of other groups would not have shown
}

func (f *flights) wasGivenUp(fl *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fl.givenUp
}

// wasUnasked reports whether a flight that has landed could not ask the store.
func (f *flights) wasUnasked(fl *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !fl.givenUp && fl.unasked
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

// stores returns the flight of key whose result was handed out and is being stored, or nil.
func (f *flights) stores(key Key) *flight {
	if f.later == nil {
		return nil
	}
	f.mu.Lock()
	fl := f.table[place{key: key.stored}]
	f.mu.Unlock()
	if fl == nil || !fl.isComputed() {
		return nil
	}
	return fl
}

func (fl *flight) isComputed() bool {
	return fl.computed != nil && isClosed(fl.computed)
}

// leaveEmpty makes why ctx has ended the flight's outcome, which is for nobody.
func (fl *flight) leaveEmpty(ctx context.Context) {
	err := ctx.Err()
	if err == nil {
		err = context.Canceled // it is about to
	}
	fl.result, fl.valid = Result{Err: err}, 0
}

// asks notes that the flight does something with the store, until the function that it returns is called.
func (fl *flight) asks() (done func()) {
	if fl.computed == nil {
		return func() {}
	}
	fl.asking.Store(int64(time.Since(epoch)))
	return func() { fl.asking.Store(0) }
}

// asksFor returns for how long the flight has waited for the store.
func (fl *flight) asksFor() time.Duration {
	if since := fl.asking.Load(); since != 0 {
		return time.Since(epoch) - time.Duration(since)
	}
	return 0
}

var epoch = time.Now().Add(-1) // so that it's over

// run does the work of a flight of c and lands it. It never panics, and doesn't
// return when the computation ended its goroutine, but the flight lands.
func (fl *flight) run(ctx context.Context, c *Store, work func(context.Context)) {
	done := false
	g := goroutine.Current()
	outer := running.swap(g, fl)
	defer func() {
		running.swap(g, outer)
		if v := recover(); !done {
			fl.catch(v)
		}
		if !fl.later {
			c.land(fl)
		}
	}()
	work(ctx)
	done = true
}
