package main

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/cacheutils/cacheutils/decorators"
)

// onBackends returns the function cached on each backend that there is.
func (s *scale) onBackends(name string, opts ...decorators.Option) (all []subjectLoad, err error) {
	for _, backend := range s.backends() {
		with := append([]decorators.Option{decorators.Key(name), decorators.Backend(backend.name)}, opts...)
		cached, handle := decorators.Cached2(loadPlace, with...)
		if _, err := cached(ctx, 1, "it"); err != nil {
			return nil, err
		}
		all = append(all, subjectLoad{backend.title, cached, func() uint64 { return uint64(handle.Stats().Computations) }})
	}
	return all, nil
}

// A subjectLoad is a cached function and how often it has been computed.
type subjectLoad struct {
	name     string
	cached   load
	computed func() uint64
}

type backend struct{ name, title string }

func (s *scale) backends() []backend {
	all := []backend{{"default", "locmem"}}
	if s.addr != "" {
		all = append(all, backend{"memcached", "memcached"})
	}
	return all
}

func hit(f load) func(b *testing.B) {
	return func(b *testing.B) {
		for b.Loop() {
			_, err := f(ctx, 1, "it")
			must(err)
		}
	}
}

// together is a hit by that many goroutines; at least by GOMAXPROCS, if it is more than one.
func together(f load, goroutines int) func(b *testing.B) {
	if goroutines == 1 {
		return hit(f)
	}
	return func(b *testing.B) {
		b.SetParallelism((goroutines + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, err := f(ctx, 1, "it")
				must(err)
			}
		})
	}
}

// byGoroutines is what a hit on one key costs with more and more goroutines.
func (s *scale) byGoroutines() (plot, error) {
	cached, err := s.onBackends("by-goroutines")
	if err != nil {
		return plot{}, err
	}
	var p plotted
	for n := 1; n <= s.goroutines; n *= 10 {
		var subjects []subject
		for _, c := range cached {
			subjects = append(subjects, subject{c.name, together(c.cached, n)})
		}
		p.add(count(n), names(subjects), s.measureAll(subjects))
	}
	for _, c := range cached {
		if n := c.computed(); n > 1 {
			fmt.Fprintf(os.Stderr, "scale: %s: by %d goroutines and fewer, %d calls were no hits\n", c.name, s.goroutines, n-1)
		}
	}
	return plot{
		name: "goroutines", title: "Goroutines", x: "goroutines", y: "time per call", unit: nanoseconds,
		about: "All goroutines ask for one key that is there: the time that passes, divided by the number of calls.",
		ticks: p.ticks, lines: p.lines,
	}, nil
}
