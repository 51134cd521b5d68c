package cacheutils_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The Go code of the pages and of the package's doc is compiled. A block that begins with a
// package clause is a file. Any other is a fragment, either declarations or statements: the
// packages of fragmentImports and the names of fragmentNames are there without being declared.
// A program (package main) that a ```text block follows is run, and has to print that.

// fragmentImports are the packages that fragments use.
var fragmentImports = map[string]string{
	"backends":   "github.com/cacheutils/cacheutils/backends",
	"engine":     "github.com/cacheutils/cacheutils/engine",
	"cache":      "github.com/cacheutils/cacheutils/cache",
	"cachetest":  "github.com/cacheutils/cacheutils/cachetest",
	"cachekey":   "github.com/cacheutils/cacheutils/cachekey",
	"cacheutils": "github.com/cacheutils/cacheutils",
	"codecs":     "github.com/cacheutils/cacheutils/codecs",
	"context":    "context",
	"decorators": "github.com/cacheutils/cacheutils/decorators",
	"errors":     "errors",
	"fmt":        "fmt",
	"http":       "net/http",
	"json":       "encoding/json",
	"locmem":     "github.com/cacheutils/cacheutils/backends/locmem",
	"log":        "log",
	"logging":    "github.com/cacheutils/cacheutils/logging",
	"logrus":     "github.com/sirupsen/logrus",
	"os":         "os",
	"reflect":    "reflect",
	"slog":       "log/slog",
	"sql":        "database/sql",
	"strings":    "strings",
	"synctest":   "testing/synctest",
	"testing":    "testing",
	"time":       "time",
}

// fragmentNames are declarations of what fragments use without declaring it.
var fragmentNames = map[string]string{
	"City":       `type City struct{ ID int; Name string }`,
	"LoadCity":   `var LoadCity, cities = decorators.Cached(loadCity)`,
	"cities":     `var LoadCity, cities = decorators.Cached(loadCity)`,
	"LoadCities": `var LoadCities, someCities = decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]City, error) { return nil, nil })`,
	"someCities": `var LoadCities, someCities = decorators.CachedMany(func(ctx context.Context, ids []int) (map[int]City, error) { return nil, nil })`,
	"loadCity":   `func loadCity(ctx context.Context, id int, lang string) (City, error) { return City{}, nil }`,
	"ctx":        `var ctx = context.Background()`,
	"db":         `var db *sql.DB`,
	"text":       `var text []byte`,
	"city":       `var city City`,
	"Table":      `type Table interface{ Price(ctx context.Context, sku string) (int, error); SetPrice(ctx context.Context, sku string, price int) error }`,
	"Shop":       `type Shop struct{ Price func(ctx context.Context, sku string) (int, error); SetPrice func(ctx context.Context, sku string, price int) error }`,
	"NewShop":    `func NewShop(table Table, opts ...decorators.Option) *Shop { return nil }`,
	"fakeTable":  `type fakeTable struct { Table; prices map[string]int; asked int }`,
	"Bank":       `type Bank interface{ Rate(ctx context.Context, currency string) (float64, error) }`,
	"fakeBank":   `type fakeBank map[string]float64; func (f fakeBank) Rate(_ context.Context, currency string) (float64, error) { return f[currency], nil }`,
	"queryRate":  `func queryRate(ctx context.Context, bank Bank, currency string) (float64, error) { return bank.Rate(ctx, currency) }`,
	"Rate":       `func Rate(ctx context.Context, bank Bank, currency string) (float64, error) { return bank.Rate(ctx, currency) }`,
}

// A block is what stands between ``` and ```.
type block struct {
	file     string
	line     int // of its first line
	language string
	code     string
	output   string // of the ```text block that follows
	isRun    bool
}

func (b block) place() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// blocks returns the blocks of a Markdown text.
func blocks(file, markdown string) []block {
	var all []block
	var open *block
	last := -1 // how many blocks there were, while no text has followed the last one
	for i, line := range strings.Split(markdown, "\n") {
		mark, isMark := strings.CutPrefix(line, "```")
		switch {
		case open != nil && isMark:
			if n := len(all); open.language == "text" && n > 0 && all[n-1].language == "go" && last == n {
				all[n-1].output, all[n-1].isRun = open.code, true
			}
			all = append(all, *open)
			open, last = nil, len(all)
		case open != nil:
			open.code += line + "\n"
		case isMark:
			open = &block{file: file, line: i + 2, language: mark}
		case strings.TrimSpace(line) != "":
			last = -1
		}
	}
	return all
}

// docBlocks returns the code of the doc of the package in that file.
func docBlocks(file string) ([]block, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var all []block
	for _, part := range new(comment.Parser).Parse(f.Doc.Text()).Content {
		if code, ok := part.(*comment.Code); ok {
			all = append(all, block{file: file, line: 1, language: "go", code: code.Text})
		}
	}
	return all, nil
}

// source returns the Go file that a block stands for, and whether that is a program. The lines
// of a fragment are those of the Markdown file. The lines of a file are its own, since they show
// in keys.
func (b block) source() (text string, isProgram bool, err error) {
	formatted, err := format.Source([]byte(b.code))
	if err != nil {
		return "", false, fmt.Errorf("%s: neither a file nor declarations nor statements: %w", b.place(), err)
	}
	if string(formatted) != b.code {
		return "", false, fmt.Errorf("%s: not as gofmt has it:\n%s", b.place(), formatted)
	}
	if f, err := parser.ParseFile(token.NewFileSet(), "", b.code, parser.PackageClauseOnly); err == nil {
		return b.code, f.Name.Name == "main", nil
	}
	body := fmt.Sprintf("\n//line %s:%d\n%s\n//line rest:1\n", b.file, b.line, b.code)
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+b.code, 0); err != nil {
		body = "func _() {" + body + "}\n"
	}
	text, err = complete(body)
	return text, false, err
}

