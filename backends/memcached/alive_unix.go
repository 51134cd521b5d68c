//go:build unix

package memcached

import (
	"net"
	"syscall"
)

// alive reports whether an idle connection can still be used: the server has neither closed it nor sent what
// was not requested. It doesn't wait and costs one system call. Of what isn't a socket, which a dialer may return, nothing is known.
func alive(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	idle := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		for {
			_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if err != syscall.EINTR {
				// Anything but "nothing there yet" is an end, a fault or an extra reply.
				idle = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.ENOTSOCK
				return
			}
		}
	})
	return err == nil && idle
}
