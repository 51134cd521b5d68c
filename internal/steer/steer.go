// Package steer has what a context says about the cached calls under it. It is one value under one key of the
// context, so that a call looks it up once, and only in programs that use it.
package steer

import (
	"context"
	"sync/atomic"
)

// A Call is what steers a call. It is never changed once a context has it.
type Call struct {
	Caches any  // the *backends.Caches that the call uses; nil: what the function says
	Mode   Mode // what the call does with the cache

	Report *Report // that the call is in; nil: none
	Record *Record // of the call in whose computation it is made; nil: none that is in a report
}

// IsPlain reports whether a call, which may be nil, does nothing but what every call does, in whatever set.
func IsPlain(call *Call) bool { return call == nil || call.Mode == Cached && call.Report == nil }

// A Mode is what a call does with the cache.
type Mode int

const (
	Cached    Mode = iota // it looks for a result, as always
	Bypassed              // it runs the function, and neither looks, stores nor joins another call
	Refreshed             // it computes whatever is cached, and stores
)

// ModeOf returns the mode of a call, which may be nil.
func ModeOf(call *Call) Mode {
	if call == nil {
		return Cached
	}
	return call.Mode
}

type key struct{}

// used says that a context with a Call was made in this process. It never becomes false again.
var used atomic.Bool

// Used reports whether a context with a Call was ever made.
func Used() bool { return used.Load() }

// Of returns the Call of ctx, or nil.
func Of(ctx context.Context) *Call {
	call, _ := ctx.Value(key{}).(*Call)
	return call
}

// With returns a context in which the Call of ctx is changed.
func With(ctx context.Context, change func(*Call)) context.Context {
	var call Call
	if old := Of(ctx); old != nil {
		call = *old
	}
	change(&call)
	return Attach(ctx, &call)
}

// Attach returns a context with that Call.
func Attach(ctx context.Context, call *Call) context.Context {
	used.Store(true)
	return context.WithValue(ctx, key{}, call)
}
