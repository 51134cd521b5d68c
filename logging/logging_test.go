package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
	"github.com/cacheutils/cacheutils/logging"
)

// restore undoes what a test does to the logger and the sink.
func restore(t *testing.T) {
	t.Helper()
	l := logging.Logger()
	level, out, formatter := l.GetLevel(), l.Out, l.Formatter
	t.Cleanup(func() {
		l.SetLevel(level)
		l.SetOutput(out)
		l.SetFormatter(formatter)
		logging.SetSink(nil)
	})
}

// A recorder is a sink that keeps what it is given.
type recorder struct {
	least  logging.Level
	mu     sync.Mutex
	levels []logging.Level
	events []logging.Event
}

func (r *recorder) Enabled(l logging.Level) bool { return l >= r.least }

func (r *recorder) Log(l logging.Level, e logging.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.levels = append(r.levels, l)
	r.events = append(r.events, e)
}

func TestMessage(t *testing.T) {
	tests := []struct {
		event logging.Event
		want  string
	}{
		{logging.Event{Action: logging.ActionHit, Key: "k"}, "Cache HIT: k"},
		{logging.Event{Action: logging.ActionMiss, Key: "k"}, "Cache MISS: k"},
		{logging.Event{Action: logging.ActionSet, Key: "k", Size: 120}, "Cache SET: k - Size: 120"},
		{logging.Event{Action: logging.ActionSet, Key: "k"}, "Cache SET: k - Size: 0"},
		{logging.Event{Action: logging.ActionDelete, Key: "k"}, "Cache DELETE: k"},
		{logging.Event{Action: logging.ActionFault, Text: "look up k", Err: errors.New("refused")}, "Cache FAULT: look up k"},
		{logging.Event{Action: logging.ActionNotice, Text: "two functions"}, "two functions"},
		{logging.Event{Action: logging.ActionHit, Key: "100%s"}, "Cache HIT: 100%s"},
	}
	for _, tt := range tests {
		if got := tt.event.Message(); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.event, got, tt.want)
		}
	}
}

// The logger is quiet about what goes well until its level is turned to debug.
func TestLogger(t *testing.T) {
	restore(t)
	cachetest.Locmem(t)
	var out bytes.Buffer
	logging.Logger().SetOutput(&out)
	Square, squares := decorators.Cached(func(n int) int { return n * n }, decorators.Key("logger-square"))

	Square(3)
	Square(3)
	if out.Len() > 0 {
		t.Errorf("at its first level it logged %q", &out)
	}

	logging.Logger().SetLevel(logrus.DebugLevel)
	logging.Logger().SetFormatter(&logrus.TextFormatter{DisableTimestamp: true})
	Square(3)
	Square(4)
	if err := squares.Invalidate(4); err != nil {
		t.Fatal(err)
	}
	const attributes = ` backend=default key="[cached]logger-square((4,))" logger=cache_utils`
	want := []string{
		`level=debug msg="Cache HIT: [cached]logger-square((3,))" action=HIT backend=default key="[cached]logger-square((3,))" logger=cache_utils`,
		`level=debug msg="Cache MISS: [cached]logger-square((4,))" action=MISS` + attributes,
		`level=debug msg="Cache SET: [cached]logger-square((4,)) - Size: 8" action=SET` + attributes + ` size=8`,
		`level=debug msg="Cache DELETE: [cached]logger-square((4,))" action=DELETE` + attributes,
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(out.String()), "\n")); diff != "" {
		t.Error("the log differs (-want +got):\n", diff)
	}
}

// Each level of events has its level in logrus and in slog, and is logged from that level on.
func TestLevels(t *testing.T) {
	restore(t)
	levels := []struct {
		level  logging.Level
		logrus logrus.Level
		slog   slog.Level
		text   string
	}{
		{logging.LevelDebug, logrus.DebugLevel, slog.LevelDebug, "level=debug"},
		{logging.LevelInfo, logrus.InfoLevel, slog.LevelInfo, "level=info"},
		{logging.LevelWarn, logrus.WarnLevel, slog.LevelWarn, "level=warn"},
		{logging.LevelError, logrus.ErrorLevel, slog.LevelError, "level=error"},
	}
	for i, at := range levels {
		var out bytes.Buffer
		l := logrus.New()
		l.SetOutput(&out)
		l.SetLevel(at.logrus)
		sinks := map[string]logging.Sink{
			"logrus": logging.Logrus(l),
			"slog":   logging.Slog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: at.slog}))),
		}
		for name, sink := range sinks {
			logging.SetSink(sink)
			for j, e := range levels {
				out.Reset()
				logging.Log(e.level, logging.Event{Action: logging.ActionNotice, Text: "hello"})
				wanted := j >= i
				if got := logging.Enabled(e.level); got != wanted {
					t.Errorf("%s with %s, event with %s: enabled is %v, want %v", name, at.text, e.text, got, wanted)
				}
				if got := strings.Contains(strings.ToLower(out.String()), e.text); got != wanted || !wanted && out.Len() > 0 {
					t.Errorf("%s with %s, event with %s: it logged %q", name, at.text, e.text, &out)
				}
			}
		}
	}
}

