package cacheutils_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The tests of the house read the module's own source: what go list says of the packages, and the packages
// type-checked, with what they import as the compiler has it.

// modulePath is what all import paths of the module begin with.
const modulePath = "github.com/cacheutils/cacheutils"

// A listedPackage is what go list says of a package.
type listedPackage struct {
	ImportPath string
	Dir        string
	Export     string // the file of the compiler's export data
	GoFiles    []string
	Imports    []string
}

// listModule returns the packages of the module with all that they import, by path.
var listModule = sync.OnceValues(func() (map[string]*listedPackage, error) {
	return goList("-deps", "-export", "./...")
})

// goList runs go list in the working directory.
func goList(args ...string) (map[string]*listedPackage, error) {
	list := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Export,GoFiles,Imports"}, args...)...)
	var problems bytes.Buffer
	list.Stderr = &problems
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", list, err, &problems)
	}
	all := make(map[string]*listedPackage)
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listedPackage)
		if err := decoder.Decode(p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all[p.ImportPath] = p
	}
}

// inModule reports whether path is a package of the root's module.
func inModule(path string) bool { return path == modulePath || strings.HasPrefix(path, modulePath+"/") }

// folderOf returns the folder of a package of the module, from the root: "." for the root.
func folderOf(path string) string {
	if path == modulePath {
		return "."
	}
	return strings.TrimPrefix(path, modulePath+"/")
}

// pathOf returns the import path of the package in a folder.
func pathOf(folder string) string { return path.Join(modulePath, folder) }

// moduleImports returns, by folder, what the packages of the module import, tests apart.
func moduleImports(t *testing.T) map[string][]string {
	t.Helper()
	listed, err := listModule()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for _, p := range listed {
		if inModule(p.ImportPath) {
			all[folderOf(p.ImportPath)] = p.Imports
		}
	}
	if len(all) < 20 {
		t.Fatalf("found %d packages only", len(all))
	}
	return all
}

// A checkedPackage is a package of the module with its types.
type checkedPackage struct {
	folder string
	fset   *token.FileSet
	files  map[string]*ast.File // by name
	info   *types.Info
}

// checkPackage type-checks the package in a folder of the module.
func checkPackage(t *testing.T, folder string) *checkedPackage {
	t.Helper()
	listed, err := listModule()
	if err != nil {
		t.Fatal(err)
	}
	p := listed[pathOf(folder)]
	if p == nil {
		t.Fatalf("there is no package in %s", folder)
	}
	sources := make(map[string]string)
	for _, name := range p.GoFiles {
		text, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sources[name] = string(text)
	}
	checked, err := checkSources(folder, sources, importer.ForCompiler(token.NewFileSet(), "gc", func(imported string) (io.ReadCloser, error) {
		if p := listed[imported]; p != nil && p.Export != "" {
			return os.Open(p.Export)
		}
		return nil, fmt.Errorf("go list has no export data of %s", imported)
	}))
	if err != nil {
		t.Fatal(err)
	}
	return checked
}

// checkSources type-checks a package whose files are given by name.
func checkSources(folder string, sources map[string]string, imports types.Importer) (*checkedPackage, error) {
	c := &checkedPackage{
		folder: folder,
		fset:   token.NewFileSet(),
		files:  make(map[string]*ast.File),
		info: &types.Info{
			Uses: make(map[*ast.Ident]types.Object),
			Defs: make(map[*ast.Ident]types.Object),
		},
	}
	var files []*ast.File
	for name, text := range sources {
		f, err := parser.ParseFile(c.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		c.files[name] = f
		files = append(files, f)
	}
	config := types.Config{Importer: imports}
	_, err := config.Check(pathOf(folder), c.fset, files, c.info)
	return c, err
}

// fileOf returns the name of the file that a position is in.
func (c *checkedPackage) fileOf(pos token.Pos) string { return c.fset.Position(pos).Filename }

// names returns the names of the package's files.
func (c *checkedPackage) names() []string {
	var names []string
	for name := range c.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
