package memcached_test

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"
)

// slow is a server that has nothing, and takes its time to say so.
func slow(t *testing.T, delay time.Duration) string {
	t.Helper()
	return serve(t, func(nc net.Conn) {
		for lines := bufio.NewScanner(nc); lines.Scan(); {
			time.Sleep(delay)
			io.WriteString(nc, "END\r\n")
		}
	})
}

// serve is a server that talks to each client as talk does, and then closes the connection.
func serve(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
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

// Time spent waiting for a connection isn't the server's silence.
func TestWait_ThenWholeReadTimeout(t *testing.T) {
	e := open(t, map[string]any{"max_conns": 1, "operation_timeout": "5s", "read_timeout": "300ms"}, slow(t, 100*time.Millisecond))
	together(6, func(int) {
		if got := value(e, "k"); got != miss {
			t.Errorf("get: %s", got)
		}
	})
}

// Who gets a connection when the time is nearly over can't blame the server.
func TestWait_TooLongIsBusy(t *testing.T) {
	addr := slow(t, 250*time.Millisecond)
	e := open(t, map[string]any{"max_conns": 1, "operation_timeout": "300ms", "read_timeout": "300ms", "breaker_failures": 1}, addr)
	together(2, func(int) { e.Get(ctx, "k") })
	if s := describe(t, e, addr); s.Down || s.Errors["busy"] != 1 {
		t.Errorf("got %+v, want one busy and no fault of the server", s)
	}
}
