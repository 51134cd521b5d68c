//go:build linux

package faultproxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/faultproxy"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// A peer is a client that sees every byte.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func connect(t *testing.T, addr string) *peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{t, conn, bufio.NewReader(conn)}
}

// send sends one command.
func (p *peer) send(command string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, command+"\r\n"); err != nil {
		p.t.Fatal(err)
	}
}

// receive returns the bytes that come within that time, and the error that ends them.
func (p *peer) receive(within time.Duration) (string, error) {
	p.conn.SetReadDeadline(time.Now().Add(within))
	got, err := io.ReadAll(p.in)
	return string(got), err
}

const whole = "VALUE k 5 10\r\n0123456789\r\nEND\r\n"

// stored starts a server that has the value 0123456789 under k, and a proxy to it.
func stored(t *testing.T) (*memcachedtest.Server, *faultproxy.Proxy) {
	t.Helper()
	server := memcachedtest.Start(t)
	proxy := faultproxy.Start(t, server.Addr())
	store(t, server)
	return server, proxy
}

func store(t *testing.T, server *memcachedtest.Server) {
	t.Helper()
	p := connect(t, server.Addr())
	p.send("set k 5 0 10\r\n0123456789")
	if line, err := p.in.ReadString('\n'); line != "STORED\r\n" {
		t.Fatalf("set: %q, %v", line, err)
	}
}

// passes checks that the proxy does nothing.
func passes(t *testing.T, p *peer) {
	t.Helper()
	p.send("get k")
	p.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, len(whole))
	if n, err := io.ReadFull(p.in, got); string(got) != whole {
		t.Errorf("get: %q, %v", got[:n], err)
	}
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// What a client that asks for k gets, on a connection that there was before the fault and on a
// new one, and that both kinds work after it.
func TestReplies(t *testing.T) {
	_, proxy := stored(t)
	none := func(err error) bool { return err == nil }
	reset := func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
	for _, test := range []struct {
		name  string
		fault func()
		reply string
		ends  func(error) bool // nil error: FIN
	}{
		{"pass", proxy.Pass, whole, timedOut},
		{"black hole", proxy.BlackHole, "", timedOut},
		{"latency", func() { proxy.Latency(20 * time.Millisecond) }, whole, timedOut},
		{"much latency", func() { proxy.Latency(time.Minute) }, "", timedOut},
		{"drip", func() { proxy.Drip(time.Millisecond) }, whole, timedOut},
		{"slow drip", func() { proxy.Drip(time.Minute) }, "V", timedOut},
		{"FIN", func() { proxy.FIN(17) }, whole[:17], none},
		{"FIN after all", func() { proxy.FIN(1000) }, whole, none},
		{"reset", func() { proxy.Reset(17) }, whole[:17], reset},
		{"reset at once", func() { proxy.Reset(0) }, "", reset},
		{"cut", func() { proxy.Cut(4) }, "VALUE k 5 10\r\n012789\r\nEND\r\n", timedOut},
		{"cut all", func() { proxy.Cut(40) }, "VALUE k 5 10\r\n\r\nEND\r\n", timedOut},
		{"garbage", func() { proxy.Garbage([]byte("?\x00")) }, "?\x00", timedOut},
		{"twice", func() { proxy.Rewrite(func(r []byte) []byte { return append(r, r...) }) }, whole + whole, timedOut},
		{"nothing", func() { proxy.Rewrite(func([]byte) []byte { return nil }) }, "", timedOut},
	} {
		t.Run(test.name, func(t *testing.T) {
			proxy.Pass()
			old := connect(t, proxy.Addr())
			passes(t, old)
			test.fault()
			for when, p := range map[string]*peer{"old": old, "new": connect(t, proxy.Addr())} {
				p.send("get k")
				if got, err := p.receive(100 * time.Millisecond); got != test.reply || !test.ends(err) {
					t.Errorf("%s connection: %q, %v", when, got, err)
				}
			}
			proxy.Pass()
			passes(t, connect(t, proxy.Addr()))
		})
	}
}

