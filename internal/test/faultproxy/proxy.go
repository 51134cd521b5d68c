//go:build linux

// Package faultproxy puts a network that fails between a client and a memcached server, for
// tests.
//
//	proxy := faultproxy.Start(t, server.Addr())
//	client := memcache.New(proxy.Addr())
//	proxy.BlackHole() // from now on nothing is answered
//	proxy.Pass()      // from now on everything is
//
// One fault holds at a time: each method that names one ends the one before. It holds at once,
// on the connections there are as well as on new ones, and until the next is named. The
// faults of replies take one reply of memcached's text protocol at a time, so that they don't
// depend on how the bytes were split on their way.
//
// The server may be stopped and started again behind the proxy: its connections then end for the
// client too, and new ones end as soon as they have been accepted.
package faultproxy

import (
	"net"
	"sync"
	"testing"
)

// A Proxy listens on a port of 127.0.0.1 until the test ends. Its methods may be called by many
// goroutines at once; those that switch the fault are the test's own.
type Proxy struct {
	tb      testing.TB
	server  string
	port    *port
	running sync.WaitGroup

	mu       sync.Mutex
	fault    fault
	switched chan struct{} // closed when fault is replaced
	door     door
	links    map[*link]struct{}
	accepted int
	most     int
}

// Start starts a proxy to the server at that address, host:port, which passes everything on. When
// the test ends it closes every connection and returns when no goroutine is left.
func Start(tb testing.TB, server string) *Proxy {
	tb.Helper()
	port, err := reserve()
	if err != nil {
		tb.Fatalf("faultproxy: reserve a port: %v", err)
	}
	p := &Proxy{
		tb: tb, server: server, port: port,
		switched: make(chan struct{}), links: map[*link]struct{}{},
	}
	tb.Cleanup(p.stop)
	p.Pass()
	return p
}

// Addr returns the address to dial, host:port. It stays the same whatever the fault.
func (p *Proxy) Addr() string { return p.port.addr }

// Accepted returns how many connections were accepted so far.
func (p *Proxy) Accepted() int { return p.count(func() int { return p.accepted }) }

// Open returns how many connections are open now: accepted, and closed by neither side.
func (p *Proxy) Open() int { return p.count(func() int { return len(p.links) }) }

// Most returns how many connections were open at once, at most.
func (p *Proxy) Most() int { return p.count(func() int { return p.most }) }

func (p *Proxy) count(n func() int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return n()
}

// set makes f the fault that holds.
func (p *Proxy) set(f fault) {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.switched)
	p.fault, p.switched = f, make(chan struct{})
	if f.refuses {
		p.hangUp()
	}
	if err := p.openDoor(f); err != nil {
		p.tb.Errorf("faultproxy: listen on %s: %v", p.port.addr, err)
	}
}

// current returns the fault that holds, and a channel that is closed when it no longer does.
func (p *Proxy) current() (fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.switched
}

// accept serves the connections of one listener.
func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.fault.refuses { // since this connection came
			p.mu.Unlock()
			client.Close()
			continue
		}
		l := newLink(p, client.(*net.TCPConn))
		p.accepted++
		p.links[l] = struct{}{}
		p.most = max(p.most, len(p.links))
		p.mu.Unlock()
		p.running.Go(l.run)
	}
}

// leave forgets a link that has ended.
func (p *Proxy) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// hangUp closes the connections there are; p.mu is held.
func (p *Proxy) hangUp() {
	for l := range p.links {
		l.close()
	}
}

func (p *Proxy) stop() {
	p.mu.Lock()
	p.door.close()
	p.hangUp()
	p.mu.Unlock()
	p.running.Wait()
	p.port.release()
}
