package memcached_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// steady is a server that has a value of that size under each key, and takes that long for each and for the end of a
// reply.
func steady(t *testing.T, size int, each, end time.Duration) string {
	t.Helper()
	data := strings.Repeat("x", size)
	return memcachedtest.Serve(t, func(nc net.Conn) {
		var err error
		lines := bufio.NewReaderSize(nc, 1<<20)
		for err == nil {
			var line string
			if line, err = lines.ReadString('\n'); err != nil {
				return
			}
			out := bufio.NewWriterSize(nc, 1<<20)
			for _, key := range strings.Fields(line)[1:] {
				if each > 0 {
					out.Flush()
					time.Sleep(each)
				}
				fmt.Fprintf(out, "VALUE %s 0 %d 7\r\n%s\r\n", key, size, data)
			}
			err = out.Flush()
			time.Sleep(end)
			if err == nil {
				_, err = io.WriteString(nc, "END\r\n")
			}
		}
	})
}

// An operation ends after four times its timeout, however many bytes arrive, and what has arrived is used.
func TestEnd_OfAllBytes(t *testing.T) {
	const operation = 500 * time.Millisecond
	for name, c := range map[string]struct {
		addr string
		keys int
	}{
		"one large value after the other": {steady(t, 256<<10, 100*time.Millisecond, 0), 100},
		"thousands of keys":               {steady(t, 1, 0, 80*time.Millisecond), 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := open(t, map[string]any{"operation_timeout": operation, "read_timeout": operation}, c.addr)
			keys := make([]string, c.keys)
			for i := range keys {
				keys[i] = fmt.Sprint("k", i)
			}
			got := 0
			began := time.Now()
			err := e.(engine.EachGetter).GetEach(ctx, keys, func(i int, item engine.Item) {
				if i != got || strings.Trim(string(item.Value), "x") != "" {
					t.Errorf("value %d is for key %d: %.10q", got, i, item.Value)
				}
				got++
			})
			took := time.Since(began)
			if err == nil || took > 5*time.Second {
				t.Errorf("it took %v, %v, want an error after %v or so", took, err, 4*operation)
			}
			if got == 0 || got == c.keys {
				t.Errorf("%d values have come of %d", got, c.keys)
			}
		})
	}
}

// One that gets on is not ended by its timeout alone.
func TestEnd_NotSooner(t *testing.T) {
	e := open(t, map[string]any{"operation_timeout": 500 * time.Millisecond}, steady(t, 256<<10, 150*time.Millisecond, 0))
	items, err := e.GetMany(ctx, []string{"a", "b", "c", "d", "e", "f"})
	if len(items) != 6 || err != nil {
		t.Errorf("%d values, %v, want 6", len(items), err)
	}
}
