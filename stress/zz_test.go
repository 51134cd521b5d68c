//go:build unix

package stress_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/memcachedtest"
)

func TestZZ(t *testing.T) {
	for range 5 {
		j := job{Backend: "memcached", Groups: true, Operations: 150000, Clients: 6, Location: memcachedtest.Start(t).Addr(), SocketTimeout: "10s"}
		s := start(t, 4, j).wait(t, nil)
		n := 0
		for _, r := range s.history {
			if r.Took > int64(300*time.Millisecond) && n < 12 {
				n++
				fmt.Printf("%v %+v ticks %d\n", time.Duration(r.Took), r, r.Return-r.Call)
			}
		}
		fmt.Println("--", s.took)
	}
}
