//go:build !plan9

package memcached

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// A server with a value that is larger than max_item_size is there, and its other values are read.
func TestBreaker_ValueTooLarge(t *testing.T) {
	e, err := Open(engine.Settings{Options: map[string]any{"breaker_failures": 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := e.(*memcached).locations[0].only[0]
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
		s := e.(*memcached).locations[0].only[0]
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

// A fatal fault is told from those that are reported at the same time: the server is down at once,
// and isn't for the others.
func TestBreaker_HardAmongOthers(t *testing.T) {
	for range 200 {
		s := newServer(address{"tcp", "127.0.0.1:1"}, limits{failures: 1000, probe: time.Hour}, make(lifetime))
		report := func(fatal bool) {
			s.report(&fault{kind: connect, fatal: fatal, began: time.Now(), err: errors.New("it fails")})
		}
		for range 10 {
			report(false)
		}
		if s.describe().Down {
			t.Fatal("down after faults that are not fatal")
		}
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				for i := range 20 {
					report(g == 0 && i == 10)
				}
			})
		}
		all.Wait()
		if !s.describe().Down {
			t.Fatal("a fatal fault was lost among others")
		}
		s.unwatch()
	}
}

// An operation that has a connection to dial when the engine is closed doesn't, and one that dials
// then closes what it gets. Neither says anything about the server.
func TestClose_WhileItDials(t *testing.T) {
	for name, begun := range map[string]bool{"before it dials": false, "while it dials": true} {
		t.Run(name, func(t *testing.T) {
			e, err := Open(engine.Settings{Options: map[string]any{"breaker_failures": 1}})
			if err != nil {
				t.Fatal(err)
			}
			s := e.(*memcached).locations[0].only[0]
			wire := &script{left: []byte("VALUE k 0 1 1\r\nv\r\nEND\r\n")}
			s.via = func(context.Context, string, string) (net.Conn, error) {
				e.Close()
				return wire, nil
			}
			if begun {
				item, err := e.Get(context.Background(), "k")
				if string(item.Value) != "v" && !errors.Is(err, cacheutils.ErrClosed) {
					t.Errorf("get: %q, %v", item.Value, err)
				}
			} else {
				now := time.Now()
				c, _, err := s.take(context.Background(), now, now.Add(time.Hour))
				if err != nil {
					t.Fatal(err)
				}
				e.Close()
				err = c.run(context.Background(), get, now, now.Add(time.Hour), func(c *client) error { _, err := c.Get("k"); return err })
				if !errors.Is(err, cacheutils.ErrClosed) {
					t.Errorf("get: %v, want ErrClosed", err)
				}
				s.give(c)
			}
			e.(*memcached).Ping(context.Background())
			d := s.describe()
			if d.Open != 0 || len(s.idle) > 0 || len(d.Errors) > 0 || d.Down || len(s.slots) > 0 {
				t.Errorf("got %+v, %d connections in the pool and %d in use", d, len(s.idle), len(s.slots))
			}
			if begun != (d.Dials == 1) {
				t.Errorf("%d dials", d.Dials)
			}
		})
	}
}
