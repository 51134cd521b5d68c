package decorators_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/clock"
)

// What is in this process's memory ends by the earlier one of the clocks: a machine that slept has not counted that
// time on its monotonic clock. A clock that is put back prolongs nothing.
func TestClocks(t *testing.T) {
	ctx := context.Background()
	set := newSet(t, nil)
	var ahead atomic.Int64
	defer clock.SetWall(func() time.Duration { return time.Duration(ahead.Load()) })()
	type function struct {
		name string
		opts []decorators.Option
		runs atomic.Int64
		call func(context.Context, int) (int, error)
	}
	functions := []*function{
		{name: "plain"},
		{name: "in a group", opts: []decorators.Option{decorators.Group("g")}},
		{name: "stale", opts: []decorators.Option{decorators.Stale(24 * time.Hour)}},
		{name: "short", opts: []decorators.Option{decorators.Timeout(500 * time.Millisecond)}},
		{name: "of an hour", opts: []decorators.Option{decorators.Timeout(time.Hour)}},
	}
	for _, f := range functions {
		opts := append([]decorators.Option{decorators.Timeout(2 * time.Hour), decorators.Key("TestClocks " + f.name), decorators.On(set)}, f.opts...)
		f.call, _ = decorators.Cached1(func(context.Context, int) (int, error) { return int(f.runs.Add(1)), nil }, opts...)
		for range 3 { // from the hot table, too
			if _, err := f.call(ctx, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cache.Set(ctx, "k", 1, cache.On(set), cache.Timeout(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for begin := time.Now(); !is(); time.Sleep(time.Millisecond) {
			if time.Since(begin) > 20*time.Second {
				t.Fatalf("%s: not after 20 s", what)
			}
		}
	}
	runs := func(f *function) int64 {
		t.Helper()
		if _, err := f.call(ctx, 1); err != nil {
			t.Fatal(err)
		}
		return f.runs.Load()
	}
	before := clock.Now()

	ahead.Store(int64(-5 * time.Hour))
	until("half a second, with the clock put back", func() bool { return clock.Now() > before+600*time.Millisecond })
	if n := runs(functions[3]); n != 2 {
		t.Errorf("want the timeout of half a second to be over with the clock put back, got %d computations", n)
	}
	for _, f := range functions[:3] {
		if n := runs(f); n != 1 {
			t.Errorf("%s: want what is cached to stay when the clock is put back, got %d computations", f.name, n)
		}
	}

	ahead.Add(int64(90 * time.Minute)) // it sleeps
	until("a clock that was put forward", func() bool { return clock.Now() > before+90*time.Minute })
	if n := runs(functions[4]); n != 2 {
		t.Errorf("want the timeout of an hour to be over after a sleep of 90 minutes, got %d computations", n)
	}
	for _, f := range functions[:3] {
		if n := runs(f); n != 1 {
			t.Errorf("%s: want a timeout of two hours to outlast a sleep of 90 minutes, got %d computations", f.name, n)
		}
	}

	ahead.Add(int64(90 * time.Minute))
	until("a clock that was put forward", func() bool { return clock.Now() > before+3*time.Hour })
	for _, f := range functions[:3] {
		until(f.name+" is computed after a sleep longer than its timeout", func() bool { return runs(f) == 2 }) // stale: in the background
	}
	if v, err := cache.Get[int](ctx, "k", cache.On(set)); err == nil {
		t.Errorf("cache.Get: want nothing after a sleep longer than the timeout, got %d", v)
	}
}
