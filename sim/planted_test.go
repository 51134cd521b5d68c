package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A planted bug is a change of a few lines of the library that breaks one rule of docs/freshness.md. Each is a file of
// testdata/planted: what it breaks, the source file, the lines as they are, each after a minus, and what stands in their
// place, each after a plus; there may be several such places. The simulation is built with that, by go test's -overlay, and has to find it. So a rule that
// the library keeps is one whose loss would be noticed.

var (
	plantedFlag = flag.Bool("sim.planted", false, "have TestPlanted look for all planted bugs, and not for a few")
	plantFlag   = flag.String("sim.plant", "", "have TestPlanted look for those whose names match this expression")
	huntFlag    = flag.Uint64("sim.hunt", 0, "up to which seed TestHunt looks for a history that breaks a law")
)

const (
	plantedDir = "testdata/planted"
	mostSeeds  = 20_000 // among which each bug is found
	rateSeeds  = 1000   // of which it is counted how many find it
)

// soonFound are the bugs that each run of the tests looks for.
var soonFound = []string{"group-generation-not-compared", "swap-ignores-cas", "result-not-copied"}

// A plant is one planted bug.
type plant struct {
	name     string
	rule     string // that it breaks, in one sentence
	file     string
	places   []place
	notFound string // why it isn't; empty: it has to be
}

// A place is lines of a source file, and what stands there instead.
type place struct{ was, now string }

// readPlant reads the file of a planted bug.
func readPlant(path string) (*plant, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &plant{name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	for line := range strings.Lines(string(text)) {
		rest, isRule := strings.CutPrefix(line, "rule: ")
		name, isFile := strings.CutPrefix(line, "file: ")
		why, isNotFound := strings.CutPrefix(line, "not found: ")
		switch {
		case isRule:
			p.rule = strings.TrimSpace(rest)
		case isFile:
			p.file = strings.TrimSpace(name)
		case isNotFound:
			p.notFound = strings.TrimSpace(why)
		case line[0] == '-':
			if n := len(p.places); n == 0 || p.places[n-1].now != "" {
				p.places = append(p.places, place{})
			}
			p.places[len(p.places)-1].was += line[1:]
		case line[0] == '+' && len(p.places) > 0:
			p.places[len(p.places)-1].now += line[1:]
		default:
			return nil, fmt.Errorf("%s: what is %q?", path, line)
		}
	}
	if p.rule == "" || p.file == "" || len(p.places) == 0 {
		return nil, fmt.Errorf("%s lacks the rule, the file, or the lines", path)
	}
	return p, nil
}

// planted returns all planted bugs.
func planted(t *testing.T) (all []*plant) {
	paths, err := filepath.Glob(plantedDir + "/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		p, err := readPlant(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// source returns the path of the source file.
func (p *plant) source() (string, error) {
	return filepath.Abs(filepath.Join("..", filepath.FromSlash(p.file)))
}

// apply returns the source file with the bug.
func (p *plant) apply() ([]byte, error) {
	path, err := p.source()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text = append([]byte("\n"), text...)
	for _, place := range p.places {
		was := []byte("\n" + place.was)
		if n := bytes.Count(text, was); n != 1 {
			return nil, fmt.Errorf("%s/%s.txt: its lines stand %d times in %s, not once: has the rule moved, or the bug become another?\n%s", plantedDir, p.name, n, p.file, place.was)
		}
		text = bytes.Replace(text, was, []byte("\n"+place.now), 1)
	}
	return text[1:], nil
}

// build makes a test binary of the simulation that has the bug.
func (p *plant) build(dir string) (binary string, err error) {
	changed, err := p.apply()
	if err != nil {
		return "", err
	}
	path, err := p.source()
	if err != nil {
		return "", err
	}
	copied, overlay := filepath.Join(dir, filepath.Base(path)), filepath.Join(dir, "overlay.json")
	binary = filepath.Join(dir, "sim.test")
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {path: copied}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(copied, changed, 0o666); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, replaced, 0o666); err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s with the bug doesn't build: %w\n%s", p.file, err, out)
	}
	return binary, nil
}

// A catch is what looking for a bug has come to.
type catch struct {
	first       string // the first seed that finds it; empty: none
	found, seen int    // of the first rateSeeds seeds, how many find it, and how many were run
	law         string // that is broken by the first
}

var lawName = regexp.MustCompile(`^(law \d+):`)

// hunt runs the binary's TestHunt up to that seed.
func hunt(binary string, most int) (*catch, error) {
	cmd := exec.Command(binary, "-test.run=^TestHunt$", "-test.timeout=30m", fmt.Sprint("-sim.hunt=", most))
	out, failed := cmd.CombinedOutput()
	var c catch
	last, ended := "", false
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "hunts":
			last = rest
			c.seen = min(c.seen+1, rateSeeds)
		case "broken":
			seed, what, _ := strings.Cut(rest, " ")
			if c.first == "" {
				c.first, c.law = seed, what
			}
			if n, err := strconv.Atoi(seed); err == nil && n <= rateSeeds {
				c.found++
			}
		case "hunted":
			ended = true
		}
	}
	switch {
	case ended && failed == nil:
		return &c, nil
	case last == "" || !bytes.Contains(out, []byte("panic: ")) || bytes.Contains(out, []byte("panic: test timed out")):
		return nil, fmt.Errorf("TestHunt did not come to its end: %v, after seed %s\n%s", failed, last, out[max(0, len(out)-2000):])
	case c.first == "": // the library itself has panicked, or left goroutines behind
		c.first, c.found = last, 1
		c.law = "panic: " + firstPanic(out)
	}
	return &c, nil
}

