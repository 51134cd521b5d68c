package flight_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// When the caller of a batch leaves, the function goes on while another caller waits for one of its keys, and for the
// linger after that.
func TestRun_Left(t *testing.T) {
	for _, linger := range []time.Duration{0, 3 * time.Second} {
		bubble(t, linger.String(), func(t *testing.T) {
			g := newGroup()
			ctx, cancel := context.WithCancel(t.Context())
			b := g.batch(t, ctx, linger, "a", "b", "c")
			a, c := of(b.waits[0].Flight), of(b.waits[2].Flight)
			other, cancelOther := context.WithCancelCause(t.Context())
			joined := g.join(t, other, "b")
			called, waited := b.wait(obedient), await(other, joined)
			synctest.Wait()
			cancel()
			if !called.over() || !a.IsLeft() || !c.IsLeft() || joined.Flight.IsLeft() {
				t.Fatalf("the batch's caller has left: %v; a is left %v, b %v, c %v",
					called.over(), a.IsLeft(), joined.Flight.IsLeft(), c.IsLeft())
			}
			b.wantArrivals(t, "the batch", flight.Left)
			time.Sleep(lease - 1)
			if waited.over() || b.runs != 1 || b.cause != nil {
				t.Fatal("the function has ended, though somebody waits for b")
			}
			finished, left := joined.Flight.Done(), time.Now()
			cancelOther(errGone)
			<-finished
			if waited.over(); b.cause == nil {
				t.Error("b has finished before the function")
			}
			if took := time.Since(left); took != linger || b.cause != errGone {
				t.Errorf("its context ended after %v, want %v, because of %v", took, linger, b.cause)
			}
			wantArrival(t, "who waited for b", joined, flight.Left)
			synctest.Wait()
		})
	}
}

// A batch that is left before the function begins runs it for the keys that others wait for, and what it does with the
// store goes on for those.
func TestRun_LeftBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		ctx, cancel := context.WithCancelCause(t.Context())
		b := g.batch(t, ctx, time.Minute, "a", "b")
		a := of(b.waits[0].Flight)
		joined := g.join(t, t.Context(), "b")
		b.steps = func(steps context.Context) {
			cancel(errGone)
			time.Sleep(time.Second)
			if steps.Err() != nil {
				t.Errorf("what it does with the store has ended: %v", steps.Err())
			}
		}
		called := b.wait(returns(4))
		joined.Wait(t.Context())
		if <-called.done; a.ran.Load() != 0 || of(joined.Flight).result != 4 || !joined.IsForCaller() {
			t.Errorf("run for a: %d; b: %d, for who joined: %v", a.ran.Load(), of(joined.Flight).result, joined.IsForCaller())
		}
	})
}

// When all have left before the function begins, what it does with the store ends, and the function doesn't run.
func TestRun_AllLeftBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		ctx, cancel := context.WithCancelCause(t.Context())
		b := g.batch(t, ctx, time.Minute, "a", "b")
		var cause error
		b.steps = func(steps context.Context) {
			<-steps.Done()
			cause = context.Cause(steps)
		}
		called := b.wait(returns(4))
		synctest.Wait()
		began := time.Now()
		cancel(errGone)
		<-called.done
		if synctest.Wait(); cause != errGone || b.runs != 0 || time.Since(began) != 0 {
			t.Errorf("because of %v, after %v; the function was run %d times", cause, time.Since(began), b.runs)
		}
		g.nobody(t, "a")
		g.nobody(t, "b")
	})
}

