package logging_test

import (
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/logging"
)

// What a log at a higher level costs a hit: nothing. That can't be seen by comparing two sinks, because text
// that was made before the sink's Enabled is called is there with both. So it is measured how much more a hit
// allocates for each byte that its key is longer. A hit has to make the key, and the key with the backend's
// prefix: two bytes. Any line of text with the key in it is one more.

// A refuser is a sink that wants nothing.
type refuser struct{ t *testing.T }

func (refuser) Enabled(logging.Level) bool { return false }

func (r refuser) Log(l logging.Level, e logging.Event) {
	r.t.Errorf("it got an event of level %d that it refused: %+v", l, e)
}

func TestCost(t *testing.T) {
	restore(t)
	cachetest.Locmem(t)
	logging.Logger().SetOutput(io.Discard)
	Length, _ := decorators.Cached(func(s string) int { return len(s) }, decorators.Key("length"))
	shorter, longer := strings.Repeat("x", 100), strings.Repeat("x", 180)
	Length(shorter)
	Length(longer)

	// Both keys are within sizes that the allocator has in steps of 16.
	perByte := func() int {
		return (allocated(func() { Length(longer) }) - allocated(func() { Length(shorter) })) / 80
	}
	logging.SetSink(refuser{t})
	if got := perByte(); got > 2 {
		t.Errorf("with a sink that wants nothing a hit allocates %d bytes for each byte of its key, want 2", got)
	}
	logging.SetSink(nil)
	if got := perByte(); got > 2 {
		t.Errorf("with the logger at its first level a hit allocates %d bytes for each byte of its key, want 2", got)
	}
	logging.Logger().SetLevel(logrus.DebugLevel)
	if got := perByte(); got <= 2 {
		t.Errorf("with the logger at debug a hit allocates %d bytes for each byte of its key: this test sees nothing", got)
	}
}

// An event that the sink refuses allocates nothing at all.
func TestCost_event(t *testing.T) {
	restore(t)
	logging.Logger().SetOutput(io.Discard)
	log := func() {
		logging.Log(logging.LevelDebug, logging.Event{Action: logging.ActionSet, Backend: "default", Key: "[cached]f((1,))", Size: 12})
	}
	if got := allocated(log); got != 0 {
		t.Errorf("it allocates %d bytes, want 0", got)
	}
	logging.Logger().SetLevel(logrus.DebugLevel)
	if got := allocated(log); got == 0 {
		t.Error("with the logger at debug it allocates nothing: this test sees nothing")
	}
}

// allocated returns how many bytes f allocates when it finds all pools filled: with the race
// detector they lose something now and then, and other goroutines may allocate meanwhile. So the
// least of many runs is what f needs.
func allocated(f func()) int {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	least := uint64(1 << 62)
	for range 200 {
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return int(least)
}
