package keyenc_test

//lint:file-ignore U1000 some fields and types are there for reflection to find

import (
	"errors"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/cachekey"
	"github.com/cacheutils/cacheutils/internal/keyenc"
)

const here = "github.com/cacheutils/cacheutils/internal/keyenc_test."

type city struct {
	id   int
	lang string
}

type lang string

type keyed struct{ text string }

func (k keyed) CacheKey() string { return k.text }

type keyedByPointer struct{ text string }

func (k *keyedByPointer) CacheKey() string { return k.text }

type tree struct {
	name     string
	left     *tree
	children []tree
	byName   map[string]*tree
}

type mixed struct {
	_       int
	addr    netip.Addr
	at      *time.Time
	n       *big.Int
	any     any
	keyer   cachekey.Keyer
	key     *keyedByPointer
	raw     []byte
	pp      **int
	skipped chan int `cachekey:"-"`
	inner   struct{ a, b int8 }
}

// statically renders v, which is passed by pointer, with the encoder of its own type.
func statically(t *testing.T, p any, attrs keyenc.Attrs) string {
	t.Helper()
	v := reflect.ValueOf(p).Elem()
	e, err := keyenc.EncoderOf(v.Type(), attrs)
	if err != nil {
		t.Fatalf("EncoderOf(%s): %v", v.Type(), err)
	}
	byPointer, err := e.AppendPointer([]byte("x"), v.Addr().UnsafePointer())
	if err != nil {
		t.Fatalf("AppendPointer: %v", err)
	}
	addressable, err := e.Append([]byte("x"), v)
	if err != nil {
		t.Fatalf("Append of an addressable value: %v", err)
	}
	copied := reflect.New(reflect.ArrayOf(1, v.Type())).Elem()
	copied.Index(0).Set(v)
	plain, err := e.Append([]byte("x"), reflect.ValueOf(copied.Interface()).Index(0))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	if string(byPointer) != string(addressable) || string(byPointer) != string(plain) {
		t.Errorf("three ways to render one value:\n%s\n%s\n%s", byPointer, addressable, plain)
	}
	return string(byPointer[1:])
}

