package memcached

import (
	"sync/atomic"
	"time"

	"github.com/cacheutils/cacheutils/engine"
)

// counters are what engine.Server shows.
type counters struct {
	open       atomic.Int64
	operations atomic.Uint64
	dials      atomic.Uint64
	retries    atomic.Uint64
	waits      atomic.Uint64
	waited     atomic.Int64 // nanoseconds
	trips      atomic.Uint64
	replayed   atomic.Uint64
	errors     [kinds]atomic.Uint64
}

func (c *counters) snapshot() engine.Server {
	s := engine.Server{
		Open:       int(c.open.Load()),
		Operations: c.operations.Load(),
		Dials:      c.dials.Load(),
		Retries:    c.retries.Load(),
		Waits:      c.waits.Load(),
		Waited:     time.Duration(c.waited.Load()),
		Trips:      c.trips.Load(),
		Replayed:   c.replayed.Load(),
		Errors:     make(map[string]uint64),
	}
	for k := range c.errors {
		if n := c.errors[k].Load(); n > 0 {
			s.Errors[kindNames[k]] = n
		}
	}
	return s
}
