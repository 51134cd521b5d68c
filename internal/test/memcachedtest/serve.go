package memcachedtest

import (
	"net"
	"testing"
)

// Serve starts a server that is not memcached, for what memcached can't be made to do: it talks to each client
// as talk does, and then closes the connection. It returns the address, and accepts no connection any more once
// the test is over.
func Serve(tb testing.TB, talk func(net.Conn)) (addr string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				talk(nc)
			}()
		}
	}()
	return l.Addr().String()
}
