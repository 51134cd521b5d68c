//go:build linux

package faultproxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// A port is an address of 127.0.0.1 that belongs to one proxy for good. A socket that is bound to it and
// doesn't listen keeps others from it while no listener is open, in which time a client that connects is
// refused; with SO_REUSEPORT the listeners share the address with that socket.
type port struct {
	addr string
	fd   int
}

const soReusePort = 0xf // what package syscall doesn't have

func reserve() (*port, error) {
	fd, err := bind(&syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err != nil {
		return nil, err
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("getsockname", err)
	}
	return &port{addr: fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port), fd: fd}, nil
}

func (p *port) release() { syscall.Close(p.fd) }

// bind returns a socket that is bound to an address which others may share.
func bind(to syscall.Sockaddr) (fd int, err error) {
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	if err = share(fd); err == nil {
		err = os.NewSyscallError("bind", syscall.Bind(fd, to))
	}
	if err != nil {
		syscall.Close(fd)
		return 0, err
	}
	return fd, nil
}

func share(fd int) error {
	for _, option := range []int{syscall.SO_REUSEADDR, soReusePort} {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, option, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// listen returns a listener at the port.
func (p *port) listen() (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if control := raw.Control(func(fd uintptr) { err = share(int(fd)) }); control != nil {
			return control
		}
		return err
	}}
	return config.Listen(context.Background(), "tcp", p.addr)
}

// A silence is a listener that no client gets through to: its queue of connections to accept, of the smallest
// length there is, is full of its own, so that Linux drops further SYNs.
type silence struct {
	fd     int
	queued []net.Conn
}

// silence returns one at the port.
func (p *port) silence() (*silence, error) {
	bound, err := syscall.Getsockname(p.fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	fd, err := bind(bound)
	if err != nil {
		return nil, err
	}
	s := &silence{fd: fd}
	if err := syscall.Listen(fd, 0); err != nil {
		s.Close()
		return nil, os.NewSyscallError("listen", err)
	}
	const most = 16 // Linux takes one more than the length of the queue, which is 0
	for range most {
		// On loopback a SYN that is answered is answered within microseconds.
		conn, err := net.DialTimeout("tcp", p.addr, 100*time.Millisecond)
		if err != nil {
			return s, nil
		}
		s.queued = append(s.queued, conn)
	}
	s.Close()
	return nil, fmt.Errorf("%d connections don't fill a queue of length 0", most)
}

// Close ends the silence.
func (s *silence) Close() error {
	for _, conn := range s.queued {
		conn.Close()
	}
	return syscall.Close(s.fd)
}
