package decorators

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write cached0.go, cached1.go and cached3.go as cached2.go is")

// Cached0 to Cached3 are one text, comments included: cached2.go, with another number of arguments.
// After a change of cached2.go, go test -run TestTyped_OneText -update writes the others.
func TestTyped_OneText(t *testing.T) {
	two, err := os.ReadFile("cached2.go")
	if err != nil {
		t.Fatal(err)
	}
	for n, arguments := range map[int]string{0: "no argument", 1: "one argument", 3: "three arguments"} {
		want := withArguments(string(two), n, arguments)
		file := fmt.Sprintf("cached%d.go", n)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s differs from cached2.go by more than the number of arguments: %s", file, diff)
		}
	}
}

// withArguments makes cached2.go's text that of a function of n arguments.
func withArguments(text string, n int, arguments string) string {
	var types, params, names, fields, declared string // each with ", " before or behind every one of its parts
	for i := range n {
		upper, lower := string(rune('A'+i)), string(rune('a'+i))
		types += upper + ", "
		params += ", " + lower + " " + upper
		names += ", " + lower
		fields += ", x." + upper
		declared += "\t" + upper + " " + upper + "\n"
	}
	bare := strings.TrimSuffix(types, ", ")
	args, argsType, these, all := "args0", "args0 struct{}", "", "all that ContextKey returns"
	if n > 0 {
		args = fmt.Sprintf("args%d[%s]", n, bare)
		argsType = fmt.Sprintf("args%d[%s any] struct {\n%s}", n, bare, declared)
		these, all = " for these arguments", "all arguments"
	}
	return strings.NewReplacer(
		"A, B, R", types+"R",
		"args2[A, B any] struct {\n\tA A\n\tB B\n}", argsType,
		"args2[A, B]{a, b}", args+"{"+strings.TrimPrefix(names, ", ")+"}",
		"args2[A, B]", args,
		"context.Context, A, B)", strings.TrimSuffix("context.Context, "+types, ", ")+")",
		", a A, b B", params,
		"(a A, b B)", "("+strings.TrimPrefix(params, ", ")+")",
		", x.A, x.B", fields,
		"two arguments", arguments,
		" for these arguments", these,
		"all arguments", all,
		"Cached2", fmt.Sprint("Cached", n),
		"Handle2", fmt.Sprint("Handle", n),
		"args2", fmt.Sprint("args", n),
	).Replace(text)
}
