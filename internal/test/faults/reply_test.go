//go:build linux

package faults_test

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Replies that are cut off, damaged, another key's or doubled: no error and no wrong result is
// seen, and when the replies are whole again there is a hit within 2 s.
func TestFault_Replies(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(*faultproxy.Proxy)
	}{
		{"reset at once", func(p *faultproxy.Proxy) { p.Reset(0) }},
		{"reset within the line", func(p *faultproxy.Proxy) { p.Reset(8) }},
		{"reset within the value", func(p *faultproxy.Proxy) { p.Reset(60) }},
		{"FIN at once", func(p *faultproxy.Proxy) { p.FIN(0) }},
		{"FIN within the value", func(p *faultproxy.Proxy) { p.FIN(60) }},
		{"value with bytes missing", func(p *faultproxy.Proxy) { p.Cut(5) }},
		{"empty line", func(p *faultproxy.Proxy) { p.Garbage([]byte("\n")) }},
		{"client error", func(p *faultproxy.Proxy) { p.Garbage([]byte("CLIENT_ERROR \r\n")) }},
		{"noise", func(p *faultproxy.Proxy) { p.Garbage([]byte("\x00\xff\x80 what\r\nEND\r\n")) }},
		{"another key's", func(p *faultproxy.Proxy) { p.Rewrite(previous()) }},
		{"unknown key's", func(p *faultproxy.Proxy) {
			p.Rewrite(func(reply []byte) []byte { return bytes.Replace(reply, []byte("VALUE "), []byte("VALUE x"), 1) })
		}},
		{"doubled", func(p *faultproxy.Proxy) { p.Rewrite(func(reply []byte) []byte { return append(reply, reply...) }) }},
		{"no end", func(p *faultproxy.Proxy) {
			p.Rewrite(func(reply []byte) []byte { return bytes.TrimSuffix(reply, []byte("END\r\n")) })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
			configure(t, map[string]any{"probe_interval": pick("100ms", "500ms")}, proxy.Addr())
			f, g := decorate(t), decorate(t, decorators.Group("one", "two"), decorators.Key(t.Name()+"g"))
			f.warm(t, 10)
			g.warm(t, 10)
			client := newRaw(t, proxy.Addr())
			client.store(t, 10, rawKey)

			test.fault(proxy)
			for i := range 100 {
				f.get(i % 10)
				g.get(i % 10)
			}
			rawGets := pick(3, 10)
			rawFailed, rawForeign := client.gets(rawGets, rawKey)
			proxy.Pass()
			back := eventually(t, "a hit", func() bool {
				before := f.runs.Load() + g.runs.Load()
				f.get(1)
				g.get(1)
				return f.runs.Load()+g.runs.Load() == before
			})
			for i := range 100 {
				f.get(i % 10)
				g.get(i % 10)
			}
			rawAfterFailed, rawAfterForeign := client.gets(rawGets, rawKey)
			what := "reply " + test.name
			if test.name != "doubled" { // what is too much ends a connection and nothing more
				f.met(t, what)
				g.met(t, what+", with groups")
			}
			f.right(t, what, fmt.Sprintf("of %d: %d errors, %d wrong; as many after it: %d errors, %d wrong",
				rawGets, rawFailed, rawForeign, rawAfterFailed, rawAfterForeign))
			g.right(t, what+", with groups", notRun)
			strictly(t, what+": first hit after it", 2*time.Second, back, notRun)
		})
	}
}

// previous returns a function that gives each request the reply to the one before.
func previous() func(reply []byte) []byte {
	var mu sync.Mutex
	last := []byte("END\r\n")
	return func(reply []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		reply, last = last, reply
		return reply
	}
}

// A value that is announced with 1.5 GB makes room for at most twice max_item_size, 1 MiB.
func TestFault_ClaimedSize(t *testing.T) {
	const maxItemSize = 1 << 20
	proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	c := configure(t, nil, proxy.Addr())
	f := decorate(t)
	f.warm(t, 1)
	client := newRaw(t, proxy.Addr())
	client.store(t, 1, rawKey)
	proxy.Rewrite(func(reply []byte) []byte {
		line, rest, _ := bytes.Cut(reply, []byte("\r\n"))
		if fields := bytes.Fields(line); len(fields) > 3 && string(fields[0]) == "VALUE" {
			fields[3] = []byte("1500000000")
			line = bytes.Join(fields, []byte(" "))
		}
		return append(append(line, "\r\n"...), rest...)
	})
	took := allocated(func() { f.get(0) })
	rawTook := notRun // in the normal form: the race detector allocates more than that
	if longForm() {
		rawTook = fmt.Sprint(allocated(func() { client.gets(1, rawKey) }))
	}
	atMost(t, "claim of 1.5 GB: bytes allocated", 2*maxItemSize, took, rawTook)
	f.right(t, "claim of 1.5 GB", notRun)
	if err := c.Get(ctx, "k", new(string)); err == nil {
		t.Error("a Get succeeds")
	}
}

func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// A reply that comes one byte at a time: a Get, and a decorated call with 50 groups, whose reply
// has 51 values, return within 1.2 times the budget of an operation.
func TestFault_Drip(t *testing.T) {
	const budget = 250 * time.Millisecond
	proxy := faultproxy.Start(t, memcachedtest.Start(t).Addr())
	c := configure(t, nil, proxy.Addr())
	var groups, rawKeys []string
	for i := range 50 {
		groups = append(groups, fmt.Sprint("group", i))
		rawKeys = append(rawKeys, rawKey(i))
	}
	f := decorate(t, decorators.Group(groups...))
	f.warm(t, 1)
	if err := c.Set(ctx, "k", "a value that takes its time", backends.Timeout(time.Minute)); err != nil {
		t.Fatal(err)
	}
	client := newRaw(t, proxy.Addr())
	client.store(t, 10, rawKey)

	proxy.Drip(10 * time.Millisecond)
	took := f.get(0)
	start := time.Now()
	err := c.Get(ctx, "k", new(string))
	getTook := time.Since(start)
	if !longForm() {
		proxy.Drip(2 * time.Millisecond)
	}
	start = time.Now()
	_, rawErr := client.GetMulti(rawKeys)
	rawTook := time.Since(start)
	if err == nil {
		t.Error("a Get succeeds")
	}
	f.right(t, "drip", notRun)
	within(t, "drip: a call with 50 groups", budget*12/10, took, fmt.Sprintf("%s for 10 keys, error %v", shown(rawTook), rawErr))
	within(t, "drip: a Get", budget*12/10, getTook, notRun)
}
