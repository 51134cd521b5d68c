package memcached

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/dnstest"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// plainConn is a connection that is nothing but a net.Conn, and can't be compared.
type plainConn struct {
	net.Conn
	_ []int
}

// A timeless is a connection without deadlines.
type timeless struct{ net.Conn }

func (timeless) SetDeadline(time.Time) error      { return errors.New("deadline not supported") }
func (timeless) SetReadDeadline(time.Time) error  { return errors.New("deadline not supported") }
func (timeless) SetWriteDeadline(time.Time) error { return errors.New("deadline not supported") }

// A namedDialer is a type of somebody's own.
type namedDialer func(context.Context, string, string) (net.Conn, error)

func openVia(t *testing.T, location string, options map[string]any) engine.Engine {
	t.Helper()
	e, err := Open(engine.Settings{Location: []string{location}, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// setAndGet stores a value of that size twice and gets it, over connections that are used again.
func setAndGet(t *testing.T, e engine.Engine, size int) {
	t.Helper()
	ctx := context.Background()
	want := strings.Repeat("x", size)
	for range 3 {
		if err := e.Set(ctx, "k", engine.Item{Value: []byte(want)}, time.Minute); err != nil {
			t.Fatal(err)
		}
		got, err := e.Get(ctx, "k")
		if err != nil || string(got.Value) != want {
			t.Fatalf("got %d bytes, %v, want %d", len(got.Value), err, size)
		}
		time.Sleep(2 * trustedIdle)
	}
}

// All that is sent goes over the connections that the dialer has made, which may be of any type.
func TestDialer(t *testing.T) {
	server := memcachedtest.Start(t)
	secure, ca := memcachedtest.StartTLS(t)
	kinds := map[string]func(net.Conn) net.Conn{
		"*net.TCPConn":      func(nc net.Conn) net.Conn { return nc },
		"net.Conn":          func(nc net.Conn) net.Conn { return plainConn{Conn: nc} },
		"without deadlines": func(nc net.Conn) net.Conn { return timeless{nc} },
	}
	for kind, wrap := range kinds {
		for _, tls := range []bool{false, true} {
			name, to, options := kind, server.Addr(), map[string]any{"no_delay": false}
			if tls {
				name, to, options = kind+" with TLS", secure.Addr(), map[string]any{"tls_ca": ca, "tls_server_name": "127.0.0.1"}
			}
			t.Run(name, func(t *testing.T) {
				var dialled atomic.Int64
				options["dialer"] = func(ctx context.Context, network, address string) (net.Conn, error) {
					dialled.Add(1)
					if network != "tcp" || address != "192.0.2.1:11211" {
						t.Errorf("asked for %s %s", network, address)
					}
					if _, ok := ctx.Deadline(); !ok {
						t.Error("the context has no deadline")
					}
					nc, err := new(net.Dialer).DialContext(ctx, "tcp", to)
					if err != nil {
						return nil, err
					}
					return wrap(nc), nil
				}
				setAndGet(t, openVia(t, "192.0.2.1", options), 100_000)
				if n := dialled.Load(); n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
			})
		}
	}
}

// A pipe in memory is a connection too.
func TestDialer_Pipe(t *testing.T) {
	e := openVia(t, "/anywhere.sock", map[string]any{"dialer": namedDialer(func(_ context.Context, network, address string) (net.Conn, error) {
		if network != "unix" || address != "/anywhere.sock" {
			t.Errorf("asked for %s %s", network, address)
		}
		near, far := net.Pipe()
		go func() {
			for lines := bufio.NewScanner(far); lines.Scan(); {
				io.WriteString(far, "VALUE k 0 1 7\r\nv\r\nEND\r\n")
			}
		}()
		return near, nil
	})})
	for range 3 {
		if got, err := e.Get(context.Background(), "k"); err != nil || string(got.Value) != "v" || got.CAS != 7 {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

// A pipe that was closed while nobody used it is dialled again.
func TestDialer_PipeClosed(t *testing.T) {
	dialled := 0
	e := openVia(t, "192.0.2.1", map[string]any{"dialer": func(context.Context, string, string) (net.Conn, error) {
		dialled++
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			bufio.NewReader(far).ReadString('\n')
			io.WriteString(far, "END\r\n")
		}()
		return near, nil
	}})
	for range 5 {
		if _, err := e.Get(context.Background(), "k"); err != cacheutils.ErrCacheMiss {
			t.Errorf("got %v, want a miss", err)
		}
	}
	if dialled != 5 {
		t.Errorf("%d connections, want 5", dialled)
	}
}

// What a dialer does wrong is an error of the operation.
func TestDialer_Wrong(t *testing.T) {
	for want, wrong := range map[string]dialer{
		"panicked: so it is": func(context.Context, string, string) (net.Conn, error) { panic("so it is") },
		"no connection":      func(context.Context, string, string) (net.Conn, error) { return nil, nil },
		"no connection, and": func(context.Context, string, string) (net.Conn, error) { return (*tls.Conn)(nil), nil },
		"no such tunnel":     func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no such tunnel") },
	} {
		e := openVia(t, "192.0.2.1", map[string]any{"dialer": wrong})
		if _, err := e.Get(context.Background(), "k"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestDialer_Options(t *testing.T) {
	for _, wrong := range []any{nil, "net.Dialer", 1, new(net.Dialer), net.Dial} {
		_, err := Open(engine.Settings{Options: map[string]any{"dialer": wrong}})
		if !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), "dialer is of type ") {
			t.Errorf("%T: got %v", wrong, err)
		}
	}
	addr := memcachedtest.Start(t).Addr()
	for _, none := range []any{dialer(nil), namedDialer(nil)} {
		setAndGet(t, openVia(t, addr, map[string]any{"dialer": none}), 1)
	}
}

// A server that says nothing keeps nobody, though its connection has no deadlines.
func TestBounded_Silent(t *testing.T) {
	closed := make(chan struct{})
	e := openVia(t, "192.0.2.1", map[string]any{"operation_timeout": "50ms", "dialer": func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			io.Copy(io.Discard, far)
			close(closed)
		}()
		return timeless{near}, nil
	}})
	_, err := e.Get(context.Background(), "k")
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a timeout", err)
	}
	<-closed
}

// A caller who leaves is not kept by a connection without deadlines.
func TestBounded_Cancelled(t *testing.T) {
	asked := make(chan struct{})
	e := openVia(t, "192.0.2.1", map[string]any{"operation_timeout": "1m", "dialer": func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			bufio.NewReader(far).ReadString('\n')
			close(asked)
		}()
		return timeless{near}, nil
	}})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := e.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// A name is resolved before a dialer is asked.
func TestDialer_Name(t *testing.T) {
	dnstest.Start(t).Answer("192.0.2.7")
	addr := memcachedtest.Start(t).Addr()
	asked := make(chan string, 10)
	setAndGet(t, openVia(t, hostName+":1234", map[string]any{"dialer": func(ctx context.Context, network, address string) (net.Conn, error) {
		asked <- address
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}), 1)
	if got := <-asked; got != "192.0.2.7:1234" {
		t.Errorf("asked for %s", got)
	}
}
