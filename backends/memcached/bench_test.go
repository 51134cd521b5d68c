package memcached_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils/internal/memcachedtest"
)

// The engine beside the client that it is made of.
func BenchmarkGet(b *testing.B) {
	server := memcachedtest.Start(b)
	e, raw := open(b, nil, server.Addr()), memcache.New(server.Addr())
	defer raw.Close()
	mustSet(b, e, "k", text("v"))
	b.Run("memcached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.Get(ctx, "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("memcached/cancellable", func(b *testing.B) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.Get(ctx, "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gomemcache", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := raw.Get("k"); err != nil {
				b.Fatal(err)
			}
		}
	})
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
