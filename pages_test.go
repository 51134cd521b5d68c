package cacheutils_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cacheutils/cacheutils/backends"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/test/cachetest"
)

// A page is a Markdown file of the repository.
type page struct {
	file string // from the root, with slashes
	text string
}

// pages returns README.md, its neighbours and all of docs.
func pages(t *testing.T) []page {
	t.Helper()
	files, err := filepath.Glob("docs/*.md")
	if err != nil || len(files) < 4 {
		t.Fatalf("docs has the pages %q, %v", files, err)
	}
	var all []page
	for _, file := range append([]string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md"}, files...) {
		file = filepath.ToSlash(file)
		all = append(all, page{file, read(t, file)})
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// prose returns a Markdown text without its blocks of code. The lines keep their numbers.
func prose(markdown string) string {
	lines := strings.Split(markdown, "\n")
	inBlock := false
	for i, line := range lines {
		isMark := strings.HasPrefix(line, "```")
		if isMark {
			inBlock = !inBlock
		}
		if isMark || inBlock {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// anchors returns what GitHub calls the headings of a Markdown text in links.
func anchors(markdown string) map[string]bool {
	all := make(map[string]bool)
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(prose(markdown), -1) {
		name := strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		anchor := name
		for i := 1; all[anchor]; i++ {
			anchor = fmt.Sprintf("%s-%d", name, i)
		}
		all[anchor] = true
	}
	return all
}

// README.md is read from top to bottom: what is longer has its place in docs.
func TestReadmeLength(t *testing.T) {
	const most = 250
	if n := strings.Count(read(t, "README.md"), "\n"); n > most {
		t.Errorf("README.md has %d lines, more than %d: move a part to a page of docs, and link to it", n, most)
	}
}

// Every page of docs begins with the question that it answers, and the index has that page and
// that question.
func TestPagesQuestions(t *testing.T) {
	const index = "docs/README.md"
	begin := regexp.MustCompile(`^# .+\n\n\*([^*]+\?)\*\n\n`)
	list := read(t, index)
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.file, "docs/") {
			continue
		}
		m := begin.FindStringSubmatch(p.text)
		if m == nil {
			t.Errorf("%s doesn't begin with a title and a question in *...?*", p.file)
			continue
		}
		question := strings.ReplaceAll(m[1], "\n", " ")
		if p.file != index && !strings.Contains(list, fmt.Sprintf("](%s) | %s |\n", path.Base(p.file), question)) {
			t.Errorf("%s has no row with %s and its question: %s", index, p.file, question)
		}
	}
}

// TestPagesLinks looks up the files and headings that the pages link to.
func TestPagesLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]*)\)`)
	files, headings := 0, 0
	for _, p := range pages(t) {
		for i, line := range strings.Split(prose(p.text), "\n") {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				target, anchor, hasAnchor := strings.Cut(m[1], "#")
				file := p.file
				if target != "" {
					file = path.Join(path.Dir(p.file), target)
					files++
				}
				text, err := os.ReadFile(file)
				if _, statErr := os.Stat(file); statErr != nil {
					t.Errorf("%s:%d: there is no %s", p.file, i+1, file)
					continue
				}
				if !hasAnchor {
					continue
				}
				headings++
				if err != nil || !anchors(string(text))[anchor] {
					t.Errorf("%s:%d: %s has no heading #%s", p.file, i+1, file, anchor)
				}
			}
		}
	}
	if files < 10 || headings < 10 {
		t.Errorf("found links to %d files and %d headings only", files, headings)
	}
}

// TestPagesFiles looks up the source files that the pages name, by their names or paths.
func TestPagesFiles(t *testing.T) {
	var files []string
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		files = append(files, "/"+filepath.ToSlash(file))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, p := range pages(t) {
		for _, m := range regexp.MustCompile("`([a-z0-9_/]+\\.go)`").FindAllStringSubmatch(p.text, -1) {
			found++
			isThere := func(file string) bool { return strings.HasSuffix(file, "/"+m[1]) }
			if !slices.ContainsFunc(files, isThere) {
				t.Errorf("%s: there is no file %s", p.file, m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("the pages name %d files only", found)
	}
}

// TestPagesMake looks up the targets of make that the pages name, in commands and in the text.
func TestPagesMake(t *testing.T) {
	makefile := read(t, "Makefile")
	found := 0
	check := func(place string, names [][]string) {
		for _, m := range names {
			found++
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: the Makefile has no target %s", place, m[1])
			}
		}
	}
	for _, p := range pages(t) {
		check(p.file, regexp.MustCompile("`make ([a-z-]+)").FindAllStringSubmatch(p.text, -1))
		for _, b := range blocks(p.file, p.text) {
			if b.language == "sh" {
				check(b.place(), regexp.MustCompile(`(?m)^make ([a-z-]+)`).FindAllStringSubmatch(b.code, -1))
			}
		}
	}
	if found < 10 {
		t.Errorf("the pages name %d targets only", found)
	}
}

// TestPagesConfig opens the backends of the JSON and URLs of the pages.
func TestPagesConfig(t *testing.T) {
	url := regexp.MustCompile(`(?m)(group\+)?(locmem|memcached|dummy)://[^\s` + "`" + `")]*`)
	t.Setenv("CACHE_SECRET", "a secret of the pages") // which a URL names
	jsons, urls := 0, 0
	for _, p := range pages(t) {
		for _, b := range blocks(p.file, p.text) {
			if b.language != "json" {
				continue
			}
			jsons++
			var config backends.Config
			if err := json.Unmarshal([]byte(b.code), &config); err != nil {
				t.Errorf("%s: %v", b.place(), err)
				continue
			}
			cachetest.Configure(t, config)
		}
		for _, u := range url.FindAllString(p.text, -1) {
			urls++
			s, err := backends.ParseURL(u)
			if err != nil {
				t.Errorf("%s: %v", p.file, err)
				continue
			}
			cachetest.Configure(t, backends.Config{"default": s})
		}
	}
	if jsons == 0 || urls < 3 {
		t.Errorf("found %d JSON blocks and %d URLs only", jsons, urls)
	}
}

// optionsPage has the table of the backends' options.
const optionsPage = "docs/backends.md"

// TestPagesOptions compares the table of the backends' options with those that there are.
func TestPagesOptions(t *testing.T) {
	text := read(t, optionsPage)
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (locmem|memcached|dummy|all) \\|")
	inTable := make(map[string]string) // the engine by the option
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		inTable[m[1]] = m[2]
	}
	for _, name := range []string{"locmem", "memcached", "dummy"} {
		err := backends.Configure(backends.Config{"default": {Backend: name, Options: map[string]any{"no_such": 1}}})
		if err == nil {
			t.Fatalf("%s takes any option", name)
		}
		_, list, _ := strings.Cut(err.Error(), "its options are ")
		for _, option := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
			if inTable[option] == "all" { // memcached has operation_timeout for itself, too
				continue
			}
			if inTable[option] != name {
				t.Errorf("%s has an option %s that %s doesn't have", name, option, optionsPage)
			}
			delete(inTable, option)
		}
	}
	for _, option := range engine.CommonOptions() {
		if inTable[option] != "all" {
			t.Errorf("all backends have an option %s that %s doesn't have", option, optionsPage)
		}
		delete(inTable, option)
	}
	for option := range inTable {
		t.Errorf("%s has an option %s that no engine has", optionsPage, option)
	}
}
