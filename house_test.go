package cacheutils_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Imports of packages go one way: docs/architecture.md shows it. These tests walk all of them, those of tests apart.

// layers are the folders of the module's packages from the top of the house to its ground: each imports what is
// below it. The packages of one layer don't import one another.
var layers = [][]string{
	{"backends/backendtest", "internal/test/cachetest", "cachetest"},
	{"decorators", "cache"},
	{"backends"},
	{"backends/locmem", "backends/memcached", "backends/dummy", "internal/store", "internal/sealed"},
	{"internal/entry", "internal/flight", "internal/registered"},
	{"engine", "cachekey", "internal/codec", "codecs"},
	{"internal/funcname", "logging"},
	{"internal/keyenc"},
	{"internal/usercodec", "internal/goroutine", "internal/clock", "internal/random"},
	{".", "internal/typeid", "internal/errtext"},
	{"internal/steer"},
}

const (
	testFolder  = "internal/test"        // has what only tests import
	suiteFolder = "backends/backendtest" // is a test, for other packages to run
)

// engineImports are the packages of the module that an engine may import.
var engineImports = []string{"engine", "internal/clock", "internal/random", "internal/errtext", "logging", "observe", "."}

// layerOf returns the number of a folder's layer, the top's being 0.
func layerOf(folder string) (layer int, ok bool) {
	layer = slices.IndexFunc(layers, func(folders []string) bool { return slices.Contains(folders, folder) })
	return layer, layer >= 0
}

// isEngine reports whether the package in the folder is an engine.
func isEngine(folder string) bool {
	name, ok := strings.CutPrefix(folder, "backends/")
	return ok && !strings.Contains(name, "/") && folder != suiteFolder
}

// isIn reports whether folder is parent, or a folder in it.
func isIn(folder, parent string) bool {
	return parent == "." || folder == parent || strings.HasPrefix(folder, parent+"/")
}

// wrongDirections returns what is wrong with imports, by folder, compared with the layers.
func wrongDirections(imports map[string][]string) (wrong []string) {
	for _, from := range slices.Sorted(maps.Keys(imports)) {
		layer, ok := layerOf(from)
		if !ok && !isIn(from, testFolder) {
			wrong = append(wrong, fmt.Sprintf("%s has no layer: give it one, and a line in docs/architecture.md", from))
			continue
		}
		for _, path := range imports[from] {
			if !inModule(path) {
				continue
			}
			to := folderOf(path)
			below, isBelow := layerOf(to)
			switch {
			case isIn(to, testFolder) && !isIn(from, testFolder):
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which is for tests", from, to))
			case ok && isBelow && below <= layer:
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which is not below it", from, to))
			case isEngine(from) && !slices.Contains(engineImports, to):
				wrong = append(wrong, fmt.Sprintf("%s is an engine, and imports %s: engines know %q only", from, to, engineImports))
			}
		}
	}
	return wrong
}

// folderRings returns the rings of imports among folders, each with what is in it, the conformance suite apart: that
// imports what it tests, as tests do. There is one graph for the packages and the outermost folders with a package, and
// one inside each of those.
func folderRings(imports map[string][]string) []string {
	var folders []string
	for folder := range imports {
		if folder != suiteFolder && !isIn(folder, testFolder) {
			folders = append(folders, folder)
		}
	}
	slices.Sort(folders)
	return ringsIn(".", folders, imports)
}

// ringsIn returns the rings among what is in parent, and inside that.
func ringsIn(parent string, folders []string, imports map[string][]string) (rings []string) {
	var nodes []string
	node := make(map[string]string) // that a folder is part of
	for _, folder := range folders {
		if !isIn(folder, parent) {
			continue
		}
		outer := slices.IndexFunc(nodes, func(n string) bool { return n != parent && isIn(folder, n) })
		if outer < 0 {
			nodes = append(nodes, folder)
			node[folder] = folder
		} else {
			node[folder] = nodes[outer]
		}
	}
	edges := make(map[string][]string)
	for folder, from := range node {
		for _, path := range imports[folder] {
			if to := node[folderOf(path)]; inModule(path) && to != "" && to != from {
				edges[from] = append(edges[from], to)
			}
		}
	}
	for _, n := range nodes {
		if ring := wayBack(n, n, edges, nil); ring != nil && n == slices.Min(ring) {
			rings = append(rings, strings.Join(append(ring, n), " -> "))
		}
		if n != parent {
			rings = append(rings, ringsIn(n, folders, imports)...)
		}
	}
	return rings
}

// wayBack returns a way along edges from at to the node goal, without that at its end, or nil.
func wayBack(at, goal string, edges map[string][]string, way []string) []string {
	way = append(way, at)
	for _, next := range edges[at] {
		if next == goal {
			return way
		}
		if slices.Contains(way, next) {
			continue
		}
		if found := wayBack(next, goal, edges, slices.Clip(way)); found != nil {
			return found
		}
	}
	return nil
}

