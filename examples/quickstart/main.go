// Quickstart shows what the library does, step by step, with a function that takes a while:
// which place of the tz database is nearest to a coordinate.
//
//	go run -C examples ./quickstart
//	go run -C examples ./quickstart -cache memcached://127.0.0.1:11211
//	go run -C examples ./quickstart -debug
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/logging"
)

// This is all it takes: nearest is called as Nearest is, and cached is for the rest.
var nearest, cached = decorators.Cached(Nearest, decorators.Key("nearest"), decorators.Timeout(time.Hour))

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(log)
	url := flags.String("cache", "locmem://", "the `URL` of the cache, memcached://127.0.0.1:11211 for instance")
	debug := flags.Bool("debug", false, "log every lookup in the cache")
	if err := flags.Parse(args); err != nil {
		return err
	}
	logging.Logger().SetOutput(log)
	if *debug {
		logging.Logger().SetLevel(logrus.DebugLevel)
	}
	settings, err := backends.ParseURL(*url)
	if err != nil {
		return err
	}
	if err := backends.Configure(backends.Config{"default": settings}); err != nil {
		return err
	}
	fmt.Fprintf(out, "Which place of the tz database is nearest to a coordinate? Results are kept on %s\n", *url)
	show(ctx, out, settings.Backend)
	return nil
}

// show calls the function and its handle one way after the other: with coordinates of Rome, of
// Cape Horn, and of the middle of the Pacific.
func show(ctx context.Context, out io.Writer, backend string) {
	t := &tour{out: out}
	faults := cached.Stats().Errors
	rome := func() (any, error) { return nearest(ctx, 41.9, 12.5) }

	hit := t.step("The first call", "nearest(ctx, 41.9, 12.5)", rome)
	if hit {
		t.note("An earlier run of this program left that result: for an hour every process finds it.")
	}
	t.step("The same arguments again", "nearest(ctx, 41.9, 12.5)", rome)
	t.step("Other arguments have a result of their own", "nearest(ctx, -56.0, -67.3)", func() (any, error) {
		return nearest(ctx, -56.0, -67.3)
	})
	t.step("An error is returned and never cached", "nearest(ctx, 100.0, 0.0)", func() (any, error) {
		return nearest(ctx, 100.0, 0.0)
	})
	t.step("CacheKey returns the key of a result", "cached.CacheKey(ctx, 41.9, 12.5)", func() (any, error) {
		return cached.CacheKey(ctx, 41.9, 12.5)
	})
	t.step("Invalidate removes one result", "cached.Invalidate(ctx, 41.9, 12.5)", func() (any, error) {
		return nil, cached.Invalidate(ctx, 41.9, 12.5)
	})
	t.step("So the next call recomputes it", "nearest(ctx, 41.9, 12.5)", rome)
	t.step("ForceRecalc computes whatever is cached", "cached.ForceRecalc(ctx, 41.9, 12.5)", func() (any, error) {
		return cached.ForceRecalc(ctx, 41.9, 12.5)
	})
	t.step("RequireCache returns what is cached and never computes", "cached.RequireCache(ctx, 41.9, 12.5)", func() (any, error) {
		return cached.RequireCache(ctx, 41.9, 12.5)
	})
	t.step("If there is nothing, its error is cacheutils.ErrNoCachedValue", "cached.RequireCache(ctx, 0.0, -150.0)", func() (any, error) {
		return cached.RequireCache(ctx, 0.0, -150.0)
	})
	s := cached.Stats()
	t.step("Stats counts what this process did", "cached.Stats()", func() (any, error) {
		return fmt.Sprintf("%d hits, %d misses, %d computations, %d stores, %d invalidations, %d faults of the cache",
			s.Hits, s.Misses, s.Computations, s.Stores, s.Invalidations, s.Errors), nil
	})
	switch {
	case s.Errors > faults:
		t.note("The cache failed, so there were computations in place of hits. The results are right all the same.")
	case backend == "memcached" && !hit:
		t.note("Run this again: the first call will be a hit on what this run has left on the server.")
	}
}

// A tour prints one step after the other.
type tour struct {
	out   io.Writer
	steps int
}

// step makes one call and prints what it returned, how long it took, and what happened in
// between. It reports whether the result came from the cache.
func (t *tour) step(title, code string, call func() (any, error)) (hit bool) {
	t.steps++
	fmt.Fprintf(t.out, "\n%2d. %s\n    %s\n", t.steps, title, code)
	before, start := cached.Stats(), time.Now()
	result, err := call()
	took, after := time.Since(start), cached.Stats()
	switch {
	case err != nil:
		fmt.Fprintf(t.out, "    = error: %v\n", err)
	case result == nil:
		fmt.Fprintf(t.out, "    = no error\n")
	default:
		fmt.Fprintf(t.out, "    = %v\n", result)
	}
	fmt.Fprintf(t.out, "    %v%s\n", rounded(took), changes(before, after))
	return after.Hits > before.Hits
}

// changes says what happened between two counts.
func changes(before, after decorators.Stats) string {
	text := ""
	if after.Hits > before.Hits {
		text += ", hit"
	}
	if after.Misses > before.Misses {
		text += ", miss"
	}
	if after.Computations > before.Computations {
		text += ", computed"
	}
	if after.Stores > before.Stores {
		text += ", stored"
	}
	return text
}

func (t *tour) note(text string) { fmt.Fprintf(t.out, "    %s\n", text) }

// rounded keeps three digits.
func rounded(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
