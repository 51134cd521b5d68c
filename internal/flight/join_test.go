package flight_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// A caller alone gets what its function returns, on the calling goroutine where its context can't end.
func TestLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ending, cancel := context.WithCancel(t.Context())
		defer cancel()
		for name, ctx := range map[string]context.Context{"can end": ending, "can't end": context.Background()} {
			g, c := newGroup(), new(computation)
			g.lead(t, ctx, "k", c)
			var w flight.Wait
			called := startLead(ctx, c, &w, func(ctx context.Context) int {
				if started := g.Now(); c.Began() != started {
					t.Errorf("%s: it began at %d, and runs at %d", name, c.Began(), started)
				}
				return 7
			})
			if !called.over() || w.Arrival != flight.Done || c.result != 7 || !c.led {
				t.Errorf("%s: over %v, arrival %v, result %d, led %v", name, called.over(), w.Arrival, c.result, c.led)
			}
			w.Rethrow()
			if c.IsJoined() || c.prepared.Load() != 0 {
				t.Errorf("%s: nobody joined, but IsJoined is %v, and Prepare was called %d times", name, c.IsJoined(), c.prepared.Load())
			}
			if c.IsAbandoned() || !c.IsLeft() || c.IsComputed() || c.IsForced() || c.IsRefresh() {
				t.Errorf("%s: abandoned %v, left %v, computed %v, forced %v, refresh %v", name,
					c.IsAbandoned(), c.IsLeft(), c.IsComputed(), c.IsForced(), c.IsRefresh())
			}
			g.nobody(t, "k")
		}
	})
}

// Many callers at once make one computation, and all get its result.
func TestOneComputation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		g.stored = g.Tick // the outcomes are valid until the functions have returned
		var ran atomic.Int32
		gate := make(chan struct{})
		function := func(context.Context) int {
			<-gate
			return int(ran.Add(1))
		}
		var callers sync.WaitGroup
		for i := range 100 {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = context.Background()
			}
			callers.Go(func() {
				if got, err := g.get(ctx, "k", function); got != 1 || err != nil {
					t.Errorf("caller %d got %d, %v, want 1", i, got, err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		callers.Wait()
		if got, err := g.get(t.Context(), "k", function); got != 2 || err != nil {
			t.Errorf("a caller after that got %d, %v, want a computation of its own", got, err)
		}
	})
}

// Keys don't share flights, and neither do Groups, nor callers who go on without the store and others.
func TestApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, other := newGroup(), newGroup()
		ctx := t.Context()
		a, b, bare, elsewhere := new(computation), new(computation), new(computation), new(computation)
		g.lead(t, ctx, "a", a)
		g.lead(t, ctx, "b", b)
		other.lead(t, ctx, "a", elsewhere)
		f, leads := g.Join(ctx, flight.Start{Key: "a", Bare: true, Tick: g.Now()}, bare.maker())
		if f != &bare.Flight || !leads {
			t.Errorf("the bare caller has got %p, leads %v", f, leads)
		}
		f, leads = g.Join(ctx, flight.Start{Key: "a", Bare: true, Tick: g.Now()}, new(computation).maker())
		if f != &bare.Flight || leads {
			t.Errorf("the second bare caller has got %p, leads %v; want that of the first", f, leads)
		}
		if w := g.join(t, ctx, "a"); w.Flight != &a.Flight {
			t.Error("the caller has not joined the flight of its key")
		}
		for _, c := range []*computation{a, b, bare, elsewhere} {
			c.Finish()
		}
	})
}

// The outcome is for callers who started before Valid, and for nobody else who has joined.
func TestValid(t *testing.T) {
	const began = 6 // five ticks are over
	for name, test := range map[string]struct {
		tick  uint64
		valid uint64
		want  bool
	}{
		"before the function":         {began - 1, began, true},
		"as the function began":       {began, began, false},
		"after":                       {began + 1, began, false},
		"before it was known valid":   {began + 1, began + 2, true},
		"as it was known valid":       {began + 2, began + 2, false},
		"first caller's":              {0, 0, false},
		"everybody's":                 {began + 100, flight.Always, true},
		"everybody's, an early start": {0, flight.Always, true},
	} {
		bubble(t, name, func(t *testing.T) {
			g, c := newGroup(), new(computation)
			for range began - 1 {
				g.Tick()
			}
			g.lead(t, t.Context(), "k", c)
			f, _ := g.Join(t.Context(), flight.Start{Key: "k", Tick: test.tick}, new(computation).maker())
			w := flight.NewWait(f, test.tick, nil)
			if !c.Begin(t.Context(), false) || c.Began() != began {
				t.Fatalf("it began at %d", c.Began())
			}
			c.Return()
			c.Valid = test.valid
			c.Finish()
			if err := w.Wait(t.Context()); err != nil || w.Arrival != flight.Done {
				t.Errorf("%v, arrival %v", err, w.Arrival)
			}
			if got := w.IsForCaller(); got != test.want {
				t.Errorf("a caller who started at %d, an outcome valid until %d: it is for it: %v", test.tick, test.valid, got)
			}
		})
	}
}

// A caller who asks for the key in other groups has no use for the outcome.
func TestValid_OtherGroups(t *testing.T) {
	g, c := newGroup(), &computation{Discarded: true}
	g.lead(t, t.Context(), "k", c, "a", "b")
	same, other, none := g.join(t, t.Context(), "k", "a", "b"), g.join(t, t.Context(), "k", "a"), g.join(t, t.Context(), "k")
	c.Valid = flight.Always
	c.Finish()
	if !same.IsForCaller() || other.IsForCaller() || none.IsForCaller() {
		t.Errorf("it is for the caller with the same groups: %v, with others: %v, with none: %v",
			same.IsForCaller(), other.IsForCaller(), none.IsForCaller())
	}
}

