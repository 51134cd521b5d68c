package cachekey_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"unsafe"

	"github.com/cacheutils/cacheutils/cachekey"
)

func ExampleArgs() {
	positional, _ := cachekey.Args([]any{1, "it", nil, []byte("x")}, nil)
	mixed, _ := cachekey.Args([]any{2}, cachekey.Kwargs{"foo": "hello"})
	byName, _ := cachekey.Args(nil, cachekey.Kwargs{"foo": "hello", "bar": 1.5})
	fmt.Println(positional)
	fmt.Println(mixed)
	fmt.Println(byName)
	// Output:
	// (1,'it',None,b'x')
	// (2,){'foo':'hello'}
	// {'bar':1.5,'foo':'hello'}
}

func ExampleRepr() {
	for _, v := range []any{1, int64(1), "a b", map[string]any{"k": cachekey.Tuple{1}}, netip.MustParseAddr("1.2.3.4")} {
		text, _ := cachekey.Repr(v)
		fmt.Println(text)
	}
	_, err := cachekey.Repr(make(chan int))
	fmt.Println(err)
	// Output:
	// 1
	// int64(1)
	// 'a\x20b'
	// {'k':(1,)}
	// net/netip.Addr('1.2.3.4')
	// cachekey: type chan(int) can't be in a key
}

func ExampleBuild() {
	fmt.Println(cachekey.Build("geo.LoadCity:42", "('it',)"))
	// Output: [cached]geo.LoadCity:42(('it',))
}

func ExampleSanitize() {
	fmt.Println(cachekey.Sanitize("[cached]geo.City((1,))", 250))
	fmt.Println(cachekey.Sanitize("[cached]geo.City(('a very long argument',))", 60))
	// Output:
	// [cached]geo.City((1,))
	// [cached]geo.City(('a\x20ver-29c7935eb72e851e1eb35d4ac09c5e8b
}

// Offer has a text of its own in keys.
type Offer struct {
	ID    int
	Title string
}

func (o Offer) CacheKey() string { return fmt.Sprint(o.ID) }

func ExampleKeyer() {
	text, _ := cachekey.Args([]any{Offer{42, "Rome"}}, nil)
	fmt.Println(text)
	// Output: (github.com/cacheutils/cacheutils/cachekey_test.Offer('42'),)
}

func ExampleTuple() {
	text, _ := cachekey.Args([]any{cachekey.Tuple{1}, []any{1}}, nil)
	fmt.Println(text)
	// Output: ((1,),[1])
}

func ExampleKwargs() {
	text, _ := cachekey.Args(nil, cachekey.Kwargs{"lang": "it", "id": 1})
	fmt.Println(text)
	// Output: {'id':1,'lang':'it'}
}

type City struct {
	ID       int
	lang     string
	Visitors int `cachekey:"-"`
}

func ExampleEncoderOf() {
	encoder, err := cachekey.EncoderOf(reflect.TypeFor[City](), nil)
	if err != nil {
		panic(err)
	}
	key, _ := encoder.Append(nil, reflect.ValueOf(City{ID: 1, lang: "it", Visitors: 7}))
	fmt.Println(string(key))

	_, err = cachekey.EncoderOf(reflect.TypeFor[struct{ Done []chan int }](), nil)
	fmt.Println(err)
	// Output:
	// City{ID=1,lang='it'}
	// cachekey: Done[] of struct{Done:[]chan(int)} has type chan(int), which can't be in a key; leave the field out with the tag `cachekey:"-"`, or give its struct a CacheKey method
}

func ExampleAttrs() {
	city := reflect.TypeFor[City]()
	encoder, _ := cachekey.EncoderOf(city, cachekey.Attrs{city: {"ID"}})
	key, _ := encoder.Append(nil, reflect.ValueOf(City{ID: 1, lang: "it"}))
	fmt.Println(string(key))
	// Output: City{ID=1}
}

func ExampleEncoder_AppendPointer() {
	encoder, _ := cachekey.EncoderOf(reflect.TypeFor[City](), nil)
	city := City{ID: 1, lang: "it"}
	key, _ := encoder.AppendPointer([]byte("city:"), unsafe.Pointer(&city))
	fmt.Println(string(key))
	// Output: city:City{ID=1,lang='it'}
}

func ExampleEncoder_Append() {
	encoder, _ := cachekey.EncoderOf(reflect.TypeFor[*int64](), nil)
	n := int64(5)
	key, _ := encoder.Append(nil, reflect.ValueOf(&n))
	none, _ := encoder.Append(nil, reflect.ValueOf((*int64)(nil)))
	fmt.Println(string(key), string(none))
	// Output: 5 None
}

func ExampleTypeName() {
	fmt.Println(cachekey.TypeName(reflect.TypeFor[map[string][]*City]()))
	fmt.Println(cachekey.TypeName(reflect.TypeFor[func(int, ...string) error]()))
	// Output:
	// map[string][]*github.com/cacheutils/cacheutils/cachekey_test.City
	// func(int,...string)error
}

func (c City) Name(lang string) string { return lang }

func ExampleFuncName() {
	method, _ := cachekey.FuncName((*City).Name)
	literal, _ := cachekey.FuncName(func() {})
	fmt.Println(method)
	fmt.Println(literal)
	// Output:
	// github.com/cacheutils/cacheutils/cachekey_test.City.Name:134
	// github.com/cacheutils/cacheutils/cachekey_test.example_test.go:138
}

func ExampleDescribe() {
	f, _ := cachekey.Describe(City.Name)
	fmt.Println(f.Package, f.Line, f.Receiver)
	_, err := cachekey.Describe(reflect.ValueOf(City{}).Method(0).Interface())
	fmt.Println(err)
	// Output:
	// github.com/cacheutils/cacheutils/cachekey_test 134 true
	// cachekey: a func(string) string made by reflect's Method looks like any other; name it with decorators.Key: cacheutils: invalid key
}
