package flight_test

import (
	"context"
	"time"

	"github.com/cacheutils/cacheutils/internal/flight"
	"pgregory.net/rapid"
)

// The methods of a world that rapid calls in random order.

// start has a caller call.
func (w *world) start(forced bool) {
	key := w.key("key")
	p := plan{
		delay:    rapid.SampledFrom([]time.Duration{0, 0, patience / 2, patience * 3}).Draw(w.T, "delay"),
		store:    rapid.SampledFrom([]time.Duration{0, 0, time.Second}).Draw(w.T, "store"),
		linger:   rapid.SampledFrom([]time.Duration{0, time.Second, lease}).Draw(w.T, "linger"),
		hands:    rapid.Bool().Draw(w.T, "hands"),
		later:    rapid.Bool().Draw(w.T, "later"),
		alone:    rapid.IntRange(0, 3).Draw(w.T, "alone") == 0,
		obedient: rapid.IntRange(0, 3).Draw(w.T, "obedient") > 0,
		panics:   rapid.IntRange(0, 7).Draw(w.T, "panics") == 0,
		nested:   rapid.SampledFrom([]string{"", "", "a", "b", "c"}).Draw(w.T, "nested"),
	}
	ctx, cancel := w.base, context.CancelFunc(func() {})
	c := &modelCall{key: key}
	switch {
	case w.base.Done() == nil:
	case rapid.Bool().Draw(w.T, "no deadline"):
		ctx, cancel = context.WithCancel(ctx)
	default:
		ctx, cancel = context.WithTimeout(ctx, rapid.SampledFrom([]time.Duration{patience, time.Second, time.Minute}).Draw(w.T, "timeout"))
		c.ends = true
	}
	c.cancel = cancel
	w.calls = append(w.calls, c)
	go func() {
		defer cancel()
		w.call(ctx, key, p, c, forced)
		w.mu.Lock()
		defer w.mu.Unlock()
		c.over = true
	}()
}

func (w *world) key(label string) string {
	return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(w.T, label)
}

func (w *world) Call(*rapid.T) { w.start(false) }

func (w *world) Call2(*rapid.T) { w.start(false); w.start(false) }

func (w *world) Force(*rapid.T) { w.start(true) }

func (w *world) Refresh(*rapid.T) {
	key := w.key("key")
	k := w.work(key, plan{obedient: w.base.Done() != nil, linger: time.Second}, false)
	if f := w.g.Refresh(context.Background(), key, flight.Check{}, k.flight); f != nil {
		stop := f.LeaveAfter(time.Second)
		go func() {
			defer stop()
			f.Go(context.Background(), k.do)
		}()
	}
}

func (w *world) Leave(*rapid.T) {
	if len(w.calls) > 0 {
		rapid.SampledFrom(w.calls).Draw(w.T, "call").cancel()
	}
}

func (w *world) Return(*rapid.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.works) > 0 {
		rapid.SampledFrom(w.works).Draw(w.T, "function").open()
	}
}

func (w *world) Forget(*rapid.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := w.key("key")
	w.versions[key]++
	delete(w.leases, key)
	w.g.Forget(key)
}

func (w *world) ForgetAll(*rapid.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range groupsOf {
		w.versions[key]++
	}
	clear(w.leases)
	w.g.ForgetAll()
}

func (w *world) Invalidate(*rapid.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	group := rapid.SampledFrom([]string{"one", "two"}).Draw(w.T, "group")
	w.versions["b"]++
	if group == "one" {
		w.versions["a"]++
	}
	w.g.Invalidate([]string{group})
}

func (w *world) Pass(*rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{time.Millisecond, patience, time.Second, lease}).Draw(w.T, "time"))
}
