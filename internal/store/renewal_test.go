package store

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/entry"
)

var anyType = codec.Of(reflect.TypeFor[any]())

func leasing(t *testing.T) *Store {
	t.Helper()
	e, err := locmem.Open(engine.Settings{Location: []string{t.Name()}})
	if err != nil {
		t.Fatal(err)
	}
	c := New(Config{
		Name: "leases", Engine: e, Timeout: time.Hour, Version: "1", CompressAbove: 1024,
		Lease: 90 * time.Millisecond, OperationTimeout: 250 * time.Millisecond,
	})
	t.Cleanup(func() { c.Close() })
	return c
}

func mustTake(t *testing.T, c *Store, key string) *lease {
	t.Helper()
	k := c.Key(key)
	l, ok, err := c.take(context.Background(), &k, anyType, found{}, false)
	if !ok || err != nil {
		t.Fatalf("take %s: %v, %v", key, ok, err)
	}
	return l
}

// Each lease is renewed a third of its life after it was taken, whatever others do meanwhile, and as
// long as it is held.
func TestRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := leasing(t)
		onIt := func(key string) entry.Entry {
			f, err := read(c, c.Key(key))
			if err != nil {
				t.Fatal(err)
			}
			return f.entry
		}
		var written [5]uint64 // the writes of the marks
		var leases []*lease
		for i := range 5 {
			leases = append(leases, mustTake(t, c, fmt.Sprint("k", i)))
			time.Sleep(10 * time.Millisecond)
		}
		leases[1].finish(context.Background(), &ending{})
		leases[4].finish(context.Background(), &ending{})
		for range 10 {
			time.Sleep(45 * time.Millisecond)
			synctest.Wait()
			for i, l := range leases {
				c.renewals.mu.Lock()
				queued := l.queued
				c.renewals.mu.Unlock()
				mark := onIt(fmt.Sprint("k", i))
				left := mark.HeldUntil - time.Now().UnixMilli()
				held, renewed := i != 1 && i != 4, mark.CAS != written[i]
				if held && (left < 60 || left > 90 || !renewed) || queued != held {
					t.Errorf("lease %d: %d ms are left, written anew %v, on the list %v", i, left, renewed, queued)
				}
				written[i] = mark.CAS
			}
		}
		for _, l := range leases {
			l.finish(context.Background(), &ending{})
		}
		c.renewals.mu.Lock()
		defer c.renewals.mu.Unlock()
		if c.renewals.first != nil || c.renewals.last != nil {
			t.Error("there are leases on the list that nobody holds")
		}
	})
}

// A timer that was set in a bubble which has ended never goes off.
func TestRenewals_AfterABubble(t *testing.T) {
	c := leasing(t)
	c.Engine.Get(context.Background(), "k") // starts the store's goroutines
	var first *lease
	synctest.Test(t, func(t *testing.T) { first = mustTake(t, c, "in the bubble") })
	defer c.renewals.end(first)
	l := mustTake(t, c, "after it")
	defer c.renewals.end(l)
	f, _ := read(c, *l.key)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		now, err := read(c, *l.key)
		if err == nil && now.entry.Holder == l.token && now.entry.HeldUntil > f.entry.HeldUntil && now.entry.CAS != f.entry.CAS {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it was not renewed: %+v, %v", now.entry.Meta, err)
		}
	}
}

// read is a lookup by itself.
func read(c *Store, key Key) (f found, err error) {
	err = c.lookup(context.Background(), &f, &key)
	return f, err
}
