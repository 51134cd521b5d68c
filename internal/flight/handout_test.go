package flight_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// A result that is known but not stored is for those whose own time is up, if it is for them; the others wait for
// the store.
func TestHandOut_TimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, gate, store := remote(), make(chan struct{}), make(chan struct{})
		c := &computation{Hands: true, Settle: func() { <-store }}
		ctx, cancel := context.WithCancelCause(t.Context())
		g.lead(t, ctx, "k", c)
		early, patient := g.join(t, ctx, "k"), g.join(t, t.Context(), "k")
		var lead flight.Wait
		led := startLead(ctx, c, &lead, until(gate, 1))
		synctest.Wait()
		late := g.join(t, ctx, "k") // started when the function had begun
		waiting := []*call{led, await(ctx, early), await(ctx, late), await(t.Context(), patient)}
		close(gate)
		for i, w := range waiting {
			if w.over() {
				t.Errorf("caller %d doesn't wait for the store", i)
			}
		}
		if !c.IsComputed() || g.Stores("k", flight.Check{}) != &c.Flight {
			t.Errorf("computed %v, Stores returns %p", c.IsComputed(), g.Stores("k", flight.Check{}))
		}
		cancel(errGone)
		for i, w := range waiting {
			if w.over() != (i < 3) {
				t.Errorf("caller %d has returned: %v", i, w.over())
			}
		}
		wantArrival(t, "the first", &lead, flight.Early)
		wantArrival(t, "who started before the function", early, flight.Early)
		wantArrival(t, "who started after that", late, flight.Left)
		close(store)
		if <-waiting[3].done; !patient.IsForCaller() || c.context != nil {
			t.Errorf("for the one who has waited: %v; the function's context: %v", patient.IsForCaller(), c.context)
		}
		wantArrival(t, "who has waited", patient, flight.Done)
		if synctest.Wait(); g.Stores("k", flight.Check{}) != nil {
			t.Error("it counts as being stored when it has finished")
		}
	})
}

// A result that is stored later is for those at once who started before the function. The others wait, and get it
// if it turns out to have been valid for them.
func TestHandOut_Later(t *testing.T) {
	for name, valid := range map[string]bool{"valid": true, "not valid": false} {
		bubble(t, name, func(t *testing.T) {
			g, gate := remote(), make(chan struct{})
			c := &computation{Hands: true, Later: true}
			ctx := t.Context()
			g.lead(t, ctx, "k", c)
			early := g.join(t, ctx, "k")
			var lead flight.Wait
			led := startLead(ctx, c, &lead, until(gate, 1))
			synctest.Wait()
			late := g.join(t, ctx, "k")
			short, cancel := context.WithCancel(ctx)
			defer cancel()
			leaves := g.join(t, short, "k")
			earlier, later, leaving := await(ctx, early), await(ctx, late), await(short, leaves)
			close(gate)
			if !led.over() || !earlier.over() || later.over() {
				t.Fatalf("the first has returned: %v, the early one: %v, the late one: %v", led.over(), earlier.over(), later.over())
			}
			wantArrival(t, "the first", &lead, flight.Early)
			wantArrival(t, "the early one", early, flight.Early)
			if stays := g.join(t, ctx, "k"); stays.Flight != &c.Flight {
				t.Error("what is being stored can't be joined")
			}
			stored := start(func() (int, error) { return 0, early.UntilStored(ctx) })
			if stored.over() {
				t.Error("UntilStored doesn't wait")
			}
			if valid {
				c.Valid = g.Tick()
			}
			cancel()
			if !leaving.over() {
				t.Error("a late one's time is up, but it waits")
			}
			wantArrival(t, "a late one whose time was up before it was stored", leaves, flight.Left)
			c.Finish()
			if !later.over() || late.IsForCaller() != valid {
				t.Errorf("the late one has returned: %v, for it: %v", later.over(), late.IsForCaller())
			}
			wantArrival(t, "the late one", late, flight.Done)
			if !stored.over() || stored.err != nil || !early.IsForCaller() {
				t.Errorf("UntilStored: over %v, %v", stored.over(), stored.err)
			}
			wantArrival(t, "who waited until it was stored", early, flight.Done)
		})
	}
}

// The caller of a forced computation waits for the store.
func TestHandOut_Forced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := remote(), make(chan struct{})
		c := &computation{Hands: true, Settle: func() { <-store }}
		ctx, cancel := context.WithCancel(t.Context())
		g.Replace(ctx, "k", flight.Check{}, c.maker())
		joined := g.join(t, ctx, "k")
		var lead flight.Wait
		led, waited := startLead(ctx, c, &lead, returns(1)), await(ctx, joined)
		if led.over() {
			t.Error("it didn't wait")
		}
		cancel()
		if !led.over() || !waited.over() {
			t.Error("its time is up, but it waits")
		}
		wantArrival(t, "the forced one's caller", &lead, flight.Left)
		wantArrival(t, "who joined it", joined, flight.Early)
		close(store)
	})
}

// Where storing takes no time, nothing is handed out early.
func TestHandOut_NotRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, store := newGroup(), make(chan struct{})
		c := &computation{Hands: true, Settle: func() { <-store }}
		ctx, cancel := context.WithCancel(t.Context())
		g.lead(t, ctx, "k", c)
		var lead flight.Wait
		led := startLead(ctx, c, &lead, returns(1))
		if led.over() || c.IsComputed() || g.Stores("k", flight.Check{}) != nil {
			t.Errorf("over %v, computed %v, Stores returns %p", led.over(), c.IsComputed(), g.Stores("k", flight.Check{}))
		}
		cancel()
		if led.over(); lead.Arrival != flight.Left {
			t.Errorf("it arrived %s", name(lead.Arrival))
		}
		close(store)
	})
}

