package flight

import (
	"context"
	"testing"
	"time"
)

// A quick computation has nobody wait for a store, and doesn't linger.
type quick struct{}

func (quick) Prepare()                                   {}
func (quick) Abandon()                                   {}
func (quick) Linger(error) time.Duration                 { return 0 }
func (quick) Patience(time.Duration, bool) time.Duration { return time.Hour }
func (quick) Tires(time.Time) bool                       { return false }

func newQuick() *Flight { return &Flight{Computation: quick{}} }

// A caller who joins one of several flights that all had left, and leaves it as well, leaves it once more, but it has ended
// once: the context goes on for those of the others who have callers.
func TestRun_FlightsEndOnce(t *testing.T) {
	for _, phase := range []string{"before the function runs", "while the function runs"} {
		t.Run(phase, func(t *testing.T) {
			g := &Group{Lease: time.Hour, Idle: func() {}}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var flights []*Flight
			for _, key := range []string{"a", "b"} {
				f, leads := g.Join(ctx, Start{Key: key}, newQuick)
				if !leads {
					t.Fatal("it has joined a flight")
				}
				flights = append(flights, f)
			}
			a, b := flights[0], flights[1]
			g.Join(context.Background(), Start{Key: "b"}, newQuick) // who stays
			under := g.stepsOf(ctx, flights)
			run := NewRun(ctx, flights)
			if phase == "while the function runs" {
				for _, f := range flights {
					if !run.Begin(f, false) {
						t.Fatal("nobody waits")
					}
				}
				run.shared.leave(nil)
				under = run.w
			}
			for _, f := range flights {
				g.leave(f, true, 0, context.Canceled)
			}
			for range 3 {
				g.Join(context.Background(), Start{Key: "a"}, newQuick)
				g.leave(a, false, 0, context.Canceled)
			}
			if err := under.Err(); err != nil {
				t.Errorf("%v, but somebody waits for b", err)
			}
			g.leave(b, false, 0, context.Canceled)
			if under.Err() == nil {
				t.Error("it goes on, but nobody waits")
			}
		})
	}
}

// A flight that finishes without the function has no part in the context any more.
func TestWaitAll_ContextOfThoseThatHaveNotFinished(t *testing.T) {
	g := &Group{Lease: time.Hour, Idle: func() {}}
	a, _ := g.Join(context.Background(), Start{Key: "a"}, newQuick)
	b, _ := g.Join(context.Background(), Start{Key: "b"}, newQuick)
	steps := g.stepsOf(context.Background(), []*Flight{a, b})
	a.Finish()
	if steps.Err() != nil {
		t.Error("it has ended, but b has not")
	}
	g.leave(b, true, 0, nil)
	if steps.Err() == nil {
		t.Error("it goes on, but nobody waits for b")
	}
}
