package cacheutils

import (
	"context"

	"github.com/cacheutils/cacheutils/internal/steer"
)

// Bypass returns a context under which cached functions run as if they weren't cached: a call looks for no result, stores
// none and joins no other call, which does not join it either. So it is for every cached function under the context, those
// that others call included, and for the function that is given to GetOrSet. A function that takes no context is under that
// of the cached function which calls it.
//
// It is for one request: of somebody who wants to see what the database says, say. What is said to the cache explicitly
// is done all the same: ForceRecalc, Set, Invalidate and the operations of packages cache and backends. RequireCache,
// which would have to take what was computed before, returns ErrNoCachedValue.
//
// Of Bypass and Refresh the one that was called last counts.
func Bypass(ctx context.Context) context.Context { return withMode(ctx, steer.Bypassed) }

// Refresh returns a context under which cached functions compute whatever is cached, and store their results for all: for
// a request with Cache-Control: no-cache. So it is for every cached function under the context, those that others call
// included, and for GetOrSet.
//
// A call under it returns nothing whose computation began before the call. It joins another call only if that is under
// Refresh, too; if the function runs for such a call by then, it waits for the next run, which is one for all who wait:
// many requests of this kind don't run a function many times at once. Calls that are not under Refresh get what was cached until the
// result is stored, or join the computation. As after ForceRecalc, nobody gets an older result once the call has returned one,
// unless the server could not be reached, or the time of the call's context was up before the result was stored.
//
// Each call computes, also the second one of a request for the same arguments. RequireCache, which would have to take what was
// computed before, returns ErrNoCachedValue. The operations of packages cache and backends but GetOrSet do what they always do.
//
// Of Bypass and Refresh the one that was called last counts.
func Refresh(ctx context.Context) context.Context { return withMode(ctx, steer.Refreshed) }

func withMode(ctx context.Context, mode steer.Mode) context.Context {
	return steer.With(ctx, func(call *steer.Call) { call.Mode = mode })
}
