package keyenc_test

import (
	"io"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/keyenc"
)

var typeNames = []struct {
	typ  reflect.Type
	want string
}{
	{reflect.TypeFor[int](), "int"},
	{reflect.TypeFor[any](), "any"},
	{reflect.TypeFor[error](), "error"},
	{reflect.TypeFor[unsafe.Pointer](), "unsafe.Pointer"},
	{reflect.TypeFor[[]byte](), "[]uint8"},
	{reflect.TypeFor[[3]*time.Time](), "[3]*time.Time"},
	{reflect.TypeFor[map[string]any](), "map[string]any"},
	{reflect.TypeFor[city](), here + "city"},
	{reflect.TypeFor[func(int, ...string) error](), "func(int,...string)error"},
	{reflect.TypeFor[func(int, []string) (int, error)](), "func(int,[]string)(int,error)"},
	{reflect.TypeFor[func()](), "func()"},
	{reflect.TypeFor[func() func() int](), "func()func()int"},
	{reflect.TypeFor[chan int](), "chan(int)"},
	{reflect.TypeFor[<-chan int](), "<-chan(int)"},
	{reflect.TypeFor[chan<- int](), "chan<-(int)"},
	{reflect.TypeFor[chan (<-chan int)](), "chan(<-chan(int))"},
	{reflect.TypeFor[chan<- (chan int)](), "chan<-(chan(int))"},
	{reflect.TypeFor[io.Writer](), "io.Writer"},
	{reflect.TypeFor[interface{ Read([]byte) (int, error) }](), "interface{Read([]uint8)(int,error)}"},
	{reflect.TypeFor[interface{ read() }](), "interface{" + here + "read()}"},
	{reflect.TypeFor[struct{}](), "struct{}"},
	{reflect.TypeFor[struct {
		A int
		b string
	}](), "struct{A:int;" + here + "b:string}"},
	{reflect.TypeFor[struct{ time.Time }](), "struct{+Time:time.Time}"},
	{reflect.TypeFor[struct{ Time time.Time }](), "struct{Time:time.Time}"},
	{reflect.TypeFor[struct {
		A int `a:"b c"`
	}](), `struct{A:int'a:"b\x20c"'}`},
	{reflect.TypeFor[struct {
		A int `a:"b\x20c"`
	}](), `struct{A:int'a:"b\\x20c"'}`},
	{reflect.TypeFor[box[int]](), here + "box[int]"},
	{reflect.TypeFor[box[box[city]]](), here + "box[" + here + "box[" + here + "city]]"},
	{reflect.TypeFor[box[map[string]any]](), here + "box[map[string]interface{}]"},
	{reflect.TypeFor[box[func(int, string) error]](), here + "box[func(int,string)error]"},
	{reflect.TypeFor[box[chan int]](), here + `box[chan\x20int]`},
	{reflect.TypeFor[box[struct {
		A uint8 `a:"b c"`
	}]](), here + `box[struct{A\x20uint8\x20"a:\"b\x20c\""}]`},
}

func TestTypeName(t *testing.T) {
	seen := map[string]reflect.Type{}
	for _, c := range typeNames {
		got := keyenc.TypeName(c.typ)
		if got != c.want {
			t.Errorf("TypeName(%s): %s, want %s", c.typ, got, c.want)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%s and %s are both %s", other, c.typ, got)
		}
		seen[got] = c.typ
	}
	if got := keyenc.TypeName(nil); got != "nil" {
		t.Errorf("TypeName(nil): %s", got)
	}
}

func TestEscapeName(t *testing.T) {
	for in, want := range map[string]string{
		"Box[gopkg.in/yaml%2ev3.Node]":     "Box[gopkg.in/yaml.v3.Node]",
		`Box[struct { A int "%2e \x00" }]`: `Box[struct{A\x20int\x20"%2e\x20\x00"}]`,
		"a%zz%20":                          "a%zz%20",
		"100%":                             "100%",
		"tab\there":                        `tab\x09here`,
	} {
		if got := keyenc.EscapeName(in); got != want {
			t.Errorf("EscapeName(%q): %q, want %q", in, got, want)
		}
	}
}
