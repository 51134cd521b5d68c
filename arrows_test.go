package cacheutils_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The files of a package have an order, in which a reader can take them from top to bottom: each uses what the
// files below it declare. An arrow goes from a file to another that declares what it uses: functions, methods,
// types, variables and constants, not fields.

// A fileOrder is the order of a package's files, and the arrows in it that go up.
type fileOrder struct {
	folder string
	files  []string
	up     map[arrow]string // with the reason why each is there
}

type arrow struct{ from, to string }

func (a arrow) String() string { return a.from + " -> " + a.to }

const (
	allOptions = "the options of a function are one struct, which has those of each idea from the file of that idea"
	wholePlan  = "a plan has a part for each idea, which is made and read in the file of that idea"
)

var fileOrders = []fileOrder{
	{
		folder: "backends",
		files:  []string{"doc.go", "url.go", "json.go", "caches.go", "settings.go", "secret.go", "engines.go", "cache.go", "options.go"},
	},
	{
		folder: "decorators",
		files: []string{
			"doc.go", "cached.go", "handle.go", "convert.go", "many.go", "many_handle.go", "cached0.go", "cached1.go", "cached2.go", "cached3.go",
			"all.go", "typed.go", "explain.go", "call.go", "report.go", "hot.go", "keep.go", "groups.go", "bypass.go", "absent.go", "errors.go", "timeout.go", "results.go", "contextread.go", "plan.go",
			"linger.go", "stale.go", "contextkey.go", "key.go", "params.go", "options.go", "function.go", "codec.go", "backend.go", "stats.go",
		},
		up: map[arrow]string{
			{"options.go", "absent.go"}:   allOptions,
			{"options.go", "bypass.go"}:   allOptions,
			{"options.go", "errors.go"}:   allOptions,
			{"options.go", "groups.go"}:   allOptions,
			{"options.go", "key.go"}:      allOptions,
			{"options.go", "linger.go"}:   allOptions,
			{"options.go", "params.go"}:   allOptions,
			{"options.go", "plan.go"}:     allOptions,
			{"options.go", "results.go"}:  allOptions,
			{"options.go", "stale.go"}:    allOptions,
			{"options.go", "timeout.go"}:  allOptions,
			{"function.go", "options.go"}: allOptions,
			{"plan.go", "absent.go"}:      wholePlan,
			{"plan.go", "groups.go"}:      wholePlan,
			{"plan.go", "bypass.go"}:      wholePlan,
			{"plan.go", "keep.go"}:        wholePlan,
			{"plan.go", "hot.go"}:         wholePlan,
			{"plan.go", "results.go"}:     wholePlan,
			{"params.go", "key.go"}:       wholePlan,
			{"function.go", "params.go"}:  "the id of an Instance is a part of the name, and rendered as arguments are",
			{"results.go", "timeout.go"}:  wholePlan,
			{"results.go", "errors.go"}:   wholePlan,
			{"many_handle.go", "many.go"}: "CachedMany returns a handle, which calls as it does",

			{"options.go", "contextkey.go"}:  allOptions,
			{"options.go", "contextread.go"}: allOptions,
			{"plan.go", "contextread.go"}:    wholePlan,
			{"key.go", "contextkey.go"}:      wholePlan,
			{"codec.go", "function.go"}:      "the codecs of a function are planned before it has its name, in which an id may be rendered with one",
			{"codec.go", "options.go"}:       allOptions,
		},
	},
	{
		folder: "internal/store",
		files: []string{
			"batch.go", "resolve.go", "many.go", "force.go", "getorset.go", "ref.go", "fetch.go", "explain.go", "number.go", "plain.go", "set.go", "lead.go", "forced.go", "work.go", "settle.go",
			"computation.go", "lease.go", "group.go", "report.go", "lookup.go", "query.go", "bounds.go", "log.go", "key.go", "closing.go", "steer.go", "store.go", "renewal.go",
			"background.go", "orphans.go", "sightings.go", "task.go", "timeout.go", "counter.go", "each.go", "secrets.go",
		},
		up: map[arrow]string{
			{"renewal.go", "lease.go"}: "the list of leases to renew runs through the leases, and is the Store's, which they know",
		},
	},
	{
		folder: "internal/entry",
		files:  []string{"number.go", "seal.go", "item.go", "frame.go", "versions.go", "value.go", "compress.go", "entry.go", "meta.go", "error.go"},
	},
	{
		folder: "internal/sealed",
		files:  []string{"sealed.go", "secrets.go", "xaes.go"},
	},
	{
		folder: "internal/flight",
		files:  []string{"several.go", "wait.go", "group.go", "context.go", "steer.go", "waits.go", "callers.go", "flight.go", "watch.go", "ending.go"},
		up: map[arrow]string{
			{"flight.go", "group.go"}:  "a Group has its flights, and a flight knows its Group, whose lock guards it",
			{"callers.go", "group.go"}: "likewise",
		},
	},
}

// arrows returns the arrows of a package, each with the names that it stands for.
func (c *checkedPackage) arrows() map[arrow][]string {
	all := make(map[arrow][]string)
	for from, file := range c.files {
		ast.Inspect(file, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			obj := declared(c.info.Uses[id])
			if obj == nil || obj.Pkg().Path() != pathOf(c.folder) {
				return true
			}
			a := arrow{from, c.fileOf(obj.Pos())}
			if a.to != from && !slices.Contains(all[a], obj.Name()) {
				all[a] = append(all[a], obj.Name())
			}
			return true
		})
	}
	return all
}

