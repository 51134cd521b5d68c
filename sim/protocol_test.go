package sim

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// The simulated memcached answers as memcached does, byte for byte.
func TestProtocol(t *testing.T) {
	real, err := net.Dial("tcp", memcachedtest.Start(t).Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	in := bufio.NewReader(real)
	s := newServer("s0")
	for _, command := range []string{
		"get a", "gets a b", "set a 5 0 3\r\nabc", "gets a", "add a 0 0 1\r\nx", "add b 0 0 0\r\n", "gets b a c b",
		"cas a 0 0 1 999\r\nx", "cas nothing 0 0 1 1\r\nx", "cas a 7 100 1 1\r\ny", "gets a",
		"set n 2 0 2\r\n10", "incr n 5", "decr n 7", "decr n 9", "gets n", "incr n 0", "incr a 1", "incr nothing 1", "decr nothing 1",
		"incr n 18446744073709551615", "incr n 1", "gets n", "touch n 100", "touch nothing 1",
		"set gone 0 -1 1\r\nx", "get gone", "touch n -1", "get n", "set later 0 2000000000 1\r\nx", "get later",
		"delete b", "delete b", "get b", "flush_all", "get a", "set a 0 0 1\r\nz", "gets a", "unheard of",
	} {
		if _, err := io.WriteString(real, command+"\r\n"); err != nil {
			t.Fatal(err)
		}
		want := ""
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if want += line; !strings.HasPrefix(command, "get") || line == "END\r\n" {
				break
			}
		}
		c, err := (&session{in: bufio.NewReader(strings.NewReader(command + "\r\n"))}).read()
		if err != nil {
			t.Fatalf("%q: %v", command, err)
		}
		if got := s.carryOut(c); got != want {
			t.Errorf("%q: got %q, want %q", command, got, want)
		}
	}
}

// An item ends when the clock has ticked as often as it was told.
func TestProtocol_Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(700 * time.Millisecond)
		s := newServer("s0")
		s.carryOut(&command{verb: "set", keys: []string{"k"}, numbers: []uint64{0, 0, 1}, ends: 2, data: []byte("x")})
		for _, want := range []string{"VALUE k 0 1 1\r\nx\r\nEND\r\n", "END\r\n"} {
			time.Sleep(time.Second)
			if got := s.carryOut(&command{verb: "gets", keys: []string{"k"}}); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			time.Sleep(300 * time.Millisecond)
		}
	})
}

// All that the engine sends was sent in some histories, and each way in which it can go wrong.
func TestNetwork(t *testing.T) {
	r := runAll(t, 1, 250, "memcached")
	for _, verb := range []string{"dial", "gets", "set", "add", "cas", "delete", "flush_all", "version"} {
		if r.Met["event "+verb] == 0 {
			t.Errorf("there was no %s: not a test", verb)
		}
	}
	for _, fate := range append([]string{"no-memory"}, allFates...) {
		if r.Met[fate] == 0 {
			t.Errorf("there was no %s: not a test", fate)
		}
	}
}
