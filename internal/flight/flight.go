package flight

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// A Computation is what a flight carries out, as its owner sees it. Its methods may be called by many goroutines at
// once, and return at once.
type Computation interface {
	// Prepare is called once before others than the first caller get the result: what the first one gets it may change.
	Prepare()

	// Abandon is called when the flight is abandoned while its function runs, which hangs.
	Abandon()

	// Linger returns how long the function may go on when its last caller has left, whose context ended with err.
	Linger(err error) time.Duration

	// Patience returns how long a caller with so much time left waits before it asks itself whether to go on without
	// the store; again says that it has done so before.
	Patience(left time.Duration, again bool) time.Duration

	// Tires reports whether a caller with that deadline, whose patience is at its end, goes on without the store.
	Tires(deadline time.Time) bool
}

// A Flight is one computation of one key's value. Its exported fields are its owner's.
type Flight struct {
	Computation Computation // not changed once the flight has started
	Groups      []string    // that the key is in; likewise
	Attached    bool        // its first caller stays though its context has ended; likewise
	Watch       *Watch      // of the function; nil: nobody is told of the values that it finds; likewise

	outcome // written by the flight before it finishes, read after

	group *Group
	place
	check   Check
	began   uint64 // the tick at which the function began; 0: it didn't run
	refresh bool   // nobody waits for it while there is a value to serve
	forced  bool   // its function runs whatever is stored
	renews  bool   // it is forced, and so are those that its function asks for: a Fresh caller has started it
	later   bool   // its result has been handed out, though it is being stored

	finished atomic.Bool // the outcome is complete

	watches *Watch      // who is told of context values: its own Watch, and those of the computations that it is part of
	watched atomic.Bool // they are, since the function runs

	// asking is when the flight began what it does with the store at the moment, in nanoseconds since
	// epoch; 0: nothing. Only where the store may take its time.
	asking atomic.Int64

	// computed is closed when the result is known and only has to be stored: early is the outcome as it was then. Nil
	// where storing takes no time.
	computed chan struct{}
	early    outcome

	// Guarded by group.mu.
	cancel        context.CancelCauseFunc // ends the computation's context, or the flight's part in it; nil: it is the caller's own, which has no end
	interrupt     context.CancelFunc      // ends what it does with the store, see Interruptible; nil: nothing
	callers       int                     // who still wait for the outcome
	leader        context.Context         // of the first caller; of a refresh, of the one who has started it and doesn't wait
	joiner        context.Context         // of the caller who joined last
	phase         phase                   // of the function
	joined        bool                    // others than the first caller may have the outcome
	linger        *time.Timer             // ends the context; nil: somebody waits, or it goes on without
	hangs         *time.Timer             // abandons the flight; nil: nobody knows when the context ends
	led           bool                    // the first caller waits, or waited until the function had returned
	abandoned     bool                    // the outcome is for nobody
	gone          bool                    // and nobody waits for it any more
	ends          time.Time               // when the context ends or has ended; zero: that isn't known
	ended         bool                    // its context, or its part of one that it shares: all had left
	removed       bool                    // it no longer counts as under way
	done          chan struct{}           // closed when the flight finishes or is abandoned; nil: nobody waits for that
	invalidatedAt uint64                  // not 0: the tick at which one of its groups was invalidated in this process
	leaseless     bool                    // its result won't be stored
	next          *Flight                 // that those join for whom the outcome is not
	beside        *Flight                 // at the same place of the table, with another check
}

// An outcome is what the flight itself knows of how it ended.
type outcome struct {
	// Valid is a tick: the outcome is for callers who started before it. An invalidation that one of them could
	// know of came before its start, and so before that tick. It is either the tick at which the function began, or
	// one at which the outcome was still valid. 0: it is for the first caller only.
	Valid uint64

	// Ending is how the function ended if it did not return.
	Ending
}

// A phase is how far a flight's function is.
type phase int

const (
	before phase = iota
	runs
	returned
)

// Begin notes that the function is about to run under ctx; leaseless says that its result won't be stored. It returns
// false if nobody waits for it any more.
func (f *Flight) Begin(ctx context.Context, leaseless bool) bool {
	g := f.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.callers == 0 || f.removed || ctx.Err() != nil {
		return false
	}
	f.begin(leaseless)
	return true
}

func (f *Flight) begin(leaseless bool) {
	f.began = f.group.Tick()
	f.phase, f.leaseless = runs, leaseless
	f.watched.Store(f.watches != nil)
}

// watching returns who is told of the context values that the function finds, or nil if it doesn't run.
func (f *Flight) watching() *Watch {
	if f == nil || !f.watched.Load() {
		return nil
	}
	return f.watches
}

// found tells of a value that was found in the computation's context, which is by.
func (f *Flight) found(by context.Context, key, value any) {
	for w := f.watching(); w != nil; w = w.outer {
		var own context.Context
		if f.Watch != nil && f.Watch.Watcher == w.Watcher {
			own = by
		}
		w.Watcher.Found(own, key, value)
	}
}

// Began returns the tick at which the function began, or 0 if it didn't run.
func (f *Flight) Began() uint64 { return f.began }

// Return notes that the function has ended, and reports whether the first caller waits for it.
func (f *Flight) Return() (led bool) {
	f.watched.Store(false)
	g := f.group
	g.mu.Lock()
	defer g.mu.Unlock()
	f.phase = returned
	f.stopTimers()
	if !f.removed {
		g.storing++
	}
	return f.led
}

