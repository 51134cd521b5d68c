package memcached

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cacheutils/cacheutils/backends/engine"
)

func TestReply(t *testing.T) {
	tests := []struct {
		name, text string
		want       reply
		err        string
	}{
		{name: "one line", text: "STORED\r\n", want: reply{ended: true}},
		{name: "half a line", text: "VALUE k 0 3", want: reply{}},
		{name: "nothing found", text: "END\r\n", want: reply{ended: true}},
		{name: "half a value", text: "VALUE k 0 10 5\r\nEND\r\n", want: reply{value: 7}},
		{name: "a value", text: "VALUE k 0 5 5\r\nEND\r\n\r\nEND\r\n", want: reply{ended: true}},
		{name: "values", text: "VALUE k 0 0\r\n\r\nVALUE l 0 1\r\nx\r\nEND\r\n", want: reply{ended: true}},
		{name: "two replies", text: "STORED\r\nSTORED\r\n", want: reply{ended: true, stray: true}},
		{name: "too large", text: "VALUE k 0 1500000000\r\n", err: "max_item_size"},
		{name: "no size", text: "VALUE k 0\r\n", err: "unreadable"},
		{name: "no number", text: "VALUE k 0 -5\r\n", err: "unreadable"},
	}
	for _, test := range tests {
		for _, step := range []int{1, 3, len(test.text)} {
			t.Run(fmt.Sprint(test.name, "/", step), func(t *testing.T) {
				var got reply
				var err error
				for text := test.text; len(text) > 0 && err == nil; text = text[min(step, len(text)):] {
					err = got.read([]byte(text[:min(step, len(text))]), 1000)
				}
				if test.err != "" {
					if err == nil || !strings.Contains(err.Error(), test.err) {
						t.Errorf("got %v, want %q", err, test.err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(reply{}), cmpopts.IgnoreFields(reply{}, "line")); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// scripted is an engine whose server answers with what next returns, and closes the connection.
func scripted(t *testing.T, next func() string) engine.Engine {
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
			nc.Read(make([]byte, 4096))
			io.WriteString(nc, next())
			nc.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, nc)
			nc.Close()
		}
	}()
	e, err := Open(engine.Settings{Location: []string{l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// Replies made of the protocol's pieces at random never panic, and no value comes out that
// was not one of the asked key.
func TestRandomReplies(t *testing.T) {
	pieces := []string{
		"VALUE ", "k", "other", " ", "0", "1", "5", "99999999999999999999", "\r\n", "\n", "\r", "good", "bad", "END", "STORED", "EXISTS",
		"NOT_FOUND", "CLIENT_ERROR ", "SERVER_ERROR ", "VALUE k 0 4 1\r\ngood\r\n", "VALUE other 0 3 1\r\nbad\r\n", "END\r\n", "\x00", "-",
	}
	random := rand.New(rand.NewPCG(1, 2))
	e := scripted(t, func() string {
		var text strings.Builder
		for range 1 + random.IntN(6) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		return text.String()
	})
	ctx := context.Background()
	for range 3000 {
		if item, err := e.Get(ctx, "k"); err == nil && strings.Contains(string(item.Value), "bad") {
			t.Fatalf("get: %q", item.Value)
		}
		items, _ := e.GetMany(ctx, []string{"k", "l"})
		for key, item := range items {
			if key != "k" && key != "l" || strings.Contains(string(item.Value), "bad") {
				t.Fatalf("get many: %q: %q", key, item.Value)
			}
		}
		e.Incr(ctx, "k", 1)
		e.Add(ctx, "k", engine.Item{}, time.Minute)
		e.Delete(ctx, "k")
	}
}

func TestHugeClaim(t *testing.T) {
	e := scripted(t, func() string { return "VALUE k 0 1500000000 1\r\n" })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := e.Get(context.Background(), "k"); err == nil || !strings.Contains(err.Error(), "max_item_size") {
		t.Errorf("get: %v", err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
		t.Errorf("allocates %d bytes", n)
	}
}
