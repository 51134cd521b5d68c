package flight_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// A function that goes on for a lease after its context has ended hangs: the flight is abandoned, once, and those who
// wait for it start again.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), &computation{LingerFor: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		gate := make(chan struct{})
		began := time.Now()
		g.lead(t, ctx, "k", c)
		var lead flight.Wait
		startLead(ctx, c, &lead, until(gate, 1))
		synctest.Wait()
		w := g.join(t, t.Context(), "k")
		if err := w.Wait(t.Context()); err != nil || w.Arrival != flight.Done || w.IsForCaller() {
			t.Errorf("%v, arrival %s, for the caller %v", err, name(w.Arrival), w.IsForCaller())
		}
		if got, want := time.Since(began), time.Minute+time.Second+lease; got != want {
			t.Errorf("it was abandoned after %v, want %v", got, want)
		}
		synctest.Wait()
		if !c.IsAbandoned() || !c.IsLeft() || c.abandoned.Load() != 1 {
			t.Errorf("abandoned %v, left %v, abandoned %d times", c.IsAbandoned(), c.IsLeft(), c.abandoned.Load())
		}
		g.nobody(t, "k")
		g.Close()
		if g.idle.Load() != 0 {
			t.Error("Idle was called by Close")
		}
		close(gate)
		synctest.Wait()
		if c.ran.Load() != 1 || c.abandoned.Load() != 1 || g.idle.Load() != 0 {
			t.Errorf("it returned at last: ran %d times, abandoned %d times, idle %d times", c.ran.Load(), c.abandoned.Load(), g.idle.Load())
		}
	})
}

// The flight that is abandoned is the last one of a closed Group.
func TestHang_Idle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), new(computation)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		gate := make(chan struct{})
		g.lead(t, ctx, "k", c)
		var lead flight.Wait
		startLead(ctx, c, &lead, until(gate, 1))
		if g.Close() {
			t.Error("there is a flight, but Close says that all have ended")
		}
		time.Sleep(time.Minute + lease - 1)
		if synctest.Wait(); g.idle.Load() != 0 || c.abandoned.Load() != 0 {
			t.Errorf("too early: idle %d, abandoned %d", g.idle.Load(), c.abandoned.Load())
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); g.idle.Load() != 1 || c.abandoned.Load() != 1 {
			t.Errorf("it hangs: idle %d, abandoned %d", g.idle.Load(), c.abandoned.Load())
		}
		close(gate)
		if synctest.Wait(); g.idle.Load() != 1 {
			t.Errorf("it returned at last: idle was called %d times", g.idle.Load())
		}
	})
}

// A flight that hangs before its function is abandoned too, but there is nothing to abandon, and the function doesn't run.
func TestHang_BeforeTheFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), new(computation)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		gate := make(chan struct{})
		g.lead(t, ctx, "k", c)
		go c.Lead(ctx, func(ctx context.Context) {
			<-gate
			c.compute(context.WithoutCancel(ctx), returns(1))
		})
		synctest.Wait()
		w := g.join(t, t.Context(), "k")
		w.Wait(t.Context())
		if synctest.Wait(); !c.IsAbandoned() || c.abandoned.Load() != 0 {
			t.Errorf("abandoned %v, abandoned %d times", c.IsAbandoned(), c.abandoned.Load())
		}
		close(gate)
		if synctest.Wait(); c.ran.Load() != 0 {
			t.Error("the function was run")
		}
	})
}

// Callers who start again after a hang get another computation, and the one that hangs can't take it off the table.
func TestHang_Again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		gate, second := make(chan struct{}), make(chan struct{})
		first := true
		function := func(context.Context) int {
			if first {
				first = false
				<-gate
				return 1
			}
			<-second
			return 2
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		leader := start(func() (int, error) { return g.get(ctx, "k", function) })
		synctest.Wait()
		var calls []*call
		for range 5 {
			calls = append(calls, start(func() (int, error) { return g.get(t.Context(), "k", function) }))
		}
		if <-leader.done; leader.err != context.DeadlineExceeded {
			t.Errorf("the first caller got %d, %v", leader.result, leader.err)
		}
		time.Sleep(lease + time.Second)
		close(gate)
		synctest.Wait()
		calls = append(calls, start(func() (int, error) { return g.get(t.Context(), "k", returns(3)) }))
		synctest.Wait()
		close(second)
		for i, c := range calls {
			// the last one came when the second computation had begun: it is not for it
			want := 2
			if i == 5 {
				want = 3
			}
			if <-c.done; c.result != want || c.err != nil {
				t.Errorf("caller %d got %d, %v, want %d", i, c.result, c.err, want)
			}
		}
	})
}

