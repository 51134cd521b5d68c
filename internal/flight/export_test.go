package flight

import "context"

// Leftovers returns how many flights wait for others, and how many compute.
func Leftovers() (waiting, computing int) {
	waits.mu.Lock()
	defer waits.mu.Unlock()
	return len(waits.edges), int(running.runs.Load())
}

// InComputation returns ctx with the caller's flight, if it runs in a computation that only its goroutine tells of, for
// goroutines that it starts.
func InComputation(ctx context.Context) context.Context {
	if f := callersFlight(ctx); f != nil {
		return context.WithValue(ctx, flightKey{}, f)
	}
	return ctx
}