// sharedModules returns the packages of others that more than one package of the module imports: a client is its
// engine's, and what it does is in one place for the others, too.
func sharedModules(imports map[string][]string) (wrong []string) {
	importers := make(map[string][]string)
	for _, from := range slices.Sorted(maps.Keys(imports)) {
		for _, path := range imports[from] {
			host, _, _ := strings.Cut(path, "/")
			if strings.Contains(host, ".") && !inModule(path) && from != suiteFolder {
				importers[path] = append(importers[path], from)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(importers)) {
		if by := importers[path]; len(by) > 1 {
			wrong = append(wrong, fmt.Sprintf("%s is imported by %q: let one of them do it for all", path, by))
		}
	}
	return wrong
}

// freeModules are the folders of nested modules that users don't link: they may import anything.
var freeModules = []string{"bench", "stress", "sim", "models", "cmd"}

// privateImports returns the files of nested modules, by their paths from the root, that import internal
// packages. What is shipped as a module of its own can't: two versions of the modules could be mixed.
func privateImports(files map[string][]string) (wrong []string) {
	for _, file := range slices.Sorted(maps.Keys(files)) {
		folder, _, _ := strings.Cut(file, "/")
		if slices.Contains(freeModules, folder) || strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, path := range files[file] {
			if isIn(path, modulePath+"/internal") {
				wrong = append(wrong, fmt.Sprintf("%s is in a module of its own, and imports %s: users may have another version of that", file, path))
			}
		}
	}
	return wrong
}

// nestedFiles returns the Go files of nested modules, by their paths from the root, with what they import.
func nestedFiles(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	err := filepath.WalkDir(".", func(mod string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "go.mod" || mod == "go.mod" {
			return err
		}
		return filepath.WalkDir(filepath.Dir(mod), func(file string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(file) != ".go" {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			name := filepath.ToSlash(file)
			all[name] = nil
			for _, spec := range f.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				all[name] = append(all[name], path)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found %d files of nested modules only", len(all))
	}
	return all
}

func TestHouse(t *testing.T) {
	imports := moduleImports(t)
	for _, wrong := range [][]string{wrongDirections(imports), folderRings(imports), sharedModules(imports), privateImports(nestedFiles(t))} {
		for _, w := range wrong {
			t.Error(w)
		}
	}
	for _, folder := range slices.Concat(layers...) {
		if _, ok := imports[folder]; !ok {
			t.Errorf("a layer has %s, where no package is", folder)
		}
	}
}

// TestHouse_wrong adds one import each to those that there are.
func TestHouse_wrong(t *testing.T) {
	for _, c := range []struct {
		from, imported string
		check          func(map[string][]string) []string
		want           string
	}{
		{"backends", modulePath + "/decorators", wrongDirections, "backends imports decorators, which is not below it"},
		{"cache", modulePath + "/decorators", wrongDirections, "cache imports decorators, which is not below it"},
		{"internal/entry", modulePath + "/internal/store", wrongDirections, "internal/entry imports internal/store, which is not below it"},
		{"engine", modulePath + "/backends/locmem", wrongDirections, "engine imports backends/locmem, which is not below it"},
		{"backends/locmem", modulePath + "/internal/codec", wrongDirections, "backends/locmem is an engine, and imports internal/codec"},
		{"backends/redis", modulePath + "/engine", wrongDirections, "backends/redis has no layer"},
		{"decorators", modulePath + "/internal/test/workers", wrongDirections, "decorators imports internal/test/workers, which is for tests"},
		{".", modulePath + "/logging", wrongDirections, ". imports logging, which is not below it"},
		{"internal/store", modulePath + "/backends/dummy", folderRings, "backends -> internal/store -> backends"},
		{"cachekey", modulePath + "/internal/store", folderRings, "cachekey -> internal/store -> cachekey"},
		{"backends/locmem", modulePath + "/backends", folderRings, "backends -> backends/locmem -> backends"},
		{"internal/store", "github.com/bradfitz/gomemcache/memcache", sharedModules, `memcache is imported by ["backends/memcached" "internal/store"]`},
	} {
		imports := moduleImports(t)
		imports[c.from] = append(slices.Clip(imports[c.from]), c.imported)
		wrong := c.check(imports)
		if !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, c.want) }) {
			t.Errorf("%s imports %s: got %q, want %q", c.from, c.imported, wrong, c.want)
		}
	}

	internal := modulePath + "/internal/store"
	for file, isWrong := range map[string]bool{
		"backends/redis/engine.go":      true,
		"backends/redis/engine_test.go": false,
		"cmd/cachevet/main.go":          false,
		"bench/cmd/peers/main.go":       false,
	} {
		if wrong := privateImports(map[string][]string{file: {internal}}); (len(wrong) > 0) != isWrong {
			t.Errorf("%s imports %s: got %q", file, internal, wrong)
		}
	}
}
