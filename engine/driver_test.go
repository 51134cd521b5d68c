package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cacheutils/cacheutils/engine"
)

var registered atomic.Int64

// unusedName returns a name that no driver has: what is registered stays.
func unusedName(name string) string { return fmt.Sprint(name, registered.Add(1)) }

func TestRegister_Panics(t *testing.T) {
	first := unusedName("first")
	engine.Register(engine.Driver{Names: []string{first, first + ".Name"}, Schemes: []string{first, first + "+tls"}, Open: openShelf})
	before := len(engine.Drivers())
	for _, test := range []struct {
		name string
		d    engine.Driver
		text string
	}{
		{"no name", engine.Driver{Open: openShelf}, "Names"},
		{"no Open", engine.Driver{Names: []string{"second"}}, "Open is nil"},
		{"a name twice", engine.Driver{Names: []string{first}, Schemes: []string{"second"}, Open: openShelf}, `"` + first + `"`},
		{"an alias twice", engine.Driver{Names: []string{"second", first + ".Name"}, Open: openShelf}, `"` + first + `.Name"`},
		{"a scheme twice", engine.Driver{Names: []string{"second"}, Schemes: []string{first + "+tls"}, Open: openShelf}, `"` + first + `+tls"`},
		{"group", engine.Driver{Names: []string{"group"}, Open: openShelf}, `"group"`},
		{"an alias for group", engine.Driver{Names: []string{"second", "group+x"}, Open: openShelf}, `"group+x"`},
		{"a scheme for group", engine.Driver{Names: []string{"second"}, Schemes: []string{"group+x"}, Open: openShelf}, `"group+x"`},
		{"a scheme with a space", engine.Driver{Names: []string{"second"}, Schemes: []string{"a b"}, Open: openShelf}, `"a b"`},
		{"a name twice in one", engine.Driver{Names: []string{"second", "second"}, Open: openShelf}, "twice"},
		{"a class path of group", engine.Driver{Names: []string{"group+my.Cache"}, Open: openShelf}, `"group+my.Cache"`},
		{"an alias with a space", engine.Driver{Names: []string{"second", "my.Cache "}, Open: openShelf}, `"my.Cache "`},
		{"a class path's scheme in upper case", engine.Driver{Names: []string{"my.Cache"}, Schemes: []string{"My"}, Open: openShelf}, `"My"`},
		{"upper case", engine.Driver{Names: []string{"Second"}, Open: openShelf}, "lower-case"},
		{"an empty alias", engine.Driver{Names: []string{"second", ""}, Open: openShelf}, `""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				text := fmt.Sprint(recover())
				if !strings.HasPrefix(text, "cacheutils: Register") || !strings.Contains(text, test.text) {
					t.Errorf("panicked with %s, want cacheutils: Register and %s in it", text, test.text)
				}
				if len(engine.Drivers()) != before {
					t.Error("it was registered")
				}
			}()
			engine.Register(test.d)
		})
	}
}

// What is handed out is nobody's to change what is registered.
func TestDrivers_AreCopies(t *testing.T) {
	name := unusedName("copied")
	names := []string{name}
	engine.Register(engine.Driver{Names: names, Open: openShelf})
	names[0] = "changed"
	engine.Drivers()[0] = engine.Driver{}
	if !slices.ContainsFunc(engine.Drivers(), func(d engine.Driver) bool { return d.Names != nil && d.Name() == name }) {
		t.Error("what was registered has changed")
	}
}
