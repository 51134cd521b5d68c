package backendtest_test

import (
	"testing"

	"github.com/cacheutils/cacheutils/backends/backendtest"
	"github.com/cacheutils/cacheutils/backends/locmem"
	"github.com/cacheutils/cacheutils/engine"
)

// The test of an engine whose Open function takes a server's address. locmem.Open stands for
// it here.
func ExampleRun() {
	Open := locmem.Open

	// In the test file of the engine's package this is func TestEngine(t *testing.T).
	TestEngine := func(t *testing.T) {
		backendtest.Run(t, func(s engine.Settings) (engine.Engine, error) {
			s.Location = []string{"127.0.0.1:7000"}
			return Open(s)
		})
	}
	_ = TestEngine
}
