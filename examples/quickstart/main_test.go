package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

const (
	rome  = "Europe/Rome (IT,SM,VA) is 1 km away and the nearest place for 0.08 % of the earth"
	horn  = "America/Argentina/Ushuaia (AR) is 148 km away and the nearest place for 0.13 % of the earth"
	noKey = "error: cacheutils: no cached value: nearest, key 3bbbd1484809253d"
)

// demo runs the program and returns what it printed and logged.
func demo(t *testing.T, args ...string) (out, log string) {
	t.Helper()
	var o, l bytes.Buffer
	err := run(context.Background(), args, &o, &l)
	// The watcher of a server that is down logs, too, until its backend is closed.
	if err := backends.Configure(nil); err != nil {
		t.Error(err)
	}
	logging.Logger().SetLevel(logrus.WarnLevel)
	if err != nil {
		t.Fatal(err)
	}
	return o.String(), l.String()
}

// outcomes returns what the steps came to: their results, and what happened.
func outcomes(out string) (results, happened []string) {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if result, ok := strings.CutPrefix(line, "= "); ok {
			results = append(results, result)
			happened = append(happened, "")
		} else if _, what, ok := strings.Cut(line, "s, "); ok && len(results) > 0 && !strings.Contains(line, "computations") {
			if strings.HasPrefix(what, "hit") || strings.HasPrefix(what, "miss") || strings.HasPrefix(what, "computed") {
				happened[len(happened)-1] = what
			}
		}
	}
	return results, happened
}

func check(t *testing.T, out string, wantResults, wantHappened []string) {
	t.Helper()
	results, happened := outcomes(out)
	if len(results) != len(wantResults)+1 { // the last step are the counts
		t.Fatalf("got %d steps, want %d:\n%s", len(results), len(wantResults)+1, out)
	}
	for i, want := range wantResults {
		if !strings.HasPrefix(results[i], want) {
			t.Errorf("step %d: got %q, want %q", i+1, results[i], want)
		}
		if happened[i] != wantHappened[i] {
			t.Errorf("step %d: got %q, want %q", i+1, happened[i], wantHappened[i])
		}
	}
}

var (
	healthyResults = []string{
		rome, rome, horn, "error: there is no coordinate", "[cached]nearest((41.9,12.5))",
		"no error", rome, rome, rome, noKey,
	}
	healthyHappened = []string{
		"miss, computed, stored", "hit", "miss, computed, stored", "miss, computed", "",
		"", "miss, computed, stored", "computed, stored", "hit", "miss",
	}
)

func TestLocmem(t *testing.T) {
	out, log := demo(t)
	check(t, out, healthyResults, healthyHappened)
	if log != "" {
		t.Errorf("it logged %q", log)
	}
}

func TestDebug(t *testing.T) {
	_, log := demo(t, "-debug")
	for _, want := range []string{
		"Cache MISS: [cached]nearest((41.9,12.5))",
		"Cache SET: [cached]nearest((41.9,12.5)) - Size: ",
		"Cache HIT: [cached]nearest((41.9,12.5))",
		"Cache DELETE: [cached]nearest((41.9,12.5))",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
}

func TestMemcached(t *testing.T) {
	server := memcachedtest.Start(t)
	url := "memcached://" + server.Addr() + "?operation_timeout=5s" // a busy machine is not a fault

	out, _ := demo(t, "-cache", url)
	check(t, out, healthyResults, healthyHappened)
	if !strings.Contains(out, "Run this again") {
		t.Errorf("no text says to run it again:\n%s", out)
	}

	out, _ = demo(t, "-cache", url)
	again := slices.Clone(healthyHappened)
	again[0], again[2] = "hit", "hit"
	check(t, out, healthyResults, again)
	if !strings.Contains(out, "An earlier run of this program left that result") {
		t.Errorf("no text says where the first hit is from:\n%s", out)
	}

	server.Stop()
	out, log := demo(t, "-cache", url)
	check(t, out,
		[]string{
			rome, rome, horn, "error: there is no coordinate", "[cached]nearest((41.9,12.5))",
			"error: cacheutils: invalidate nearest: ", rome, rome, "error: cacheutils: no cached value: nearest", noKey,
		},
		[]string{
			"miss, computed", "miss, computed", "miss, computed", "miss, computed", "",
			"", "miss, computed", "computed", "miss", "miss",
		})
	if !strings.Contains(out, "The cache failed") || !strings.Contains(log, "Cache FAULT") {
		t.Errorf("no text says that the cache failed:\n%s\n%s", out, log)
	}
}

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{{"-cache", "nonsense"}, {"-cache", "nosuch://"}, {"-cache", "locmem://?size=1"}, {"-bogus"}} {
		if err := run(context.Background(), args, new(bytes.Buffer), new(bytes.Buffer)); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

// TestNearest compares with places whose coordinates are in the table.
func TestNearest(t *testing.T) {
	places, points, err := readTable(zoneTable)
	if err != nil {
		t.Fatal(err)
	}
	if len(places) != 312 {
		t.Fatalf("the table has %d places, want 312", len(places))
	}
	for i, p := range places {
		if got := points[i].nearest(points); places[got].Zone != p.Zone {
			t.Errorf("the place nearest to %s is %s", p.Zone, places[got].Zone)
		}
	}
	// Degrees of longitude on the equator, and from pole to pole.
	if got := fmt.Sprintf("%.1f %.1f", at(0, 0).km(at(0, 90)), at(90, 0).km(at(-90, 0))); got != "10007.5 20015.1" {
		t.Errorf("got %s km, want 10007.5 20015.1", got)
	}
	if p, err := parsePoint("+513030-0000731"); err != nil || p.km(at(51.508333, -0.125278)) > 0.01 {
		t.Errorf("London: got %v, %v", p, err)
	}
	for _, bad := range []string{"", "+4154", "+41x4+01229", "4154+"} {
		if p, err := parsePoint(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, p)
		}
	}
}
