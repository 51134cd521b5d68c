package typeid

import (
	"reflect"
	"testing"
)

//lint:file-ignore U1000 some types and fields are there for reflection to find

type box[T any] struct{ value T }

func inGeneric[T any]() reflect.Type {
	type row struct{ value T }
	return reflect.TypeFor[row]()
}

func inOther[T any]() reflect.Type {
	type row struct{ value T }
	return reflect.TypeFor[row]()
}

func a() reflect.Type {
	type row struct{ value string }
	return reflect.TypeFor[row]()
}

func b() reflect.Type {
	type row struct{ value string }
	return reflect.TypeFor[row]()
}

// A type that is declared in a function has the number that type arguments have, others have none.
func TestOf(t *testing.T) {
	if !knowsHash() {
		t.Skip("this compiler makes another hash of types")
	}
	type row struct{ value int }
	argument := reflect.TypeFor[box[row]]().Name()
	local := argument[len("box[") : len(argument)-1]
	const here = "github.com/cacheutils/cacheutils/internal/typeid"
	for _, c := range []struct {
		name string
		t    reflect.Type
		want string // path.name
	}{
		{"package level", reflect.TypeFor[known](), here + ".known"},
		{"generic", reflect.TypeFor[box[int]](), here + ".box[int]"},
		{"generic of a local type", reflect.TypeFor[box[row]](), here + "." + argument},
		{"local", reflect.TypeFor[row](), local},
		{"predeclared", reflect.TypeFor[int](), ".int"},
		{"no name", reflect.TypeFor[[]row](), "."},
		{"another package's", reflect.TypeFor[reflect.Value](), "reflect.Value"},
	} {
		if path, name := Of(c.t); path+"."+name != c.want {
			t.Errorf("%s: got %s.%s, want %s", c.name, path, name, c.want)
		}
	}
	names := make(map[string]reflect.Type)
	for _, rt := range []reflect.Type{
		reflect.TypeFor[row](), a(), b(), inGeneric[int](), inGeneric[string](), inOther[int](),
		inGeneric[row](), reflect.TypeFor[box[row]](), inOther[box[row]](),
	} {
		_, name := Of(rt)
		if other := names[name]; other != nil {
			t.Errorf("%s is the name of two types", name)
		}
		names[name] = rt
	}
}

func TestQualify(t *testing.T) {
	defer func(was func() string) { program = was }(program)
	program = func() string { return "example.com/shop" }
	for name, want := range map[string]string{
		"City":                                     "City",
		"Box[main.City]":                           "Box[example.com/shop.City]",
		"Box[main.City·2]":                         "Box[example.com/shop.City·2]",
		"Box[map[main.K]*main.V]":                  "Box[map[example.com/shop.K]*example.com/shop.V]",
		"Box[func(...main.City) main.E]":           "Box[func(...example.com/shop.City) example.com/shop.E]",
		"Box[example.com/main.City]":               "Box[example.com/main.City]",
		"Box[domain.City]":                         "Box[domain.City]",
		`Box[struct { X int "main.\" [main.Y]" }]`: `Box[struct { X int "main.\" [main.Y]" }]`,
		"Box[chan<- main.City]":                    "Box[chan<- example.com/shop.City]",
	} {
		if got := Qualify(name); got != want {
			t.Errorf("Qualify(%s): got %s, want %s", name, got, want)
		}
	}
	if Package("main") != "example.com/shop" || Package("example.com/main") != "example.com/main" {
		t.Error("Package: not the program's path for main alone")
	}
}

func TestWithoutNumbers(t *testing.T) {
	for name, want := range map[string]string{"Box[int]": "Box[int]", "row·3": "row", "Box[a.row·12,b.row·3]·4": "Box[a.row,b.row]"} {
		if got := WithoutNumbers(name); got != want {
			t.Errorf("WithoutNumbers(%s): got %s, want %s", name, got, want)
		}
	}
}
