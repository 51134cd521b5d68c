package memcached

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// Whatever answers at a server's address, the error of every operation says what it seems to be, or what to do.
func TestExplain(t *testing.T) {
	says := func(text string) string { // at once
		return memcachedtest.Serve(t, func(nc net.Conn) { io.WriteString(nc, text); io.Copy(io.Discard, nc) })
	}
	answers := func(line string) string { // to each line
		return memcachedtest.Serve(t, func(nc net.Conn) {
			for lines := bufio.NewScanner(nc); lines.Scan(); {
				io.WriteString(nc, line)
			}
		})
	}
	closes := memcachedtest.Serve(t, func(nc net.Conn) { bufio.NewReader(nc).ReadString('\n') })
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	secureWeb := httptest.NewUnstartedServer(http.NotFoundHandler())
	secureWeb.Config.ErrorLog = log.New(io.Discard, "", 0)
	secureWeb.StartTLS()
	defer secureWeb.Close()
	tests := []struct {
		name, addr string
		tls        bool
		want       string
	}{
		{"HTTP", web.Listener.Addr().String(), false, "an HTTP server"},
		{"HTTPS", secureWeb.Listener.Addr().String(), false, "is it memcached, and without TLS?"},
		{"TLS alert", answers("\x15\x03\x01\x00\x02\x02\x0a"), false, "set the option tls"},
		{"SSH", says("SSH-2.0-OpenSSH_9.2p1\r\n"), false, "an SSH server"},
		{"Redis", answers("-ERR unknown command 'gets', with args beginning with: 'k' \r\n"), false, "a Redis server"},
		{"Redis with a password", answers("-NOAUTH Authentication required.\r\n"), false, "a Redis server"},
		{"SMTP", says("220 mail.example ESMTP\r\n"), false, "a mail or FTP server"},
		{"AMQP, which ends no line", says("AMQP\x00\x00\x09\x01"), false, "an AMQP server"},
		{"MySQL", says("J\x00\x00\x00\x0a8.0.32\x00"), false, `begins with "J\x00\x00\x00\n8.0.32\x00": is it memcached?`},
		{"PostgreSQL, which closes", closes, false, "closed the connection: is it memcached, and without TLS?"},
		{"a server that doesn't know gets", answers("ERROR\r\n"), false, "doesn't know the command"},
		{"too many connections", answers("ERROR Too many open connections\r\n"), false, "max_conns"},
		{"memcached -Y", answers("CLIENT_ERROR unauthenticated\r\n"), false, "-Y"},
		{"memcached -M, full", answers("SERVER_ERROR out of memory storing object\r\n"), false, "SERVER_ERROR out of memory"},
		{"TLS to memcached without", memcachedtest.Start(t).Addr(), true, "answers without TLS"},
		{"TLS to HTTP", web.Listener.Addr().String(), true, "answers without TLS"},
		{"TLS to what closes", closes, true, "does it use TLS?"},
	}
	if secure, _ := memcachedtest.StartTLS(t); secure != nil {
		tests = append(tests, tests[0])
		last := &tests[len(tests)-1]
		last.name, last.addr, last.want = "memcached with TLS", secure.Addr(), "is it memcached, and without TLS?"
	}
	ctx := context.Background()
	operations := map[string]func(m *memcached) error{
		"get":      func(m *memcached) error { _, err := m.Get(ctx, "k"); return err },
		"get many": func(m *memcached) error { _, err := m.GetMany(ctx, []string{"k", "l"}); return err },
		"add": func(m *memcached) error {
			_, err := m.Add(ctx, "k", engine.Item{Value: []byte("v")}, time.Minute)
			return err
		},
		"delete": func(m *memcached) error { _, err := m.Delete(ctx, "k"); return err },
		"ping":   func(m *memcached) error { return errors.Join(slices.Collect(maps.Values(m.Ping(ctx)))...) },
	}
	for _, test := range tests {
		for name, operate := range operations {
			options := map[string]any{"operation_timeout": "1s"}
			if test.tls {
				options["tls"] = &tls.Config{InsecureSkipVerify: true}
			}
			e, err := Open(engine.Settings{Location: []string{test.addr}, Options: options})
			if err != nil {
				t.Fatal(err)
			}
			err = operate(e.(*memcached))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.addr) {
				t.Errorf("%s, %s: got %v, want the address and %q", test.name, name, err, test.want)
			}
			e.Close()
		}
	}
}

// What the server states as an error is that for a multi-get, too, and doesn't make it count as down.
func TestBreaker_ErrorOfAMultiGet(t *testing.T) {
	m := scripted(t, func() []byte { return []byte("SERVER_ERROR out of memory\r\n") })
	m.locations[0].only[0].failures = 1
	for range 5 {
		if _, err := m.GetMany(context.Background(), []string{"k", "l"}); err == nil || !strings.Contains(err.Error(), "SERVER_ERROR out of memory") {
			t.Errorf("got %v", err)
		}
	}
	if d := m.Servers()[0]; d.Down || d.Errors["refused"] != 5 {
		t.Errorf("got %+v, want 5 refused", d)
	}
}
