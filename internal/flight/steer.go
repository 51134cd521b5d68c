package flight

import "context"

// CallersContext returns the context of the caller who has started the computation that runs on this goroutine, or nil
// if there is none.
func CallersContext() context.Context {
	if f := running.current(); f != nil {
		return f.leader
	}
	return nil
}
