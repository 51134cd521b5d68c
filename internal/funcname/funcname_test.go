package funcname

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"errors"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
)

// The compiler's names of literals and the first line that a function's code has depend on how it
// is compiled; the identity must not.
func TestDescribe_AnyBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program several times")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	want, err := os.ReadFile("testdata/funcs/want.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{"", "-gcflags=all=-l", "-gcflags=all=-N -l", "-trimpath", "-race", "-cover"} {
		t.Run(flags, func(t *testing.T) {
			args := []string{"run"}
			if flags != "" {
				args = append(args, flags)
			}
			cmd := exec.Command("go", append(args, "./testdata/funcs")...)
			cmd.Env = append(os.Environ(), "GOCOVERDIR="+t.TempDir())
			var stderr strings.Builder
			cmd.Stderr = &stderr
			got, err := cmd.Output()
			if err != nil && flags == "-race" {
				t.Skipf("-race needs a C compiler: %v\n%s", err, stderr.String())
			}
			if err != nil {
				t.Fatalf("go run %s: %v\n%s", flags, err, stderr.String())
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("go run %s (-want +got):\n%s", flags, diff)
			}
		})
	}
}

const here = "github.com/cacheutils/cacheutils/internal/funcname."

type shop struct{ name string }

func (s shop) Open(day int) bool { return day < 6 }

func (s *shop) Rename(string) error { return nil }

type opener interface{ Open(int) bool }

type chain struct{ *shop }

type knot struct {
	*knot
	opener
}

func max2[T int | string](a, b T) T { return max(a, b) }

func TestDescribe_Name(t *testing.T) {
	literal := func(int) int { return 0 }
	for _, c := range []struct {
		name string
		fn   any
		want string // a pattern
	}{
		{"function", Describe, `Describe:\d+`},
		{"method expression", shop.Open, `shop\.Open:\d+`},
		{"pointer to the same", (*shop).Open, `shop\.Open:\d+`},
		{"pointer receiver", (*shop).Rename, `shop\.Rename:\d+`},
		{"method value", shop{}.Open, `shop\.Open`},
		{"interface method", opener.Open, `opener\.Open`},
		{"promoted", chain.Open, `chain\.Open:\d+`},
		{"promoted from an interface", knot.Open, `knot\.Open`},
		{"generic of int", max2[int], `max2\[func\(int,int\)int\]:\d+`},
		{"generic of string", max2[string], `max2\[func\(string,string\)string\]:\d+`},
		{"literal", literal, `funcname_test\.go:\d+`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Describe(c.fn)
			if err != nil {
				t.Fatalf("Describe: %v", err)
			}
			if !regexp.MustCompile("^" + regexp.QuoteMeta(here) + c.want + "$").MatchString(got.Name) {
				t.Errorf("Describe: the name %s, want %s%s", got.Name, here, c.want)
			}
		})
	}
	byValue, _ := Describe(shop.Open)
	byPointer, _ := Describe((*shop).Open)
	if byValue.Name != byPointer.Name {
		t.Errorf("method expressions of one method: %s and %s", byValue.Name, byPointer.Name)
	}
}

func TestDescribe_ClosuresShareAName(t *testing.T) {
	closure := func(n int) func() int { return func() int { return n } }
	one, two := closure(1), closure(2)
	a, _ := Describe(one)
	b, _ := Describe(two)
	if a.Name != b.Name || !a.Literal {
		t.Errorf("closures of one factory: %+v and %+v, want one Name of a Literal", a, b)
	}
}

func TestDescribe_Receiver(t *testing.T) {
	for _, c := range []struct {
		name string
		fn   any
		want bool
	}{
		{"method expression", shop.Open, true},
		{"pointer", (*shop).Rename, true},
		{"interface", opener.Open, true},
		{"generic", (*box[int]).get, true},
		{"method value", shop{}.Open, false},
		{"function of the type", func(shop, int) bool { return true }, false},
		{"closure of a method", shop{}.closure(), false},
		{"function", strings.ToUpper, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Describe(c.fn)
			if err != nil {
				t.Fatalf("Describe: %v", err)
			}
			if f.Receiver != c.want {
				t.Errorf("Describe: %+v, want Receiver %t", f, c.want)
			}
		})
	}
}

