package cacheutils_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bugs that are planted for the simulation change lines of the library, each a block of a file of sim/testdata/planted.
// Who changes such lines changes the bug, too, see docs/simulation.md. The simulation is a module of its own, so the lines are
// looked for here as well.
func TestPlantedLines(t *testing.T) {
	paths, err := filepath.Glob("sim/testdata/planted/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are no planted bugs: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var source, block string
		check := func() {
			if n := strings.Count("\n"+source, "\n"+block); block != "" && n != 1 {
				t.Errorf("%s: its lines stand %d times in the source, not once:\n%s", path, n, block)
			}
			block = ""
		}
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "file: "); ok {
				content, err := os.ReadFile(strings.TrimSpace(name))
				if err != nil {
					t.Errorf("%s: %v", path, err)
					break
				}
				source = string(content)
			}
			if was, ok := strings.CutPrefix(line, "-"); ok {
				block += was
			} else {
				check()
			}
		}
		check()
	}
}
