package memcached_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
)

// The engine compared with the client that it is made of, which is given as many idle connections.
func BenchmarkGet(b *testing.B) {
	server := memcachedtest.Start(b)
	e, raw := open(b, nil, server.Addr()), memcache.New(server.Addr())
	raw.MaxIdleConns = 64
	defer raw.Close()
	mustSet(b, e, "k", text("v"))
	cancellable, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, by := range []struct {
		name string
		get  func() error
	}{
		{"gomemcache", func() error { _, err := raw.Get("k"); return err }},
		{"memcached", func() error { _, err := e.Get(ctx, "k"); return err }},
		{"memcached/cancellable", func() error { _, err := e.Get(cancellable, "k"); return err }},
	} {
		b.Run("1/"+by.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := by.get(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("64/"+by.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(64 / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := by.get(); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkGetMany(b *testing.B) {
	server := memcachedtest.Start(b)
	e, raw := open(b, nil, server.Addr()), memcache.New(server.Addr())
	defer raw.Close()
	var keys []string
	for i := range 10 {
		keys = append(keys, fmt.Sprint("k", i))
		mustSet(b, e, keys[i], text("v"))
	}
	b.Run("memcached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := e.GetMany(ctx, keys); err != nil || len(got) != 10 {
				b.Fatal(got, err)
			}
		}
	})
	b.Run("gomemcache", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := raw.GetMulti(keys); err != nil || len(got) != 10 {
				b.Fatal(got, err)
			}
		}
	})
}
