package bench_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

type city struct {
	ID       int64
	Name     string
	Lat, Lon float64
}

func loadCity(ctx context.Context, id int64, lang string) (city, error) {
	return city{ID: id, Name: lang, Lat: 41.9, Lon: 12.5}, nil
}

// A hit on memcached compared with its parts, and with what people write by hand, in one run.
func BenchmarkMemcachedHit(b *testing.B) {
	server := cachetest.Memcached(b)
	ctx := context.Background()
	raw := memcache.New(server.Addr())
	defer raw.Close()
	value, err := json.Marshal(city{ID: 42, Name: "it", Lat: 41.9, Lon: 12.5})
	if err != nil {
		b.Fatal(err)
	}
	if err := raw.Set(&memcache.Item{Key: "city:42:it", Value: value}); err != nil {
		b.Fatal(err)
	}
	b.Run("raw Get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := raw.Get("city:42:it"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("raw Get and JSON", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			it, err := raw.Get("city:42:it")
			if err != nil {
				b.Fatal(err)
			}
			var c city
			if err := json.Unmarshal(it.Value, &c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Cache.Get", func(b *testing.B) {
		c, err := backends.Get("default")
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Set(ctx, "city", city{ID: 42}); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			var got city
			if err := c.Get(ctx, "city", &got); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Cached", func(b *testing.B) {
		Load, load := decorators.Cached(loadCity)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Load(ctx, 42, "it"); err != nil {
				b.Fatal(err)
			}
		}
		if n := load.Stats().Computations; n != 1 {
			b.Fatalf("%d computations", n)
		}
	})
}
