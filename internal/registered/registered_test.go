package registered_test

import (
	"reflect"
	"testing"

	"github.com/cacheutils/cacheutils/internal/registered"
	"github.com/cacheutils/cacheutils/logging"
)

type counter struct{ lines int }

func (*counter) Enabled(logging.Level) bool             { return true }
func (c *counter) Log(_ logging.Level, _ logging.Event) { c.lines++ }

// Functions are listed by set, and a warning about two of one name is logged once, if they are of one set.
func TestAdd(t *testing.T) {
	var log counter
	logging.SetSink(&log)
	defer logging.SetSink(nil)
	one, two := new(int), new(int)
	function := func(set any, value uintptr) registered.Function {
		return registered.Function{Name: "f", Set: set, Backend: "default", Type: reflect.TypeFor[int](), Value: value}
	}
	var removes []func()
	for value, set := range []any{one, two, nil} {
		removes = append(removes, registered.Add(function(set, uintptr(value))))
		if got := registered.Functions(set); len(got) != 1 || got[0].Value != uintptr(value) {
			t.Errorf("set %d: got %v, want the one that was added", value, got)
		}
	}
	if log.lines != 0 {
		t.Errorf("%d lines about functions of several sets, want none", log.lines)
	}
	for range 2 {
		removes = append(removes, registered.Add(function(one, 7)))
	}
	if log.lines != 1 {
		t.Errorf("%d lines about two functions of one set, want 1", log.lines)
	}
	for _, remove := range removes {
		remove()
	}
	for _, set := range []any{one, two, nil} {
		if got := registered.Functions(set); len(got) != 0 {
			t.Errorf("after all were removed: got %v", got)
		}
	}
}
