package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A kept history is the plan of one that has broken a law once. Each is a file of testdata/kept: what it was, the planted
// bug with which it still breaks that law, how many orders of events it is run in, and the plan as text. A change of what the
// library asks the store for changes the order that a schedule stands for: so there are enough for some to meet the bug.
type kept struct {
	name      string
	what      string
	bug       string // the name of a planted one
	schedules uint64
	plan      *plan
}

const keptDir = "testdata/kept"

// readKept reads the file of a kept history.
func readKept(path string) (*kept, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k := &kept{name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	rest := string(text)
	for _, field := range []struct {
		name string
		set  func(string) error
	}{
		{"what", func(text string) error { k.what = text; return nil }},
		{"bug", func(text string) error { k.bug = text; return nil }},
		{"schedules", func(text string) (err error) { k.schedules, err = strconv.ParseUint(text, 10, 64); return err }},
	} {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		value, isField := strings.CutPrefix(line, field.name+": ")
		if !isField || value == "" {
			return nil, fmt.Errorf("%s: %q is not %s: ...", path, line, field.name)
		}
		if err := field.set(value); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if k.plan, err = parsePlan(rest); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// allKept returns all kept histories.
func allKept(t *testing.T) (all []*kept) {
	t.Helper()
	paths, err := filepath.Glob(keptDir + "/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s has %d files: %v", keptDir, len(paths), err)
	}
	for _, path := range paths {
		k, err := readKept(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	return all
}

// Histories that have broken a law once don't any more, whatever the order of events.
func TestKept(t *testing.T) {
	for _, k := range allKept(t) {
		t.Run(k.name, func(t *testing.T) {
			broken, first, events := 0, "", 0
			for range k.schedules {
				res := run(t, k.plan, false)
				events += res.steps
				if len(res.broken) > 0 {
					if broken++; broken == 1 {
						res = run(t, k.plan, true)
						first = fmt.Sprintf("schedule %d: %s\n%s", k.plan.schedule, res.broken[0], res.story())
					}
				}
				k.plan.schedule++
			}
			t.Logf("%d of %d orders of events break a law; %d events", broken, k.schedules, events)
			if broken > 0 {
				t.Errorf("%s\n%s", k.what, first)
			}
		})
	}
}
