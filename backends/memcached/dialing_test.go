package memcached

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/backends/engine"
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
	e.(*memcached).servers[0].via = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, address)
		return &full{Conn: nc}, err
	}
	start := time.Now()
	err = e.Set(context.Background(), "k", engine.Item{Value: make([]byte, 100<<10)}, time.Minute)
	if took := time.Since(start); err == nil || took > 2*time.Second {
		t.Errorf("set: %v after %v", err, took)
	}
}