func firstPanic(out []byte) string {
	_, after, _ := bytes.Cut(out, []byte("panic: "))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	line, _, _ = bytes.Cut(line, []byte(" [recovered"))
	return string(line)
}

// TestHunt is what TestPlanted has a library with a bug run. It says which of the first seeds break a law, and then looks
// for one until there is one.
func TestHunt(t *testing.T) {
	if *huntFlag == 0 {
		t.Skip("it is for TestPlanted: set -sim.hunt")
	}
	found := false
	for seed := uint64(1); seed <= *huntFlag && (!found || seed <= rateSeeds); seed++ {
		fmt.Println("hunts", seed)
		if r := run(t, planFor(seed), false); len(r.broken) > 0 {
			what := r.broken[0]
			if name := lawName.FindStringSubmatch(what); name != nil {
				what = name[1]
			}
			fmt.Println("broken", seed, what)
			found = true
		}
	}
	fmt.Println("hunted")
}

// The lines of each planted bug stand in the source, once.
func TestPlantedLines(t *testing.T) {
	for _, p := range planted(t) {
		if _, err := p.apply(); err != nil {
			t.Error(err)
		}
	}
}

// Each planted bug is found.
func TestPlanted(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the simulation for each bug")
	}
	wanted, err := regexp.Compile(*plantFlag)
	if err != nil {
		t.Fatal(err)
	}
	isChosen := func(p *plant) bool {
		if *plantFlag != "" {
			return wanted.MatchString(p.name)
		}
		return *plantedFlag || slices.Contains(soonFound, p.name)
	}
	row := func(columns ...any) { t.Logf("| %-36v | %10v | %12v | %s |", columns...) }
	row("bug", "first seed", "found by", "law")
	for _, p := range planted(t) {
		if !isChosen(p) {
			continue
		}
		binary, err := p.build(t.TempDir())
		if err != nil {
			t.Error(err)
			continue
		}
		most := mostSeeds
		if p.notFound != "" && *plantFlag == "" {
			most = rateSeeds // who changes what is done in a history may look for it by its name
		}
		c, err := hunt(binary, most)
		switch {
		case err != nil:
			t.Errorf("%s: %v", p.name, err)
			continue
		case c.first == "":
			row(p.name, "-", fmt.Sprint("0 of ", most), p.notFound)
			if p.notFound == "" {
				t.Errorf("%s is not found within %d seeds: %s", p.name, mostSeeds, p.rule)
			}
			continue
		}
		row(p.name, c.first, fmt.Sprintf("%d of %d", c.found, c.seen), c.law)
		if seed, err := strconv.ParseUint(c.first, 10, 64); err != nil || len(run(t, planFor(seed), false).broken) > 0 {
			t.Errorf("%s: seed %s breaks a law without the bug, too (%v): that is to be understood first", p.name, c.first, err)
		}
		if p.notFound != "" {
			t.Errorf("%s is found, by seed %s: take the line %q away", p.name, c.first, "not found: "+p.notFound)
		}
	}
}
