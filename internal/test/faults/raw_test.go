//go:build linux

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A raw is gomemcache as it comes, with a count of its dials.
type raw struct {
	*memcache.Client
	dials atomic.Int64
}

func newRaw(t *testing.T, addrs ...string) *raw {
	r := &raw{Client: memcache.New(addrs...)}
	r.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		r.dials.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// gets gets n keys one after another and returns how many gets failed, and how many returned
// another item than was stored under the key, whose value is the key.
func (r *raw) gets(n int, key func(i int) string) (failed, foreign int) {
	for i := range n {
		item, err := r.Get(key(i))
		switch {
		case err != nil && !errors.Is(err, memcache.ErrCacheMiss):
			failed++
		case err == nil && (item.Key != key(i) || string(item.Value) != key(i)):
			foreign++
		}
	}
	return failed, foreign
}

// store stores each key as its own value.
func (r *raw) store(t *testing.T, n int, key func(i int) string) {
	t.Helper()
	for i := range n {
		if err := r.Set(&memcache.Item{Key: key(i), Value: []byte(key(i))}); err != nil {
			t.Fatal(err)
		}
	}
}

// A plain is a client of a server that works, to compare times with.
type plain struct{ *raw }

func newPlain(t *testing.T) plain {
	p := plain{newRaw(t, memcachedtest.Start(t).Addr())}
	p.store(t, 10, rawKey)
	return p
}

// get gets one of ten keys and returns how long that took.
func (p plain) get(t *testing.T, n int) time.Duration {
	t.Helper()
	start := time.Now()
	_, err := p.Get(rawKey(n))
	took := time.Since(start)
	if err != nil {
		t.Errorf("a plain Get: %v", err)
	}
	return took
}

// rawKey is one of ten keys.
func rawKey(i int) string { return fmt.Sprint("raw", i%10) }

// sockets returns how many sockets to addr are open or opening at one moment, as the kernel counts them. While it
// lists them some close and others open, so that one list may have both: those in two lists were all there between them.
func sockets(t *testing.T, addr string) int {
	first, both := listSockets(t, addr), 0
	for local := range listSockets(t, addr) {
		if first[local] {
			both++
		}
	}
	return both
}

// listSockets returns the local ends of the sockets to addr that the kernel lists, and that are open or opening.
func listSockets(t *testing.T, addr string) map[string]bool {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Error(err)
		return nil
	}
	_, port, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(port)
	remote := fmt.Sprintf("0100007F:%04X", number)
	local := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		const established, synSent, closeWait = "01", "02", "08"
		if f := strings.Fields(line); len(f) > 3 && f[2] == remote && (f[3] == established || f[3] == synSent || f[3] == closeWait) {
			local[f[1]] = true
		}
	}
	return local
}

// watchSockets counts the sockets to addr until the function it returns is called, which returns
// the largest number beyond those there were.
func watchSockets(t *testing.T, addr string) (most func() int) {
	before := sockets(t, addr)
	stop, result := make(chan struct{}), make(chan int)
	go func() {
		largest := 0
		for {
			largest = max(largest, sockets(t, addr)-before)
			select {
			case <-stop:
				result <- largest
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int {
		close(stop)
		return <-result
	}
}
