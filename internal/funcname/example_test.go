package funcname_test

import (
	"fmt"
	"reflect"

	"github.com/cacheutils/cacheutils/internal/funcname"
)

type City struct{}

func (c City) Name(lang string) string { return lang }

func ExampleDescribe() {
	f, _ := funcname.Describe(City.Name)
	fmt.Println(f.Package, f.Line, f.Receiver)
	_, err := funcname.Describe(reflect.ValueOf(City{}).Method(0).Interface())
	fmt.Println(err)
	// Output:
	// github.com/cacheutils/cacheutils/internal/funcname_test 12 true
	// cacheutils: invalid key: a func(string) string made by reflect's Method looks like any other; name it with decorators.Key
}
