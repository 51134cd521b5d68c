//go:build !unix

package memcached

import "net"

// alive can't know this here without waiting; the first operation on a connection that has died finds out.
func alive(net.Conn) bool { return true }
