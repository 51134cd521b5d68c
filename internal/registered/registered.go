// Package registered keeps the list of decorated functions, which package decorators fills and package backends
// reads. A function is on it as long as it can be called.
package registered

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/cacheutils/cacheutils/logging"
)

// A Function is one decorated function.
type Function struct {
	Name    string       // its identity: the part of its keys before the arguments
	Place   string       // file:line where it was decorated
	Set     any          // of backends, in which its own is looked up; nil: the program's
	Backend string       // name of its backend
	Type    reflect.Type // of its results
	Shared  bool         // its callers may all have the same value
	Many    bool         // it is called for many keys at once
	Value   uintptr      // distinguishes func values; it keeps nothing alive
}

// At most one function has a key, but for functions of many keys: such a function may have the name of a
// function of one key, to share its entries.
type key struct {
	set           any
	backend, name string
	many          bool
}

func (f Function) key() key { return key{f.Set, f.Backend, f.Name, f.Many} }

// shares reports whether f is meant to have the entries of other, which has the same name. Callers of one that
// isn't Shared would change what one that is Shared has stored.
func (f Function) shares(other Function) bool {
	return f.Shared == other.Shared && (f.Value == other.Value || f.Many != other.Many && f.Type == other.Type)
}

var functions = struct {
	sync.Mutex
	byKey map[key]*entry
}{byKey: make(map[key]*entry)}

type entry struct {
	Function
	added  int // how often it was added, less what was removed
	warned bool
}

// Add adds f to the list and returns what removes it again. If another func value was decorated under the same
// name for the same backend of the same set, that is logged, once for each name: the two share their entries.
// One of them may be of many keys, if their types agree and both or none are Shared.
func Add(f Function) (remove func()) {
	key := f.key()
	functions.Lock()
	defer functions.Unlock()
	e, ok := functions.byKey[key]
	if !ok {
		e = &entry{Function: f}
		functions.byKey[key] = e
	}
	e.added++
	twin := f
	twin.Many = !f.Many
	for _, other := range []*entry{e, functions.byKey[twin.key()]} {
		if other != nil && !f.shares(other.Function) && !other.warned {
			other.warned = true
			warn(other.Function, f)
		}
	}
	return func() {
		functions.Lock()
		defer functions.Unlock()
		if e.added--; e.added == 0 {
			delete(functions.byKey, key)
		}
	}
}

func warn(first, second Function) {
	logging.Log(logging.LevelWarn, logging.Event{
		Action:  logging.ActionNotice,
		Backend: first.Backend,
		Text: fmt.Sprintf("cacheutils: two functions are cached under the name %s and share their entries: decorated at %s and at %s; "+
			"give them names of their own with decorators.Key", first.Name, first.Place, second.Place),
	})
}

// Functions returns what was added for a set of backends, by name; nil is the program's.
func Functions(set any) []Function {
	functions.Lock()
	defer functions.Unlock()
	list := make([]Function, 0, len(functions.byKey))
	for _, e := range functions.byKey {
		if e.Set == set {
			list = append(list, e.Function)
		}
	}
	slices.SortFunc(list, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	return list
}
