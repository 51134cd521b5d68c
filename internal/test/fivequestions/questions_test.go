package fivequestions_test

import (
	"context"
	"sync"
	"testing"

	"github.com/cacheutils/cacheutils/internal/test/fivequestions"
)

// A naive cache does what first comes to mind: callers of a key wait for the first one, whose
// result is stored.
type naive struct {
	mu      sync.Mutex
	values  map[string]string
	flights map[string]*naiveFlight
}

type naiveFlight struct {
	done  chan struct{}
	value string
	err   error
}

func (c *naive) Load(ctx context.Context, key string, compute fivequestions.Compute) (string, error) {
	c.mu.Lock()
	if value, ok := c.values[key]; ok {
		c.mu.Unlock()
		return value, nil
	}
	if fl, ok := c.flights[key]; ok {
		c.mu.Unlock()
		<-fl.done
		return fl.value, fl.err
	}
	fl := &naiveFlight{done: make(chan struct{})}
	c.flights[key] = fl
	c.mu.Unlock()
	fl.value, fl.err = compute(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if fl.err == nil {
		c.values[key] = fl.value
	}
	delete(c.flights, key)
	close(fl.done)
	return fl.value, fl.err
}

func (c *naive) Invalidate(ctx context.Context, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.values, key)
	return nil
}

// The questions find what is wrong with a cache, and come back from one that hangs.
func TestNaive(t *testing.T) {
	want := map[string]string{
		"A":  fivequestions.OutdatedStays,
		"A2": fivequestions.GetsOutdated,
		"B":  fivequestions.FollowerFails,
		"C":  fivequestions.Ignored,
		"D":  fivequestions.Hangs,
	}
	for _, q := range fivequestions.Questions {
		t.Run(q.Name, func(t *testing.T) {
			t.Parallel()
			c := &naive{values: make(map[string]string), flights: make(map[string]*naiveFlight)}
			if got := q.Ask(c); got != want[q.Name] {
				t.Errorf("%s: got %q, want %q", q.Text, got, want[q.Name])
			}
		})
	}
}