// What was held back comes when the fault ends, and the connection goes on.
func TestSwitchWithinReply(t *testing.T) {
	_, proxy := stored(t)
	p := connect(t, proxy.Addr())
	for _, fault := range []func(){func() { proxy.Latency(time.Minute) }, func() { proxy.Drip(time.Minute) }} {
		fault()
		p.send("get k")
		time.Sleep(100 * time.Millisecond)
		proxy.Pass()
		if got, err := p.receive(300 * time.Millisecond); got != whole {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestRefuse(t *testing.T) {
	_, proxy := stored(t)
	old := connect(t, proxy.Addr())
	passes(t, old)
	for range 20 {
		proxy.Refuse()
		if conn, err := net.Dial("tcp", proxy.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial: %v, %v", conn, err)
		}
		proxy.Pass()
		connect(t, proxy.Addr()).send("get k")
	}
	if got, err := old.receive(time.Second); got != "" || timedOut(err) {
		t.Errorf("the old connection is open: %q, %v", got, err)
	}
}

func TestSYNBlackHole(t *testing.T) {
	_, proxy := stored(t)
	old := connect(t, proxy.Addr())
	passes(t, old)
	for range 3 {
		proxy.SYNBlackHole()
		for range 3 {
			start := time.Now()
			_, err := net.DialTimeout("tcp", proxy.Addr(), 50*time.Millisecond)
			if !timedOut(err) || time.Since(start) < 40*time.Millisecond {
				t.Errorf("dial: %v after %v", err, time.Since(start))
			}
		}
		old.send("get k")
		if got, err := old.receive(50 * time.Millisecond); got != "" || !timedOut(err) {
			t.Errorf("the old connection: %q, %v", got, err)
		}
		proxy.Pass()
		passes(t, connect(t, proxy.Addr()))
	}
	passes(t, old)
}

func TestCounts(t *testing.T) {
	_, proxy := stored(t)
	var peers []*peer
	for range 5 {
		peers = append(peers, connect(t, proxy.Addr()))
	}
	await(t, "5 open", func() bool { return proxy.Open() == 5 })
	peers[0].conn.Close()
	proxy.BlackHole() // a connection is seen to end then, too
	peers[1].conn.Close()
	await(t, "3 open", func() bool { return proxy.Open() == 3 })
	proxy.Refuse()
	await(t, "none open", func() bool { return proxy.Open() == 0 })
	proxy.Pass()
	passes(t, connect(t, proxy.Addr()))
	if proxy.Accepted() != 6 || proxy.Most() != 5 {
		t.Errorf("accepted %d, %d at once", proxy.Accepted(), proxy.Most())
	}
}

// Connections end with the server, and there are new ones when it is back.
func TestServerBehind(t *testing.T) {
	server, proxy := stored(t)
	old := connect(t, proxy.Addr())
	passes(t, old)
	server.Stop()
	for when, p := range map[string]*peer{"old": old, "new": connect(t, proxy.Addr())} {
		if got, err := p.receive(5 * time.Second); got != "" || timedOut(err) {
			t.Errorf("the %s connection is open: %q, %v", when, got, err)
		}
	}
	server.Restart()
	store(t, server)
	passes(t, connect(t, proxy.Addr()))
}

// A reply is one, however many packets it comes in, and however large it is.
func TestLargeReply(t *testing.T) {
	_, proxy := stored(t)
	var pieces []int
	proxy.Rewrite(func(reply []byte) []byte {
		pieces = append(pieces, len(reply))
		return reply
	})
	p := connect(t, proxy.Addr())
	p.send(fmt.Sprintf("set large 0 0 %d\r\n%s", 500_000, strings.Repeat("\r\nEND", 100_000)))
	p.send("get large k")
	p.send("stats")
	got, _ := p.receive(time.Second)
	if !strings.Contains(got, "\r\n"+whole+"STAT pid ") || !strings.HasSuffix(got, "END\r\n") {
		t.Errorf("got %d bytes", len(got))
	}
	if len(pieces) != 3 || pieces[1] != len("VALUE large 0 500000\r\n\r\n")+500_000+len(whole) {
		t.Errorf("replies of %v bytes", pieces)
	}
}

func TestNothingIsLeft(t *testing.T) {
	server := memcachedtest.Start(t)
	before := runtime.NumGoroutine()
	for range 3 {
		t.Run("use", func(t *testing.T) {
			proxy := faultproxy.Start(t, server.Addr())
			for _, fault := range []func(){proxy.Pass, proxy.BlackHole, func() { proxy.Drip(time.Minute) }, func() { proxy.Latency(time.Minute) }} {
				fault()
				connect(t, proxy.Addr()).send("version")
			}
			await(t, "the connections", func() bool { return proxy.Accepted() == 4 })
			proxy.SYNBlackHole()
		})
	}
	await(t, "the goroutines", func() bool { return runtime.NumGoroutine() <= before })
	await(t, "the server's connections", func() bool {
		now := server.Stats(t)["curr_connections"]
		return now == "2" || now == "1" // its own, and ours
	})
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 5 s", what)
		}
	}
}
