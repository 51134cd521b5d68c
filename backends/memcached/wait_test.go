package memcached_test

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// slow is a server that has nothing, and takes its time to say so.
func slow(t *testing.T, delay time.Duration) string {
	t.Helper()
	return memcachedtest.Serve(t, func(nc net.Conn) {
		for lines := bufio.NewScanner(nc); lines.Scan(); {
			time.Sleep(delay)
			io.WriteString(nc, "END\r\n")
		}
	})
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

// It is not a fault of the server that an operation gets a connection when its time is nearly over.
func TestWait_TooLongIsBusy(t *testing.T) {
	addr := slow(t, 250*time.Millisecond)
	e := open(t, map[string]any{"max_conns": 1, "operation_timeout": "300ms", "read_timeout": "300ms", "breaker_failures": 1}, addr)
	together(2, func(int) { e.Get(ctx, "k") })
	if s := describe(t, e, addr); s.Down || s.Errors["busy"] != 1 {
		t.Errorf("got %+v, want one busy and no fault of the server", s)
	}
}
