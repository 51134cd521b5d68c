package engine

import (
	"context"
	"time"
)

// A Server is what an engine knows of one of its servers, without asking it. The counters only
// grow, for as long as the engine is configured and the server is one of its own: memcached's come and go with the
// addresses of a host name.
type Server struct {
	Address string // as it was configured; with the host name after it, if it is one of several addresses of that

	Down      bool      // nothing but probes is sent to it
	Since     time.Time // when that changed last; zero if it never has
	LastError error     // the last fault, whether or not it was overcome since; nil if there was none

	Open    int // connections
	Idle    int // of those: nobody uses them
	Waiting int // callers who wait for a connection
	Queued  int // invalidations that wait until it is back

	Operations uint64        // attempts to do something on it, those that failed at once included, probes and pings not
	Dials      uint64        // connections opened, or tried to
	Retries    uint64        // operations tried again on a new connection
	Waits      uint64        // operations that had to wait for a connection
	Waited     time.Duration // for how long, all together
	Trips      uint64        // times that it went down
	Replayed   uint64        // queued invalidations carried out

	// Errors counts the operations that failed, by kind: "down" (not tried, since the server is
	// down), "busy" (no connection became free in time, or too many callers wait for one),
	// "cancelled" (the caller's context ended), "connect", "timeout", "closed" (by the other side,
	// before the reply was complete), "garbage" (a reply that makes no sense), "refused" (the
	// server answered that it failed, or with more than is read). Probes and pings that failed are
	// counted here, too. A kind that never occurred is missing.
	Errors map[string]uint64
}

// A ServerEngine is an engine on servers.
type ServerEngine interface {
	// Servers describes each server, sorted by address, without asking it.
	Servers() []Server

	// Ping asks each server at once whether it answers, those that are down included. It
	// returns by address nil or what is wrong, and takes no longer than Settings.OperationTimeout,
	// which is the engine's to see to.
	Ping(ctx context.Context) map[string]error
}

// A Replayer is an engine that can carry out later what did not reach its server.
type Replayer interface {
	// ReplayDelete queues the removal of key, where a removal has failed, or the storing of a group's
	// new generation, and returns true. It returns false if the engine isn't to queue or its queue
	// is full. Until it is carried out, operations on the key's server fail. A wrapper that changes keys has a
	// ReplayDelete of its own.
	ReplayDelete(key string) bool
}
