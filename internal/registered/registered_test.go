package registered_test

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/registered"
	"github.com/cacheutils/cacheutils/logging"
)

type recorder struct {
	mu    sync.Mutex
	texts []string
}

func (*recorder) Enabled(logging.Level) bool { return true }

func (r *recorder) Log(_ logging.Level, e logging.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = append(r.texts, e.Text)
}

func record(t *testing.T) *recorder {
	r := new(recorder)
	logging.SetSink(r)
	t.Cleanup(func() { logging.SetSink(nil) })
	return r
}

// Functions are listed by set, those that say the same once.
func TestAdd(t *testing.T) {
	one, two := new(int), new(int)
	var removes []func()
	for _, set := range []any{one, two, nil, one} {
		removes = append(removes, registered.Add(registered.Function{Name: "f", Set: set, Backend: "default", Type: reflect.TypeFor[int]()}))
		if got := registered.Functions(set); len(got) != 1 || got[0].Name != "f" {
			t.Errorf("set %v: got %v, want the one that was added", set, got)
		}
	}
	if got := registered.All(); len(got) != 4 {
		t.Errorf("got %v of all sets, want 4", got)
	}
	for _, remove := range removes {
		remove()
	}
	for _, set := range []any{one, two, nil} {
		if got := registered.Functions(set); len(got) != 0 {
			t.Errorf("after all were removed: got %v", got)
		}
	}
	if got := registered.All(); len(got) != 0 {
		t.Errorf("after all were removed: got %v of all sets", got)
	}
}

func function(address uintptr, change ...func(*registered.Function)) *registered.Function {
	f := &registered.Function{Name: "f", Place: "a.go:1", Backend: "default", Type: reflect.TypeFor[int](), Results: "int", Address: address, What: "f"}
	for _, c := range change {
		c(f)
	}
	return f
}

func sole(f *registered.Function)     { f.Sole = true }
func named(f *registered.Function)    { f.Named = true }
func instance(f *registered.Function) { f.Named, f.Instance = true, true }
func many(f *registered.Function)     { f.Many = true }
func shared(f *registered.Function)   { f.Shared = true }
func elsewhere(f *registered.Function) {
	f.Place = "b.go:2"
}
func text(f *registered.Function)     { f.Type, f.Results = reflect.TypeFor[string](), "string" }
func inSet(f *registered.Function)    { f.Set = f.Name }
func numbered(f *registered.Function) { f.Name = "f[row·1]" }
func another(f *registered.Function)  { f.Name = "f[row·2]" }

func TestNames(t *testing.T) {
	type change = func(*registered.Function)
	for _, c := range []struct {
		name          string
		first, second []change
		same          bool   // func value
		refusal, log  string // of the second
	}{
		{name: "one func value", first: []change{sole}, second: []change{sole, elsewhere}, same: true},
		{name: "closures", first: []change{sole}, second: []change{sole, elsewhere}, refusal: "at a.go:1 and at b.go:2 as two func values"},
		{name: "closures of a loop", first: []change{sole}, second: []change{sole}, refusal: "more than once at a.go:1"},
		{name: "closures in two sets", first: []change{sole}, second: []change{sole, inSet}, refusal: "Instance"},
		{name: "types of one name", first: []change{sole, numbered}, second: []change{sole, another}, refusal: "two func values"},
		{name: "methods", second: []change{elsewhere}},
		{name: "one Key", first: []change{named}, second: []change{named, elsewhere}, log: "at a.go:1 and at b.go:2; unless that is meant, give one of them another Key"},
		{name: "one Key at one place", first: []change{named}, second: []change{named}, log: "more than once at a.go:1; unless"},
		{name: "one Instance", first: []change{instance}, second: []change{instance}, log: "another Instance"},
		{name: "one Key in two sets", first: []change{named}, second: []change{named, inSet, text}},
		{name: "one Key of two types", first: []change{named}, second: []change{named, text, elsewhere}, refusal: "the types int and string: they are decorated at a.go:1 and at b.go:2; give one of them another Key"},
		{name: "twins", first: []change{named}, second: []change{named, many}},
		{name: "twins of two types", first: []change{named, many}, second: []change{named, text}, refusal: "the types int and string"},
		{name: "twins, one Shared", first: []change{named, many}, second: []change{named, shared}, log: "share their entries"},
		{name: "a Key that is the name of a literal", first: []change{sole}, second: []change{named}, log: "share their entries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := record(t)
			names := registered.OpenNames("")
			defer names.Close()
			if _, err := names.Add(function(1, c.first...)); err != nil {
				t.Fatal(err)
			}
			address := uintptr(2)
			if c.same {
				address = 1
			}
			for range 2 {
				_, err := names.Add(function(address, c.second...))
				if (err != nil) != (c.refusal != "") || err != nil && (!errors.Is(err, cacheutils.ErrInvalidKey) || !strings.Contains(err.Error(), c.refusal)) {
					t.Errorf("got %v, want %q", err, c.refusal)
				}
			}
			switch {
			case c.log == "" && len(lines.texts) != 0:
				t.Errorf("logged %q", lines.texts)
			case c.log != "" && (len(lines.texts) != 1 || !strings.Contains(lines.texts[0], c.log)):
				t.Errorf("logged %q, want one line with %q", lines.texts, c.log)
			}
		})
	}
}

// Names are those of a domain as long as it is open anywhere. What the user has named is dropped with the function.
func TestNames_AreForgotten(t *testing.T) {
	one, again, other := registered.OpenNames("a"), registered.OpenNames("a"), registered.OpenNames("b")
	defer other.Close()
	add := func(n *registered.Names, f *registered.Function) func() {
		t.Helper()
		remove, err := n.Add(f)
		if err != nil {
			t.Error(err)
		}
		return remove
	}
	refused := func(n *registered.Names, f *registered.Function) {
		t.Helper()
		if _, err := n.Add(f); err == nil {
			t.Error("was not refused")
		}
	}
	add(one, function(1, sole))
	refused(again, function(2, sole))
	add(other, function(2, sole))
	one.Close()
	refused(again, function(2, sole))
	again.Close()
	add(again, function(2, sole))
	again = registered.OpenNames("a")
	defer again.Close()
	add(again, function(3, sole))

	key := func(f *registered.Function) { f.Name, f.Named = "key", true }
	remove := add(again, function(1, key))
	second := add(again, function(1, key))
	remove()
	refused(again, function(2, key, text))
	second()
	add(again, function(2, key, text))
}