// complete adds what the declarations of body use and don't declare.
func complete(body string) (string, error) {
	imports := ""
	added := make(map[string]bool)
	for {
		f, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+imports+body, 0)
		if err != nil {
			return "", err
		}
		missing := func(name, text string) bool {
			if text == "" || added[text] {
				return false
			}
			added[text] = true
			return true
		}
		changed := false
		for _, id := range f.Unresolved {
			if path := fragmentImports[id.Name]; missing(id.Name, path) {
				imports += fmt.Sprintf("import %q\n", path)
				changed = true
			}
			if text := fragmentNames[id.Name]; missing(id.Name, text) {
				body += text + "\n"
				changed = true
			}
		}
		if !changed {
			return "package p\n" + imports + use(f, body), nil
		}
	}
}

// use lets the variables of a function _ count as used.
func use(f *ast.File, body string) string {
	uses := ""
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "_" {
			continue
		}
		for _, stmt := range fn.Body.List {
			if a, ok := stmt.(*ast.AssignStmt); ok && a.Tok == token.DEFINE {
				for _, left := range a.Lhs {
					if id := left.(*ast.Ident); id.Name != "_" {
						uses += "_ = " + id.Name + "\n"
					}
				}
			}
			if d, ok := stmt.(*ast.DeclStmt); ok {
				for _, spec := range d.Decl.(*ast.GenDecl).Specs {
					if v, ok := spec.(*ast.ValueSpec); ok {
						for _, id := range v.Names {
							uses += "_ = " + id.Name + "\n"
						}
					}
				}
			}
		}
	}
	return strings.Replace(body, "\n//line rest:1\n", "\n//line rest:1\n"+uses, 1)
}

// check vets the Go blocks in a module of their own in dir, and builds and runs the programs.
func check(dir string, all []block) error {
	if err := writeModule(dir); err != nil {
		return err
	}
	var errs []error
	programs := make(map[string]block)
	for i, b := range all {
		if b.language != "go" {
			continue
		}
		name := fmt.Sprintf("block%d_of_%s_line_%d", i, strings.ReplaceAll(b.file, "/", "_"), b.line)
		text, isProgram, err := b.source()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name, "block.go"), []byte(text), 0o644); err != nil {
			return err
		}
		switch {
		case b.isRun && isProgram:
			programs[name] = b
		case b.isRun:
			errs = append(errs, fmt.Errorf("%s: a ```text block follows what is not a program", b.place()))
		}
	}
	if err := goTool(dir, "vet", "./..."); err != nil {
		return errors.Join(append(errs, err)...)
	}
	for name := range programs {
		if err := goTool(dir, "build", "-o", "bin"+string(filepath.Separator), "./"+name); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	for name, b := range programs {
		program := filepath.Join(dir, "bin", name)
		if runtime.GOOS == "windows" {
			program += ".exe"
		}
		out, err := exec.Command(program).CombinedOutput()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", b.place(), err))
		}
		if got := string(bytes.TrimSpace(out)); got != strings.TrimSpace(b.output) {
			errs = append(errs, fmt.Errorf("%s: it printed\n%s\nbut the text says\n%s", b.place(), got, b.output))
		}
	}
	return errors.Join(errs...)
}

func goTool(dir string, args ...string) error {
	tool := exec.Command("go", args...)
	tool.Dir = dir
	tool.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if out, err := tool.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", tool, err, out)
	}
	return nil
}

// writeModule makes dir a module that uses this one, with the same dependencies.
func writeModule(dir string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		return err
	}
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		return err
	}
	const path = "github.com/cacheutils/cacheutils"
	text := strings.Replace(string(mod), "module "+path+"\n", "module example.com/app\n", 1) +
		fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %s => %q\n", path, path, root)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o644),
		os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o644))
}

func TestPagesCode(t *testing.T) {
	var all []block
	for _, p := range pages(t) {
		all = append(all, blocks(p.file, p.text)...)
	}
	fromDoc, err := docBlocks("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 || len(fromDoc) < 3 {
		t.Fatalf("found %d and %d blocks only", len(all), len(fromDoc))
	}
	if err := check(t.TempDir(), append(all, fromDoc...)); err != nil {
		t.Error(err)
	}
}

// TestPagesCode_wrong has blocks with a mistake each, and searches the errors for the place of each mistake.
func TestPagesCode_wrong(t *testing.T) {
	text := strings.ReplaceAll(`
'''go
fmt.Println("right")
n, err := fmt.Println("right, too")
'''

'''go
var LoadCity, cities = decorators.Cached(loadCity, decorators.NoSuchOption())
'''

'''go
n := 1
fmt.Println(n.Name)
'''

'''go
func f() {}

f()
'''

'''go
n  := 1
'''
`, "'''", "```")
	err := check(t.TempDir(), blocks("WRONG.md", text))
	for _, want := range []string{
		"WRONG.md:8: undefined: decorators.NoSuchOption",
		"WRONG.md:13: n.Name undefined",
		"WRONG.md:17: neither",
		"WRONG.md:23: not as gofmt has it",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "WRONG.md:3") {
		t.Errorf("a right block is called wrong: %v", err)
	}

	text = strings.ReplaceAll(`
'''go
package main

func main() { println("this") }
'''

'''text
that
'''
`, "'''", "```")
	err = check(t.TempDir(), blocks("OUTPUT.md", text))
	if err == nil || !strings.Contains(err.Error(), "OUTPUT.md:3: it printed\nthis\n") {
		t.Errorf("got %v, want the output of the program", err)
	}
}