type box[T any] struct{ value T }

func (b *box[T]) get() T { return b.value }

func (s shop) closure() func(shop) string { return func(o shop) string { return s.name + o.name } }

func TestDescribe_Errors(t *testing.T) {
	made := reflect.MakeFunc(reflect.TypeFor[func(int) int](), func(in []reflect.Value) []reflect.Value { return in })
	for _, c := range []struct {
		name string
		fn   any
		want string
	}{
		{"nil", nil, "nil is not a func"},
		{"not a func", shop{}, "a value of type funcname.shop is not a func"},
		{"an int", 5, "a value of type int is not a func"},
		{"nil pointer", (*shop)(nil), "a nil *funcname.shop is not a func"},
		{"nil func", (func())(nil), "nil func()"},
		{"MakeFunc", made.Interface(), "decorators.Key"},
		{"reflect's method value", reflect.ValueOf(shop{}).Method(0).Interface(), "decorators.Key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Describe(c.fn)
			if !errors.Is(err, cacheutils.ErrInvalidKey) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Describe: error %v, want one that wraps ErrInvalidKey and contains %q", err, c.want)
			}
		})
	}
}

func TestTrimLiterals(t *testing.T) {
	for symbol, want := range map[string]string{
		"Load":                         "Load",
		"City.Load":                    "City.Load",
		"func1":                        "func1",
		"main.func1":                   "main",
		"init.func1.2":                 "init",
		"main.Mk.func4":                "main.Mk",
		"main.main.Nested.func6.func7": "main.main.Nested",
		"(*City).Load.func1":           "(*City).Load",
		"Maker[...].func1":             "Maker[...]",
		"Box[...].Get":                 "Box[...].Get",
		"main.two.main-range1.func4":   "main.two.main",
		"glob..func1":                  "glob.",
		"Load.gowrap1":                 "Load",
		"City.function1":               "City.function1",
	} {
		if got := trimLiterals(symbol); got != want {
			t.Errorf("trimLiterals(%q): %q, want %q", symbol, got, want)
		}
	}
}

func TestDependencyPackage(t *testing.T) {
	saved := buildInfo
	defer func() { buildInfo = saved }()
	buildInfo = func() *debug.BuildInfo {
		return &debug.BuildInfo{
			Path: "example.com/app/cmd",
			Main: debug.Module{Path: "example.com/app"},
			Deps: []*debug.Module{
				{Path: "github.com/BurntSushi/toml", Version: "v1.2.3"},
				{Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.0"}},
			},
		}
	}
	for _, c := range []struct{ file, named, want string }{
		{"/home/u/go/pkg/mod/github.com/!burnt!sushi/toml@v1.2.3/internal/x.go", "main", "github.com/BurntSushi/toml/internal"},
		{"/home/u/go/pkg/mod/github.com/!burnt!sushi/toml@v1.2.3/x.go", "main", "github.com/BurntSushi/toml"},
		{"/home/u/go/pkg/mod/example.com/fork@v2.0.0/a/x.go", "main", "example.com/old/a"},
		{"/src/app/vendor/example.com/old/a/x.go", "main", "example.com/old/a"},
		{"github.com/BurntSushi/toml@v1.2.3/internal/x.go", "main", "github.com/BurntSushi/toml/internal"},
		{"example.com/app/geo/x.go", "main", "example.com/app/geo"},
		{"example.com/app/cmd/x.go", "main", "main"},
		{"example.com/app/geo/x_test.go", "example.com/app/geo_test", "example.com/app/geo_test"},
		{"example.com/app/geo/x.go", "example.com/app/geo_test", "example.com/app/geo"},
		{`C:\src\app\geo\x.go`, "example.com/app/geo", "example.com/app/geo"},
		{"/elsewhere/x.go", "example.com/other", "example.com/other"},
		{"x.go", "example.com/other", "example.com/other"},
	} {
		if got := packageOf(c.file, c.named); got != c.want {
			t.Errorf("packageOf(%s, %s): %s, want %s", c.file, c.named, got, c.want)
		}
	}
}

func BenchmarkDescribe(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Describe(Describe)
	}
}
