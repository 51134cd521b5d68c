package flight_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// Who comes after Forget or ForgetAll starts a flight; who had joined gets the outcome of the old one, which leaves the
// new one where it is.
func TestForget(t *testing.T) {
	for name, forget := range map[string]func(*group){
		"Forget":    func(g *group) { g.Forget("k") },
		"ForgetAll": func(g *group) { g.ForgetAll() },
	} {
		bubble(t, name, func(t *testing.T) {
			g := newGroup()
			ctx := t.Context()
			old, bare, fresh, other := new(computation), new(computation), new(computation), new(computation)
			g.lead(t, ctx, "k", old)
			g.lead(t, ctx, "other", other)
			g.Join(ctx, flight.Start{Key: "k", Bare: true}, bare.maker())
			w := g.join(t, ctx, "k")
			forget(g)
			g.lead(t, ctx, "k", fresh)
			f, leads := g.Join(ctx, flight.Start{Key: "k", Bare: true}, new(computation).maker())
			if f == &bare.Flight || !leads {
				t.Error("the bare flight is on the table still")
			}
			f.Finish()
			bare.Finish()
			gate := make(chan struct{})
			var lead, again flight.Wait
			renewed := startLead(ctx, fresh, &again, until(gate, 2))
			<-startLead(ctx, old, &lead, returns(1)).done
			if err := w.Wait(ctx); err != nil || !w.IsForCaller() || of(w.Flight).result != 1 {
				t.Errorf("%v, for the caller %v, result %d", err, w.IsForCaller(), of(w.Flight).result)
			}
			if joined := g.join(t, ctx, "k"); joined.Flight != &fresh.Flight {
				t.Error("the old flight's end has taken the new one off the table")
			}
			close(gate)
			<-renewed.done
			if name == "Forget" {
				g.join(t, ctx, "other")
			} else {
				g.nobody(t, "other")
			}
			other.Finish()
		})
	}
}

// A forgotten flight goes on when its callers stay, and its context ends when they leave.
func TestForget_Left(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), new(computation)
		ctx, cancel := context.WithCancelCause(t.Context())
		g.lead(t, ctx, "k", c)
		var w flight.Wait
		called := startLead(ctx, c, &w, obedient)
		g.Forget("k")
		if called.over() {
			t.Fatal("it has ended with being forgotten")
		}
		cancel(errGone)
		if !called.over() || c.context != context.Canceled {
			t.Errorf("over %v, the function's context: %v", called.over(), c.context)
		}
	})
}

// After Invalidate the flights of the groups go on for those who were there, and can be joined, but the outcome is not
// for callers who start then. The first invalidation counts.
func TestInvalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c, other := newGroup(), &computation{Discarded: true}, &computation{Discarded: true}
		ctx := t.Context()
		g.lead(t, ctx, "k", c, "a", "b")
		g.lead(t, ctx, "other", other, "c")
		before, elsewhere := g.join(t, ctx, "k", "a", "b"), g.join(t, ctx, "other", "c")
		g.Invalidate([]string{"x", "b"})
		between := g.join(t, ctx, "k", "a", "b")
		g.Invalidate([]string{"a"})
		after := g.join(t, ctx, "k", "a", "b")
		elsewhereAfter := g.join(t, ctx, "other", "c")
		var leadK, leadOther flight.Wait
		<-startLead(ctx, c, &leadK, returns(1)).done
		<-startLead(ctx, other, &leadOther, returns(2)).done
		for name, test := range map[string]struct {
			w    *flight.Wait
			want bool
		}{
			"before":                    {before, true},
			"between":                   {between, false},
			"after":                     {after, false},
			"another group":             {elsewhere, true},
			"another group, after that": {elsewhereAfter, true},
		} {
			if err := test.w.Wait(ctx); err != nil || test.w.IsForCaller() != test.want {
				t.Errorf("%s: %v, the outcome is for the caller: %v", name, err, test.w.IsForCaller())
			}
		}
		if leadK.Arrival != flight.Done {
			t.Errorf("the first caller arrived %s", name(leadK.Arrival))
		}
	})
}

