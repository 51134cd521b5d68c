package sim

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A planted bug is a change of a few lines of the library that breaks one rule of docs/freshness.md. Each is a file of
// testdata/planted: what it breaks, the source file, the lines as they are, each after a minus, and what stands in their
// place, each after a plus; there may be several such places. The simulation is built with that, by go test's -overlay, and has to find it. So a rule that
// the library keeps is one whose loss would be noticed.

var (
	plantedFlag = flag.Bool("sim.planted", false, "have TestPlanted look for all planted bugs, and not for a few")
	plantFlag   = flag.String("sim.plant", "", "have TestPlanted look for those whose names match this expression")
	rateFlag    = flag.Int("sim.rate", 1000, "of how many seeds TestPlanted counts how many find a bug")
)

const (
	plantedDir = "testdata/planted"
	mostSeeds  = 20_000 // among which each bug is found
)

// soonFound are the bugs that each run of the tests looks for.
var soonFound = []string{"group-generation-not-compared", "swap-ignores-cas", "result-not-copied", "without-lease-for-all"}

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
	first       uint64        // the first seed that finds it; 0: none
	law         string        // that is broken by it
	found, seen int           // of the seeds that are run in any case, how many find it, and how many were run
	used        time.Duration // of processors, for these
}

// keeps has the binary, which has the bug, run the kept histories that were found with it.
func (p *plant) keeps(t *testing.T, binary string) {
	for _, k := range allKept(t) {
		if k.bug != p.name {
			continue
		}
		out, err := exec.Command(binary, "-test.v", "-test.run", "^TestKept$/^"+regexp.QuoteMeta(k.name)+"$").CombinedOutput()
		if broken := keptBroken.Find(out); err == nil || broken == nil {
			t.Errorf("%s: the kept history %s doesn't break a law any more with the bug: %v\n%s", p.name, k.name, err, out)
		} else {
			t.Logf("%s, kept: %s", k.name, broken)
		}
	}
}

var keptBroken = regexp.MustCompile(`[1-9]\d* of \d+ orders of events break a law`)

// hunt has the binary run the first seeds, and then others until one finds the bug.
func hunt(binary string, most int) (*catch, error) {
	rated := driver{binary: binary, from: 1, histories: min(most, *rateFlag), goesOn: true}
	r, err := rated.drive(nil)
	if err != nil {
		return nil, err
	}
	c := &catch{found: len(r.Bad), seen: r.Histories, used: rated.used}
	if left := most - rated.histories; len(r.Bad) == 0 && left > 0 {
		others := driver{binary: binary, from: 1 + uint64(rated.histories), histories: left}
		if r, err = others.drive(nil); err != nil {
			return nil, err
		}
	}
	if len(r.Bad) == 0 {
		return c, nil
	}
	c.first, c.law = r.Bad[0].Seed, lawOf(r.Bad[0].What)
	if r.Bad[0].Died {
		c.law = "panic: " + firstPanic(r.Bad[0].What)
	}
	return c, nil
}

func firstPanic(text string) string {
	_, after, _ := strings.Cut(text, "panic: ")
	line, _, _ := strings.Cut(after, "\n")
	line, _, _ = strings.Cut(line, " [recovered")
	return line
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
	row := func(columns ...any) { t.Logf("| %-36v | %10v | %14v | %9v | %s |", columns...) }
	row("bug", "first seed", "found by", "in", "law")
	for _, p := range planted(t) {
		if !isChosen(p) {
			continue
		}
		binary, err := p.build(t.TempDir())
		if err != nil {
			t.Error(err)
			continue
		}
		p.keeps(t, binary)
		most := mostSeeds
		if p.notFound != "" && *plantFlag == "" {
			most = *rateFlag // who changes what is done in a history may look for it by its name
		}
		c, err := hunt(binary, most)
		switch {
		case err != nil:
			t.Errorf("%s: %v", p.name, err)
			continue
		case c.first == 0:
			row(p.name, "-", fmt.Sprint("0 of ", most), "", p.notFound)
			if p.notFound == "" {
				t.Errorf("%s is not found within %d seeds: %s", p.name, mostSeeds, p.rule)
			}
			continue
		}
		row(p.name, c.first, fmt.Sprintf("%d of %d", c.found, c.seen), c.used.Round(100*time.Millisecond), c.law)
		if res := run(t, planFor(c.first), false); len(res.broken) > 0 {
			t.Errorf("%s: seed %d breaks a law without the bug, too: that is to be understood first: %s", p.name, c.first, res.broken[0])
		}
		if p.notFound != "" {
			t.Errorf("%s is found, by seed %d: take the line %q away", p.name, c.first, "not found: "+p.notFound)
		}
	}
}