// A function that returns within the lease doesn't hang, whatever storing takes.
func TestHang_Not(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), &computation{LingerFor: time.Second}
		c.Settle = func() { time.Sleep(time.Hour) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		g.lead(t, ctx, "k", c)
		var lead flight.Wait
		startLead(ctx, c, &lead, func(context.Context) int {
			time.Sleep(time.Minute + lease)
			return 1
		})
		w := g.join(t, t.Context(), "k")
		w.Wait(t.Context())
		if c.IsAbandoned() || c.abandoned.Load() != 0 {
			t.Errorf("abandoned %v, abandoned %d times", c.IsAbandoned(), c.abandoned.Load())
		}
	})
}

// A function that hangs after its callers have left is abandoned a lease after that, though its deadline would have been
// much later and another caller had joined before.
func TestHang_Left(t *testing.T) {
	for name, joins := range map[string]bool{"alone": false, "joined before": true} {
		bubble(t, name, func(t *testing.T) {
			g, c := newGroup(), new(computation)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			gate := make(chan struct{})
			defer close(gate)
			g.lead(t, ctx, "k", c)
			var lead flight.Wait
			startLead(ctx, c, &lead, until(gate, 1))
			synctest.Wait()
			if joins {
				await(ctx, g.join(t, ctx, "k"))
			}
			cancel()
			synctest.Wait()
			left := time.Now()
			w := g.join(t, t.Context(), "k")
			w.Wait(t.Context())
			if took := time.Since(left); took != lease || !c.IsAbandoned() {
				t.Errorf("those who came later waited for %v, want %v; abandoned %v", took, lease, c.IsAbandoned())
			}
		})
	}
}

// A caller who has joined before the first one led the flight doesn't wait forever for a function that hangs.
func TestHang_JoinedBeforeLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), new(computation)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		gate := make(chan struct{})
		defer close(gate)
		g.lead(t, ctx, "k", c)
		w := g.join(t, t.Context(), "k")
		waited := await(t.Context(), w)
		var lead flight.Wait
		startLead(ctx, c, &lead, until(gate, 1))
		time.Sleep(time.Minute + lease)
		if !waited.over() || !c.IsAbandoned() {
			t.Errorf("it waits on: abandoned %v", c.IsAbandoned())
		}
	})
}

// The outcome of a flight that was given up is for nobody, though its function has returned since.
func TestHang_Returned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), &computation{Undoubted: true}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		g.lead(t, ctx, "k", c)
		c.Settle = func() { time.Sleep(time.Minute) }
		var lead flight.Wait
		startLead(ctx, c, &lead, func(context.Context) int {
			time.Sleep(time.Minute + lease + 1)
			return 1
		})
		w := g.join(t, t.Context(), "k")
		w.Wait(t.Context())
		time.Sleep(time.Second)
		if w.IsForCaller() || !c.IsAbandoned() {
			t.Errorf("for the caller %v, given up %v", w.IsForCaller(), c.IsAbandoned())
		}
		time.Sleep(2 * time.Minute)
	})
}

// Done is closed when a flight is given up that nobody waited for.
func TestHang_Done(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c, gate := newGroup(), new(computation), make(chan struct{})
		defer close(gate)
		f := g.Refresh(t.Context(), "k", flight.Check{}, c.maker())
		f.LeaveAfter(time.Second)
		go f.Go(t.Context(), func(ctx context.Context) { c.compute(ctx, until(gate, 1)) })
		time.Sleep(time.Second)
		time.Sleep(lease)
		if synctest.Wait(); !f.IsAbandoned() || !isClosed(f.Done()) {
			t.Errorf("given up %v, but its Done is closed: %v", f.IsAbandoned(), isClosed(f.Done()))
		}
	})
}