// declared returns what obj is, if a package declares that or it is a method, as it is declared: without type
// arguments. Otherwise it returns nil.
func declared(obj types.Object) types.Object {
	if f, ok := obj.(*types.Func); ok {
		obj = f.Origin()
		if f.Signature().Recv() != nil && obj.Pkg() != nil {
			return obj
		}
	}
	if obj == nil || obj.Pkg() == nil || obj.Parent() != obj.Pkg().Scope() {
		return nil
	}
	return obj
}

// wrong returns what is wrong with the arrows of the package compared with the order.
func (o fileOrder) wrong(c *checkedPackage) (wrong []string) {
	for _, name := range c.names() {
		if !slices.Contains(o.files, name) {
			wrong = append(wrong, fmt.Sprintf("%s/%s has no place in the order of files: give it one", o.folder, name))
		}
	}
	for _, name := range o.files {
		if c.files[name] == nil {
			wrong = append(wrong, fmt.Sprintf("the order of files has %s/%s, which is not there", o.folder, name))
		}
	}
	all := c.arrows()
	isUp := func(a arrow) bool { return slices.Index(o.files, a.from) > slices.Index(o.files, a.to) }
	for a, names := range all {
		if isUp(a) && o.up[a] == "" {
			wrong = append(wrong, fmt.Sprintf("%s: %v goes up, by %q: move what both need to the lower file, or to a new one below", o.folder, a, names))
		}
	}
	for a := range o.up {
		if all[a] == nil || !isUp(a) {
			wrong = append(wrong, fmt.Sprintf("%s: %v doesn't go up: take it off the list", o.folder, a))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func TestFileOrder(t *testing.T) {
	for _, o := range fileOrders {
		t.Run(o.folder, func(t *testing.T) {
			c := checkPackage(t, o.folder)
			for _, w := range o.wrong(c) {
				t.Error(w)
			}
			t.Logf("%d files, %d arrows, %d of them up", len(c.files), len(c.arrows()), len(o.up))
		})
	}
}

// TestFileOrder_wrong has packages with a mistake each.
func TestFileOrder_wrong(t *testing.T) {
	order := fileOrder{folder: "p", files: []string{"top.go", "middle.go", "ground.go"}}
	right := map[string]string{
		"top.go":    "package p\n\nfunc Top() { new(generic[int]).set(1); middle() }\n",
		"middle.go": "package p\n\nfunc middle() { var s state; s.n++; s.reset() }\n",
		"ground.go": "package p\n\ntype state struct{ n int }\n\nfunc (s *state) reset() { s.n = 0 }\n\ntype generic[T any] struct{ v T }\n\nfunc (g *generic[T]) set(v T) { g.v = v }\n",
	}
	for _, c := range []struct{ name, file, text, want string }{
		{"nothing", "", "", ""},
		{"a function", "ground.go", "func f() { middle() }", `p: ground.go -> middle.go goes up, by ["middle"]`},
		{"a method", "middle.go", "func (s *state) twice() {}\n\nvar _ = Top", `p: middle.go -> top.go goes up, by ["Top"]`},
		{"a type's method that is declared above", "middle.go", "func (g *generic[T]) reset() {}", ""},
		{"its use below", "ground.go", "func f() { new(generic[string]).later() }", `p: ground.go -> middle.go goes up, by ["later"]`},
		{"a type", "ground.go", "var _ other", `p: ground.go -> top.go goes up, by ["other"]`},
		{"a variable", "ground.go", "var _ = count", `p: ground.go -> top.go goes up, by ["count"]`},
		{"a field", "middle.go", "var _ = state{}.n", ""},
		{"a new file", "new.go", "package p", "p/new.go has no place in the order"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sources := maps.Clone(right)
			sources["top.go"] += "\ntype other int\n\nvar count int\n"
			sources["middle.go"] += "\nfunc (g *generic[T]) later() {}\n"
			sources[c.file] += "\n" + c.text + "\n"
			delete(sources, "")
			checked, err := checkSources("p", sources, importer.ForCompiler(token.NewFileSet(), "gc", nil))
			if err != nil {
				t.Fatal(err)
			}
			wrong := order.wrong(checked)
			if c.want == "" {
				if len(wrong) > 0 {
					t.Errorf("got %q", wrong)
				}
			} else if len(wrong) != 1 || !strings.Contains(wrong[0], c.want) {
				t.Errorf("got %q, want %q", wrong, c.want)
			}
		})
	}

	checked, err := checkSources("p", right, nil)
	if err != nil {
		t.Fatal(err)
	}
	order.up = map[arrow]string{{"ground.go", "top.go"}: "there was one"}
	if wrong := order.wrong(checked); len(wrong) != 1 || !strings.Contains(wrong[0], "doesn't go up") {
		t.Errorf("got %q for an arrow that has gone", wrong)
	}
	order.up, order.files = nil, order.files[1:]
	if wrong := order.wrong(checked); len(wrong) == 0 {
		t.Error("an order without a file that is there is right")
	}
	order.files = []string{"top.go", "middle.go", "ground.go", "gone.go"}
	if wrong := order.wrong(checked); len(wrong) != 1 || !strings.Contains(wrong[0], "gone.go, which is not there") {
		t.Errorf("got %q for a file that has gone", wrong)
	}
}
