//go:build linux

package faults_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/internal/test/memcachedtest"
	"github.com/cacheutils/cacheutils/logging"
)

// lines collects what is logged above debug until the test ends.
type lines struct {
	mu  sync.Mutex
	all []string
}

func collectLines(t *testing.T) *lines {
	l := &lines{}
	logging.SetSink(l)
	t.Cleanup(func() { logging.SetSink(nil) })
	return l
}

func (l *lines) Enabled(level logging.Level) bool { return level > logging.LevelDebug }

func (l *lines) Log(level logging.Level, e logging.Event) {
	text := e.Message()
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, text)
}

// with returns the lines that contain part.
func (l *lines) with(part string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return found
}

const noCAS = "compare-and-swap"

// A server without compare-and-swap can't keep what has to stay fresh. Whatever comes first, no caller waits, nothing is
// left on the server, and the log, Ping and every explicit operation say what is wrong with it.
func TestFault_ServerWithoutCAS(t *testing.T) {
	server := memcachedtest.Start(t, "-C")
	group := backends.Group("g")
	explicit := map[string]func(c *backends.Cache) error{
		"ping":         func(c *backends.Cache) error { return c.Ping(ctx) },
		"get":          func(c *backends.Cache) error { return c.Get(ctx, "there", new(string)) },
		"set":          func(c *backends.Cache) error { return c.Set(ctx, "k", "v") },
		"set in group": func(c *backends.Cache) error { return c.Set(ctx, "k", "v", group) },
		"add":          func(c *backends.Cache) error { _, err := c.Add(ctx, "k", "v"); return err },
		"add over":     func(c *backends.Cache) error { _, err := c.Add(ctx, "there", "v"); return err },
		"touch":        func(c *backends.Cache) error { _, err := c.Touch(ctx, "there"); return err },
		"incr":         func(c *backends.Cache) error { _, err := c.Incr(ctx, "there", 1, group); return err },
		"get or set": func(c *backends.Cache) error {
			c.GetOrSet(ctx, "k", new(string), func(context.Context) (any, error) { return "v", nil })
			return c.Ping(ctx)
		},
		"invalidate": func(c *backends.Cache) error { return c.InvalidateGroup(ctx, "g") },
	}
	first := map[string]func(t *testing.T, c *backends.Cache, f *function){
		"call":     func(t *testing.T, _ *backends.Cache, f *function) { f.get(0) },
		"callers":  func(t *testing.T, _ *backends.Cache, f *function) { together(64, func(i int) { f.get(i % 8) }) },
		"recalc":   func(t *testing.T, _ *backends.Cache, f *function) { f.ForceRecalc(ctx, 0) },
		"set by h": func(t *testing.T, _ *backends.Cache, f *function) { f.Set([]any{ctx, 0}, f.value(0)) },
	}
	for name, do := range explicit {
		first[name] = func(t *testing.T, c *backends.Cache, _ *function) { // it may be too early to know
			if err := do(c); err != nil && !strings.Contains(err.Error(), noCAS) {
				t.Errorf("%v, want nil or an error about %s", err, noCAS)
			}
		}
	}
	for name, do := range first {
		t.Run(name, func(t *testing.T) {
			server.Restart()
			c := configure(t, map[string]any{"operation_timeout": "5s"}, server.Addr()) // it should not come to that
			logged := collectLines(t)
			f := decorate(t)
			raw := memcache.New(server.Addr())
			if err := raw.Set(&memcache.Item{Key: ":1:there", Value: []byte("1"), Flags: 16}); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			do(t, c, f)
			for n := range 100 {
				f.get(n % 10)
			}
			for name, do := range explicit {
				if err := do(c); err == nil || !strings.Contains(err.Error(), noCAS) {
					t.Errorf("%s: %v, want an error about %s", name, err, noCAS)
				}
			}
			within(t, "without compare-and-swap: 100 calls and some operations", time.Second, time.Since(began), notRun)
			if f.failed.Load() > 0 || f.wrong.Load() > 0 {
				t.Errorf("%d calls have failed, %d results are wrong", f.failed.Load(), f.wrong.Load())
			}
			if s := f.Stats(); s.Errors == 0 || s.Stores > 0 {
				t.Errorf("got %+v, want errors", s)
			}
			if n := len(logged.with(noCAS)); n == 0 || n > 2+2*int(time.Since(began)/time.Second+1) {
				t.Errorf("%d lines say so in %v", n, time.Since(began))
			}
			eventually(t, "nothing is left but what was there, and a ping's", func() bool {
				for _, key := range []string{"_group::g", "1_group::g", ":1:k"} {
					if _, err := raw.Get(key); err == nil {
						return false
					}
				}
				left := 2
				return server.Stats(t)["curr_items"] <= string(rune('0'+left))
			})
		})
	}

	c := configure(t, nil, server.Addr())
	f := decorate(t)
	f.get(0)
	server.RestartWith()
	eventually(t, "one with compare-and-swap is used", func() bool {
		before := f.runs.Load()
		f.get(0)
		return f.runs.Load() == before
	})
	if err := c.Ping(ctx); err != nil {
		t.Error(err)
	}
	server.RestartWith("-C")
	f.get(0)
	eventually(t, "a restart without is noticed", func() bool {
		f.get(0)
		err := c.Ping(ctx)
		return err != nil && strings.Contains(err.Error(), noCAS)
	})
}
