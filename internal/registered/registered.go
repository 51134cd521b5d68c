// Package registered keeps the list of decorated functions, which package decorators fills and package backends
// reads. A function is on it as long as it can be called.
package registered

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// A Function is one decorated function.
type Function struct {
	Name     string       // its identity: the part of its keys before the arguments
	Place    string       // file:line where it was decorated
	Set      any          // of backends, in which its own is looked up; nil: the program's
	Backend  string       // name of its backend
	Type     reflect.Type // of its results
	Results  string       // their types, for messages
	Shared   bool         // its callers may all have the same value
	Many     bool         // it is called for many keys at once
	Named    bool         // the user has named it, by Key or Instance
	Instance bool         // by Instance
	What     string       // it is, for messages
	Sole     bool         // the name stands for this func value and no other
	Nowhere  bool         // the path of its package may be that of another program's
	Value    any          // the func value
	Address  uintptr      // distinguishes func values while they are retained
	Plan     any          // a weak pointer to what package decorators has of it
}

var functions = struct {
	sync.Mutex
	all map[*Function]struct{}
}{all: make(map[*Function]struct{})}

// Add adds f to the list and returns what removes it again.
func Add(f Function) (remove func()) {
	f.Value = nil // can be dropped
	functions.Lock()
	defer functions.Unlock()
	functions.all[&f] = struct{}{}
	return func() {
		functions.Lock()
		defer functions.Unlock()
		delete(functions.all, &f)
	}
}

// Functions returns what was added for a set of backends, by name; nil is the program's.
func Functions(set any) []Function {
	functions.Lock()
	defer functions.Unlock()
	seen := make(map[Function]struct{})
	for f := range functions.all {
		if f.Set == set {
			f := *f
			f.Address, f.Plan = 0, nil // functions that say the same count once
			seen[f] = struct{}{}
		}
	}
	return slices.SortedFunc(maps.Keys(seen), compare)
}

// All returns what was added for any set, by name.
func All() []Function {
	functions.Lock()
	defer functions.Unlock()
	all := make([]Function, 0, len(functions.all))
	for f := range functions.all {
		all = append(all, *f)
	}
	slices.SortFunc(all, compare)
	return all
}

func compare(a, b Function) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Backend, b.Backend), strings.Compare(a.Place, b.Place))
}
