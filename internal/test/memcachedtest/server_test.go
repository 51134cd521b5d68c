package memcachedtest_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// answers reports whether the server answers a command within that time.
func answers(network, addr string, within time.Duration) bool {
	nc, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return false
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(within))
	fmt.Fprint(nc, "version\r\n")
	reply := make([]byte, 64)
	n, _ := nc.Read(reply)
	return strings.HasPrefix(string(reply[:n]), "VERSION ")
}

func TestServer(t *testing.T) {
	for network, start := range map[string]func(testing.TB, ...string) *memcachedtest.Server{
		"tcp": memcachedtest.Start, "unix": memcachedtest.StartUnix,
	} {
		t.Run(network, func(t *testing.T) {
			s := start(t, "-m", "8")
			addr := s.Addr()
			if !answers(network, addr, 10*time.Second) {
				t.Fatal("no answer")
			}
			pid := s.Stats(t)["pid"]
			if got := s.Stats(t)["limit_maxbytes"]; got != "8388608" {
				t.Errorf("limit_maxbytes is %q", got)
			}
			s.Pause()
			if answers(network, addr, 100*time.Millisecond) {
				t.Error("it answers while it is paused")
			}
			s.Resume()
			if !answers(network, addr, 10*time.Second) {
				t.Error("no answer after Resume")
			}
			s.Flush(t)
			s.Stop()
			s.Stop()
			if answers(network, addr, 100*time.Millisecond) {
				t.Error("it answers while it is stopped")
			}
			s.Restart()
			if !answers(network, addr, 10*time.Second) || s.Addr() != addr || s.Stats(t)["pid"] == pid {
				t.Error("no new server after Restart")
			}
			s.Pause() // a paused server can be stopped as well
		})
	}
}
