// Package backendtest tests engines: what a store has to do to be a cache backend.
//
// The author of an engine calls [Run] from a test, with a store that nobody else uses:
//
//	func TestEngine(t *testing.T) {
//		server := startServer(t)
//		backendtest.Run(t, func(s engine.Settings) (engine.Engine, error) {
//			s.Location = []string{server}
//			return Open(s)
//		})
//	}
//
// Run it with -race. Subtests whose names begin with Engine_ are about the methods of engine.Engine,
// and those with Cache_ about what this library adds to them. Most of the others stand for a test of
// Django's caches: AddLeavesWhatIsThere says what test_add says there. InAGroup has all operations
// once more, on entries in a group. A run takes a few seconds, in which entries expire.
package backendtest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/logging"
)

// runs makes the names that engines are registered under.
var runs atomic.Int64

// Run tests the engine that open opens, in subtests of t.
//
// open is what would be given to backends.Register, except that it fills in the Location: the
// same one at each call, because engines that were opened twice have to see each other's
// items. What is stored there is lost. Options that open finds are to be passed on. An engine that refuses Clear unless an
// option says that it may empty the store is opened with that option.
//
// Run takes over the configuration of package backends and the sink of package logging. It
// leaves the embedded default and the cache_utils logger, so that it can't run at the same time as
// other tests that use them.
func Run(t *testing.T, open func(engine.Settings) (engine.Engine, error)) {
	t.Helper()
	s := &suite{
		open:    open,
		backend: fmt.Sprintf("backendtest-%d", runs.Add(1)),
		log:     new(recorder),
	}
	backends.Register(s.backend, open)
	logging.SetSink(s.log)
	t.Cleanup(func() { logging.SetSink(nil) })

	s.testEngine(t)
	s.testOperations(t)
	s.testSettings(t)
	s.testGroups(t)
}

// testOperations is about what a Cache does with its engine.
func (s *suite) testOperations(t *testing.T) {
	s.testStore(t)
	s.testMany(t)
	s.testNumbers(t)
	s.testVersions(t)
	s.testKeys(t)
	s.testValues(t)
	s.testClear(t)
	s.testClose(t)
	s.testContext(t)
	s.testConcurrency(t)
	s.testTimeouts(t)
}