// Who waits until the result is stored leaves when its time is up before that.
func TestUntilStored_Left(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := remote(), &computation{Hands: true, Later: true}
		ctx, cancel := context.WithCancel(t.Context())
		g.lead(t, t.Context(), "k", c)
		w := g.join(t, ctx, "k")
		var lead flight.Wait
		startLead(t.Context(), c, &lead, returns(1))
		if w.Wait(ctx); w.Arrival != flight.Early {
			t.Fatalf("it arrived %s", name(w.Arrival))
		}
		cancel()
		if err := w.UntilStored(ctx); err != nil || w.Arrival != flight.Left {
			t.Errorf("%v, it arrived %s", err, name(w.Arrival))
		}
		c.Finish()
	})
}

// Callers with a deadline leave a flight that waits for a store that doesn't answer, at the end of their patience.
func TestImpatient(t *testing.T) {
	for _, test := range []struct {
		name     string
		remote   bool
		deadline bool
		forced   bool
		tireless bool
		answers  time.Duration // after which the store answers; 0: not
		want     time.Duration // after which the callers go; 0: they wait for the function
		joiner   time.Duration // if another
	}{
		{name: "the store doesn't answer", remote: true, deadline: true, want: patience, joiner: patience},
		{name: "it answers", remote: true, deadline: true, answers: patience - 1},
		{name: "it answers at last", remote: true, deadline: true, answers: patience + 1, want: patience, joiner: patience},
		{name: "no deadline", remote: true},
		{name: "the store takes no time", deadline: true},
		{name: "forced", remote: true, deadline: true, forced: true, joiner: patience},
		{name: "they don't tire", remote: true, deadline: true, tireless: true},
	} {
		bubble(t, test.name, func(t *testing.T) {
			g, c := newGroup(), &computation{Tireless: test.tireless}
			g.Remote = test.remote
			ctx, cancel := context.WithCancel(t.Context())
			if test.deadline {
				ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
			}
			defer cancel()
			if test.forced {
				g.Replace(ctx, "k", flight.Check{}, c.maker())
			} else {
				g.lead(t, ctx, "k", c)
			}
			joined := g.join(t, ctx, "k")
			began := time.Now()
			var lead flight.Wait
			var left, joinerLeft time.Duration
			led := start(func() (int, error) {
				lead = flight.NewLead(&c.Flight)
				lead.Arrival = c.Lead(ctx, func(ctx context.Context) {
					answered := c.Asks()
					wait := time.Second
					if test.answers > 0 {
						wait = test.answers
					}
					select {
					case <-time.After(wait):
					case <-ctx.Done():
					}
					answered()
					c.compute(ctx, takes(10*time.Second, 1))
				})
				left = time.Since(began)
				return 0, nil
			})
			waited := start(func() (int, error) {
				err := joined.Wait(ctx)
				joinerLeft = time.Since(began)
				return 0, err
			})
			<-led.done
			<-waited.done
			for _, who := range []struct {
				name      string
				w         *flight.Wait
				got, want time.Duration
			}{{"the first caller", &lead, left, test.want}, {"the second", joined, joinerLeft, test.joiner}} {
				want := flight.Impatient
				if who.want == 0 {
					want = flight.Done
				}
				wantArrival(t, who.name, who.w, want)
				if who.want > 0 && who.got != who.want {
					t.Errorf("%s left after %v, want %v", who.name, who.got, who.want)
				}
			}
			if synctest.Wait(); (c.ran.Load() > 0) != (test.want == 0) {
				t.Errorf("the function was run %d times", c.ran.Load())
			}
		})
	}
}

// What the store is asked last counts: who is patient at first asks itself again.
func TestImpatient_Again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := remote(), new(computation)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		g.lead(t, ctx, "k", c)
		began := time.Now()
		if arrival := c.Lead(ctx, func(ctx context.Context) {
			time.Sleep(patience - flight.LeastPatience + 1)
			defer c.Asks()()
			<-ctx.Done()
		}); arrival != flight.Impatient || time.Since(began) != 2*patience {
			t.Errorf("it arrived %s, after %v, want %v", name(arrival), time.Since(began), 2*patience)
		}
	})
}

// Who waits for an outcome that can't be for it leaves at the end of its patience; one for whom it may be stays.
func TestImpatient_Useless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := remote(), &computation{Leaseless: true}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		g.lead(t, ctx, "k", c)
		before := g.join(t, ctx, "k")
		var lead flight.Wait
		startLead(ctx, c, &lead, takes(time.Second, 1))
		stays := await(ctx, before)
		synctest.Wait()
		after := g.join(t, ctx, "k")
		began := time.Now()
		if after.Wait(ctx); after.Arrival != flight.Impatient || time.Since(began) != patience {
			t.Errorf("who started after the function began arrived %s, after %v", name(after.Arrival), time.Since(began))
		}
		if <-stays.done; before.Arrival != flight.Done || !before.IsForCaller() {
			t.Errorf("who started before it arrived %s, for it: %v", name(before.Arrival), before.IsForCaller())
		}
	})
}

// A caller who has its result early is not impatient, though the store doesn't answer: it may still be stored in time.
func TestImpatient_Knows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := remote(), &computation{Hands: true}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		g.lead(t, ctx, "k", c)
		c.Settle = func() {
			defer c.Asks()()
			time.Sleep(time.Hour)
		}
		began := time.Now()
		joined := g.join(t, ctx, "k")
		var lead flight.Wait
		led := startLead(ctx, c, &lead, returns(1))
		joined.Wait(ctx)
		<-led.done
		wantArrival(t, "the first", &lead, flight.Early)
		wantArrival(t, "the second", joined, flight.Early)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("they have waited for %v", took)
		}
		<-c.Done()
	})
}
