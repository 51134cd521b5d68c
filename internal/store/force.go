package store

import (
	"context"

	"github.com/cacheutils/cacheutils/internal/flight"
	"github.com/cacheutils/cacheutils/internal/steer"
)

// Force runs compute, whatever is stored, stores its result and returns it. Once it has
// returned without an error, nobody gets a value from a computation older than this one:
// where the result could not be stored, what was there is deleted. That is not so when the server
// can't be reached. When ctx ends before the result is stored, Err is the context's error.
func (c *Store) Force(ctx context.Context, key Key, task *Task, compute func(context.Context) Result) Result {
	recordOf(ctx, task).Note(key.Text(), steer.Forced, 0, nil)
	if err := ctx.Err(); err != nil {
		return Result{Err: err}
	}
	f := c.flights.Replace(ctx, key.stored, flight.Check(key.check), func() *flight.Flight { return &c.computationFor(&key, task, nil).Flight })
	if f == nil {
		return Result{Closed: true}
	}
	patience := c.patience(ctx, task)
	w := flight.NewLead(f)
	w.Arrival = f.Lead(ctx, func(ctx context.Context) { c.runForced(ctx, of(f), compute, patience) })
	r, _ := c.ledTo(ctx, &w)
	return r
}
