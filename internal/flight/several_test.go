package flight_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/flight"
)

// A batch is one caller's for several keys.
type batch struct {
	*group
	ctx   context.Context
	all   []*computation // that it leads
	waits []flight.Wait

	steps func(context.Context) // is what it does with the store before the function; nil: nothing
	runs  int                   // of the function
	cause error                 // of the function's context when it had returned
}

// batch starts flights for the keys that have none, each with a computation of that linger, and joins the others.
func (g *group) batch(t *testing.T, ctx context.Context, linger time.Duration, keys ...string) *batch {
	t.Helper()
	b := &batch{group: g, ctx: ctx}
	for _, key := range keys {
		c, started := &computation{LingerFor: linger}, g.Now()
		f, leads := g.Join(ctx, flight.Start{Key: key, Tick: started}, c.maker())
		if leads {
			b.all = append(b.all, c)
			b.waits = append(b.waits, flight.NewLead(f))
		} else {
			b.waits = append(b.waits, flight.NewWait(f, started, nil))
		}
	}
	return b
}

func (b *batch) flights() (all []*flight.Flight) {
	for _, c := range b.all {
		all = append(all, &c.Flight)
	}
	return all
}

// wait waits for the batch's flights, and runs function for those that it leads, once.
func (b *batch) wait(function func(context.Context) int) *call {
	return start(func() (int, error) {
		if len(b.all) == 0 {
			b.WaitAll(b.ctx, b.waits, nil)
			return 0, nil
		}
		left := make(chan struct{})
		defer close(left)
		b.WaitAll(b.ctx, b.waits, func(steps context.Context) {
			if b.steps != nil {
				b.steps(steps)
			}
			if b.ctx.Err() != nil {
				<-left
			}
			b.run(function)
		})
		return 0, nil
	})
}

// run runs function for the flights that have not finished, and finishes them.
func (b *batch) run(function func(context.Context) int) {
	b.all = slices.DeleteFunc(b.all, func(c *computation) bool { return c.result != 0 })
	run := flight.NewRun(b.ctx, b.flights())
	var begun []*computation
	for _, c := range b.all {
		if run.Begin(&c.Flight, c.Leaseless) {
			begun = append(begun, c)
		} else {
			c.Finish()
		}
	}
	var ended error
	done := false
	defer func() {
		var how flight.Ending
		if !done {
			how.Catch(recover())
		}
		for _, c := range begun {
			c.Ending = how
			c.returned(ended)
			c.Finish()
		}
	}()
	run.Do(func(ctx context.Context) {
		defer func() { ended, b.cause = ctx.Err(), context.Cause(ctx) }()
		b.runs++
		result := function(ctx)
		for _, c := range begun {
			c.ran.Add(1)
			c.result = result
		}
	})
	done = true
}

func (b *batch) wantArrivals(t *testing.T, who string, want flight.Arrival) {
	t.Helper()
	for i := range b.waits {
		wantArrival(t, who, &b.waits[i], want)
	}
}

// Several keys are computed by one run of the function, on the calling goroutine where the caller's context can't end.
// Flights that were under way are waited for.
func TestWaitAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			g := newGroup()
			g.stored = g.Tick
			gate := make(chan struct{})
			one := start(func() (int, error) { return g.get(ctx, "b", until(gate, 7)) })
			synctest.Wait()
			b := g.batch(t, ctx, 0, "a", "b", "c", "d")
			started := g.Now()
			b.steps = func(steps context.Context) {
				if (steps == ctx) != (ctx.Done() == nil) {
					t.Errorf("%s: the context of what it does with the store is the caller's: %v", can, steps == ctx)
				}
			}
			all := b.wait(takes(time.Second, 3))
			joined := start(func() (int, error) { return g.get(ctx, "c", returns(-1)) })
			if all.over() || joined.over() {
				t.Fatalf("%s: it doesn't wait for the function", can)
			}
			time.Sleep(time.Second)
			if all.over() || !joined.over() || joined.err != nil || joined.panic != nil {
				t.Errorf("%s: the batch waits for b: %v; who waits for c: %d, %v", can, !all.over(), joined.result, joined.err)
			}
			close(gate)
			<-one.done
			if <-all.done; b.runs != 1 || len(b.all) != 3 {
				t.Errorf("%s: the function was run %d times for %d keys", can, b.runs, len(b.all))
			}
			b.wantArrivals(t, can, flight.Done)
			for _, c := range b.all {
				if c.result != 3 || c.Began() <= started || !c.led {
					t.Errorf("%s: the result is %d, it began at %d, led %v", can, c.result, c.Began(), c.led)
				}
			}
			if w := b.waits[1]; !w.IsForCaller() || of(w.Flight).result != 7 {
				t.Errorf("%s: b is for the batch: %v, %d", can, w.IsForCaller(), of(w.Flight).result)
			}
		}
	})
}

// A batch that leads no flight waits for those of others, and leaves them when its time is up.
func TestWaitAll_Joins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		first := g.batch(t, t.Context(), 0, "a", "b")
		called := first.wait(takes(time.Minute, 1))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		second := g.batch(t, ctx, 0, "a", "b")
		<-second.wait(nil).done
		second.wantArrivals(t, "the second", flight.Left)
		if called.over() {
			t.Error("the first has ended with the second")
		}
		<-called.done
		first.wantArrivals(t, "the first", flight.Done)
	})
}

