package flight

import "context"

// CallersContext returns the context of the caller who has started the computation that runs on this goroutine, or nil
// if there is none.
func CallersContext() context.Context {
	r := running.current()
	if r.caller != nil || r.flight == nil {
		return r.caller
	}
	return r.flight.leader
}

// Compute runs f as a computation without a flight, of a caller with that context.
func Compute(caller context.Context, f func()) {
	defer running.leave(running.enter(runner{running.current().flight, caller}))
	f()
}