// What a logrus or slog logger gets are the fields that apply.
func TestFields(t *testing.T) {
	restore(t)
	events := []struct {
		level logging.Level
		event logging.Event
		want  map[string]any
	}{
		{
			logging.LevelDebug, logging.Event{Action: logging.ActionHit, Backend: "default", Key: "k"},
			map[string]any{"level": "debug", "msg": "Cache HIT: k", "logger": "cache_utils", "action": "HIT", "backend": "default", "key": "k"},
		},
		{
			logging.LevelDebug, logging.Event{Action: logging.ActionSet, Backend: "b", Key: "k", Size: 7},
			map[string]any{
				"level": "debug", "msg": "Cache SET: k - Size: 7", "logger": "cache_utils",
				"action": "SET", "backend": "b", "key": "k", "size": 7.0,
			},
		},
		{
			logging.LevelWarn, logging.Event{Action: logging.ActionFault, Backend: "b", Text: "look up k", Err: errors.New("refused")},
			map[string]any{
				"level": "warn", "msg": "Cache FAULT: look up k", "logger": "cache_utils",
				"action": "FAULT", "backend": "b", "error": "refused",
			},
		},
		{
			logging.LevelError, logging.Event{Action: logging.ActionNotice, Text: "hello"},
			map[string]any{"level": "error", "msg": "hello", "logger": "cache_utils", "action": "NOTICE"},
		},
	}
	var out bytes.Buffer
	l := logrus.New()
	l.SetOutput(&out)
	l.SetLevel(logrus.DebugLevel)
	l.SetFormatter(&logrus.JSONFormatter{DisableTimestamp: true})
	sinks := map[string]logging.Sink{
		"logrus": logging.Logrus(l),
		"slog":   logging.Slog(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))),
	}
	for name, sink := range sinks {
		logging.SetSink(sink)
		for _, tt := range events {
			out.Reset()
			logging.Log(tt.level, tt.event)
			var got map[string]any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v in %q", name, err, &out)
			}
			delete(got, "time")
			got["level"] = strings.Replace(strings.ToLower(got["level"].(string)), "warning", "warn", 1)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: the fields differ (-want +got):\n%s", name, diff)
			}
		}
	}
}

// A sink takes the place of the logger until another one does.
func TestSetSink(t *testing.T) {
	restore(t)
	cachetest.Locmem(t)
	var out bytes.Buffer
	logging.Logger().SetOutput(&out)
	logging.Logger().SetLevel(logrus.DebugLevel)
	Double, doubles := decorators.Cached(func(n int) int { return 2 * n }, decorators.Key("sink-double"))

	r := new(recorder)
	logging.SetSink(r)
	Double(1)
	Double(1)
	if err := doubles.Invalidate(1); err != nil {
		t.Fatal(err)
	}
	want := []logging.Event{
		{Action: logging.ActionMiss, Backend: "default", Key: "[cached]sink-double((1,))"},
		{Action: logging.ActionSet, Backend: "default", Key: "[cached]sink-double((1,))", Size: 8},
		{Action: logging.ActionHit, Backend: "default", Key: "[cached]sink-double((1,))"},
		{Action: logging.ActionDelete, Backend: "default", Key: "[cached]sink-double((1,))"},
	}
	if diff := cmp.Diff(want, r.events); diff != "" {
		t.Error("the events differ (-want +got):\n", diff)
	}
	if out.Len() > 0 {
		t.Errorf("the logger, which was replaced, logged %q", &out)
	}

	quiet := &recorder{least: logging.LevelWarn}
	logging.SetSink(quiet)
	Double(2)
	if len(quiet.events) > 0 {
		t.Errorf("a sink that wants no debug events got %q", quiet.events)
	}

	logging.SetSink(nil)
	Double(2)
	if !strings.Contains(out.String(), "Cache HIT: [cached]sink-double((2,))") {
		t.Errorf("the logger, which is in use again, logged %q", &out)
	}
	if len(r.events) != len(want) {
		t.Errorf("a sink that was replaced got events: %q", r.events[len(want):])
	}
}

// A fault that the caller doesn't see is a warning.
func TestFault(t *testing.T) {
	restore(t)
	server := cachetest.Memcached(t)
	server.Stop()
	r := &recorder{least: logging.LevelWarn}
	logging.SetSink(r)
	One, _ := decorators.Cached(func() int { return 1 }, decorators.Key("fault-one"))
	if got := One(); got != 1 {
		t.Fatalf("got %d, want 1", got)
	}
	if err := backends.Configure(nil); err != nil { // that the server is down is logged as well, by the server's watcher
		t.Fatal(err)
	}
	faults := 0
	for i, e := range r.events {
		if e.Action != logging.ActionFault {
			continue
		}
		faults++
		if r.levels[i] != logging.LevelWarn || e.Backend != "default" || e.Err == nil || !strings.Contains(e.Text, "fault-one") {
			t.Errorf("got %+v at level %d", e, r.levels[i])
		}
	}
	if faults != 1 {
		t.Errorf("a call with two faults logged %d of them, want 1 a second: %+v", faults, r.events)
	}
}

// Sinks are replaced while others log.
func TestSetSink_concurrently(t *testing.T) {
	restore(t)
	logging.Logger().SetOutput(io.Discard)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				logging.SetSink(new(recorder))
				logging.Log(logging.LevelDebug, logging.Event{Action: logging.ActionHit, Key: "k"})
				logging.SetSink(nil)
				logging.Enabled(logging.LevelWarn)
			}
		})
	}
	group.Wait()
}