// Where the function panics or exits, so do the callers of all its keys.
func TestWaitAll_Panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for how, end := range map[string]func(){"panic": func() { panic("oops") }, "exit": runtime.Goexit} {
			g := newGroup()
			b := g.batch(t, t.Context(), 0, "a", "b")
			joined := g.join(t, t.Context(), "b")
			called := b.wait(func(context.Context) int { end(); return 1 })
			joined.Wait(t.Context())
			<-called.done
			b.wantArrivals(t, how, flight.Done)
			var panics []*cacheutils.PanicError
			for _, w := range append(b.waits, *joined) {
				c := start(func() (int, error) { w.Rethrow(); return 0, nil })
				if <-c.done; c.exited != (how == "exit") {
					t.Errorf("%s: a caller exits: %v", how, c.exited)
				}
				err, _ := c.panic.(*cacheutils.PanicError)
				panics = append(panics, err)
			}
			if same := panics[0] == panics[1] && panics[1] == panics[2]; !same || (panics[0] != nil) != (how == "panic") {
				t.Errorf("%s: the callers panic with %v", how, panics)
			}
		}
	})
}

// A computation that asks for any key of its own run waits for itself; other keys it gets.
func TestWaitAll_Recursion(t *testing.T) {
	for how, pass := range map[string]func(context.Context) context.Context{
		"by context":   func(ctx context.Context) context.Context { return ctx },
		"by goroutine": func(context.Context) context.Context { return context.Background() },
	} {
		bubble(t, how, func(t *testing.T) {
			for can, ctx := range contexts(t) {
				g := newGroup()
				b := g.batch(t, ctx, 0, "a", "b", "c")
				called := b.wait(func(ctx context.Context) int {
					ctx = pass(ctx)
					for _, key := range []string{"a", "b", "c"} {
						if _, err := g.get(ctx, key, returns(-1)); !isRecursion(err) {
							t.Errorf("%s: %s: %v", can, key, err)
						}
					}
					inner := g.batch(t, flight.InComputation(ctx), 0, "x", "b", "y")
					<-inner.wait(returns(4)).done
					for i, want := range []flight.Arrival{flight.Done, flight.Recursion, flight.Done} {
						wantArrival(t, can, &inner.waits[i], want)
					}
					return 5
				})
				if <-called.done; b.runs != 1 {
					t.Errorf("%s: the function was run %d times", can, b.runs)
				}
				b.wantArrivals(t, can, flight.Done)
			}
		})
	}
}

// Of several keys that a computation asks for, the one that waits for it is refused, and the others come.
func TestWaitAll_Circle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			g := newGroup()
			var inner *batch
			got, err := g.get(ctx, "k", func(ctx context.Context) int {
				inner = g.batch(t, ctx, 0, "x", "k", "y")
				<-inner.wait(returns(4)).done
				return 5
			})
			if got != 5 || err != nil {
				t.Errorf("%s: the caller got %d, %v", can, got, err)
			}
			for i, want := range []flight.Arrival{flight.Done, flight.Recursion, flight.Done} {
				wantArrival(t, can, &inner.waits[i], want)
			}
		}
	})
}

// A computation that is refused for one of several keys has left that one again.
func TestWaitAll_CircleLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), new(computation)
		ctx, cancel := context.WithCancel(t.Context())
		g.lead(t, ctx, "k", c)
		var lead flight.Wait
		startLead(ctx, c, &lead, func(ctx context.Context) int {
			<-g.batch(t, ctx, 0, "x", "k").wait(returns(4)).done
			return obedient(ctx)
		})
		synctest.Wait()
		cancel()
		if synctest.Wait(); !c.IsLeft() || c.context == nil {
			t.Errorf("the first caller has left; the flight counts as left: %v, its function's context: %v", c.IsLeft(), c.context)
		}
	})
}

// A batch is asked for by two computations that need one another's keys: one is refused.
func TestWaitAll_Deadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for can, ctx := range contexts(t) {
			g := newGroup()
			gate := make(chan struct{})
			var fromX, fromBatch error
			x := start(func() (int, error) {
				return g.get(ctx, "x", func(ctx context.Context) int {
					<-gate
					_, fromX = g.get(ctx, "b", returns(-1))
					return 1
				})
			})
			b := g.batch(t, ctx, 0, "a", "b")
			called := b.wait(func(ctx context.Context) int {
				close(gate)
				synctest.Wait() // until x waits for b
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				_, fromBatch = g.get(short, "x", returns(-1))
				return 2
			})
			<-x.done
			if <-called.done; !isRecursion(fromBatch) {
				t.Errorf("%s: x got %v, the batch %v; want it to be refused", can, fromX, fromBatch)
			}
		}
	})
}

// The caller's patience is one for all its keys: it stays for those whose results are on their way.
func TestWaitAll_Impatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := remote()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b := g.batch(t, ctx, 0, "slow", "quick")
		release := make(chan struct{})
		defer close(release)
		began := time.Now()
		left := make(chan struct{})
		defer close(left)
		b.WaitAll(ctx, b.waits, func(steps context.Context) {
			slow, quick := b.all[0], b.all[1]
			slow.Asks()
			quick.result = 1
			quick.Finish()
			<-left
			if steps.Err() != nil && !quick.IsLeft() {
				t.Error("the context has ended before all were left")
			}
			slow.Finish()
		})
		wantArrival(t, "slow", &b.waits[0], flight.Impatient)
		wantArrival(t, "quick", &b.waits[1], flight.Done)
		if took := time.Since(began); took != patience {
			t.Errorf("it has waited for %v, want %v", took, patience)
		}
	})
}
