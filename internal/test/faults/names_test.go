//go:build linux

package faults_test

import (
	"context"
	"net"
	"sync/atomic"
)

// names is a name server. While it is resolving it has 127.0.0.1 for every name, otherwise it knows none.
type names struct{ resolving atomic.Bool }

// serveNames makes this process ask a name server of its own from now on.
func serveNames() *names {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	n := &names{}
	go n.serve(conn)
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
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
	case !n.resolving.Load():
		reply[3] |= 3 // no such name
	case isA:
		reply[7] = 1
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return reply
}
