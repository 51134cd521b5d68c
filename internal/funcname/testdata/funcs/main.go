// Funcs prints what funcname finds out about functions of each shape. Its output is to be the
// same however it is compiled.
package main

import (
	"fmt"
	"os"

	"github.com/cacheutils/cacheutils/internal/funcname"
	"github.com/cacheutils/cacheutils/internal/funcname/testdata/funcs/geo"
	v2 "github.com/cacheutils/cacheutils/internal/funcname/testdata/funcs/geo.v2"
)

func show(shape string, fn any) {
	f, err := funcname.Describe(fn)
	if err != nil {
		fmt.Println(shape, err)
		os.Exit(1)
	}
	flags := ""
	for _, x := range []struct {
		set  bool
		name string
	}{{f.Receiver, " receiver"}, {f.Literal, " literal"}, {f.Bound, " bound"}} {
		if x.set {
			flags += x.name
		}
	}
	fmt.Printf("%s|%s|%s%s\n", shape, f.Name, f.Package, flags)
}

var global = geo.Loader(3)

type store struct{}

func (store) Load(n int) int { return n }

func main() {
	type local struct{ geo.City }
	var s geo.Store = store{}
	show("function", geo.Leaf)
	show("method, value", geo.City.Offers)
	show("method, value by pointer", (*geo.City).Offers)
	show("method, pointer", (*geo.City).Visit)
	show("method, unexported", geo.Hidden)
	show("method, promoted", geo.Capital.Offers)
	show("method, promoted by pointer", (*geo.Capital).Visit)
	show("method, promoted from an interface", geo.Remote.Load)
	show("method of an anonymous type", struct{ geo.City }.Offers)
	show("method of a local type", local.Offers)
	show("method value", geo.City{}.Offers)
	show("method value, pointer", (&geo.City{}).Visit)
	show("interface method", geo.Store.Load)
	show("interface method value", s.Load)
	show("anonymous interface method", interface{ Load(int) int }.Load)
	show("literal", func() {})
	show("literal in a variable", geo.Named)
	show("literal of a factory", geo.Loader(1))
	show("literal of a factory, package variable", global)
	show("literal in a literal", geo.Nested()())
	show("literal in a method", geo.City{}.Loader())
	func() { show("literal in a literal that is called", func() {}) }()
	show("generic function of int", geo.Same[int])
	show("generic function of City", geo.Same[geo.City])
	show("generic function of a box", geo.Same[geo.Box[v2.Place]])
	show("generic method", geo.Box[int].Get)
	show("generic method, value by pointer", (*geo.Box[int]).Get)
	show("generic method, pointer", (*geo.Box[v2.Place]).Put)
	show("generic method value", geo.Box[int]{}.Get)
	show("literal in a generic function", geo.Maker[int]())
	show("City first, no method", geo.City1)
	show("named like a literal", geo.Func1)
	show("method named like a literal", geo.Func2)
	show("dotted path", v2.Load)
	show("dotted path, method", v2.Place.Area)
	show("dotted path, literal", v2.Loader())
	for i := range 2 {
		show("literal in a loop", func() int { return i })
	}
	for i := range two {
		show("literal in a range func", func() int { return i })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		show("literal in a goroutine", func() {})
	}()
	<-done
	show("literal of a generic method", geo.Box[int]{}.Literal())
	geo.Generic[int](show)
}

func two(yield func(int) bool) { _ = yield(1) }
