package memcached_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// script is a server that answers each line it reads with reply.
func script(t *testing.T, reply string) string {
	t.Helper()
	return memcachedtest.Serve(t, func(nc net.Conn) {
		for lines := bufio.NewScanner(nc); lines.Scan(); {
			io.WriteString(nc, reply)
		}
	})
}

// No reply makes an operation panic or return what was not requested.
func TestUnreadableReplies(t *testing.T) {
	replies := []string{
		"\n", "\r\n", "CLIENT_ERROR \n", "CLIENT_ERROR\r\n", "ERROR\r\n", "SERVER_ERROR out of memory\r\n", "9", "VALUE \r\n",
		"VALUE other 0 1 5\r\nx\r\nEND\r\n", "VALUE k 0 3 5\r\nxEND\r\n", "VALUE k 0 -1\r\n\r\nEND\r\n", "END\r\nEND", "99999999999999999999\r\n",
	}
	for _, reply := range replies {
		t.Run(fmt.Sprintf("%q", reply), func(t *testing.T) {
			e := open(t, map[string]any{"operation_timeout": "50ms", "breaker_failures": 1000}, script(t, reply))
			for range 2 {
				if item, err := e.Get(ctx, "k"); err == nil {
					t.Errorf("get: %q", item.Value)
				}
				if items, _ := e.GetMany(ctx, []string{"k", "l"}); len(items) > 0 {
					t.Errorf("get many: %v", items)
				}
				if n, err := e.Incr(ctx, "k", 1); err == nil {
					t.Errorf("incr: %d", n)
				}
				if err := e.Set(ctx, "k", text("v"), time.Minute); err == nil {
					t.Error("set succeeds")
				}
				e.Delete(ctx, "k")
				e.Clear(ctx, "")
			}
		})
	}
}

// A reply that arrives in drops takes the caller no longer than one that doesn't arrive.
func TestTrickle(t *testing.T) {
	addr := memcachedtest.Serve(t, func(nc net.Conn) {
		for err := error(nil); err == nil; time.Sleep(30 * time.Millisecond) {
			_, err = io.WriteString(nc, "VALUE k 0 1 5\r\nx\r\n")
		}
	})
	e := open(t, map[string]any{"operation_timeout": "100ms"}, addr)
	start := time.Now()
	_, err := e.Get(ctx, "k")
	if took := time.Since(start); err == nil || took > 300*time.Millisecond {
		t.Errorf("get: %v after %v", err, took)
	}
}

// A server, or something between, that answers twice gives no operation another one's value. A
// second answer that comes while the next operation is under way makes that one fail.
func TestAnswersTwice(t *testing.T) {
	for _, delay := range []time.Duration{0, 2 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			addr := memcachedtest.Serve(t, func(nc net.Conn) {
				for lines := bufio.NewScanner(nc); lines.Scan(); {
					key := strings.TrimPrefix(lines.Text(), "gets ")
					reply := fmt.Sprintf("VALUE %s 0 %d 1\r\n%s\r\nEND\r\n", key, len(key), key)
					if delay == 0 {
						io.WriteString(nc, reply+reply)
						continue
					}
					io.WriteString(nc, reply)
					time.Sleep(delay)
					io.WriteString(nc, reply)
				}
			})
			e := open(t, nil, addr)
			for i := range 50 {
				got, want := value(e, fmt.Sprint("k", i)), fmt.Sprint("k", i)
				if failed := strings.HasPrefix(got, "error: "); got != want && (!failed || delay == 0) {
					t.Fatalf("got %s, want %s", got, want)
				}
				time.Sleep(2 * delay)
			}
		})
	}
}
