package store

import (
	"context"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/clock"
)

// An entry ends when its timeout says so, sooner than an engine that counts in seconds drops it, and not before, unless that is
// in whole seconds.
func TestEnds(t *testing.T) {
	ctx := context.Background()
	for _, timeout := range []time.Duration{time.Millisecond, 100 * time.Millisecond, 999 * time.Millisecond, 1100 * time.Millisecond, 2 * time.Second} {
		inSea(t, -1, func(t *testing.T, h *history, all []*program) {
			h.sea.seconds = true
			p := all[0]
			time.Sleep(700 * time.Millisecond) // the engine's clock ticks between
			for what, store := range map[string]func(Key) error{
				"a computation": func(key Key) error {
					return p.store.Fetch(ctx, key, p.task, p.takes(0, 1, timeout)).Err
				},
				"Put": func(key Key) error { return p.store.Put(ctx, key, p.task, p.value(1), timeout) },
				"Set": func(key Key) error { return p.store.Set(ctx, key, *p.value(1).(*firstVersion), timeout) },
				"Add": func(key Key) error {
					_, err := p.store.Add(ctx, key, *p.value(1).(*firstVersion), timeout)
					return err
				},
				"Touch": func(key Key) error {
					err := p.store.Set(ctx, key, *p.value(1).(*firstVersion), time.Hour)
					if err == nil {
						_, err = p.store.Touch(ctx, key, timeout)
					}
					return err
				},
				"a number in a group": func(key Key) error { return p.store.Set(ctx, key, 1, timeout) },
				"that there is none": func(key Key) error {
					p.task.Many = true
					results := make([]Result, 1)
					misses := p.store.LookupMany(ctx, []Key{key}, p.task, nil, nil, nil)
					p.store.FetchMisses(ctx, misses, results, func(context.Context, []int) []Result { return []Result{{Negative: true, Timeout: timeout}} })
					return results[0].Err
				},
			} {
				key := p.store.Key(what, "g")
				if err := store(key); err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				there := func() bool {
					if what == "that there is none" {
						return p.store.LookupMany(ctx, []Key{key}, p.task, nil, nil, func(int, any) {}) == nil
					}
					had, err := p.store.Has(ctx, key)
					return had && err == nil
				}
				// The operations take up to some milliseconds here.
				ends, early := time.Now().Add(timeout), 20*time.Millisecond
				if timeout%time.Second == 0 {
					early += time.Second
				}
				for time.Now().Before(ends.Add(-early)) {
					if !there() {
						t.Errorf("%s for %v has ended %v early", what, timeout, time.Until(ends))
						break
					}
					time.Sleep(max(timeout/20, time.Millisecond))
				}
				time.Sleep(time.Until(ends))
				if there() {
					t.Errorf("%s for %v has not ended", what, timeout)
				}
			}
		}, 0)
	}
}

// What ends while this process stands still has ended for it: the time of day goes on.
func TestEnds_Incr(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		ctx, c := context.Background(), all[0].store
		key := c.Key("n", "g")
		if err := c.Set(ctx, key, 1, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Incr(ctx, key, 1); n != 2 || err != nil {
			t.Errorf("Incr: %d, %v", n, err)
		}
		time.Sleep(100 * time.Millisecond)
		if n, err := c.Incr(ctx, key, 1); err == nil {
			t.Errorf("Incr of what has ended: %d, want an error", n)
		}
		if added, err := c.Add(ctx, key, 5, cacheutils.Forever); !added || err != nil {
			t.Errorf("Add where it has ended: %v, %v", added, err)
		}
	}, 0)
}

// just is an engine that bounds its requests itself, carries each out just in time, and swaps nothing.
type just struct{ *sea }

const justTakes = 240 * time.Millisecond

func (j just) Traits() engine.Traits { return engine.Traits{KeepsTime: true} }

func (j just) Get(ctx context.Context, key string) (engine.Item, error) {
	if err := clock.Sleep(ctx, justTakes); err != nil {
		return engine.Item{}, err
	}
	return j.sea.Get(ctx, key)
}

func (j just) Add(ctx context.Context, key string, item engine.Item, timeout time.Duration) (bool, error) {
	if err := clock.Sleep(ctx, justTakes); err != nil {
		return false, err
	}
	return j.sea.Add(ctx, key, item, timeout)
}

func (j just) CompareAndSwap(ctx context.Context, _ string, _ engine.Item, _ time.Duration) (bool, error) {
	return false, clock.Sleep(ctx, justTakes)
}

// An operation that makes one request after the other has an end in all, whatever a server or a neighbour does.
func TestEnds_OfSeveralRequests(t *testing.T) {
	inSea(t, -1, func(t *testing.T, h *history, all []*program) {
		p := all[0]
		c := New(Config{
			Name: "just", Engine: just{h.sea}, Timeout: time.Hour, Version: "1", Lease: time.Second, OperationTimeout: 250 * time.Millisecond,
		})
		defer c.Close()
		ctx := context.Background()
		if err := p.store.Set(ctx, p.store.Key("n", "g"), 1, time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := p.store.InvalidateGroup(ctx, "h"); err != nil {
			t.Fatal(err)
		}
		var groups []string
		for n := range 100 {
			groups = append(groups, string(rune('A'+n)))
		}
		for what, operate := range map[string]func() error{
			"Touch":              func() error { _, err := c.Touch(ctx, c.Key("n"), time.Hour); return err },
			"Incr":               func() error { _, err := c.Incr(ctx, c.Key("n", "g"), 1); return err },
			"Add":                func() error { _, err := c.Add(ctx, c.Key("n", "h"), 1, time.Hour); return err },
			"Set in many groups": func() error { return c.Set(ctx, c.Key("m", groups...), 1, time.Hour) },
		} {
			began := time.Now()
			err := operate()
			if took := time.Since(began); err == nil || took > 2*time.Second {
				t.Errorf("%s: %v after %v, want an error after four times the operation timeout or so", what, err, took)
			}
		}
	}, 0)
}
