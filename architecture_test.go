package cacheutils_test

import (
	"fmt"
	"go/ast"
	"go/types"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/architecture.md has the house, walks through it, and where to change what. It is held to the code.

const architecturePage = "docs/architecture.md"

// A funcName is a function, method or type as the page writes it: file, and name or receiver.name.
type funcName struct{ file, name string }

func (f funcName) String() string { return f.file + ":" + f.name }

// An objectName is what a package declares, in all packages that import it: a function, or a method by its
// receiver's type.
type objectName struct{ pkg, name string }

func nameOf(obj types.Object) objectName {
	name := obj.Name()
	if f, ok := obj.(*types.Func); ok && f.Signature().Recv() != nil {
		t := f.Signature().Recv().Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if named, ok := t.(*types.Named); ok {
			name = named.Obj().Name() + "." + name
		}
	}
	return objectName{obj.Pkg().Path(), name}
}

// code is what the walks go through.
type code struct {
	declared map[funcName]objectName
	uses     map[objectName]map[objectName]bool // what a function's body uses
	abstract map[objectName]map[string]bool     // names of the methods of interfaces that it uses
}

func newCode() *code {
	return &code{
		declared: make(map[funcName]objectName),
		uses:     make(map[objectName]map[objectName]bool),
		abstract: make(map[objectName]map[string]bool),
	}
}

// add adds a package.
func (c *code) add(p *checkedPackage) {
	for name, file := range p.files {
		for id, obj := range p.info.Defs {
			if d := declared(obj); d != nil && p.fileOf(id.Pos()) == name {
				n := nameOf(d)
				c.declared[funcName{path.Join(p.folder, name), n.name}] = n
			}
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				c.addBody(p, nameOf(p.info.Defs[f.Name]), f)
			}
		}
	}
}

// addBody adds what a function uses, which most often is to call it.
func (c *code) addBody(p *checkedPackage, caller objectName, f *ast.FuncDecl) {
	c.uses[caller], c.abstract[caller] = make(map[objectName]bool), make(map[string]bool)
	ast.Inspect(f, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok {
			return true
		}
		fn, ok := declared(p.info.Uses[id]).(*types.Func)
		if !ok {
			return true
		}
		if recv := fn.Signature().Recv(); recv != nil && types.IsInterface(recv.Type()) {
			c.abstract[caller][fn.Name()] = true
		}
		c.uses[caller][nameOf(fn)] = true
		return true
	})
}

// calls reports whether one function calls the other, or names it, or calls a method of its name by an interface.
func (c *code) calls(caller, callee funcName) bool {
	from, to := c.declared[caller], c.declared[callee]
	_, method, isMethod := strings.Cut(to.name, ".")
	return c.uses[from][to] || isMethod && c.abstract[from][method]
}

// A stop is a line of a walk.
type stop struct {
	funcName
	depth int
}

// maxStops is how many stops a walk may have: as many as one keeps in mind.
const maxStops = 15

var (
	walkLine  = regexp.MustCompile("(?m)^( *)- `([a-z0-9_/]+\\.go):([A-Za-z0-9_.]+)` .+$")
	namedFunc = regexp.MustCompile("`([a-z0-9_/]+\\.go):([A-Za-z0-9_.]+)`")
)

// walks returns the walks of the page, by their headings.
func walks(text string) map[string][]stop {
	all := make(map[string][]stop)
	for _, section := range strings.Split(text, "\n## ")[1:] {
		heading, rest, _ := strings.Cut(section, "\n")
		for _, m := range walkLine.FindAllStringSubmatch(rest, -1) {
			all[heading] = append(all[heading], stop{funcName{m[2], m[3]}, len(m[1]) / 2})
		}
	}
	return all
}

// wrongWalks returns what is wrong with the functions that the page names, and with its walks.
func (c *code) wrongWalks(text string) (wrong []string) {
	for _, m := range namedFunc.FindAllStringSubmatch(text, -1) {
		if f := (funcName{m[1], m[2]}); c.declared[f] == (objectName{}) {
			wrong = append(wrong, fmt.Sprintf("there is no %v", f))
		}
	}
	all := walks(text)
	for _, heading := range slices.Sorted(maps.Keys(all)) {
		stops := all[heading]
		if len(stops) > maxStops {
			wrong = append(wrong, fmt.Sprintf("%s: %d stops, more than %d", heading, len(stops), maxStops))
		}
		var way []stop // to the stop, from above
		for i, s := range stops {
			if s.depth > len(way) || i > 0 && s.depth == 0 {
				wrong = append(wrong, fmt.Sprintf("%s: %v stands under nothing", heading, s))
				continue
			}
			if s.depth > 0 && !c.calls(way[s.depth-1].funcName, s.funcName) {
				wrong = append(wrong, fmt.Sprintf("%s: %v doesn't call %v", heading, way[s.depth-1], s))
			}
			way = append(way[:s.depth], s)
		}
	}
	return wrong
}

// houseLines returns which folders import which, as the page has it.
func houseLines(text string) map[arrow]bool {
	all := make(map[arrow]bool)
	for _, b := range blocks(architecturePage, text) {
		for _, line := range strings.Split(b.code, "\n") {
			left, right, ok := strings.Cut(line, " -> ")
			if !ok {
				continue
			}
			for _, from := range strings.Split(left, ", ") {
				for _, to := range strings.Split(right, ", ") {
					all[arrow{from, to}] = true
				}
			}
		}
	}
	return all
}

