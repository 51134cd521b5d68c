package flight_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// A caller who leaves gets no outcome; those who stay do.
func TestLeave(t *testing.T) {
	for who, leader := range map[string]bool{"the first": true, "the second": false} {
		bubble(t, who, func(t *testing.T) {
			g, c := newGroup(), new(computation)
			leaving, cancel := context.WithCancelCause(t.Context())
			leads, joins := leaving, t.Context()
			if !leader {
				leads, joins = joins, leads
			}
			g.lead(t, leads, "k", c)
			joined := g.join(t, joins, "k")
			var lead flight.Wait
			gate := make(chan struct{})
			first, second := startLead(leads, c, &lead, until(gate, 3)), await(joins, joined)
			synctest.Wait()
			cancel(errGone)
			if leader != first.over() || leader == second.over() {
				t.Fatalf("%s has left: the first has returned: %v, the second: %v", who, first.over(), second.over())
			}
			close(gate)
			<-first.done
			<-second.done
			wantFirst, wantSecond := flight.Done, flight.Left
			if leader {
				wantFirst, wantSecond = wantSecond, wantFirst
			}
			wantArrival(t, "the first", &lead, wantFirst)
			wantArrival(t, "the second", joined, wantSecond)
			if c.context != nil || c.led == leader || c.Ending != (flight.Ending{}) {
				t.Errorf("%s has left: the function's context: %v, led %v, ending %v", who, c.context, c.led, c.Ending)
			}
		})
	}
}

// When all callers leave before the function begins, its context ends and it doesn't run.
func TestLeave_BeforeTheFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), &computation{LingerFor: time.Minute}
		ctx, cancel := context.WithCancelCause(t.Context())
		g.lead(t, ctx, "k", c)
		joined := g.join(t, ctx, "k")
		waited := await(ctx, joined)
		var cause error
		led := start(func() (int, error) {
			c.Lead(ctx, func(ctx context.Context) {
				<-ctx.Done() // a lease that isn't free
				cause = context.Cause(ctx)
				c.compute(ctx, returns(1))
			})
			return 0, nil
		})
		synctest.Wait()
		began := time.Now()
		cancel(errGone)
		if <-led.done; !waited.over() || time.Since(began) != 0 {
			t.Errorf("over %v, after %v", waited.over(), time.Since(began))
		}
		if c.ran.Load() != 0 || cause != errGone {
			t.Errorf("the function was run %d times, the cause is %v", c.ran.Load(), cause)
		}
		g.nobody(t, "k")
	})
}

// When all callers have left, the function goes on for its linger, without one not at all.
func TestLinger(t *testing.T) {
	for _, test := range []struct {
		name      string
		linger    time.Duration
		leaseless bool
		takes     time.Duration
		want      time.Duration
		cut       bool
	}{
		{"it returns in time", 3 * time.Second, false, 2 * time.Second, 2 * time.Second, false},
		{"it takes longer", 3 * time.Second, false, 5 * time.Second, 3 * time.Second, true},
		{"no time to linger", 0, false, 5 * time.Second, 0, true},
		{"its result won't be stored", 3 * time.Second, true, 2 * time.Second, 0, true},
	} {
		bubble(t, test.name, func(t *testing.T) {
			g, c := newGroup(), &computation{LingerFor: test.linger, Leaseless: test.leaseless}
			ctx, cancel := context.WithCancelCause(t.Context())
			g.lead(t, ctx, "k", c)
			finished := c.Done()
			joined := g.join(t, ctx, "k")
			var lead flight.Wait
			var cause error
			first, second := startLead(ctx, c, &lead, func(ctx context.Context) int {
				defer func() { cause = context.Cause(ctx) }()
				return takes(test.takes, 1)(ctx)
			}), await(ctx, joined)
			synctest.Wait()
			began := time.Now()
			cancel(errGone)
			if !first.over() || !second.over() {
				t.Fatal("the callers wait for the function to end")
			}
			<-finished
			if took := time.Since(began); took != test.want || (c.context != nil) != test.cut {
				t.Errorf("it went on for %v, want %v; its context: %v", took, test.want, c.context)
			}
			if test.cut && cause != errGone {
				t.Errorf("its context ended because of %v", cause)
			}
			if c.led {
				t.Error("the first caller counts as waiting")
			}
		})
	}
}

// A caller who joins while the function lingers stops that, and gets the outcome.
func TestLinger_Joined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), &computation{LingerFor: 3 * time.Second}
		started := g.Now()
		ctx, cancel := context.WithCancel(t.Context())
		g.lead(t, ctx, "k", c)
		var lead flight.Wait
		led := startLead(ctx, c, &lead, takes(time.Minute, 4))
		synctest.Wait()
		cancel()
		time.Sleep(2 * time.Second)
		f, _ := g.Join(t.Context(), flight.Start{Key: "k", Tick: started}, new(computation).maker())
		w := flight.NewWait(f, started, nil)
		if err := w.Wait(t.Context()); err != nil || !w.IsForCaller() || c.result != 4 || c.context != nil {
			t.Errorf("%v, for the caller %v, result %d, the function's context: %v", err, w.IsForCaller(), c.result, c.context)
		}
		<-led.done
		wantArrival(t, "the first", &lead, flight.Left)
	})
}

