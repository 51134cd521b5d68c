package memcached

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cacheutils/cacheutils/backends/engine"
)

// A server with a value that is larger than max_item_size is there, and its other values are read.
func TestBreaker_ValueTooLarge(t *testing.T) {
	e, err := Open(engine.Settings{Options: map[string]any{"breaker_failures": 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := e.(*memcached).servers[0]
	s.via = func(context.Context, string, string) (net.Conn, error) {
		return &script{left: []byte("VALUE k 0 1500000 1\r\n")}, nil
	}
	for range 3 {
		if _, err := e.Get(context.Background(), "k"); err == nil || !strings.Contains(err.Error(), "max_item_size") {
			t.Errorf("get: %v", err)
		}
	}
	if d := s.describe(); d.Down || d.Errors["refused"] != 3 {
		t.Errorf("got %+v", d)
	}
}

// What this process lacks to connect says little about the server: it isn't down at once.
func TestBreaker_CannotDial(t *testing.T) {
	for _, test := range []struct {
		cause error
		down  bool
	}{{syscall.EMFILE, false}, {syscall.ENFILE, false}, {syscall.EADDRNOTAVAIL, false}, {syscall.ENOBUFS, false}, {syscall.ECONNREFUSED, true}} {
		e, err := Open(engine.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		s := e.(*memcached).servers[0]
		s.via = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", test.cause)}
		}
		if _, err := e.Get(context.Background(), "k"); !errors.Is(err, test.cause) {
			t.Errorf("get: %v, want %v", err, test.cause)
		}
		if d := s.describe(); d.Down != test.down {
			t.Errorf("%v: down: %v, want %v", test.cause, d.Down, test.down)
		}
		e.Close()
	}
}
