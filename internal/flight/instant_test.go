package flight_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// What two timers would decide at one instant is decided by one thing. Each test has it happen often, since
// luck would have both outcomes come.
const often = 100

// A function's context ends at its deadline by that, though its last caller has left a linger before that, or leaves at that
// moment: it has DeadlineExceeded.
func TestDeadline_OneInstant(t *testing.T) {
	for _, linger := range []time.Duration{0, time.Second} {
		for _, phase := range []string{"before the function", "in the function", "in a function for several keys", "before a function for several keys"} {
			t.Run(fmt.Sprint(phase, ", linger ", linger), func(t *testing.T) {
				for range often {
					synctest.Test(t, func(t *testing.T) { testInstant(t, phase, linger) })
				}
			})
		}
	}
}

func testInstant(t *testing.T, phase string, linger time.Duration) {
	g := newGroup()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var ended context.Context
	began, took := time.Now(), time.Duration(-1)
	obeys := func(ctx context.Context) int {
		<-ctx.Done()
		ended, took = ctx, time.Since(began)
		return -1
	}
	switch phase {
	case "before the function", "in the function":
		c := &computation{LingerFor: linger}
		g.lead(t, ctx, "k", c)
		c.Lead(ctx, func(ctx context.Context) {
			if phase == "before the function" {
				obeys(ctx)
				return
			}
			c.compute(ctx, obeys)
		})
	default:
		b := g.batch(t, ctx, linger, "a", "b")
		if phase == "before a function for several keys" {
			b.steps = func(steps context.Context) { obeys(steps) }
		}
		<-b.wait(obeys).done
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	want := time.Second + linger
	if phase[:6] == "before" {
		want = time.Second // nobody lingers for a function that has not begun
	}
	if ended == nil || took != want {
		t.Fatalf("it ended after %v, want %v", took, want)
	}
	if err, cause := ended.Err(), context.Cause(ended); cause != context.DeadlineExceeded || (took == time.Second+linger) != (err == context.DeadlineExceeded) {
		t.Errorf("it ended with %v, because of %v", err, cause)
	}
}

// A caller whose patience is at its end when its time is up leaves. It doesn't go on without the store.
func TestPatience_OneInstant(t *testing.T) {
	for range often {
		synctest.Test(t, func(t *testing.T) {
			g, c := remote(), &computation{LingerFor: time.Second}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			g.lead(t, ctx, "k", c)
			arrival := c.Lead(ctx, func(ctx context.Context) {
				defer c.Asks()()
				<-ctx.Done()
			})
			if arrival != flight.Left {
				t.Errorf("the caller arrived %s, want %s", name(arrival), name(flight.Left))
			}
		})
	}
}

// Those who wait for a function that hangs start again once it has given up its lease: they don't find that.
func TestAbandon_OneInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, gate := newGroup(), make(chan struct{})
		c := &computation{GivesUp: func() { time.Sleep(time.Millisecond) }} // others are faster
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		g.lead(t, ctx, "k", c)
		joined := g.join(t, t.Context(), "k")
		var lead flight.Wait
		startLead(ctx, c, &lead, until(gate, 1))
		if joined.Wait(t.Context()); joined.Arrival != flight.Done || !c.IsAbandoned() || c.abandoned.Load() != 1 {
			t.Errorf("who had joined arrived %s; the flight is abandoned: %v, and has given up %d times", name(joined.Arrival), c.IsAbandoned(), c.abandoned.Load())
		}
		select {
		case <-c.Done():
		default:
			t.Error("who asks later waits for it")
		}
		close(gate)
	})
}
