package cacheutils_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A user's program links few modules, and README.md says how many.
func TestModules(t *testing.T) {
	const most = 10
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./decorators", "./cache")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	modules = slices.Compact(modules)
	if len(modules) > most {
		t.Errorf("a user links %d modules, more than %d: %q", len(modules), most, modules)
	}
	stated := regexp.MustCompile(`links (\d+) modules`).FindStringSubmatch(read(t, "README.md"))
	if stated == nil {
		t.Fatal("README.md doesn't say how many modules a user links")
	}
	if n, _ := strconv.Atoi(stated[1]); n != len(modules) {
		t.Errorf("README.md says that a user links %d modules, but it is %d: %q", n, len(modules), modules)
	}
}

// A module of its own that programs import has them link what docs/dependencies.md says, besides what they link anyway.
func TestModules_Nested(t *testing.T) {
	list := func(folder string, packages ...string) map[string]bool {
		t.Helper()
		list := exec.Command("go", append([]string{"list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}"}, packages...)...)
		list.Dir = folder
		out, err := list.Output()
		if err != nil {
			t.Fatalf("%v in %s: %v", list, folder, err)
		}
		modules := make(map[string]bool)
		for _, path := range strings.Fields(string(out)) {
			modules[path] = true
		}
		return modules
	}
	anyway := list(".", "./decorators", "./cache")
	rows := regexp.MustCompile("(?m)^\\[([a-z/]+)\\]\\(\\.\\./[a-z/]+\\) is a module of its own, and has a program link one more: `([^`]+)`").
		FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1)
	if len(rows) == 0 {
		t.Fatal("docs/dependencies.md has no module of its own")
	}
	for _, row := range rows {
		folder, stated := row[1], row[2]
		for path := range list(folder, ".") {
			if !anyway[path] && path != stated && path != modulePath+"/"+folder {
				t.Errorf("%s has a program link %s, which docs/dependencies.md doesn't say", folder, path)
			}
		}
	}
}

// Each module in go.mod has its reason in docs/dependencies.md.
func TestModulesHaveReasons(t *testing.T) {
	mod := read(t, "go.mod")
	reasons := read(t, "docs/dependencies.md")
	required := regexp.MustCompile(`(?m)^(?:require )?\s*(\S+\.\S+/\S+) v\S+`).FindAllStringSubmatch(mod, -1)
	if len(required) < 3 {
		t.Fatalf("found %d modules in go.mod only", len(required))
	}
	for _, m := range required {
		if !strings.Contains(reasons, "`"+m[1]+"`") {
			t.Errorf("docs/dependencies.md has no reason for %s", m[1])
		}
	}
}

// docs/dependencies.md says of some modules that one package alone imports them, examples apart.
func TestModulesHaveOneImporter(t *testing.T) {
	const path = "github.com/cacheutils/cacheutils/"
	list := exec.Command("go", "list", "-f", "{{range .Imports}}{{$.ImportPath}} {{.}}\n{{end}}", "./...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*Only `([^`]+)` imports it").FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1)
	if len(rows) < 3 {
		t.Fatalf("found %d rows only", len(rows))
	}
	for _, row := range rows {
		module, importer := row[1], row[2]
		var found []string
		for _, line := range strings.Split(string(out), "\n") {
			by, imported, _ := strings.Cut(line, " ")
			isExample := strings.HasPrefix(by, path+"examples/")
			if !isExample && (imported == module || strings.HasPrefix(imported, module+"/")) {
				found = append(found, strings.TrimPrefix(by, path))
			}
		}
		if found = slices.Compact(found); !slices.Equal(found, []string{importer}) {
			t.Errorf("docs/dependencies.md says that only %s imports %s, but %q do", importer, module, found)
		}
	}
}
