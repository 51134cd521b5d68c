package flight_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// A closed Group starts no flight. Those under way can be joined, and when the last one has ended Idle is called, once.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, gate := newGroup(), make(chan struct{})
		ctx := t.Context()
		first := start(func() (int, error) { return g.get(ctx, "a", until(gate, 1)) })
		second := start(func() (int, error) { return g.get(context.Background(), "b", takes(time.Second, 2)) })
		synctest.Wait()
		for range 2 {
			if g.Close() {
				t.Error("there are flights, but Close says that all have ended")
			}
		}
		make := func() *flight.Flight {
			t.Error("a flight was made")
			return nil
		}
		f, _ := g.Join(ctx, flight.Start{Key: "c", Tick: g.Now()}, make)
		forced, refresh := g.Replace(ctx, "a", flight.Check{}, make), g.Refresh(ctx, "c", flight.Check{}, make)
		if f != nil || forced != nil || refresh != nil {
			t.Errorf("started: %p, forced %p, refresh %p", f, forced, refresh)
		}
		w := g.join(t, ctx, "a")
		if <-second.done; g.idle.Load() != 0 {
			t.Error("Idle was called while there was a flight")
		}
		g.Forget("a") // it goes on
		close(gate)
		w.Wait(ctx)
		<-first.done
		if synctest.Wait(); g.idle.Load() != 1 {
			t.Errorf("Idle was called %d times", g.idle.Load())
		}
		if !g.Close() || g.idle.Load() != 1 {
			t.Errorf("all have ended, but Close says not, or Idle was called %d times", g.idle.Load())
		}
		// the outcome is not for the one who has joined, but there is none after it
		if f, _ := g.Join(ctx, flight.Start{Key: "a", Tick: w.Tick, After: w.Flight}, make); f != nil {
			t.Errorf("the next flight is %p", f)
		}
		if _, err := g.get(ctx, "a", returns(1)); err != errClosed {
			t.Errorf("a caller got %v", err)
		}
	})
}

// A Group without flights is closed at once: Idle isn't called.
func TestClose_Idle(t *testing.T) {
	for used, use := range map[string]func(*group){
		"not used": func(*group) {},
		"used":     func(g *group) { g.get(context.Background(), "k", returns(1)) },
	} {
		g := newGroup()
		if use(g); !g.Close() || g.idle.Load() != 0 {
			t.Errorf("%s: Close says that there are flights, or Idle was called: %d times", used, g.idle.Load())
		}
	}
}

// Settled is for results that are being stored: for functions it doesn't wait.
func TestSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := remote()
		settled := func(ch <-chan struct{}) bool {
			synctest.Wait()
			select {
			case <-ch:
				return true
			default:
				return false
			}
		}
		if !settled(g.Settled()) {
			t.Error("no flight, but it isn't settled")
		}
		gate, stores := make(chan struct{}), [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		var leads [2]flight.Wait
		for i, key := range []string{"a", "b"} {
			c := &computation{Settle: func() { <-stores[i] }}
			g.lead(t, t.Context(), key, c)
			startLead(t.Context(), c, &leads[i], until(gate, 1))
		}
		if !settled(g.Settled()) {
			t.Error("functions run, but nothing is stored, and it isn't settled")
		}
		close(gate)
		synctest.Wait()
		before, again := g.Settled(), g.Settled()
		close(stores[0])
		if settled(before) || settled(again) || settled(g.Settled()) {
			t.Error("it is settled, but b is being stored")
		}
		close(stores[1])
		if !settled(before) || !settled(again) || !settled(g.Settled()) {
			t.Error("all is stored, but it isn't settled")
		}
	})
}

// A result that is stored later keeps a closed Group from being idle, and from being settled.
func TestSettled_Later(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := remote(), &computation{Hands: true, Later: true}
		g.lead(t, t.Context(), "k", c)
		var lead flight.Wait
		<-startLead(t.Context(), c, &lead, returns(1)).done
		wantArrival(t, "the first", &lead, flight.Early)
		settled := g.Settled()
		select {
		case <-settled:
			t.Error("it is settled")
		default:
		}
		if g.Close() || g.idle.Load() != 0 {
			t.Error("it is idle")
		}
		c.Finish()
		if <-settled; g.idle.Load() != 1 {
			t.Errorf("Idle was called %d times", g.idle.Load())
		}
	})
}

// A function that returns after it was abandoned counts no more.
func TestSettled_Hang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, gate, store := newGroup(), make(chan struct{}), make(chan struct{})
		c := &computation{Settle: func() { <-store }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		g.lead(t, ctx, "k", c)
		var lead flight.Wait
		startLead(ctx, c, &lead, until(gate, 1))
		time.Sleep(time.Second + lease + 1)
		if !c.IsAbandoned() {
			t.Fatal("it was not abandoned")
		}
		close(gate)
		synctest.Wait()
		select {
		case <-g.Settled():
		default:
			t.Error("it isn't settled")
		}
		close(store)
		if synctest.Wait(); !g.Close() || g.idle.Load() != 0 {
			t.Errorf("it isn't idle, or Idle was called %d times", g.idle.Load())
		}
	})
}
