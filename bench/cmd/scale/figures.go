package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/maypok86/otter/v2"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/bench/internal/measure"
	"github.com/cacheutils/cacheutils/decorators"
)

var ctx = context.Background()

type place struct {
	ID       int64
	Name     string
	Lat, Lon float64
}

func loadPlace(ctx context.Context, id int64, lang string) (place, error) {
	return place{ID: id, Name: lang, Lat: 41.9, Lon: 12.5}, nil
}

type load func(ctx context.Context, id int64, lang string) (place, error)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A subject is a line to be drawn, and what its points are measured with.
type subject struct {
	name  string
	bench func(b *testing.B)
}

// measureAll measures the subjects in turn and returns the median of each, in nanoseconds.
func (s *scale) measureAll(subjects []subject) []float64 {
	costs := make([][]measure.Cost, len(subjects))
	for range s.rounds {
		for i, subject := range subjects {
			costs[i] = append(costs[i], measure.Run(subject.bench))
		}
	}
	medians := make([]float64, len(subjects))
	for i := range costs {
		medians[i] = measure.Median(costs[i]).NS
	}
	return medians
}

// plotted are lines that grow by a point at a time.
type plotted struct {
	ticks []string
	lines []line
}

// add adds a point to each line; the first call names the lines.
func (p *plotted) add(tick string, names []string, values []float64) {
	if p.lines == nil {
		for _, name := range names {
			p.lines = append(p.lines, line{name: name})
		}
	}
	p.ticks = append(p.ticks, tick)
	for i, v := range values {
		p.lines[i].values = append(p.lines[i].values, v)
	}
}

func names(subjects []subject) []string {
	var all []string
	for _, s := range subjects {
		all = append(all, s.name)
	}
	return all
}

// byEntries is what a hit costs, and what an entry takes, with more and more entries.
func (s *scale) byEntries() (plot, error) {
	cached, handle := decorators.Cached2(loadPlace, decorators.Key("by-entries"))
	cache, err := otter.New(&otter.Options[string, place]{
		MaximumSize:      10 * s.entries,
		ExpiryCalculator: otter.ExpiryWriting[string, place](24 * time.Hour),
	})
	if err != nil {
		return plot{}, err
	}
	byHand := func(ctx context.Context, id int64, lang string) (place, error) {
		key := fmt.Sprintf("place:%d:%s", id, lang)
		if value, ok := cache.GetIfPresent(key); ok {
			return value, nil
		}
		value, err := loadPlace(ctx, id, lang)
		cache.Set(key, value)
		return value, err
	}
	anyOf := func(n int, f load) func(b *testing.B) {
		return func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				_, err := f(ctx, random.Int64N(int64(n)), "it")
				must(err)
			}
		}
	}

	var hits, memory plotted
	var ourBytes, otherBytes float64
	available := availableMemory()
	for have, n := 0, 1000; n <= s.entries; have, n = n, 10*n {
		if need := float64(n) * (ourBytes + otherBytes) / max(float64(have), 1); need > 0.6*available {
			break
		}
		ourBytes += grown(func() { fill(cached, have, n) })
		otherBytes += grown(func() { fill(byHand, have, n) })
		subjects := []subject{{"locmem", anyOf(n, cached)}, {"otter by hand", anyOf(n, byHand)}}
		before := handle.Stats().Computations
		hits.add(count(n), names(subjects), s.measureAll(subjects))
		if lost := handle.Stats().Computations - before; lost > 0 {
			return plot{}, fmt.Errorf("%d of %d entries were not there", lost, n)
		}
		memory.add(count(n), names(subjects), []float64{ourBytes / float64(n), otherBytes / float64(n)})
	}
	s.perEntry = memory
	c, err := backends.Get("default")
	if err == nil {
		err = c.Clear(ctx)
	}
	return plot{
		name: "entries", title: "Entries: time", x: "entries", y: "time per call", unit: nanoseconds,
		about: "A hit on a small struct in memory by one goroutine, with a key picked at random, compared with otter with a key by fmt.Sprintf.",
		ticks: hits.ticks, lines: hits.lines,
	}, err
}

// rawPlace is the size of a place. Its name is the same text for all.
const rawPlace = 8 + 16 + 16

