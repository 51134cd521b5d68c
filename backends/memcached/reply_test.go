package memcached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cacheutils/cacheutils/engine"
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
		{name: "more values than requested", text: strings.Repeat("VALUE k 0 1\r\nx\r\n", 3), err: "more values"},
		{name: "two replies", text: "STORED\r\nSTORED\r\n", want: reply{ended: true, extra: true}},
		{name: "too large", text: "VALUE k 0 1500000000\r\n", err: "max_item_size"},
		{name: "no size", text: "VALUE k 0\r\n", err: "unreadable"},
		{name: "no number", text: "VALUE k 0 -5\r\n", err: "unreadable"},
	}
	for _, test := range tests {
		for _, step := range []int{1, 3, len(test.text)} {
			t.Run(fmt.Sprint(test.name, "/", step), func(t *testing.T) {
				got := reply{values: 2}
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
				if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(reply{}), cmpopts.IgnoreFields(reply{}, "line", "values", "take", "taken", "memory")); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// Values that are taken out of a reply are whole, whatever pieces it arrives in, and nothing but END is a reply's end.
func TestReply_Take(t *testing.T) {
	type value struct {
		Key, Value string
		Flags      uint32
		CAS        uint64
	}
	long := strings.Repeat("x", 900)
	tests := []struct {
		name, text string
		want       []value
		extra      bool
		err        string
	}{
		{name: "nothing found", text: "END\r\n"},
		{name: "values", text: "VALUE k 7 5 18446744073709551615\r\nEND\r\n\r\nVALUE l 4294967295 0 2\r\n\r\nEND\r\n",
			want: []value{{"k", "END\r\n", 7, math.MaxUint64}, {"l", "", math.MaxUint32, 2}}},
		{name: "without cas", text: "VALUE k 0 1\r\nx\r\nEND\r\n", want: []value{{"k", "x", 0, 0}}},
		{name: "small and large", text: "VALUE k 0 1 1\r\nx\r\nVALUE l 0 900 1\r\n" + long + "\r\nEND\r\n", want: []value{{"k", "x", 0, 1}, {"l", long, 0, 1}}},
		{name: "two replies", text: "END\r\nEND\r\n", extra: true},
		{name: "one value, and no end", text: "VALUE k 0 1 1\r\nx\r\nSERVER_ERROR out of memory\r\n", want: []value{{"k", "x", 0, 1}}, err: `"SERVER_ERROR out of memory`},
		{name: "half an end", text: "END\n", err: "unreadable"},
		{name: "a value that is too long", text: "VALUE k 0 1 1\r\nxyEND\r\n", err: "unreadable"},
		{name: "a value that is too short", text: "VALUE k 0 3 1\r\nx\r\nEND\r\n", err: "unreadable"},
		{name: "more values than requested", text: strings.Repeat("VALUE k 0 1\r\nx\r\n", 3), want: []value{{"k", "x", 0, 0}, {"k", "x", 0, 0}}, err: "more values"},
		{name: "too large", text: "VALUE k 0 1500000000 1\r\n", err: "max_item_size"},
		{name: "no size", text: "VALUE k 0\r\n", err: "unreadable"},
		{name: "no number", text: "VALUE k 0 -5 1\r\n", err: "unreadable"},
		{name: "no flags", text: "VALUE k x 5 1\r\n", err: "unreadable"},
		{name: "flags of 33 bits", text: "VALUE k 4294967296 5 1\r\n", err: "unreadable"},
		{name: "no cas", text: "VALUE k 0 5 x\r\n", err: "unreadable"},
		{name: "a line without end", text: strings.Repeat("x", 2000), err: "unreadable"},
	}
	for _, test := range tests {
		for _, step := range []int{1, 3, len(test.text)} {
			t.Run(fmt.Sprint(test.name, "/", step), func(t *testing.T) {
				var got []value
				r := reply{values: 2, last: "END\r", take: func(v taken) error {
					got = append(got, value{string(v.key), string(v.value), v.flags, v.cas})
					return nil
				}}
				var err error
				for text := test.text; len(text) > 0 && err == nil; text = text[min(step, len(text)):] {
					err = r.read([]byte(text[:min(step, len(text))]), 1000)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("values (-want +got):\n%s", diff)
				}
				if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
					t.Errorf("got error %v, want %q", err, test.err)
				}
				if err == nil && (!r.ended || r.extra != test.extra) {
					t.Errorf("ended: %t, extra: %t, want true, %t", r.ended, r.extra, test.extra)
				}
			})
		}
	}
}

// The values of one reply share memory, and no byte.
func TestReply_TakeApart(t *testing.T) {
	var got [][]byte
	r := reply{values: 50, take: func(v taken) error {
		got = append(got, v.value)
		return nil
	}}
	for i := range 50 {
		size := i * i % 700
		if err := r.read(fmt.Appendf(nil, "VALUE k 0 %d 1\r\n%s\r\n", size, strings.Repeat(string(rune('0'+i)), size)), 1000); err != nil {
			t.Fatal(err)
		}
	}
	for i := range got {
		_ = append(got[i], strings.Repeat("!", 800)...)
		if want := strings.Repeat(string(rune('0'+i)), i*i%700); string(got[i]) != want {
			t.Errorf("value %d: %q, want %q", i, got[i], want)
		}
	}
}

// A script is a connection whose server answers every request with the same bytes, and then
// closes it. What is written to it is dropped.
type script struct {
	net.Conn // nil: the client calls nothing but what is below
	left     []byte
}

func (s *script) Write(p []byte) (int, error)   { return len(p), nil }
func (s *script) Close() error                  { return nil }
func (s *script) SetDeadline(_ time.Time) error { return nil }

func (s *script) Read(p []byte) (int, error) {
	if len(s.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

// scripted is an engine on one server, each of whose connections is a script of what next returns.
func scripted(tb testing.TB, next func() []byte) *memcached {
	tb.Helper()
	e, err := Open(engine.Settings{Options: map[string]any{"clear": "flush_all", "breaker_failures": math.MaxInt}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	m := e.(*memcached)
	m.locations[0].only[0].via = func(context.Context, string, string) (net.Conn, error) { return &script{left: next()}, nil }
	return m
}

// tryAll runs every command on a server that answers it with reply. No reply may make the client panic, or come
// out as a value that it doesn't have for the requested key.
func tryAll(tb testing.TB, m *memcached, reply string) {
	tb.Helper()
	ctx := context.Background()
	genuine := func(key string, value []byte) bool {
		return strings.Contains(reply, fmt.Sprintf("VALUE %s ", key)) && strings.Contains(reply, string(value)+"\r\n")
	}
	if item, err := m.Get(ctx, "k"); err == nil && !genuine("k", item.Value) {
		tb.Fatalf("get: %q, from %q", item.Value, reply)
	}
	items, _ := m.GetMany(ctx, []string{"k", "l"})
	for key, item := range items {
		if key != "k" && key != "l" || !genuine(key, item.Value) {
			tb.Fatalf("get many: %q: %q, from %q", key, item.Value, reply)
		}
	}
	item := engine.Item{Value: []byte("v"), CAS: 1}
	if err := m.Set(ctx, "k", item, time.Minute); err == nil && !strings.HasPrefix(reply, "STORED\r\n") {
		tb.Fatalf("set succeeds with %q", reply)
	}
	if ok, _ := m.Add(ctx, "k", item, time.Minute); ok && !strings.HasPrefix(reply, "STORED\r\n") {
		tb.Fatalf("add succeeds with %q", reply)
	}
	if ok, _ := m.CompareAndSwap(ctx, "k", item, time.Minute); ok && !strings.HasPrefix(reply, "STORED\r\n") {
		tb.Fatalf("compare-and-swap succeeds with %q", reply)
	}
	if ok, _ := m.Delete(ctx, "k"); ok && !strings.HasPrefix(reply, "DELETED\r\n") {
		tb.Fatalf("delete succeeds with %q", reply)
	}
	if n, err := m.Incr(ctx, "k", 1); err == nil && !strings.HasPrefix(reply, fmt.Sprint(n)) && !strings.HasPrefix(strings.TrimLeft(reply, "0"), fmt.Sprint(n)) {
		tb.Fatalf("incr: %d, from %q", n, reply)
	}
	m.Incr(ctx, "k", -1)
	if err := m.Clear(ctx, ""); err == nil && !strings.HasPrefix(reply, "OK\r\n") {
		tb.Fatalf("clear succeeds with %q", reply)
	}
	if err := m.Ping(ctx)[m.locations[0].only[0].address.String()]; err == nil && !strings.HasPrefix(reply, "VERSION") {
		tb.Fatalf("ping succeeds with %q", reply)
	}
}

// commands is how many replies tryAll gives.
const commands = 11

func FuzzReply(f *testing.F) {
	for _, reply := range []string{
		"", "\n", "CLIENT_ERROR \n", "END\r\n", "STORED\r\n", "VALUE k 0 1 5\r\nx\r\nEND\r\n", "VALUE other 0 1 5\r\nx\r\nEND\r\n",
		"VALUE k 0 1500000000 1\r\n", "VALUE k 0 5 1\r\nx\r\nEND\r\n", "VALUE k 0 1 5\r\nx\r\nVALUE l 0 1 5\r\ny\r\nEND\r\nEND\r\n", "12\r\n", "VERSION 1\r\n",
	} {
		f.Add(reply)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		tryAll(t, scripted(t, func() []byte { return []byte(reply) }), reply)
	})
}

// At least 1,000,000 replies made of the protocol's pieces, over every command, in the long form
// (CACHEUTILS_LONG=1), 20,000 otherwise: no panic, no foreign or short value, and no more
// memory than the pieces have, though some claim a value of 1.5 GB.
func TestFault_RandomReplies(t *testing.T) {
	pieces := []string{
		"VALUE ", "k", "l", "other", " ", "0", "1", "5", "99999999999999999999", "\r\n", "\n", "\r", "good", "bad", "END", "STORED", "EXISTS", "OK\r\n",
		"NOT_FOUND", "CLIENT_ERROR ", "SERVER_ERROR ", "VALUE k 0 4 1\r\ngood\r\n", "VALUE other 0 3 1\r\nbad\r\n", "END\r\n", "\x00", "-",
		"VALUE k 0 1500000000 1\r\n", "VALUE k 0 1048577 1\r\n", "STORED\r\n", "TOUCHED\r\n", "DELETED\r\n", "VALUE l 0 1 1\r\nx\r\n",
	}
	replies := 20_000
	if os.Getenv("CACHEUTILS_LONG") != "" {
		replies = 1_000_000
	}
	random := rand.New(rand.NewPCG(1, 2))
	var reply string
	m := scripted(t, func() []byte { return []byte(reply) })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	for ; n < replies; n += commands {
		var text strings.Builder
		for range 1 + random.IntN(6) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		reply = text.String()
		tryAll(t, m, reply)
	}
	runtime.ReadMemStats(&after)
	each := (after.TotalAlloc - before.TotalAlloc) / uint64(n)
	t.Logf("%d replies: 0 panics, 0 foreign or short values, %d bytes allocated for each", n, each)
	if each > 2*defaultMaxItemSize {
		t.Errorf("%d bytes are allocated for each reply, more than twice the largest item", each)
	}
}

// What a multi-get takes out of a reply is what gomemcache reads from it, but for replies that are refused.
func TestGetEach_ReadsAsTheClientDoes(t *testing.T) {
	pieces := []string{
		"VALUE k 0 4 1\r\ngood\r\n", "VALUE l 7 1 18446744073709551615\r\nx\r\n", "VALUE k 0 0 1\r\n\r\n", "VALUE l 1 2\r\n\r\n\r\n", "END\r\n", "END\r\n",
		"VALUE  k 0 1 1\r\nx\r\n", "VALUE k 0 1  1\r\nx\r\n", "VALUE k 0 1 1 1\r\nx\r\n", "VALUE k 0 01 1\r\nx\r\n", "VALUE k +0 1 1\r\nx\r\n", "VALUE k 0 1 \r\nx\r\n", "\r\n", "x", " ", "1",
	}
	random := rand.New(rand.NewPCG(1, 2))
	keys := []string{"k", "l"}
	accepted := 0
	for range 20_000 {
		var text strings.Builder
		for range 1 + random.IntN(4) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		text.WriteString("END\r\n")
		connect := func() []byte { return []byte(text.String()) }
		got := map[string]engine.Item{}
		if err := scripted(t, connect).GetEach(context.Background(), keys, func(i int, it engine.Item) { got[keys[i]] = it }); err != nil {
			continue
		}
		accepted++
		client := memcache.New("127.0.0.1:1")
		client.DialContext = func(context.Context, string, string) (net.Conn, error) { return &script{left: connect()}, nil }
		items, err := client.GetMulti(keys)
		want := map[string]engine.Item{}
		for key, it := range items {
			want[key] = item(it.Value, it.Flags, it.CasID)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%q: error %v (-client +taken):\n%s", text.String(), err, diff)
		}
	}
	if accepted < 1000 {
		t.Errorf("only %d replies are accepted", accepted)
	}
}

// A reply in another order than that of the keys, as from a proxy, has all of them.
func TestGetEach_AnyOrder(t *testing.T) {
	keys := []string{"a", "b", "c", "d", "e"}
	e := scripted(t, func() []byte {
		return []byte("VALUE d 0 1 1\r\nd\r\nVALUE b 0 1 1\r\nb\r\nVALUE e 0 1 1\r\ne\r\nVALUE a 0 1 1\r\na\r\nEND\r\n")
	})
	got := map[int]string{}
	err := e.GetEach(context.Background(), keys, func(i int, item engine.Item) { got[i] = string(item.Value) })
	if diff := cmp.Diff(map[int]string{0: "a", 1: "b", 3: "d", 4: "e"}, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

// A key that is given twice is requested twice, and one that wasn't requested is an error.
func TestGetEach_Keys(t *testing.T) {
	e := scripted(t, func() []byte { return []byte("VALUE a 0 1 1\r\nx\r\nVALUE a 0 1 1\r\nx\r\nEND\r\n") })
	got := map[int]string{}
	each := func(i int, item engine.Item) { got[i] = string(item.Value) }
	err := e.GetEach(context.Background(), []string{"a", "b", "a"}, each)
	if diff := cmp.Diff(map[int]string{0: "x", 2: "x"}, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	clear(got)
	if err := e.GetEach(context.Background(), []string{"b", "c"}, each); !errors.Is(err, errForeign) || len(got) > 0 {
		t.Errorf("got %v and %v, want that a was not requested", got, err)
	}
}

func TestHugeClaim(t *testing.T) {
	e := scripted(t, func() []byte { return []byte("VALUE k 0 1500000000 1\r\n") })
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
