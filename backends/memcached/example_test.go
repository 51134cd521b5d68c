package memcached_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/cacheutils/cacheutils/backends/memcached"
	"github.com/cacheutils/cacheutils/engine"
)

func ExampleOpen() {
	e, err := memcached.Open(engine.Settings{
		Location: []string{"cache1.example.com", "cache2.example.com:11212"},
		Options:  map[string]any{"operation_timeout": 100 * time.Millisecond},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()

	ctx := context.Background()
	if err := e.Set(ctx, "city", engine.Item{Value: []byte("Roma")}, time.Hour); err != nil {
		fmt.Println(err) // cacheutils: set on memcached cache1.example.com:11211: ...
	}
}

// The servers are reached through a tunnel, here one that only counts.
func ExampleOpen_dialer() {
	dialled := 0
	through := func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled++ // an *ssh.Client has DialContext, with the same parameters
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	e, err := memcached.Open(engine.Settings{
		Location: []string{"10.0.0.1:11211"},
		Options:  map[string]any{"dialer": through},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	fmt.Println(dialled, "connections: they are made when they are needed")
	// Output: 0 connections: they are made when they are needed
}