// Callers come and go while the function runs: it goes on for its linger after the last one.
func TestLinger_Again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), &computation{LingerFor: 3 * time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		g.lead(t, ctx, "k", c)
		finished := c.Done()
		var lead flight.Wait
		startLead(ctx, c, &lead, obedient)
		synctest.Wait()
		cancel()
		for range 5 {
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if w := g.join(t, ctx, "k"); w.Wait(ctx) != nil || w.Arrival != flight.Left {
				t.Errorf("a caller arrived %s", name(w.Arrival))
			}
			cancel()
		}
		left := time.Now()
		if <-finished; time.Since(left) != 3*time.Second {
			t.Errorf("it went on for %v after the last caller", time.Since(left))
		}
	})
}

// The context of the function has the first caller's deadline and the time to linger, and callers who join don't move it.
func TestDeadline(t *testing.T) {
	for name, second := range map[string]time.Duration{"later": time.Hour, "none": 0, "earlier": time.Second} {
		bubble(t, name, func(t *testing.T) {
			g, c := newGroup(), &computation{LingerFor: 5 * time.Second}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			joins := t.Context()
			if second > 0 {
				var cancel context.CancelFunc
				joins, cancel = context.WithTimeout(joins, second)
				defer cancel()
			}
			want := time.Now().Add(time.Minute + 5*time.Second)
			g.lead(t, ctx, "k", c)
			var lead flight.Wait
			led := startLead(ctx, c, &lead, func(ctx context.Context) int {
				synctest.Wait() // until the second has joined
				if got, ok := ctx.Deadline(); !ok || !got.Equal(want) {
					t.Errorf("the deadline is %v %v, want %v", got, ok, want)
				}
				<-ctx.Done()
				if cause := context.Cause(ctx); cause != context.DeadlineExceeded {
					t.Errorf("it has ended because of %v", cause)
				}
				return 1
			})
			w := g.join(t, joins, "k")
			waited := await(joins, w)
			if <-led.done; lead.Arrival != flight.Left {
				t.Errorf("the first caller arrived %v", lead.Arrival)
			}
			<-c.Done()
			if <-waited.done; !time.Now().Equal(want) {
				t.Errorf("its context ended %v late", time.Since(want))
			}
			if second != time.Second && (w.Arrival != flight.Done || w.IsForCaller()) {
				t.Errorf("the second arrived %v, for it: %v; want to start again", w.Arrival, w.IsForCaller())
			}
		})
	}
}

// A caller without a deadline leads a flight without one, and one whose context can't end leads it by itself.
func TestDeadline_None(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, ctx := range []context.Context{ctx, context.Background()} {
			if _, err := g.get(ctx, "k", func(ctx context.Context) int {
				if d, ok := ctx.Deadline(); ok {
					t.Errorf("its deadline is %v", d)
				}
				return 0
			}); err != nil {
				t.Error(err)
			}
		}
	})
}

// When the first caller has left, but the second waits, the function is the second's; when it leaves too, the context
// ends with what the second's ended with.
func TestLeave_Cause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), new(computation)
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithCancelCause(t.Context())
		g.lead(t, first, "k", c)
		w := g.join(t, second, "k")
		waited := await(second, w)
		var lead flight.Wait
		var cause error
		led := startLead(first, c, &lead, func(ctx context.Context) int {
			defer func() { cause = context.Cause(ctx) }()
			return obedient(ctx)
		})
		synctest.Wait()
		cancelFirst()
		if !led.over() || waited.over() || c.context != nil {
			t.Fatal("the first has left: the second should wait, and the function run")
		}
		finished := c.Done()
		cancelSecond(errGone)
		<-finished
		if waited.over(); cause != errGone {
			t.Errorf("the function's context ended because of %v, want the second's cause", cause)
		}
	})
}

// A caller who joins when the context has ended before the function could begin starts again: that one doesn't run.
func TestLeave_JoinedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), new(computation)
		ctx, cancel := context.WithCancel(t.Context())
		g.lead(t, ctx, "k", c)
		gate := make(chan struct{})
		go c.Lead(ctx, func(ctx context.Context) {
			<-gate
			c.compute(ctx, returns(1))
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		w := g.join(t, t.Context(), "k")
		close(gate)
		if err := w.Wait(t.Context()); err != nil || w.Arrival != flight.Done || w.IsForCaller() || c.ran.Load() != 0 {
			t.Errorf("%v, arrived %s, for the caller %v; the function was run %d times", err, name(w.Arrival), w.IsForCaller(), c.ran.Load())
		}
	})
}
