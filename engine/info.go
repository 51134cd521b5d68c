package engine

import "context"

// An Info says how full a store is, with all that is in it: entries of other prefixes and, if they share it, of other backends
// too.
type Info struct {
	Entries   int    // those that have ended count until they are dropped
	Bytes     int64  // which they take, as the engine counts them for its bound
	Evictions uint64 // entries dropped to make room, since the store was opened

	MaxEntries int   // the bounds; 0: there is none
	MaxBytes   int64 // likewise
}

// An InfoEngine is an engine that knows how full its store is. One that would have to ask a server, or to walk through its
// entries, isn't one.
type InfoEngine interface {
	// Info returns that, at no cost to speak of.
	Info(ctx context.Context) (Info, error)
}
