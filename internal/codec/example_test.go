package codec_test

import (
	"fmt"
	"net"
	"reflect"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/codec"
)

func Example() {
	type City struct {
		Name    string `json:"-"`
		Founded time.Time
		Notes   []any
	}
	t := codec.Of(reflect.TypeFor[City]())
	city := City{"Roma", time.Date(-752, 4, 21, 0, 0, 0, 0, time.UTC), []any{int8(7), nil}}

	data, err := t.Append(nil, unsafe.Pointer(&city))
	if err != nil {
		fmt.Println(err)
	}
	var back City
	if err := t.Decode(data, unsafe.Pointer(&back)); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%s %d %T\n", back.Name, back.Founded.Year(), back.Notes[0])
	// Output: Roma -752 int8
}

func ExampleType_Err() {
	type Server struct {
		Name string
		Conn net.Conn
	}
	fmt.Println(codec.Of(reflect.TypeFor[map[string]Server]()).Err())
	// Output: field codec_test.Server.Conn of type net.Conn: an interface with methods; have a concrete type in its place, or a codec for it: codecs.Register, or the option Codec
}

func ExampleType_Fingerprint() {
	type v1 struct{ Name string }
	type v2 struct{ Title string }
	fmt.Println(codec.Of(reflect.TypeFor[v1]()).Fingerprint() == codec.Of(reflect.TypeFor[v2]()).Fingerprint())
	// Output: false
}
