//go:build linux

package faults_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
)

// names is a name server. It knows no name until resolve, and then has 127.0.0.1 for every name.
type names struct{ known atomic.Bool }

func (n *names) resolve() { n.known.Store(true) }

// serveNames makes this process ask a name server of its own until the test ends.
func serveNames(t *testing.T) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{}
	go n.serve(conn)
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		conn.Close()
	})
	return n
}

func (n *names) serve(conn net.PacketConn) {
	query := make([]byte, 512)
	for {
		size, from, err := conn.ReadFrom(query)
		if err != nil {
			return
		}
		conn.WriteTo(n.answer(query[:size]), from)
	}
}

// answer follows RFC 1035: a header of 12 bytes, the question as it was asked, the answer.
func (n *names) answer(query []byte) []byte {
	end := 12
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 1 + 4 // the root, the type and the class
	if end > len(query) {
		return nil
	}
	reply := append([]byte(nil), query[:end]...)
	reply[2], reply[3] = 0x81, 0x80 // a response
	copy(reply[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	isA := query[end-3] == 1
	switch {
	case !n.known.Load():
		reply[3] |= 3 // no such name
	case isA:
		reply[7] = 1
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return reply
}
