// Package logging is where the other packages log to.
//
// To see every HIT, MISS, SET and DELETE with its key, turn the cache_utils logger to debug:
//
//	logging.Logger().SetLevel(logrus.DebugLevel)
//
// It is a logrus logger that writes warnings and errors to standard error until then. Give
// it other outputs, formats and hooks as any logrus logger, or replace it by a [Sink] of your
// own: [SetSink] takes [Slog] or [Logrus] around a logger that you have. At a level
// that the sink doesn't want, nothing is formatted or allocated.
package logging

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"github.com/cacheutils/cacheutils/internal/errtext"
)

// A Level says how much an event matters.
type Level int8

const (
	LevelDebug Level = iota // what each operation found and did
	LevelInfo               // a RequireCache that found nothing
	LevelWarn               // faults that the caller of a decorated function doesn't see
	LevelError              // what needs operator action: a backend that isn't configured, say
)

// An Action is what happened.
type Action string

const (
	ActionHit        Action = "HIT"
	ActionMiss       Action = "MISS"
	ActionStale      Action = "STALE" // found, but past its timeout
	ActionSet        Action = "SET"
	ActionDelete     Action = "DELETE"
	ActionClear      Action = "CLEAR"
	ActionInvalidate Action = "INVALIDATE" // a group; Key is its name
	ActionRequire    Action = "REQUIRE"    // a RequireCache begins
	ActionNotFound   Action = "NOT FOUND"  // by a RequireCache
	ActionFault      Action = "FAULT"      // a cache fault that was kept from the caller
	ActionNotice     Action = "NOTICE"     // something to be known; Text says what
)

// An Event is one line of the log. Fields that don't apply are zero.
type Event struct {
	Action  Action
	Backend string // the backend's name in the configuration
	Key     string
	Size    int    // of a SET: bytes handed to the engine
	Err     error  // of a FAULT
	Text    string // of a FAULT or NOTICE: what was being done, or is to be known
	LeftOut int    // of a FAULT or NOTICE: how many of the same cause were left out before it, see Limiter
}

// Message returns the event as a line of text, without its backend and error: "Cache HIT: key",
// "Cache SET: key - Size: 120".
func (e Event) Message() string {
	switch e.Action {
	case ActionSet:
		return fmt.Sprintf("Cache SET: %s - Size: %d", e.Key, e.Size)
	case ActionRequire:
		return "Require cache " + e.Key
	case ActionNotFound:
		return "Could not find required cache " + e.Key
	case ActionFault:
		return "Cache FAULT: " + e.Text
	case ActionNotice:
		return e.Text
	default:
		return fmt.Sprintf("Cache %s: %s", e.Action, e.Key)
	}
}

// A Sink takes events. Its methods may be called by many goroutines at once.
type Sink interface {
	Enabled(Level) bool // false: no event of that level is made
	Log(Level, Event)
}

var (
	logger  = newLogger()
	current atomic.Pointer[Sink]
)

func init() { SetSink(nil) }

func newLogger() *logrus.Logger {
	l := logrus.New()
	l.SetLevel(logrus.WarnLevel)
	return l
}

// Logger returns the cache_utils logger, where events go unless SetSink has replaced it.
func Logger() *logrus.Logger { return logger }

// SetSink sends all events to s from now on; nil stands for the cache_utils logger.
func SetSink(s Sink) {
	if s == nil {
		s = Logrus(logger)
	}
	current.Store(&s)
}

// Enabled reports whether events of that level are logged.
func Enabled(level Level) bool { return (*current.Load()).Enabled(level) }

// Log logs an event. Callers on a hot path ask Enabled before they make one. Control characters and the like, which may stand in a
// key or in what a server says, reach no sink: escapes stand in their place, and so an event is one line.
func Log(level Level, e Event) {
	if s := *current.Load(); s.Enabled(level) {
		s.Log(level, e.visible())
	}
}

// visible returns the event with escapes in the place of what a terminal or a reader of the log may take for something else.
func (e Event) visible() Event {
	e.Backend, e.Key, e.Text = errtext.Visible(e.Backend), errtext.Visible(e.Key), errtext.Visible(e.Text)
	if e.Err != nil {
		if text := e.Err.Error(); errtext.Visible(text) != text {
			e.Err = errtext.Replace(e.Err, errtext.Visible(text))
		}
	}
	return e
}

// Logrus returns a sink that logs to l, with the fields logger, action, and backend, key,
// size, error and left_out where they apply.
func Logrus(l *logrus.Logger) Sink { return logrusSink{l} }

type logrusSink struct{ logger *logrus.Logger }

func (s logrusSink) Enabled(level Level) bool { return s.logger.IsLevelEnabled(logrusLevel(level)) }

func (s logrusSink) Log(level Level, e Event) {
	fields := logrus.Fields{"logger": "cache_utils"}
	e.each(func(name string, value any) { fields[name] = value })
	s.logger.WithFields(fields).Log(logrusLevel(level), e.Message())
}

func logrusLevel(level Level) logrus.Level {
	switch level {
	case LevelDebug:
		return logrus.DebugLevel
	case LevelInfo:
		return logrus.InfoLevel
	case LevelWarn:
		return logrus.WarnLevel
	default:
		return logrus.ErrorLevel
	}
}

// Slog returns a sink that logs to l, with the attributes of Logrus.
func Slog(l *slog.Logger) Sink { return slogSink{l} }

type slogSink struct{ logger *slog.Logger }

func (s slogSink) Enabled(level Level) bool {
	return s.logger.Enabled(context.Background(), slogLevel(level))
}

func (s slogSink) Log(level Level, e Event) {
	attrs := []slog.Attr{slog.String("logger", "cache_utils")}
	e.each(func(name string, value any) { attrs = append(attrs, slog.Any(name, value)) })
	s.logger.LogAttrs(context.Background(), slogLevel(level), e.Message(), attrs...)
}

func slogLevel(level Level) slog.Level {
	switch level {
	case LevelDebug:
		return slog.LevelDebug
	case LevelInfo:
		return slog.LevelInfo
	case LevelWarn:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}

// each calls field with the name and the value of each field that applies to the event.
func (e Event) each(field func(name string, value any)) {
	field("action", string(e.Action))
	if e.Backend != "" {
		field("backend", e.Backend)
	}
	if e.Key != "" {
		field("key", e.Key)
	}
	if e.Action == ActionSet {
		field("size", e.Size)
	}
	if e.Err != nil {
		field("error", e.Err)
	}
	if e.LeftOut != 0 {
		field("left_out", e.LeftOut)
	}
}
