package keyenc_test

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/keyenc"
)

type City struct {
	ID       int
	lang     string
	Visitors int `cachekey:"-"`
}

func ExampleEncoderOf() {
	encoder, err := keyenc.EncoderOf(reflect.TypeFor[City](), nil)
	if err != nil {
		panic(err)
	}
	key, _ := encoder.Append(nil, reflect.ValueOf(City{ID: 1, lang: "it", Visitors: 7}))
	fmt.Println(string(key))

	_, err = keyenc.EncoderOf(reflect.TypeFor[struct{ Done []chan int }](), nil)
	fmt.Println(err)
	// Output:
	// City{ID=1,lang='it'}
	// cacheutils: invalid key: Done[] of struct{Done:[]chan(int)} has type chan(int), which can't be in a key; leave the field out with the tag `cachekey:"-"`, or give its struct a CacheKey method, or have a codec name it (codecs.Register, or the option Codec)
}

func ExampleAttrs() {
	city := reflect.TypeFor[City]()
	encoder, _ := keyenc.EncoderOf(city, keyenc.Attrs{city: {"ID"}})
	key, _ := encoder.Append(nil, reflect.ValueOf(City{ID: 1, lang: "it"}))
	fmt.Println(string(key))
	// Output: City{ID=1}
}

func ExampleEncoder_AppendPointer() {
	encoder, _ := keyenc.EncoderOf(reflect.TypeFor[City](), nil)
	city := City{ID: 1, lang: "it"}
	key, _ := encoder.AppendPointer([]byte("city:"), unsafe.Pointer(&city))
	fmt.Println(string(key))
	// Output: city:City{ID=1,lang='it'}
}

func ExampleEncoder_Append() {
	encoder, _ := keyenc.EncoderOf(reflect.TypeFor[*int64](), nil)
	n := int64(5)
	key, _ := encoder.Append(nil, reflect.ValueOf(&n))
	none, _ := encoder.Append(nil, reflect.ValueOf((*int64)(nil)))
	fmt.Println(string(key), string(none))
	// Output: 5 None
}

func ExampleTypeName() {
	fmt.Println(keyenc.TypeName(reflect.TypeFor[map[string][]*City]()))
	fmt.Println(keyenc.TypeName(reflect.TypeFor[func(int, ...string) error]()))
	// Output:
	// map[string][]*github.com/cacheutils/cacheutils/internal/keyenc_test.City
	// func(int,...string)error
}
