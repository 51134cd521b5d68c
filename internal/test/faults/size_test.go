//go:build linux

package faults_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Results too large for the server: 100 of 100 are returned as they are, the old value is gone, and
// at most one connection is opened.
func TestFault_LargeValues(t *testing.T) {
	proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	patient := map[string]any{"operation_timeout": "5s"} // a connection more for a timeout would count
	configure(t, patient, proxy.Addr())
	large := make([]byte, 2<<20)
	rand.Read(large) // nothing to compress
	var isLarge atomic.Bool
	call, h := decorators.Cached(func(context.Context) ([]byte, error) {
		if isLarge.Load() {
			return large, nil
		}
		return []byte("small"), nil
	}, decorators.Key(t.Name()))
	if got, err := call(ctx); string(got) != "small" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}

	isLarge.Store(true)
	before, right := proxy.Accepted(), 0
	if got, err := h.ForceRecalc(ctx); err == nil && len(got) == len(large) {
		right++
	}
	if got, err := h.RequireCache(ctx); !errors.Is(err, cacheutils.ErrNoCachedValue) {
		t.Errorf("the old value, of %d bytes, is still there: %v", len(got), err)
	}
	for range 99 {
		if got, err := call(ctx); err == nil && string(got) == string(large) {
			right++
		}
	}
	opened := proxy.Accepted() - before
	rawErrors, rawOpened := rawLarge(t, proxy, large)
	exactly(t, "large values: right results", 100, right, fmt.Sprint(100-rawErrors, " sets without an error"))
	atMost(t, "large values: connections opened", 1, opened, rawOpened)
}

// rawLarge sets the value 100 times and returns how many sets failed, and how many connections
// were opened.
func rawLarge(t *testing.T, proxy *faultproxy.Proxy, large []byte) (failed, opened int) {
	client := newRaw(t, proxy.Addr())
	before := proxy.Accepted()
	for range 100 {
		if client.Set(&memcache.Item{Key: "large", Value: large}) != nil {
			failed++
		}
	}
	return failed, proxy.Accepted() - before
}