// A forced flight takes the place of the one that is on the table, whose callers wait on for theirs.
func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		ctx := t.Context()
		old, forced := new(computation), new(computation)
		g.lead(t, ctx, "k", old)
		w := g.join(t, ctx, "k")
		f := g.Replace(ctx, "k", flight.Check{}, forced.maker())
		if f != &forced.Flight || !f.IsForced() || old.IsForced() || f.IsRefresh() {
			t.Fatalf("%p, forced %v, refresh %v", f, f.IsForced(), f.IsRefresh())
		}
		joined := g.join(t, ctx, "k")
		if joined.Flight != f {
			t.Error("a caller after that has not joined the forced flight")
		}
		var a, b flight.Wait
		<-startLead(ctx, old, &a, returns(1)).done
		<-startLead(ctx, forced, &b, returns(2)).done
		w.Wait(ctx)
		joined.Wait(ctx)
		if of(w.Flight).result != 1 || of(joined.Flight).result != 2 || !joined.IsForCaller() {
			t.Errorf("results %d and %d, for the caller: %v", of(w.Flight).result, of(joined.Flight).result, joined.IsForCaller())
		}
		g.nobody(t, "k")
	})
}

// A refresh starts when no flight is under way. It counts as waited for until LeaveAfter, and its function's context
// has no deadline.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), &computation{LingerFor: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f := g.Refresh(ctx, "k", flight.Check{}, c.maker())
		if f != &c.Flight || !f.IsRefresh() || f.IsForced() || f.IsLeft() {
			t.Fatalf("%p, refresh %v, forced %v, left %v", f, f.IsRefresh(), f.IsForced(), f.IsLeft())
		}
		if other := g.Refresh(ctx, "k", flight.Check{}, new(computation).maker()); other != nil {
			t.Error("a second refresh has started beside the first")
		}
		if other := g.Refresh(ctx, "other", flight.Check{}, new(computation).maker()); other == nil {
			t.Error("no refresh has started for another key")
		}
		began := time.Now()
		stop := f.LeaveAfter(3 * time.Second)
		called := start(func() (int, error) {
			f.Go(ctx, func(ctx context.Context) {
				if _, has := ctx.Deadline(); has {
					t.Error("its context has a deadline")
				}
				c.compute(ctx, obedient)
			})
			return 0, nil
		})
		<-called.done
		if took := time.Since(began); took != 4*time.Second || c.context != context.Canceled || c.led {
			t.Errorf("its context ended after %v with %v; want 3s and the time to linger; led %v", took, c.context, c.led)
		}
		if stop() {
			t.Error("LeaveAfter was still waiting")
		}
	})
}

// A caller who joins a refresh keeps it going when the value to serve meanwhile is gone, and gets its outcome.
func TestRefresh_Joined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), new(computation)
		f := g.Refresh(t.Context(), "k", flight.Check{}, c.maker())
		defer f.LeaveAfter(time.Second)()
		w := g.join(t, t.Context(), "k")
		go f.Go(t.Context(), func(ctx context.Context) { c.compute(ctx, takes(time.Minute, 5)) })
		if err := w.Wait(t.Context()); err != nil || !w.IsForCaller() || c.result != 5 {
			t.Errorf("%v, for the caller %v, result %d", err, w.IsForCaller(), c.result)
		}
	})
}

// A refresh that nobody waits for any more doesn't begin, also if it was left before Go.
func TestRefresh_Left(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := newGroup(), new(computation)
		f := g.Refresh(t.Context(), "k", flight.Check{}, c.maker())
		f.LeaveAfter(0)
		synctest.Wait()
		if !f.IsLeft() {
			t.Error("it was not left")
		}
		f.Go(t.Context(), func(ctx context.Context) { c.compute(ctx, returns(1)) })
		if c.ran.Load() != 0 || c.Began() != 0 {
			t.Errorf("the function was run %d times, began at %d", c.ran.Load(), c.Began())
		}
		g.nobody(t, "k")
	})
}

// Keys that are stored under one text have flights of their own, and the end of one leaves the others on the table.
func TestCheck(t *testing.T) {
	const n = 4
	for first := range n { // that ends before the others
		bubble(t, fmt.Sprint("number ", first), func(t *testing.T) {
			g := newGroup()
			ctx := t.Context()
			start := func(i int) flight.Start { return flight.Start{Key: "k", Check: flight.Check{byte(i)}} }
			all := make([]*computation, n)
			for i := range all {
				all[i] = new(computation)
				if f, leads := g.Join(ctx, start(i), all[i].maker()); !leads || f != &all[i].Flight {
					t.Fatalf("number %d joins another", i)
				}
			}
			all[first].Finish()
			for i, c := range all {
				f, leads := g.Join(ctx, start(i), new(computation).maker())
				if i == first && !leads || i != first && (leads || f != &c.Flight) {
					t.Errorf("number %d of %d: it leads: %v", i, n, leads)
				}
				if i == first {
					f.Finish()
				}
			}
			for i, c := range all {
				if i != first {
					c.Finish()
				}
				if f, leads := g.Join(ctx, start(i), new(computation).maker()); !leads {
					t.Errorf("number %d is on the table still", i)
				} else {
					f.Finish()
				}
			}
		})
	}
}
