package backends

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// A Server is what is known of one server of a backend: see Servers.
type Server = engine.Server

// Servers returns what is known of each server, sorted by address, without asking it: whether it is
// down, its connections, and counters of what happened. It is empty for a backend without servers.
func (c *Cache) Servers() []Server {
	if e, ok := c.engine.(engine.ServerEngine); ok {
		return e.Servers()
	}
	return nil
}

// Health asks each server at once whether it answers, those that are down included. It returns
// by address nil or what is wrong; a backend without servers has none. It takes as long as an
// operation does at most, or as ctx allows.
func (c *Cache) Health(ctx context.Context) map[string]error {
	if e, ok := c.engine.(engine.ServerEngine); ok {
		return e.Ping(ctx)
	}
	return nil
}

// Ping returns nil if all servers answer, otherwise what is wrong with those that don't, which it names.
// It is for an alert or a check at start-up, not for a readiness probe: calls work without the cache, and
// a probe that fails with it takes all processes out of service. A backend without servers is always there.
func (c *Cache) Ping(ctx context.Context) error {
	health := c.Health(ctx)
	var errs []error
	for _, address := range slices.Sorted(maps.Keys(health)) {
		if err := health[address]; err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("backends: ping %q: %w", c.name, err)
	}
	return nil
}

// replayDelete has a key removed later, which could not be removed, or given a group's new generation, for
// that err, if the backend does so.
func (c *Cache) replayDelete(stored string, err error) error {
	if r, ok := c.engine.(engine.Replayer); ok && r.ReplayDelete(stored) {
		return fmt.Errorf("%w: %w", cacheutils.ErrQueued, err)
	}
	return err
}
