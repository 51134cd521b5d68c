// Package cachetest is for the tests of programs that cache functions: it makes sets of backends that no other test
// sees.
//
//	func TestPrice(t *testing.T) {
//		t.Parallel()
//		shop := NewShop(db, decorators.On(cachetest.New(t))) // functions that the test decorates
//		ctx := backends.With(t.Context(), cachetest.New(t))  // or those that the package has decorated
//		...
//	}
//
// Whether a call was a hit, cacheutils.WithReport tells. docs/testing.md has whole tests.
package cachetest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
)

// stores numbers the stores, so that each has a name of its own.
var stores atomic.Uint64

// New returns a set of backends that are in this process's memory, empty, and nobody else's: one that is called
// "default", and one for each of names, which is what functions with decorators.Backend need. It is closed when the test
// and its subtests have ended.
//
// Functions that the test decorates use it with decorators.On, and those of packages under a context of backends.With.
// Any number of tests may have sets at the same time. In a bubble of testing/synctest the timeouts, leases and stale times
// go by the bubble's clock, if New is called in the bubble, with the t that is given there.
func New(t testing.TB, names ...string) *backends.Caches {
	t.Helper()
	config := backends.Config{}
	for _, name := range append([]string{"default"}, names...) {
		config[name] = backends.Settings{Backend: "locmem", Location: []string{fmt.Sprint("cachetest ", stores.Add(1))}}
	}
	set, err := backends.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Errorf("close the set of cachetest.New: %v", err)
		}
	})
	return set
}
