package flight_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
)

// A greeting is a computation without a store: all that it knows is what its function returned.
type greeting struct {
	flight.Flight
	text string
}

func (*greeting) Prepare()                                   {}
func (*greeting) Abandon()                                   {}
func (*greeting) Linger(error) time.Duration                 { return time.Second }
func (*greeting) Patience(time.Duration, bool) time.Duration { return time.Second }
func (*greeting) Tires(time.Time) bool                       { return false }

func newGreeting() *flight.Flight {
	g := new(greeting)
	g.Computation = g
	return &g.Flight
}

// run runs the function, and says for whom its outcome is: those who started before it did.
func (g *greeting) run(ctx context.Context, function func(context.Context) string) {
	if !g.Begin(ctx, false) {
		return // everybody has left
	}
	defer func() {
		g.Return()
		g.Valid = g.Began()
	}()
	g.text = function(ctx)
}

// Greet returns what function returns for the key. Callers at the same time share a run of it.
func Greet(ctx context.Context, group *flight.Group, key string, function func(context.Context) string) (string, error) {
	started := group.Now()
	var last *flight.Flight
	for ctx.Err() == nil {
		f, leads := group.Join(ctx, flight.Start{Key: key, Tick: started, After: last}, newGreeting)
		if f == nil {
			return "", errors.New("the group is closed")
		}
		g := f.Computation.(*greeting)
		if leads {
			w := flight.NewLead(f)
			if w.Arrival = f.Lead(ctx, func(ctx context.Context) { g.run(ctx, function) }); w.Arrival == flight.Done {
				w.Rethrow()
				return g.text, nil
			}
		} else {
			w := flight.NewWait(f, started, nil)
			if err := w.Wait(ctx); err != nil {
				return "", err // it waits for itself
			}
			if w.Arrival == flight.Done && w.IsForCaller() {
				w.Rethrow()
				return g.text, nil
			}
		}
		last = f // start again: the outcome was for others
	}
	return "", ctx.Err()
}

func Example() {
	group := &flight.Group{Lease: time.Minute}
	hello := func(context.Context) string { return "hello, world" }
	fmt.Println(Greet(context.Background(), group, "greeting", hello))

	fmt.Println(Greet(context.Background(), group, "circle", func(ctx context.Context) string {
		_, err := Greet(ctx, group, "circle", hello)
		return fmt.Sprint(err)
	}))

	fmt.Println("idle:", group.Close())
	// Output:
	// hello, world <nil>
	// cacheutils: a cached function waits for its own result <nil>
	// idle: true
}
