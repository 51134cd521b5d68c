//go:build linux

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A context that ends while the server doesn't answer: the call returns in at most 50 times what a
// plain Get takes, the connection is closed, and it is no fault of the server's.
func TestFault_Cancel(t *testing.T) {
	proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	c := configure(t, nil, proxy.Addr())
	f := decorate(t)
	f.warm(t, 10)
	client := newRaw(t, proxy.Addr())
	client.store(t, 10, rawKey)
	calls := map[string]func(ctx context.Context) error{
		"call":             func(ctx context.Context) error { _, err := f.call(ctx, 1); return err },
		"Get":              func(ctx context.Context) error { return c.Get(ctx, "k", new(string)) },
		"Set":              func(ctx context.Context) error { return c.Set(ctx, "k", "v") },
		"a call of groups": func(ctx context.Context) error { return c.GetMany(ctx, []string{"a", "b"}, map[string]string{}) },
	}
	p := newPlain(t)
	var worst, worstPlain time.Duration
	for name, call := range calls {
		for range 5 {
			proxy.Pass()
			if err := call(context.Background()); err != nil && !errors.Is(err, cacheutils.ErrCacheMiss) {
				t.Fatalf("%s, not cancelled: %v", name, err)
			}
			proxy.BlackHole()
			took, err := cancelled(call)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want context.Canceled", name, err)
			}
			worst, worstPlain = max(worst, took), max(worstPlain, p.get(t, 1))
			eventually(t, name+": the connection is closed", func() bool { return proxy.Open() <= 1 }) // the raw client's
		}
	}
	start := time.Now()
	client.gets(1, rawKey)
	ratio(t, "cancel: a call returns", 50, worst, worstPlain, shown(time.Since(start))+", its timeout")
	exactly(t, "cancel: trips of the server", 0, int(server(t, c, proxy.Addr()).Trips), notRun)
}

// An invalidation goes on when its caller is cancelled: it ends as the server says, or with its own timeout.
func TestFault_CancelledInvalidation(t *testing.T) {
	proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	c := configure(t, nil, proxy.Addr())
	if err := c.Set(context.Background(), "k", "old"); err != nil {
		t.Fatal(err)
	}
	invalidate := func(ctx context.Context) error {
		_, err := c.Delete(ctx, "k")
		return err
	}
	proxy.BlackHole()
	took, err := cancelled(invalidate)
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the server hangs: got %v, want its timeout", err)
	}
	within(t, "cancel: an invalidation returns", 300*time.Millisecond, took, notRun)
	proxy.Pass()
	eventually(t, "the server answers", func() bool { return c.Get(context.Background(), "k", new(string)) == nil })
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := invalidate(over); err != nil {
		t.Errorf("its context is over: got %v", err)
	}
	if err := c.Get(context.Background(), "k", new(string)); !errors.Is(err, cacheutils.ErrCacheMiss) {
		t.Errorf("after that: got %v, want ErrCacheMiss", err)
	}
}

// cancelled cancels call after 20 ms and returns for how long it went on.
func cancelled(call func(context.Context) error) (time.Duration, error) {
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- call(ctx) }()
	time.Sleep(20 * time.Millisecond)
	start := time.Now()
	cancel()
	err := <-result
	return time.Since(start), err
}

// Contexts that end at any time, with replies that are under way then: no reply is another
// operation's.
func TestFault_CancelMixesNothingUp(t *testing.T) {
	proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	c := configure(t, map[string]any{"max_conns": 4, "operation_timeout": "5s", "read_timeout": "5s"}, proxy.Addr())
	const keys = 32
	for k := range keys {
		if err := c.Set(ctx, fmt.Sprint("k", k), k); err != nil {
			t.Fatal(err)
		}
	}
	proxy.Latency(time.Millisecond)
	lasts := pick(time.Second, 10*time.Second)
	start, counts := time.Now(), make([]struct{ ended, right, wrong int }, keys)
	together(keys, func(k int) {
		for time.Since(start) < lasts {
			ctx, cancel := context.WithTimeout(context.Background(), rand.N(20*time.Millisecond))
			got := -1
			err := c.Get(ctx, fmt.Sprint("k", k), &got)
			cancel()
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				counts[k].ended++
			case err == nil && got == k:
				counts[k].right++
			default:
				t.Errorf("k%d: %d, %v", k, got, err)
				counts[k].wrong++
			}
		}
	})
	ended, right, wrong := 0, 0, 0
	for _, n := range counts {
		ended, right, wrong = ended+n.ended, right+n.right, wrong+n.wrong
	}
	exactly(t, fmt.Sprintf("cancel at any time: wrong of %d answers and %d cancellations", right, ended), 0, wrong, "has no contexts")
	if ended == 0 || right == 0 {
		t.Errorf("%d ended, %d right: not a test", ended, right)
	}
}
