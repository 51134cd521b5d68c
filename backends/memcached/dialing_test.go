package memcached

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// full is a connection with no room for anything after the first 4 KiB of a write, until its deadline.
type full struct {
	net.Conn
	full     bool
	deadline time.Time
}

func (f *full) Write(p []byte) (int, error) {
	if f.full = f.full || len(p) > 4096; f.full {
		time.Sleep(time.Until(f.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	return f.Conn.Write(p)
}

func (f *full) SetDeadline(t time.Time) error {
	f.deadline = t
	return f.Conn.SetDeadline(t)
}

func (f *full) SetWriteDeadline(t time.Time) error {
	f.deadline = t
	return f.Conn.SetWriteDeadline(t)
}

// Closing a TLS connection takes no time, though there is no room for what TLS says at the end.
func TestTLS_Full(t *testing.T) {
	peer := httptest.NewTLSServer(nil)
	defer peer.Close()
	e, err := Open(engine.Settings{Location: []string{peer.Listener.Addr().String()}, Options: map[string]any{
		"tls": &tls.Config{InsecureSkipVerify: true}, "operation_timeout": "200ms",
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.(*memcached).locations[0].only[0].via = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, address)
		return &full{Conn: nc}, err
	}
	start := time.Now()
	err = e.Set(context.Background(), "k", engine.Item{Value: make([]byte, 100<<10)}, time.Minute)
	if took := time.Since(start); err == nil || took > 2*time.Second {
		t.Errorf("set: %v after %v", err, took)
	}
}

// joined is a connection whose writes go out together, before the next read.
type joined struct {
	net.Conn
	out []byte
}

func (j *joined) Write(p []byte) (int, error) {
	j.out = append(j.out, p...)
	return len(p), nil
}

func (j *joined) Read(p []byte) (int, error) {
	if _, err := j.Conn.Write(j.out); err != nil {
		return 0, err
	}
	j.out = nil
	return j.Conn.Read(p)
}

// A second answer that comes with the first, but in a TLS record of its own, is none to the next operation.
func TestTLS_AnswersTwice(t *testing.T) {
	peer := httptest.NewTLSServer(nil)
	defer peer.Close()
	var version atomic.Int64
	addr := memcachedtest.Serve(t, func(nc net.Conn) {
		secure := tls.Server(&joined{Conn: nc}, peer.TLS)
		for lines := bufio.NewScanner(secure); lines.Scan(); {
			reply := fmt.Sprintf("VALUE k 0 1 1\r\n%d\r\nEND\r\n", version.Load())
			io.WriteString(secure, reply)
			io.WriteString(secure, reply)
		}
	})
	e, err := Open(engine.Settings{Location: []string{addr}, Options: map[string]any{
		"tls": &tls.Config{InsecureSkipVerify: true}, "operation_timeout": "5s",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for i := range 5 {
		version.Store(int64(i))
		if got, err := e.Get(context.Background(), "k"); err == nil && string(got.Value) != fmt.Sprint(i) {
			t.Errorf("got %q, want %d", got.Value, i)
		} else if err != nil {
			t.Error(err)
		}
		time.Sleep(2 * trustedIdle)
	}
}
