package locmem_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
)

func unsafeString(b []byte) string { return unsafe.String(&b[0], len(b)) }

func named(t *testing.T, location ...string) engine.Engine {
	t.Helper()
	e, err := locmem.Open(engine.Settings{Location: location})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// Engines of one name share a store, others don't.
func TestNames(t *testing.T) {
	a, again, b := named(t, "a"), named(t, "a"), named(t, "b")
	none, empty := named(t), named(t, "")
	mustSet(t, a, "k", text("a"), time.Minute)
	mustSet(t, none, "k", text("none"), time.Minute)
	for name, got := range map[string]struct {
		e    engine.Engine
		want string
	}{"the same name": {again, "a"}, "another": {b, miss}, "none": {none, "none"}, "the empty one": {empty, "none"}} {
		if s := value(got.e, "k"); s != got.want {
			t.Errorf("%s: got %s, want %s", name, s, got.want)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	tests := []struct {
		name     string
		settings engine.Settings
		text     string
	}{
		{"unknown option", engine.Settings{Options: map[string]any{"max_entires": 5}}, "max_entires"},
		{"wrong type", engine.Settings{Options: map[string]any{"MAX_ENTRIES": "many"}}, "max_entries"},
		{"zero", engine.Settings{Options: map[string]any{"max_entries": 0}}, "above 0"},
		{"negative", engine.Settings{Options: map[string]any{"max_cost": -1}}, "from 4096"},
		{"too small for an entry", engine.Settings{Options: map[string]any{"max_cost": 256}}, "from 4096"},
		{"a path", engine.Settings{Location: []string{"/shop"}}, "prefix=..."},
		{"passwords", engine.Settings{Location: []string{"u:1234567@h", "u:1234567@i"}}, "...@i"},
		{"two locations", engine.Settings{Location: []string{"a", "b"}}, "location"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := locmem.Open(test.settings)
			if !errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want ErrConfig with %q", err, test.text)
			}
		})
	}
}
