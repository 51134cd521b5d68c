package memcached

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// What was stored before it is known that nothing can be swapped is removed, also where a removal fails or takes long.
// Who finds out waits for no more than an operation of it.
func TestNoCAS_RemovesWhatWasStored(t *testing.T) {
	t.Run("one removal fails", func(t *testing.T) { testRemovals(t, true) })
	t.Run("all are slow", func(t *testing.T) { testRemovals(t, false) })
}

// testRemovals is for a server that, if so, closes the connection instead of the first removal.
func testRemovals(t *testing.T, fails bool) {
	const keys, takes, operation = 60, 20 * time.Millisecond, 200 * time.Millisecond
	var mu sync.Mutex
	stored := map[string]bool{}
	reply := func(line string) (text string, closes bool) {
		words := strings.Fields(line)
		mu.Lock()
		defer mu.Unlock()
		switch words[0] {
		case "set", "add":
			stored[words[1]] = true
			return "STORED\r\n", false
		case "gets":
			return fmt.Sprintf("VALUE %s 0 1 0\r\nv\r\nEND\r\n", words[1]), false
		case "delete":
			if fails {
				fails = false
				return "", true
			}
			mu.Unlock()
			time.Sleep(takes)
			mu.Lock()
			delete(stored, words[1])
			return "DELETED\r\n", false
		default:
			return "VERSION 1\r\n", false
		}
	}
	addr := memcachedtest.Serve(t, func(nc net.Conn) {
		for r := bufio.NewReader(nc); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if words := strings.Fields(line); words[0] == "set" || words[0] == "add" {
				r.ReadString('\n') // the value
			}
			text, closes := reply(line)
			if closes {
				return
			}
			io.WriteString(nc, text)
		}
	})
	e, err := Open(engine.Settings{Location: []string{addr}, Options: map[string]any{"operation_timeout": operation.String(), "probe_interval": "10ms"}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx := context.Background()
	for i := range keys {
		if err := e.Set(ctx, fmt.Sprint("k", i), engine.Item{Value: []byte("v")}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if _, err := e.Get(ctx, "k1"); err == nil {
		t.Error("got a value that can't be swapped")
	}
	if took := time.Since(began); took > 3*operation {
		t.Errorf("who finds out has waited for %v, with an operation_timeout of %v", took, operation)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		left := len(stored)
		if stored[probed] {
			left--
		}
		mu.Unlock()
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d keys are still there", left, keys)
		}
	}
}
