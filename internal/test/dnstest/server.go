// Package dnstest answers the DNS lookups of a test.
//
//	names := dnstest.Start(t)
//	names.Answer("127.0.0.1", "127.0.0.2")
//
// Every name has the addresses that were given last, each time in another order.
package dnstest

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// A Server is a name server. At the beginning it knows no name. Its methods may be called at any time.
type Server struct {
	conn    net.PacketConn
	queries atomic.Int64

	mu    sync.Mutex
	ips   []netip.Addr
	rcode byte
	hangs bool
}

// Start makes net.DefaultResolver ask a new server until the test ends. Nothing else may look up names meanwhile.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := New()
	if err != nil {
		tb.Fatalf("dnstest: %v", err)
	}
	old := net.DefaultResolver
	net.DefaultResolver = s.Resolver()
	tb.Cleanup(func() {
		net.DefaultResolver = old
		s.conn.Close()
	})
	return s
}

// New starts a server that runs as long as the process.
func New() (*Server, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{conn: conn, rcode: noSuchName}
	go s.serve()
	return s, nil
}

// Resolver returns a resolver that asks the server.
func (s *Server) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return net.DialUDP("udp", nil, s.conn.LocalAddr().(*net.UDPAddr)) // which doesn't read net.DefaultResolver
	}}
}

// Answer gives every name these addresses. One of them may come several times.
func (s *Server) Answer(ips ...string) {
	all := make([]netip.Addr, len(ips))
	for i, ip := range ips {
		all[i] = netip.MustParseAddr(ip)
	}
	s.set(all, 0, false)
}

// Forget makes every name unknown.
func (s *Server) Forget() { s.set(nil, noSuchName, false) }

// Fail makes the server say that it failed.
func (s *Server) Fail() { s.set(nil, serverFailure, false) }

// Hang makes the server silent.
func (s *Server) Hang() { s.set(nil, 0, true) }

func (s *Server) set(ips []netip.Addr, rcode byte, hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ips, s.rcode, s.hangs = ips, rcode, hangs
}

// Queries returns how many queries have come.
func (s *Server) Queries() int { return int(s.queries.Load()) }

// The results and record types of RFC 1035 and RFC 3596 that are used here.
const (
	serverFailure = 2
	noSuchName    = 3

	typeA    = 1
	typeAAAA = 28
)

func (s *Server) serve() {
	query := make([]byte, 512)
	for {
		size, from, err := s.conn.ReadFrom(query)
		if err != nil {
			return
		}
		s.queries.Add(1)
		if reply := s.reply(query[:size]); reply != nil {
			s.conn.WriteTo(reply, from)
		}
	}
}

// reply follows RFC 1035: a header of 12 bytes, the question as it was asked, the answers. It is nil where there is to be
// none.
func (s *Server) reply(query []byte) []byte {
	end := 12
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 1 + 4 // the root, the type and the class
	if end > len(query) {
		return nil
	}
	s.mu.Lock()
	ips, rcode, hangs := slices.Clone(s.ips), s.rcode, s.hangs
	s.mu.Unlock()
	if hangs {
		return nil
	}
	reply := slices.Clone(query[:end])
	reply[2], reply[3] = 0x81, 0x80|rcode // a response
	copy(reply[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	asked := binary.BigEndian.Uint16(query[end-4:])
	rand.Shuffle(len(ips), func(i, j int) { ips[i], ips[j] = ips[j], ips[i] })
	for _, ip := range ips {
		kind := uint16(typeAAAA)
		if ip.Is4() {
			kind = typeA
		}
		if kind != asked {
			continue
		}
		reply[7]++
		reply = append(reply, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(ip.BitLen()/8))
		reply = append(reply, ip.AsSlice()...)
	}
	return reply
}