// A run's context has the latest deadline of its flights, and none if one of them has none.
func TestRun_Deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		deadline, _ := ctx.Deadline()
		b := g.batch(t, ctx, time.Second, "a", "b", "c")
		b.all[1].LingerFor = time.Hour
		<-b.wait(func(ctx context.Context) int {
			if got, ok := ctx.Deadline(); !ok || !got.Equal(deadline.Add(time.Hour)) {
				t.Errorf("the deadline is %v %v, want %v", got, ok, deadline.Add(time.Hour))
			}
			return 1
		}).done
		for _, refreshFirst := range []bool{true, false} {
			g := newGroup()
			b := g.batch(t, ctx, 0, "a")
			c := new(computation)
			b.all = append(b.all, c)
			g.Refresh(ctx, "b", flight.Check{}, c.maker())
			if refreshFirst {
				b.all[0], b.all[1] = b.all[1], b.all[0]
			}
			g.GoAll(ctx, b.flights(), func(context.Context) {
				b.run(func(ctx context.Context) int {
					if got, ok := ctx.Deadline(); ok {
						t.Errorf("one is a refresh, but the deadline is %v", got)
					}
					return 1
				})
			})
		}
	})
}

// Several refreshes are one run, whose context ends when all of them have been left.
func TestGoAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		b := &batch{group: g, ctx: context.Background()}
		began := time.Now()
		for i, key := range []string{"a", "b"} {
			c := new(computation)
			b.all = append(b.all, c)
			g.Refresh(b.ctx, key, flight.Check{}, c.maker()).LeaveAfter(time.Duration(i+1) * time.Second)
		}
		var steps context.Context
		g.GoAll(b.ctx, b.flights(), func(ctx context.Context) {
			steps = ctx
			b.run(func(ctx context.Context) int {
				<-ctx.Done()
				return 1
			})
		})
		if took := time.Since(began); took != 2*time.Second || b.runs != 1 || b.cause != context.Canceled {
			t.Errorf("its context ended after %v, because of %v; it was run %d times", took, b.cause, b.runs)
		}
		if steps.Err() == nil {
			t.Error("the context of what it did with the store has not ended when the function began")
		}
		for _, c := range b.all {
			if c.led {
				t.Error("nobody leads a refresh, but led is true")
			}
		}
	})
}

// A run without a flight that has begun does nothing.
func TestRun_Nobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			g := newGroup()
			b := g.batch(t, ctx, 0, "a")
			run := flight.NewRun(ctx, b.flights())
			c := start(func() (int, error) {
				run.Do(func(context.Context) { t.Errorf("%s: the function was run", can) })
				return 0, nil
			})
			if <-c.done; c.panic != nil {
				t.Errorf("%s: it panicked: %v", can, c.panic)
			}
			b.all[0].Finish()
		}
	})
}

// A key that is joined and left again, after all had left it, doesn't end the run for those who wait for another key.
func TestRun_LeftTwice(t *testing.T) {
	for how, early := range map[string]bool{"before the function": true, "while it runs": false} {
		bubble(t, how, func(t *testing.T) {
			g := newGroup()
			ctx, cancel := context.WithCancel(t.Context())
			b := g.batch(t, ctx, 0, "a", "b", "c")
			joined := g.join(t, t.Context(), "b")
			leave := func() {
				cancel()
				synctest.Wait() // now the batch has left them all
				for range 2 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					if w := g.join(t, ctx, "a"); w.Wait(ctx) != nil || w.Arrival != flight.Left {
						t.Errorf("it arrived %s", name(w.Arrival))
					}
				}
				time.Sleep(time.Second)
			}
			if early {
				b.steps = func(steps context.Context) {
					if leave(); steps.Err() != nil {
						t.Errorf("what it does with the store has ended: %v", steps.Err())
					}
				}
			}
			b.wait(func(ctx context.Context) int {
				if !early {
					<-start(func() (int, error) { leave(); return 0, nil }).done
				}
				if ctx.Err() != nil {
					t.Errorf("somebody waits for b, but the context has ended: %v", ctx.Err())
				}
				return 1
			})
			joined.Wait(t.Context())
		})
	}
}