func (f *Flight) stopTimers() {
	for _, timer := range [...]*time.Timer{f.linger, f.hangs} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// HandOut lets those have the result who don't wait for it to be stored. later says that nobody waits for that: the
// owner finishes the flight, on another goroutine.
func (f *Flight) HandOut(later bool) {
	if f.computed == nil {
		return
	}
	f.prepare()
	f.later, f.early = later, f.outcome
	close(f.computed)
}

func (f *Flight) prepare() {
	if f.IsJoined() {
		f.Computation.Prepare()
	}
}

// Finish ends the flight, and lets its callers have the outcome.
func (f *Flight) Finish() {
	if !f.IsComputed() { // otherwise it is prepared
		f.prepare()
	}
	g := f.group
	g.mu.Lock()
	last := false
	if !f.removed {
		last = g.remove(f)
		if f.phase == returned {
			if g.storing--; g.storing == 0 {
				g.settle()
			}
		}
	}
	f.stopTimers()
	var leave context.CancelCauseFunc
	if f.phase == before && !f.ended { // others may go on with the store, in a context that it shares
		f.ended, leave = true, f.cancel
	}
	f.finished.Store(true)
	if f.done != nil && !f.abandoned {
		close(f.done)
	}
	g.mu.Unlock()
	if leave != nil {
		leave(nil)
	}
	if last {
		g.Idle()
	}
}

// abandon ends a flight whose function hangs: those who wait for it start again, once it has given up what it had.
func (g *Group) abandon(f *Flight) {
	g.mu.Lock()
	if f.removed || f.phase == returned {
		g.mu.Unlock()
		return
	}
	f.abandoned = true
	running, last := f.phase == runs, g.remove(f)
	g.mu.Unlock()
	if running {
		f.Computation.Abandon()
	}
	g.mu.Lock()
	f.gone = true
	if f.done != nil {
		close(f.done)
	}
	g.mu.Unlock()
	if last {
		g.Idle()
	}
}

// IsAbandoned reports whether the flight's function hangs, so that the outcome is for nobody.
func (f *Flight) IsAbandoned() bool {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	return f.abandoned
}

// IsLeft reports whether nobody waits for the flight.
func (f *Flight) IsLeft() bool {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	return f.callers == 0 || f.removed
}

// IsJoined reports whether anybody but the first caller has the outcome, or may come to have it.
func (f *Flight) IsJoined() bool {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	return f.joined
}

// IsComputed reports whether the result has been handed out.
func (f *Flight) IsComputed() bool {
	if f.computed == nil {
		return false
	}
	select {
	case <-f.computed:
		return true
	default:
		return false
	}
}

// IsRefresh reports whether the flight is one that Refresh has started.
func (f *Flight) IsRefresh() bool { return f.refresh }

// IsForced reports whether the flight's function runs whatever is stored: it was started by Replace, or by a Fresh caller.
func (f *Flight) IsForced() bool { return f.forced }

// isUseless reports whether the outcome can't be for a caller who started at that tick, since it began
// before and nobody will know whether it is still valid.
func (f *Flight) isUseless(started uint64) bool {
	return f.leaseless && f.isEarlier(started)
}

// isUselessFresh reports whether a Fresh caller neither has the flight's outcome nor waits for its end.
func (f *Flight) isUselessFresh(s *Start) bool {
	return !f.renews || f.isEarlier(s.Tick) && (s.Hasty || f.phase == returned)
}

// holdsUp reports whether a caller who started at that tick waits in vain: for a store that doesn't answer,
// or for an outcome that is not for it.
func (f *Flight) holdsUp(started uint64, fresh bool) bool {
	if f.asksFor() >= LeastPatience {
		return true
	}
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	return f.isUseless(started) || fresh && f.isEarlier(started)
}

// isEarlier reports whether the function has begun before a caller who started at that tick.
func (f *Flight) isEarlier(started uint64) bool { return f.phase != before && started >= f.began }

// isFor reports whether o, which is the flight's outcome or its early one, is for a caller who joined the flight, for a
// key in the groups, and started at that tick; fresh is Start.Fresh. That of a flight that was abandoned may be written still.
func (f *Flight) isFor(o *outcome, started uint64, fresh bool, groups []string) bool {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	if f.abandoned || f.invalidatedAt != 0 && started >= f.invalidatedAt || started >= o.Valid || fresh && f.isEarlier(started) {
		return false
	}
	return slices.Equal(f.Groups, groups) // an invalidation of other groups would not have shown
}

// LeastPatience is how long the store is waited for in any case: that may be the machine's fault.
const LeastPatience = 10 * time.Millisecond

// Asks notes that the flight does something with the store, until the function that it returns is called.
func (f *Flight) Asks() (done func()) {
	if f.computed == nil {
		return func() {}
	}
	f.asking.Store(int64(time.Since(epoch)))
	return func() { f.asking.Store(0) }
}

// Interruptible has interrupt called when the flight ends before its function has begun, or its first caller goes on
// without the store, until the function that it returns is called. It is for what one of several flights does with the
// store: their context goes on for the others.
func (f *Flight) Interruptible(interrupt context.CancelFunc) (done func()) {
	if !f.interruptBy(interrupt) {
		interrupt()
	}
	return func() { f.interruptBy(nil) }
}

// interruptBy notes what ends what the flight does with the store. It returns false if nobody waits for the flight.
func (f *Flight) interruptBy(interrupt context.CancelFunc) bool {
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	f.interrupt = interrupt
	return f.callers > 0 || f.phase != before
}

// asksFor returns for how long the flight has waited for the store.
func (f *Flight) asksFor() time.Duration {
	if since := f.asking.Load(); since != 0 {
		return time.Since(epoch) - time.Duration(since)
	}
	return 0
}

var epoch = time.Now().Add(-1) // so that it's over