// Ticks only grow, and Now is the last one.
func TestTick(t *testing.T) {
	var g flight.Group
	for range 5 {
		started := g.Now()
		if tick := g.Tick(); tick <= started || g.Now() != tick {
			t.Errorf("started at %d, the tick after that is %d, now it is %d", started, tick, g.Now())
		}
	}
}

// All for whom an outcome was not get it from one computation, the next one.
func TestNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup()
		var ran atomic.Int32
		function := func(ctx context.Context) int {
			time.Sleep(time.Second)
			return int(ran.Add(1))
		}
		start := func() *call { return start(func() (int, error) { return g.get(t.Context(), "k", function) }) }
		first := start()
		synctest.Wait() // its function has begun: the outcome is not for those who come now
		var late []*call
		for range 10 {
			late = append(late, start())
			synctest.Wait()
		}
		<-first.done
		for i, c := range late {
			if <-c.done; c.result != 2 || c.err != nil {
				t.Errorf("caller %d got %d, %v, want what the second computation returned", i, c.result, c.err)
			}
		}
		if first.result != 1 || ran.Load() != 2 {
			t.Errorf("the first caller got %d, and the function was run %d times", first.result, ran.Load())
		}
	})
}

// The next flight is shared by those who come for it when it has finished already.
func TestNext_Finished(t *testing.T) {
	g := newGroup()
	ctx := t.Context()
	c, next := new(computation), new(computation)
	g.lead(t, ctx, "k", c)
	one, two := g.join(t, ctx, "k"), g.join(t, ctx, "k")
	c.Finish()
	f, leads := g.Join(ctx, flight.Start{Key: "k", Tick: one.Tick, After: one.Flight}, next.maker())
	if f != &next.Flight || !leads {
		t.Fatalf("the first one has got %p, leads %v", f, leads)
	}
	if !next.IsJoined() {
		t.Error("others may come for the next flight, but IsJoined says no")
	}
	if !next.Begin(ctx, false) {
		t.Fatal("the next one did not begin")
	}
	next.Return()
	next.Valid = next.Began()
	next.Finish()
	f, leads = g.Join(ctx, flight.Start{Key: "k", Tick: two.Tick, After: two.Flight}, new(computation).maker())
	if f != &next.Flight || leads {
		t.Fatalf("the second one has got %p, leads %v; want the flight that has finished", f, leads)
	}
	w := flight.NewWait(f, two.Tick, nil)
	if err := w.Wait(ctx); err != nil || w.Arrival != flight.Done || !w.IsForCaller() || next.prepared.Load() != 1 {
		t.Errorf("%v, arrival %v, for the caller %v, prepared %d times", err, w.Arrival, w.IsForCaller(), next.prepared.Load())
	}
	g.nobody(t, "k")
}

// What comes next without the store is not for callers who wait for it, and the other way around.
func TestNext_Bare(t *testing.T) {
	g := newGroup()
	ctx := t.Context()
	c, bare, next := new(computation), new(computation), new(computation)
	g.lead(t, ctx, "k", c)
	w := g.join(t, ctx, "k")
	c.Finish()
	f, _ := g.Join(ctx, flight.Start{Key: "k", Bare: true, Tick: w.Tick, After: w.Flight}, bare.maker())
	if f != &bare.Flight {
		t.Fatalf("the bare caller has got %p", f)
	}
	f, leads := g.Join(ctx, flight.Start{Key: "k", Tick: w.Tick, After: w.Flight}, next.maker())
	if f != &next.Flight || !leads {
		t.Errorf("the other caller has got %p, leads %v", f, leads)
	}
	bare.Finish()
	next.Finish()
}

// A bare caller joins no flight whose outcome can't be for it.
func TestJoin_Useless(t *testing.T) {
	g := newGroup()
	ctx := t.Context()
	c, other := new(computation), new(computation)
	before := g.Now()
	f, _ := g.Join(ctx, flight.Start{Key: "k", Bare: true, Tick: before}, c.maker())
	if !c.Begin(ctx, true) {
		t.Fatal("it did not begin")
	}
	if f, leads := g.Join(ctx, flight.Start{Key: "k", Bare: true, Tick: before}, other.maker()); f != &c.Flight || leads {
		t.Errorf("a caller who started before it has got %p, leads %v; want that flight", f, leads)
	}
	if f, leads := g.Join(ctx, flight.Start{Key: "k", Bare: true, Tick: g.Now()}, other.maker()); f != &other.Flight || !leads {
		t.Errorf("a caller who started after it began has got %p, leads %v; want a flight of its own", f, leads)
	}
	f.Finish()
	other.Finish()
}

// Prepare is called once, before the outcome is anybody's, and only if others than the first caller may get it.
func TestPrepare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, hands := range map[string]bool{"finished": false, "handed out": true} {
			g, c := remote(), &computation{Hands: hands}
			g.lead(t, t.Context(), "k", c)
			w := g.join(t, t.Context(), "k")
			c.Settle = func() {
				if got := c.prepared.Load(); hands != (got == 1) {
					t.Errorf("%s: when it is stored, Prepare was called %d times", name, got)
				}
			}
			var lead flight.Wait
			startLead(t.Context(), c, &lead, returns(1))
			if w.Wait(t.Context()); c.prepared.Load() != 1 {
				t.Errorf("%s: Prepare was called %d times", name, c.prepared.Load())
			}
		}
	})
}
