package decorators

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each option has a doc comment, and a row in the guide's table.
func TestOptions_AreInTheGuide(t *testing.T) {
	guide, err := os.ReadFile("../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	inTable := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)[(\\[]").FindAllStringSubmatch(string(guide), -1) {
		inTable[row[1]] = true
	}
	options := 0
	for name, fn := range optionFuncs(t) {
		options++
		if !strings.HasPrefix(fn.Doc.Text(), name+" ") {
			t.Errorf("the doc of %s doesn't begin with its name", name)
		}
		if !inTable[name] {
			t.Errorf("%s is not in the table of options of docs/guide.md", name)
		}
	}
	if options == 0 || options != len(inTable) {
		t.Errorf("%d options, %d rows of docs/guide.md", options, len(inTable))
	}
}

// optionFuncs returns the exported functions of this package whose result is an Option.
func optionFuncs(t *testing.T) map[string]*ast.FuncDecl {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]*ast.FuncDecl)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !fn.Name.IsExported() || fn.Type.Results == nil || len(fn.Type.Results.List) != 1 {
				continue
			}
			if result, ok := fn.Type.Results.List[0].Type.(*ast.Ident); ok && result.Name == "Option" {
				found[fn.Name.Name] = fn
			}
		}
	}
	return found
}
