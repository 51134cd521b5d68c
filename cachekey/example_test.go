package cachekey_test

import (
	"fmt"
	"net/netip"

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
	// cacheutils: invalid key: type chan(int) can't be in a key; use what stands for it, such as a name or an id
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

type City struct{ ID int }

func (c City) Name(lang string) string { return lang }

func ExampleFuncName() {
	method, _ := cachekey.FuncName((*City).Name)
	literal, _ := cachekey.FuncName(func() {})
	fmt.Println(method)
	fmt.Println(literal)
	// Output:
	// github.com/cacheutils/cacheutils/cachekey_test.City.Name:80
	// github.com/cacheutils/cacheutils/cachekey_test.example_test.go:84
}
