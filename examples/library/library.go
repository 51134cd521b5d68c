// Package library is a library that caches what it does. It has a set of backends of its own, so nothing that it caches
// depends on what the program that uses it configures, or changes that. See docs/methods.md.
package library

import (
	"context"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
)

// A Finder says where a place is.
type Finder func(ctx context.Context, place string) (Position, error)

// A Position is in degrees, north and east positive.
type Position struct{ Lat, Lon float64 }

// A Client finds places, each once an hour.
type Client struct {
	own       *backends.Caches // nil: the set is that of the caller
	position  func(ctx context.Context, place string) (Position, error)
	positions *decorators.Handle1[string, Position]
}

// New returns a client that keeps what it has found in a set: one that the program has made, to share it with other
// processes, or backends.Default(). Where that is nil it is in memory, 10,000 places at most.
func New(find Finder, set *backends.Caches) (*Client, error) {
	c := new(Client)
	if set == nil {
		own, err := backends.New(backends.Config{"default": {
			Backend: "locmem",
			Options: map[string]any{"max_entries": 10_000},
		}})
		if err != nil {
			return nil, err
		}
		c.own, set = own, own
	}
	c.position, c.positions = decorators.Cached1(find,
		decorators.On(set), decorators.Key("library.position"), decorators.Timeout(time.Hour))
	return c, nil
}

// Position returns where a place is.
func (c *Client) Position(ctx context.Context, place string) (Position, error) {
	return c.position(ctx, place)
}

// Forget has a place found again.
func (c *Client) Forget(ctx context.Context, place string) error {
	return c.positions.Invalidate(ctx, place)
}

// Close gives back the client's memory. A set that New was given stays open.
func (c *Client) Close() error {
	if c.own == nil {
		return nil
	}
	return c.own.Close()
}
