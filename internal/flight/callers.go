package flight

import (
	"context"
	"time"
)

// The callers of a flight come and go: what ends when the last one has left, and when.

// addCaller adds a caller.
func (g *Group) addCaller(ctx context.Context, f *Flight) {
	f.callers++
	f.joined, f.joiner = true, ctx
	if f.linger != nil {
		f.linger.Stop()
		f.linger = nil
	}
	g.watch(f)
}

// watch has the flight abandoned a lease after its context has ended, if the function goes on until then.
func (g *Group) watch(f *Flight) {
	if f.hangs == nil && !f.ends.IsZero() && f.phase != returned {
		f.hangs = time.AfterFunc(time.Until(f.ends.Add(g.Lease)), func() { g.abandon(f) })
	}
}

// under notes what ends the context of the flight, and when that ends, if it has a deadline.
func (g *Group) under(f *Flight, cancel context.CancelCauseFunc, deadline time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.cancel, f.ends = cancel, deadline
	if f.callers > 1 { // they have joined before that was known
		g.watch(f)
	}
}

// waiting returns the context of the first caller, unless it's a refresh, or of the one who joined last, if that has not
// ended, otherwise nil.
func (g *Group) waiting(f *Flight) context.Context {
	g.mu.Lock()
	callers := [...]context.Context{f.leader, f.joiner}
	if f.refresh {
		callers[0] = nil
	}
	g.mu.Unlock()
	for _, caller := range callers {
		if caller != nil && caller.Err() == nil {
			return caller
		}
	}
	return nil
}

// endsBy reports whether the context of the flight ends by that time though nobody ends it: by its deadline, or since it has
// ended. Then nobody does, so that no two of them decide what the function finds at that moment.
func (f *Flight) endsBy(t time.Time) bool { return !f.ends.IsZero() && !f.ends.After(t) }

// leave takes a caller off the flight, whose context ended with cause if it has; leads says that it is the first
// one. When it was the last, the flight goes on for linger if its function runs, and its context ends then, unless that
// ends by its deadline.
func (g *Group) leave(f *Flight, leads bool, linger time.Duration, cause error) {
	g.mu.Lock()
	f.callers--
	if leads && f.phase != returned {
		f.led = false
	}
	if f.callers > 0 || f.cancel == nil || f.phase == returned {
		g.mu.Unlock()
		return
	}
	if f.phase == runs && linger > 0 && !f.leaseless {
		if f.endsBy(time.Now().Add(linger)) {
			g.watch(f)
		} else {
			f.linger = time.AfterFunc(linger, func() { g.end(f, cause) })
		}
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	g.end(f, cause)
}

// end ends the flight's context, or its part of a context that it shares, unless somebody has joined it.
func (g *Group) end(f *Flight, cause error) {
	g.mu.Lock()
	var cancel context.CancelCauseFunc
	if f.callers == 0 && f.phase != returned && !f.ended {
		f.ended = true
		if now := time.Now(); !f.endsBy(now) {
			f.ends, cancel = now, f.cancel
			if f.hangs != nil { // set for a later end
				f.hangs.Stop()
				f.hangs = nil
			}
		}
		g.watch(f)
	}
	g.mu.Unlock()
	if cancel != nil {
		cancel(cause)
		g.skipStore(f)
	}
}

// skipStore ends what the flight does with the store before its function has begun.
func (g *Group) skipStore(f *Flight) {
	g.mu.Lock()
	var interrupt context.CancelFunc
	if f.phase == before {
		interrupt = f.interrupt
	}
	g.mu.Unlock()
	if interrupt != nil {
		interrupt()
	}
}

// LeaveAfter takes the caller that a refresh counts as having off it, after d: from then on callers wait for it
// indeed. The function that it returns stops that.
func (f *Flight) LeaveAfter(d time.Duration) (stop func() bool) {
	return time.AfterFunc(d, func() {
		f.group.leave(f, false, f.Computation.Linger(context.DeadlineExceeded), nil)
	}).Stop
}
