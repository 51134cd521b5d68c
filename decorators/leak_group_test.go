package decorators_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/logging"
)

// A neighbour has written under a group's key what is no generation, and the engine fails to swap one in and names the key in its
// error. Neither has the name of the group, which may be made of an argument, in a warning.
func TestLeak_GroupsThatCannotBegin(t *testing.T) {
	b := &broken{}
	l := &leaky{recorder: recorder{off: logging.LevelInfo + 1}}
	set := newSet(t, backends.Config{"default": {Open: b.open}})
	logging.SetSink(l)
	defer logging.SetSink(nil)
	f, h := decorators.Cached1(func(context.Context, string) (int, error) { return 1, nil }, decorators.Key("group.begins"), decorators.On(set),
		decorators.GroupsOf(func(_ context.Context, name string) []string { return []string{"user:" + name} }))
	if _, err := f(t.Context(), "other"); err != nil { // opens the engine
		t.Fatal(err)
	}
	b.mu.Lock()
	b.items["_group::user:"+hunter] = engine.Item{Value: []byte("17"), Flags: 16, CAS: 1 << 40}
	b.fails = func(operation, key string) error {
		if operation == "swap" && strings.Contains(key, "_group::") {
			return fmt.Errorf("no swap of %s", key)
		}
		return nil
	}
	b.mu.Unlock()
	_, err := f(t.Context(), hunter)
	l.hears("call", err)
	if err := h.Set(t.Context(), hunter, 1); err == nil || !strings.Contains(err.Error(), "no swap") {
		t.Errorf("Set: %v, want the engine's error", err)
	} else {
		l.hears("Set", err)
	}
	l.check(t)
}