// A key that all had left before the function began is not computed, though somebody has joined it since: what was done
// for it with the store has ended.
func TestRun_JoinedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		ctx, cancel := context.WithCancel(t.Context())
		b := g.batch(t, ctx, 0, "a", "b")
		a := of(b.waits[0].Flight)
		b.waits[1].Flight.Computation.(*computation).LingerFor = 0
		joined := g.join(t, t.Context(), "b")
		var again *flight.Wait
		b.steps = func(steps context.Context) {
			cancel()
			synctest.Wait()
			again = g.join(t, t.Context(), "a")
		}
		called := b.wait(returns(1))
		<-called.done
		joined.Wait(t.Context())
		again.Wait(t.Context())
		if a.ran.Load() != 0 || again.IsForCaller() || !joined.IsForCaller() {
			t.Errorf("a was computed %d times; for who joined it again: %v, for who joined b: %v",
				a.ran.Load(), again.IsForCaller(), joined.IsForCaller())
		}
	})
}

// A key that has finished before the others doesn't keep what is done for those with the store from ending.
func TestRun_FinishedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		ctx, cancel := context.WithCancel(t.Context())
		b := g.batch(t, ctx, 0, "a", "b")
		ended := make(chan bool, 1)
		b.steps = func(steps context.Context) {
			b.all[0].result = 1
			b.all[0].Finish()
			select {
			case <-steps.Done():
				ended <- true
			case <-time.After(time.Hour):
				ended <- false
			}
		}
		called := b.wait(returns(1))
		synctest.Wait()
		cancel()
		<-called.done
		if !<-ended {
			t.Error("all have left, but what is done with the store goes on")
		}
		wantArrival(t, "a", &b.waits[0], flight.Done)
		wantArrival(t, "b", &b.waits[1], flight.Left)
	})
}

// When the caller's time is up, the keys that have finished are there.
func TestWaitAll_SomeFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		ctx, cancel := context.WithCancel(t.Context())
		a, b := new(computation), new(computation)
		g.lead(t, t.Context(), "a", a)
		g.lead(t, t.Context(), "b", b)
		all := g.batch(t, ctx, 0, "a", "b")
		called := all.wait(nil)
		synctest.Wait()
		b.Valid = flight.Always
		b.Finish()
		synctest.Wait()
		cancel()
		<-called.done
		wantArrival(t, "a", &all.waits[0], flight.Left)
		if wantArrival(t, "b", &all.waits[1], flight.Done); !all.waits[1].IsForCaller() {
			t.Error("b is not for the caller")
		}
		a.Finish()
	})
}

// A refresh that was left before GoAll isn't computed.
func TestGoAll_Left(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		b := &batch{group: g, ctx: context.Background(), all: []*computation{{}, {}}}
		left, stays := b.all[0], b.all[1]
		g.Refresh(b.ctx, "a", flight.Check{}, left.maker()).LeaveAfter(0)
		g.Refresh(b.ctx, "b", flight.Check{}, stays.maker())
		synctest.Wait()
		g.GoAll(b.ctx, b.flights(), func(context.Context) { b.run(returns(1)) })
		if left.ran.Load() != 0 || stays.ran.Load() != 1 {
			t.Errorf("the one that was left was computed %d times, the other %d times", left.ran.Load(), stays.ran.Load())
		}
	})
}

// Keys that were given up, since what is done with the store hangs, are not computed.
func TestRun_GivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b := g.batch(t, ctx, 0, "a", "b")
		b.steps = func(context.Context) { time.Sleep(time.Hour) }
		joined := g.join(t, t.Context(), "b")
		began := time.Now()
		called := b.wait(returns(1))
		joined.Wait(t.Context())
		if took := time.Since(began); took != time.Minute+lease || joined.IsForCaller() {
			t.Errorf("it was given up after %v; for who joined: %v", took, joined.IsForCaller())
		}
		<-called.done
		if <-joined.Flight.Done(); of(joined.Flight).abandoned.Load() != 0 {
			t.Error("its function has not begun, but was abandoned")
		}
		if time.Sleep(2 * time.Hour); b.runs != 0 {
			t.Errorf("it was computed %d times", b.runs)
		}
	})
}
