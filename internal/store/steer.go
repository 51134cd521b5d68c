package store

import (
	"context"

	"github.com/cacheutils/cacheutils/internal/flight"
	"github.com/cacheutils/cacheutils/internal/steer"
)

// Steering returns what steers a call under ctx, which may be nil: what ctx says or, if it says nothing, what the
// context of the computation's first caller says that runs on this goroutine. It is nil if that says nothing, or there
// is none.
func Steering(ctx context.Context) *steer.Call {
	if !steer.Used() {
		return nil
	}
	if ctx != nil {
		if call := steer.Of(ctx); call != nil {
			return call
		}
	}
	if caller := flight.CallersContext(); caller != nil {
		return steer.Of(caller)
	}
	return nil
}

// Compute runs f, which computes for a caller under ctx, which may be nil, without a Store: the calls within are steered
// as that one is.
func Compute(ctx context.Context, f func()) {
	if Steering(ctx) == nil {
		f()
		return
	}
	flight.Compute(Steered(ctx), f)
}

// Steered returns ctx, or one that never ends if it is nil, with what Steering returns: for a call that may compute, so
// that those within the computation are steered as it is.
func Steered(ctx context.Context) context.Context {
	call := Steering(ctx)
	if ctx == nil {
		ctx = context.Background()
	}
	if call != nil && steer.Of(ctx) == nil {
		ctx = steer.Attach(ctx, call)
	}
	return ctx
}
