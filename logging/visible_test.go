package logging_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"github.com/sirupsen/logrus"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/cache"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/logging"
)

// Nothing that a terminal would obey reaches a sink, from whatever part of an event and at whatever level.
func TestVisible_AllFields(t *testing.T) {
	const nasty = "a\x1b[31m\r\nlevel=error msg=forged\x00\x7f\u0085\u009b31m\u200b\u200e\u200f\u061c\u202e\u2066\u2069\u2028\u2029\ufeff\xff\U000e0041é世"
	event := logging.Event{Action: logging.ActionFault, Backend: nasty, Key: nasty, Text: nasty, Err: fmt.Errorf("%s: %w", nasty, cacheutils.ErrClosed)}
	for _, action := range []logging.Action{logging.ActionFault, logging.ActionNotice, logging.ActionHit, logging.ActionSet, logging.ActionInvalidate, logging.ActionNotFound} {
		event.Action = action
		for level := logging.LevelDebug; level <= logging.LevelError; level++ {
			for name, sink := range map[string]func(*bytes.Buffer) logging.Sink{
				"logrus in colour": func(out *bytes.Buffer) logging.Sink {
					return logging.Logrus(&logrus.Logger{Out: out, Formatter: &logrus.TextFormatter{ForceColors: true, DisableQuote: true}, Level: logrus.DebugLevel})
				},
				"slog": func(out *bytes.Buffer) logging.Sink {
					return logging.Slog(slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})))
				},
				"of one's own": func(out *bytes.Buffer) logging.Sink { return printer{out} },
			} {
				var out bytes.Buffer
				logging.SetSink(sink(&out))
				logging.Log(level, event)
				logging.SetSink(nil)
				text := strings.TrimSuffix(out.String(), "\n")
				for _, code := range []string{"\x1b[0m", "\x1b[2;36m", "\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[37m"} { // logrus's own, before and after a level or a name
					if name == "logrus in colour" {
						text = strings.ReplaceAll(text, code, "")
					}
				}
				if i := strings.IndexFunc(text, func(r rune) bool {
					return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029'
				}); i >= 0 || text == "" {
					t.Errorf("%s, level %d, %s: at %d of %q", name, level, action, i, text)
				}
				if !strings.Contains(text, `\x1b[31m`) || !strings.Contains(text, "é世") {
					t.Errorf("%s: the text is not there: %q", name, text)
				}
			}
		}
	}
}

type printer struct{ out *bytes.Buffer }

func (p printer) Enabled(logging.Level) bool { return true }

func (p printer) Log(_ logging.Level, e logging.Event) {
	fmt.Fprint(p.out, e.Message(), e.Backend, e.Key, e.Text)
	if e.Err != nil {
		fmt.Fprint(p.out, e.Err)
		if !errors.Is(e.Err, cacheutils.ErrClosed) {
			fmt.Fprint(p.out, "\x00 it matches no more what it did")
		}
	}
}

// A clean event is passed on as it is, without an allocation.
func TestVisible_Clean(t *testing.T) {
	event := logging.Event{Action: logging.ActionHit, Backend: "default", Key: "[cached]f(('é',))", Err: cacheutils.ErrClosed}
	sink := &last{}
	logging.SetSink(sink)
	defer logging.SetSink(nil)
	if n := testing.AllocsPerRun(100, func() { logging.Log(logging.LevelDebug, event) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if sink.event != event {
		t.Errorf("got %+v, want %+v", sink.event, event)
	}
}

type last struct{ event logging.Event }

func (l *last) Enabled(logging.Level) bool { return true }

func (l *last) Log(_ logging.Level, e logging.Event) { l.event = e }

// Names of groups, keys and backends that come from elsewhere don't make lines of a log.
func TestVisible_FromOperations(t *testing.T) {
	const nasty = "x\x1b[2J\r\nlevel=error\u202e"
	var out bytes.Buffer
	logging.SetSink(printer{&out})
	defer logging.SetSink(nil)
	set, err := backends.New(backends.Config{"default": {Backend: "locmem"}, nasty: {Backend: "locmem"}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	ctx := context.Background()
	for _, name := range []string{"default", nasty} {
		c, err := set.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Set(ctx, nasty, 1, backends.Group(nasty)), c.InvalidateGroup(ctx, nasty), c.Clear(ctx), cache.Set(ctx, nasty, 1, cache.On(set), cache.Backend(name))); err != nil {
			t.Error(err)
		}
		f, h := decorators.Cached1(func(_ context.Context, s string) (string, error) { return s, nil }, decorators.Key("visible"), decorators.On(set), decorators.Backend(name),
			decorators.GroupsOf(func(_ context.Context, s string) []string { return []string{s} }))
		if _, err := f(ctx, nasty); err != nil {
			t.Error(err)
		}
		if _, err := h.RequireCache(ctx, nasty+"2"); !errors.Is(err, cacheutils.ErrNoCachedValue) {
			t.Error(err)
		}
	}
	if _, err := set.Get(nasty + "3"); err == nil {
		t.Error("a backend that isn't there is there")
	}
	if text := out.String(); text == "" || strings.ContainsAny(text, "\x1b\r\n\u202e") {
		t.Errorf("%q", text)
	}
}
