//go:build linux

package faults_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/cacheutils/cacheutils/internal/test/dnstest"
	"github.com/cacheutils/cacheutils/logging"
)

// resolver is the name server of this process, from before the first name is looked up.
var resolver *dnstest.Server

func TestMain(m *testing.M) {
	var err error
	if resolver, err = dnstest.New(); err != nil {
		panic(err)
	}
	net.DefaultResolver = resolver.Resolver()
	logging.Logger().SetLevel(logrus.PanicLevel) // the faults that are logged are meant
	os.Exit(m.Run())
}

func longForm() bool { return os.Getenv("CACHEUTILS_LONG") == "1" }

// pick returns what the form of the test calls for.
func pick[T any](short, long T) T {
	if longForm() {
		return long
	}
	return short
}

// notRun stands for a figure of the raw client that the test doesn't take.
const notRun = "-"

// figure logs one line of the table.
func figure(t *testing.T, what string, wanted, measured, raw any) {
	t.Helper()
	t.Logf("figure: %s | wanted %v | measured %v | raw gomemcache %v", what, shown(wanted), shown(measured), shown(raw))
}

func shown(v any) string {
	d, ok := v.(time.Duration)
	switch {
	case !ok:
		return fmt.Sprint(v)
	case d < 10*time.Millisecond:
		return d.Round(time.Microsecond).String()
	default:
		return d.Round(time.Millisecond).String()
	}
}

// atMost logs a count and asserts it.
func atMost(t *testing.T, what string, bar, measured int, raw any) {
	t.Helper()
	figure(t, what, fmt.Sprint("<= ", bar), measured, raw)
	if measured > bar {
		t.Errorf("%s: %d, want at most %d", what, measured, bar)
	}
}

// exactly logs a count and asserts it.
func exactly(t *testing.T, what string, want, measured int, raw any) {
	t.Helper()
	figure(t, what, want, measured, raw)
	if measured != want {
		t.Errorf("%s: %d, want %d", what, measured, want)
	}
}

// ratio logs a time and asserts that it is at most so many plain ones, which the same run has measured:
// in the normal form, ten times as many.
func ratio(t *testing.T, what string, times int, measured, plain time.Duration, raw any) {
	t.Helper()
	figure(t, what, fmt.Sprintf("<= %d of the plain ones of %s", times, shown(plain)), measured, raw)
	if plain <= 0 {
		t.Errorf("%s: there is nothing to compare it with", what)
	}
	if most := time.Duration(times*pick(10, 1)) * plain; measured > most {
		t.Errorf("%s: %v, want at most %v", what, measured, most)
	}
}

// within logs a time and asserts it, where it follows from a timeout: in the normal form, ten times
// the figure.
func within(t *testing.T, what string, bar, measured time.Duration, raw any) {
	t.Helper()
	figure(t, what, "<= "+shown(bar), measured, raw)
	if most := bar * pick[time.Duration](10, 1); measured > most {
		t.Errorf("%s: %v, want at most %v", what, measured, most)
	}
}

// strictly is within for a time that holds in the normal form, too.
func strictly(t *testing.T, what string, bar, measured time.Duration, raw any) {
	t.Helper()
	figure(t, what, "<= "+shown(bar), measured, raw)
	if measured > bar {
		t.Errorf("%s: %v, want at most %v", what, measured, bar)
	}
}

// percentile returns the time that p of 100 are not above. No times at all end the test: every bar
// would hold.
func percentile(t *testing.T, times []time.Duration, p int) time.Duration {
	t.Helper()
	if len(times) == 0 {
		t.Fatal("a percentile of no times")
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

// eventually waits until cond holds and returns how long that took.
func eventually(t *testing.T, what string, cond func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !cond() {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("%s: not within 10 s", what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}
