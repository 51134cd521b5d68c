package logging_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cacheutils/cacheutils/logging"
)

// Of each cause there is a line a second, and the next one says how many were left out.
func TestLimiter(t *testing.T) {
	restore(t)
	synctest.Test(t, func(t *testing.T) {
		sink := &recorder{least: logging.LevelWarn}
		logging.SetSink(sink)
		var lines logging.Limiter
		say := func(cause string, times int) {
			for range times {
				lines.Log(logging.LevelWarn, cause, logging.Event{Action: logging.ActionFault, Text: cause})
			}
		}
		want := func(texts ...string) {
			t.Helper()
			var got []string
			for _, e := range sink.events {
				got = append(got, fmt.Sprint(e.Text, " ", e.LeftOut))
			}
			if fmt.Sprint(got) != fmt.Sprint(texts) {
				t.Errorf("got %q, want %q", got, texts)
			}
			sink.events = nil
		}
		say("a", 100)
		say("b", 1)
		want("a 0", "b 0")
		time.Sleep(time.Second)
		say("a", 3)
		say("b", 1)
		want("a 99", "b 0")
		lines.Log(logging.LevelDebug, "c", logging.Event{})
		want()
		for i := range 10_000 {
			say(fmt.Sprint(i), 2)
		}
		if n := len(sink.events); n < 900 || n > 1001 {
			t.Errorf("%d lines of 10000 causes at once, want those of the first 1000 or so and one of all others", n)
		}
		sink.events = nil
		time.Sleep(time.Second)
		say("another", 2)
		want("another 0")
	})
}

// A Limiter may be used by many goroutines at once.
func TestLimiter_AtOnce(t *testing.T) {
	restore(t)
	sink := &recorder{least: logging.LevelWarn}
	logging.SetSink(sink)
	var lines logging.Limiter
	began := time.Now()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 1000 {
				lines.Log(logging.LevelWarn, fmt.Sprint("cause ", i%2), logging.Event{})
			}
		})
	}
	all.Wait()
	if n, most := len(sink.events), 2*(1+int(time.Since(began)/time.Second)); n < 2 || n > most {
		t.Errorf("%d lines of two causes, want 2 to %d", n, most)
	}
}