// byGroups is what a hit costs with more and more groups for the entry.
func (s *scale) byGroups() (plot, error) {
	var p plotted
	for _, n := range []int{0, 1, 2, 4, 8, 16} {
		var groups []string
		for i := range n {
			groups = append(groups, fmt.Sprint("group-", i))
		}
		var opts []decorators.Option
		if n > 0 {
			opts = append(opts, decorators.Group(groups...))
		}
		cached, err := s.onBackends(fmt.Sprint("by-groups-", n), opts...)
		if err != nil {
			return plot{}, err
		}
		var subjects []subject
		for _, c := range cached {
			subjects = append(subjects, subject{c.name, hit(c.cached)})
		}
		if s.addr != "" {
			raw, err := s.rawGetMulti(n + 1)
			if err != nil {
				return plot{}, err
			}
			subjects = append(subjects, subject{"client's GetMulti", raw})
		}
		p.add(strconv.Itoa(n), names(subjects), s.measureAll(subjects))
	}
	return plot{
		name: "groups", title: "Groups", x: "groups of the entry", y: "time per call", unit: nanoseconds,
		about: "A hit by one goroutine on an entry in that many groups, and on memcached compared with the client's GetMulti of as many keys, which is one round trip too.",
		ticks: p.ticks, lines: p.lines,
	}, nil
}

// rawGetMulti reads n items as long as the key of a group.
func (s *scale) rawGetMulti(n int) (func(b *testing.B), error) {
	client := memcache.New(s.addr)
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint("raw-", n, "-", i))
		if err := client.Set(&memcache.Item{Key: keys[i], Value: make([]byte, 36)}); err != nil {
			return nil, err
		}
	}
	return func(b *testing.B) {
		for b.Loop() {
			_, err := client.GetMulti(keys)
			must(err)
		}
	}, nil
}

// A blob is a value of any size that a caller can change.
type blob struct{ Data []byte }

// randomBytes are what no compression makes smaller.
func randomBytes(size int) []byte {
	data := make([]byte, size)
	random := rand.New(rand.NewPCG(uint64(size), 1))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// sizes are 64 B to 1 MiB.
func sizes() (all []int) {
	for size := 64; size <= 1<<20; size *= 4 {
		all = append(all, size)
	}
	return all
}

func sizeName(size int) string {
	switch {
	case size >= 1<<20:
		return fmt.Sprint(size>>20, " MiB")
	case size >= 1<<10:
		return fmt.Sprint(size>>10, " KiB")
	}
	return fmt.Sprint(size, " B")
}

// bySize is what a hit costs with larger and larger values.
func (s *scale) bySize() (plot, error) {
	var p plotted
	for _, size := range sizes() {
		data := randomBytes(size)
		compute := func(context.Context, int64) (blob, error) { return blob{data}, nil }
		var subjects []subject
		add := func(title string, opts ...decorators.Option) error {
			opts = append(opts, decorators.Key(fmt.Sprint("by-size-", size, "-", len(subjects))))
			cached, handle := decorators.Cached1(compute, opts...)
			for range 2 {
				if _, err := cached(ctx, 1); err != nil {
					return err
				}
			}
			if n := handle.Stats().Computations; n != 1 {
				return fmt.Errorf("%s: %s is computed %d times", title, sizeName(size), n)
			}
			subjects = append(subjects, subject{title, func(b *testing.B) {
				for b.Loop() {
					_, err := cached(ctx, 1)
					must(err)
				}
			}})
			return nil
		}
		for _, backend := range s.backends() {
			if err := add(backend.title, decorators.Backend(backend.name)); err != nil {
				return plot{}, err
			}
		}
		if s.addr != "" {
			client := memcache.New(s.addr)
			key := fmt.Sprint("raw-size-", size)
			if err := client.Set(&memcache.Item{Key: key, Value: data}); err != nil {
				return plot{}, err
			}
			subjects = append(subjects, subject{"client's Get", func(b *testing.B) {
				for b.Loop() {
					_, err := client.Get(key)
					must(err)
				}
			}})
		}
		if err := add("locmem, Shared()", decorators.Shared()); err != nil {
			return plot{}, err
		}
		p.add(sizeName(size), names(subjects), s.measureAll(subjects))
	}
	return plot{
		name: "size", title: "Size of values: time", x: "size of the value", y: "time per call", unit: nanoseconds,
		about: "A hit by one goroutine on a struct with a []byte of that size, random so that it doesn't compress; each caller gets a copy, unless with Shared().",
		ticks: p.ticks, lines: p.lines,
	}, nil
}