func TestEncoder_Static(t *testing.T) {
	one := 1
	pone := &one
	var none *int
	for _, c := range []struct {
		name string
		p    any // points at the value
		want string
	}{
		{"int64", ptr(int64(5)), `5`},
		{"named string", ptr(lang("it")), `'it'`},
		{"any", ptr(any(int64(5))), `int64(5)`},
		{"any nil", ptr(any(nil)), `None`},
		{"Keyer", ptr(cachekey.Keyer(keyed{"a"})), here + `keyed('a')`},
		{"Keyer nil", ptr(cachekey.Keyer(nil)), `None`},
		{"pointer", &pone, `1`},
		{"pointer nil", &none, `None`},
		{"pointer to pointer", ptr(&pone), `&1`},
		{"pointer to nil", ptr(&none), `&None`},
		{"pointer to map", ptr(&map[string]int{}), `&{}`},
		{"pointer to any", ptr(ptr(any(nil))), `&None`},
		{"struct", &city{1, "it"}, `city{id=1,lang='it'}`},
		{"pointer to struct", ptr(&city{1, "it"}), `city{id=1,lang='it'}`},
		{"slice nil", ptr([]int(nil)), `None`},
		{"slices", ptr([][]string{{"a"}, {}, nil}), `[['a'],[],None]`},
		{"array of structs", ptr([1]city{{1, "x"}}), `[city{id=1,lang='x'}]`},
		{"slice of empty structs", ptr([]struct{}{{}, {}}), `[struct{},struct{}]`},
		{"map", ptr(map[city][]byte{{1, "a"}: nil}), `{city{id=1,lang='a'}:None}`},
		{"tuple", ptr(cachekey.Tuple{1}), `(1,)`},
		{"tuple nil", ptr(cachekey.Tuple(nil)), `None`},
		{"kwargs", ptr(cachekey.Kwargs{"a": 1}), `{'a':1}`},
		{"big", big.NewInt(7), `7`},
		{"big pointer", ptr(big.NewInt(7)), `7`},
		{"netip", ptr(netip.MustParseAddr("1.2.3.4")), `netip.Addr('1.2.3.4')`},
		{"anonymous struct", &struct{ x int }{1}, `struct{x=1}`},
		{"generic struct", &box[city]{city{1, ""}}, `box[` + here + `city]{value=city{id=1,lang=''}}`},
		{"recursive", &tree{name: "a", left: &tree{}, children: []tree{{name: "b"}}, byName: map[string]*tree{"x": nil}},
			`tree{name='a',left=tree{name='',left=None,children=None,byName=None},children=[tree{name='b',left=None,children=None,byName=None}],byName={'x':None}}`},
		{"mixed", &mixed{addr: netip.MustParseAddr("1.2.3.4"), at: &time.Time{}, n: big.NewInt(3), any: int8(1), keyer: &keyed{"k"}, key: &keyedByPointer{"p"}, raw: []byte("r"), pp: &pone, skipped: make(chan int)},
			`mixed{addr=netip.Addr('1.2.3.4'),at=time.Time('0001-01-01T00:00:00Z'),n=3,any=int8(1),keyer=*` + here + `keyed('k'),key=keyenc_test.keyedByPointer('p'),raw=b'r',pp=&1,inner=struct{a=0,b=0}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, statically(t, c.p, nil)); diff != "" {
				t.Errorf("rendering (-want +got):\n%s", diff)
			}
		})
	}
}

type box[T any] struct{ value T }

func ptr[T any](v T) *T { return &v }

func TestEncoder_Attrs(t *testing.T) {
	cityType := reflect.TypeFor[city]()
	for _, c := range []struct {
		name  string
		p     any
		attrs keyenc.Attrs
		want  string
	}{
		{"one field", &city{1, "it"}, keyenc.Attrs{cityType: {"lang"}}, `city{lang='it'}`},
		{"by pointer type", &city{1, "it"}, keyenc.Attrs{reflect.PointerTo(cityType): {"lang"}}, `city{lang='it'}`},
		{"order of the struct", &city{1, "it"}, keyenc.Attrs{cityType: {"lang", "id", "lang"}}, `city{id=1,lang='it'}`},
		{"none listed", &city{1, "it"}, keyenc.Attrs{cityType: nil}, `city{id=1,lang='it'}`},
		{"nested", &[]*city{{1, "it"}}, keyenc.Attrs{cityType: {"id"}}, `[city{id=1}]`},
		{"behind an interface", ptr(any(cachekey.Tuple{city{1, "it"}})), keyenc.Attrs{cityType: {"id"}}, `(` + here + `city{id=1},)`},
		{"unlisted types are whole", ptr(any(cachekey.Tuple{keyed{"x"}, struct{ a int }{1}})), keyenc.Attrs{cityType: {"id"}}, `(` + here + `keyed('x'),struct{` + here + `a:int}{a=1})`},
		{"before CacheKey", &keyed{"x"}, keyenc.Attrs{reflect.TypeFor[keyed](): {"text"}}, `keyed{text='x'}`},
		{"around a chan", &struct {
			a int
			c chan int
		}{a: 1}, keyenc.Attrs{reflect.TypeFor[struct {
			a int
			c chan int
		}](): {"a"}}, `struct{a=1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, statically(t, c.p, c.attrs)); diff != "" {
				t.Errorf("rendering (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncoderOf_Errors(t *testing.T) {
	type conn struct {
		notify chan<- bool
	}
	type pool struct {
		conns map[string][]*conn
	}
	type tagged struct {
		A int `cachekey:"a"`
	}
	for _, c := range []struct {
		name  string
		typ   reflect.Type
		attrs keyenc.Attrs
		want  string
	}{
		{"nil", nil, nil, "nil type"},
		{"chan", reflect.TypeFor[chan int](), nil, "type chan(int) can't"},
		{"func", reflect.TypeFor[[]func()](), nil, "[] of []func() has type func(),"},
		{"unsafe pointer", reflect.TypeFor[struct{ P unsafe.Pointer }](), nil, "P of struct{P:unsafe.Pointer} has type unsafe.Pointer,"},
		{"path", reflect.TypeFor[*pool](), nil, "conns[][].notify of *" + here + "pool has type chan<-(bool),"},
		{"map key", reflect.TypeFor[map[chan int]int](), nil, "[key] of"},
		{"mutually recursive", reflect.TypeFor[evenOdd](), nil, "odd.even.odd.bad of"},
		{"tag", reflect.TypeFor[tagged](), nil, `tag cachekey:"a" of field A of`},
		{"unknown field", reflect.TypeFor[int](), keyenc.Attrs{reflect.TypeFor[city](): {"name"}}, `city has no field "name"; it has id, lang`},
		{"attributes of an int", reflect.TypeFor[int](), keyenc.Attrs{reflect.TypeFor[int](): {"name"}}, "attributes of int, which is not a struct type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the second answer comes from the cache
				_, err := keyenc.EncoderOf(c.typ, c.attrs)
				if !errors.Is(err, cacheutils.ErrInvalidKey) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("EncoderOf: error %v, want one that wraps ErrInvalidKey and contains %q", err, c.want)
				}
			}
		})
	}
	var typeErr *keyenc.TypeError
	_, err := keyenc.EncoderOf(reflect.TypeFor[pool](), nil)
	if !errors.As(err, &typeErr) || typeErr.Path != "conns[][].notify" || typeErr.Type != reflect.TypeFor[chan<- bool]() {
		t.Errorf("EncoderOf: %#v", err)
	}
}

type evenOdd struct{ odd *oddEven }
type oddEven struct {
	even *struct{ odd *oddEven2 }
}
type oddEven2 struct {
	back *evenOdd
	bad  func()
}

func TestEncoder_WrongValue(t *testing.T) {
	e, err := keyenc.EncoderOf(reflect.TypeFor[city](), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]reflect.Value{
		"another type":        reflect.ValueOf(1),
		"invalid":             {},
		"unexported, no addr": reflect.ValueOf(struct{ c city }{}).Field(0),
	} {
		if _, err := e.Append(nil, v); !errors.Is(err, cacheutils.ErrInvalidKey) {
			t.Errorf("Append of %s: error %v, want ErrInvalidKey", name, err)
		}
	}
	holder := struct{ c city }{city{1, "x"}}
	if got, err := e.Append(nil, reflect.ValueOf(&holder).Elem().Field(0)); err != nil || string(got) != "city{id=1,lang='x'}" {
		t.Errorf("Append of an unexported field: %s, %v", got, err)
	}
}

func TestEncoder_Concurrent(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				for _, typ := range []reflect.Type{reflect.TypeFor[tree](), reflect.TypeFor[city](), reflect.TypeFor[[2]city]()} {
					e, err := keyenc.EncoderOf(typ, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := e.Append(nil, reflect.Zero(typ)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestEncoder_Allocations(t *testing.T) {
	type plain struct {
		id   int64
		name string
		ok   bool
		rate float64
		at   [2]uint8
	}
	values := []any{int64(7), "a text", true, 1.5, []byte("raw"), ptr(5), plain{1, "x", true, 2.5, [2]uint8{1, 2}}, [2]int{1, 2}}
	dst := make([]byte, 0, 256)
	for _, x := range values {
		v := reflect.ValueOf(x)
		e, err := keyenc.EncoderOf(v.Type(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(1000, func() { dst, _ = e.Append(dst[:0], v) }); n >= 1 {
			t.Errorf("Append of a %T: %v allocations", x, n)
		}
		p := reflect.New(v.Type())
		p.Elem().Set(v)
		if n := testing.AllocsPerRun(1000, func() { dst, _ = e.AppendPointer(dst[:0], p.UnsafePointer()) }); n != 0 {
			t.Errorf("AppendPointer to a %T: %v allocations", x, n)
		}
	}
}

type (
	plainText  string
	keyedText  string
	pointedInt int
)

func (keyedText) CacheKey() string               { return "k" }
func (*pointedInt) MarshalText() ([]byte, error) { return []byte("t"), nil }
func (i *pointedInt) UnmarshalText([]byte) error { *i = 1; return nil }

func TestEncoder_Scalar(t *testing.T) {
	for _, c := range []struct {
		value any
		want  reflect.Kind
	}{
		{true, reflect.Bool},
		{int8(1), reflect.Int8},
		{uintptr(1), reflect.Uintptr},
		{float32(1), reflect.Float32},
		{complex64(1), reflect.Complex64},
		{"a", reflect.String},
		{plainText("a"), reflect.String},
		{time.Second, reflect.Int64},
		{keyedText("a"), reflect.Invalid},
		{pointedInt(1), reflect.Invalid},
		{new(int), reflect.Invalid},
		{[]byte("a"), reflect.Invalid},
		{[1]int{}, reflect.Invalid},
		{struct{}{}, reflect.Invalid},
		{time.Time{}, reflect.Invalid},
	} {
		e, err := keyenc.EncoderOf(reflect.TypeOf(c.value), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Scalar(); got != c.want {
			t.Errorf("%T: %v, want %v", c.value, got, c.want)
		}
	}
}