// ground are the folders that every package may import, and which the page's lines leave out.
var ground = []string{".", "logging", "internal/errtext"}

// wrongLines returns what is wrong with the page's lines compared with the imports, by folder.
func wrongLines(text string, imports map[string][]string) (wrong []string) {
	lines := houseLines(text)
	for from, paths := range imports {
		if from == suiteFolder || isIn(from, testFolder) {
			continue
		}
		for _, p := range paths {
			if !inModule(p) || slices.Contains(ground, folderOf(p)) {
				continue
			}
			a := arrow{from, folderOf(p)}
			if !lines[a] {
				wrong = append(wrong, fmt.Sprintf("no line has %v", a))
			}
			delete(lines, a)
		}
	}
	for a := range lines {
		wrong = append(wrong, fmt.Sprintf("a line has %v, which is not an import", a))
	}
	slices.Sort(wrong)
	return wrong
}

// moduleCode returns all packages of the module but those for tests.
func moduleCode(t *testing.T) *code {
	t.Helper()
	c := newCode()
	for folder := range moduleImports(t) {
		if !isIn(folder, testFolder) {
			c.add(checkPackage(t, folder))
		}
	}
	return c
}

func TestArchitecture(t *testing.T) {
	text := read(t, architecturePage)
	imports := moduleImports(t)
	for _, wrong := range slices.Concat(moduleCode(t).wrongWalks(text), wrongLines(text, imports)) {
		t.Errorf("%s: %s", architecturePage, wrong)
	}
	if n := len(walks(text)); n != 4 {
		t.Errorf("%s has %d walks", architecturePage, n)
	}
	for folder := range imports {
		isRow := regexp.MustCompile("(?m)^\\|.*`" + folder + "`.*\\|.*\\|$").MatchString(text)
		if !isRow && !isIn(folder, testFolder) && folder != "." && folder != "internal/errtext" {
			t.Errorf("%s has no row for %s", architecturePage, folder)
		}
	}
	for _, m := range regexp.MustCompile("`([A-Za-z0-9_]+(?:/[a-z0-9_]+)+(?:\\.(?:go|md))?|[A-Za-z0-9_]+\\.(?:go|md))[`:]").FindAllStringSubmatch(text, -1) {
		if !isFile(m[1]) {
			t.Errorf("%s: there is no %s", architecturePage, m[1])
		}
	}
}

// fileInComment finds a Go file in a comment.
var fileInComment = regexp.MustCompile(`(?:^|[\s(])([a-z][a-z0-9_/]*\.go)\b`)

// TestCommentFiles looks up the files that comments name: in the comment's folder, or by their path from the
// root.
func TestCommentFiles(t *testing.T) {
	found := 0
	for folder := range moduleImports(t) {
		if isIn(folder, testFolder) {
			continue
		}
		c := checkPackage(t, folder)
		for _, file := range c.files {
			for _, group := range file.Comments {
				for _, m := range fileInComment.FindAllStringSubmatch(group.Text(), -1) {
					found++
					isExample := folder == "cachekey" && m[1] == "file.go"
					if !isExample && !isFile(path.Join(folder, m[1])) && !isFile(m[1]) {
						t.Errorf("%s/%s: a comment names %s, which is not there", folder, c.fileOf(group.Pos()), m[1])
					}
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("comments name %d files only", found)
	}
}

func isFile(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// TestArchitecture_wrong makes one mistake each in the page.
func TestArchitecture_wrong(t *testing.T) {
	text := read(t, architecturePage)
	all := moduleCode(t)
	imports := moduleImports(t)
	long := "\n## A long walk\n\n- `decorators/cached.go:plan.call` begins\n" +
		strings.Repeat("  - `decorators/call.go:plan.lookup` looks\n", maxStops)
	for _, c := range []struct{ name, old, new, want string }{
		{"a function that is not there", "call.go:plan.lookup`", "call.go:plan.find`", "there is no decorators/call.go:plan.find"},
		{"one of another file", "call.go:plan.lookup`", "cached.go:plan.lookup`", "there is no decorators/cached.go:plan.lookup"},
		{"one of another receiver", "Store.Lookup`", "Miss.Look`", "there is no internal/store/fetch.go:Miss.Look"},
		{"a type that is not there", "task.go:Stats`", "task.go:Counts`", "there is no internal/store/task.go:Counts"},
		{"a call that is not made", "typed.go:typed.pointer`", "typed.go:typed.setFor`", "doesn't call decorators/typed.go:typed.setFor"},
		{"a method that no interface has", "engine.go:memory.Add`", "store.go:store.add`", "lease.go:Store.take doesn't call backends/locmem/store.go:store.add"},
		{"a level left out", "\n  - `decorators/convert.go:plan.arguments`", "\n    - `decorators/convert.go:plan.arguments`", "decorators/convert.go:plan.arguments stands under nothing"},
		{"too many stops", "\n## Where do I", long + "\n## Where do I", "A long walk: 16 stops"},
		{"an import left out", "internal/entry, internal/flight, ", "internal/entry, ", "no line has internal/store -> internal/flight"},
		{"an import too many", "internal/flight -> ", "internal/flight -> engine, ", "a line has internal/flight -> engine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := strings.Replace(text, c.old, c.new, 1)
			if changed == text {
				t.Fatalf("the page has no %q", c.old)
			}
			wrong := slices.Concat(all.wrongWalks(changed), wrongLines(changed, imports))
			if !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, c.want) }) {
				t.Errorf("got %q, want %q", wrong, c.want)
			}
		})
	}
}
