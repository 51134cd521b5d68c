package codectest

//lint:file-ignore U1000 some fields are there for reflection to find

import (
	"database/sql"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"
)

// A Row is a value that a codec has to keep exactly or to refuse.
type Row struct {
	Name  string
	Value any
	Keep  bool // can be kept, so that refusing it is a loss; otherwise it must be refused
}

type (
	Celsius float32
	Name    string
	Flags   uint8
	IDs     []ID
	ID      [16]byte

	Tagged struct {
		Kept    int    `json:"kept,omitempty" cbor:"kept,omitempty" msgpack:"kept,omitempty"`
		Dropped string `json:"-" cbor:"-" msgpack:"-"`
		Pointer *int   `json:",omitempty" cbor:",omitempty" msgpack:",omitempty"`
		List    []int  `json:",omitempty" cbor:",omitempty" msgpack:",omitempty"`
		One     int    `cbor:"same" msgpack:"same"`
		Other   int    `cbor:"same" msgpack:"same"`
	}

	Base     struct{ ID, Kind int }
	Other    struct{ ID, Kind int }
	Embeds   struct{ Base }
	Conflict struct {
		Base
		Other
	}
	Shadow struct {
		Base
		Kind string
	}
	EmbedsPointer struct{ *Base }
	hidden        struct{ Promoted int }
	EmbedsHidden  struct{ hidden }

	Tree struct {
		Label       string
		Left, Right *Tree
		More        []Tree
		ByName      map[string]*Tree
	}

	// Incomparable has an unexported field of which there is nothing to keep.
	Incomparable struct {
		none [0]func()
		A    int
	}

	Hidden struct{ Seen, unseen int }
	Locked struct {
		sync.Mutex
		N int
	}
	WithErr  struct{ Err error }
	WithFunc struct{ F func() }
	WithChan struct{ C chan int }

	// Cased has fields that differ by case only.
	Cased struct{ URL, Url string }

	// Stamped's unexported field is lost by the marshaler of its embedded field.
	Stamped struct {
		url.URL
		note string
	}
)

// Money marshals to text and has nothing that could be encoded by its parts.
type Money struct{ cents int64 }

func (m Money) MarshalText() ([]byte, error) { return big.NewInt(m.cents).MarshalText() }
func (m *Money) UnmarshalText(b []byte) error {
	var n big.Int
	if err := n.UnmarshalText(b); err != nil {
		return err
	}
	m.cents = n.Int64()
	return nil
}

// Forgetful has a marshaler that loses something.
type Forgetful struct{ name, secret string }

func (f Forgetful) MarshalText() ([]byte, error) { return []byte(f.name), nil }
func (f *Forgetful) UnmarshalText(b []byte) error {
	f.name = string(b)
	return nil
}

// Rows returns the table. Each call makes new values.
func Rows() []Row {
	return slices.Concat(scalarRows(), listRows(), namedAndAnyRows(), pointerRows(), structRows(), timeRows(),
		marshalerRows(), refusedRows())
}

func row(name string, v any) Row    { return Row{name, v, true} }
func refuse(name string, v any) Row { return Row{name, v, false} }

var day = time.Date(2024, 7, 1, 12, 30, 15, 123456789, time.UTC)

func rome() *time.Location {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		panic(err)
	}
	return rome
}

func link() *url.URL {
	link, _ := url.Parse("https://us%20er:pw@example.com:8080/a%2Fb/c?q=1&q=2#frag")
	return link
}

// scalarRows are numbers and strings.
func scalarRows() []Row {
	return []Row{
		row("bool", []bool{true, false}),
		row("int64 min", int64(math.MinInt64)),
		row("uint64 max", uint64(math.MaxUint64)),
		row("uintptr", ^uintptr(0)),
		row("float NaN with payload", math.Float64frombits(0x7ff8000000000abc)),
		row("float minus zero", math.Copysign(0, -1)),
		row("float infinities", []float64{math.Inf(1), math.Inf(-1)}),
		row("float32 subnormal", math.Float32frombits(1)),
		row("complex", complex(math.Copysign(0, -1), math.NaN())),
		row("string of invalid UTF-8", "a\xff\x00b"),
	}
}

// listRows are slices, arrays and maps, nil and empty ones above all.
func listRows() []Row {
	return []Row{
		row("bytes nil", []byte(nil)),
		row("bytes empty", []byte{}),
		row("slice nil", []int(nil)),
		row("slice empty", []int{}),
		row("slice nil in struct", struct{ S []string }{}),
		row("slice empty in struct", struct{ S []string }{[]string{}}),
		row("slices nil and empty", [][]int{nil, {}, {1}}),
		row("map nil", map[string]int(nil)),
		row("map empty", map[string]int{}),
		row("map nil and empty in struct", struct{ N, E map[string]int }{nil, map[string]int{}}),
		row("map with NaN keys", map[float64]int{math.NaN(): 1, math.Float64frombits(0x7ff8000000000abc): 2, 0: 3}),
		row("map with struct keys", map[Base]string{{1, 2}: "a", {2, 1}: "b"}),
		row("map with array keys", map[[2]int8]bool{{1, -1}: true}),
		row("map with interface keys", map[any]string{1: "int", int8(1): "int8", "1": "string", 1.0: "float64"}),
		row("array", [3]int{1, 2, 3}),
		row("array of 16 bytes", ID{0, 1, 254, 255}),
		row("slice of empty structs", make([]struct{}, 5)),
		row("set", map[string]struct{}{"a": {}, "b": {}}),
	}
}

// namedAndAnyRows are values of named types, and of all types behind interfaces.
func namedAndAnyRows() []Row {
	rome := rome()
	return []Row{
		row("named types", struct {
			C Celsius
			N Name
			F []Flags
			I IDs
			D time.Duration
		}{36.6, "n", []Flags{1, 2}, IDs{{1}, {2}}, time.Hour}),
		row("any int of every width", []any{1, int8(1), int16(1), int32(1), int64(1)}),
		row("any uint of every width", []any{uint(1), uint8(1), uint16(1), uint32(1), uint64(1), uintptr(1)}),
		row("any float32 and float64", []any{float32(1), float64(1)}),
		row("any named types", []any{Celsius(1), Name("n"), IDs{{1}}, ID{2}, time.Second}),
		row("any struct", struct{ V any }{Base{1, 2}}),
		row("any pointer to struct", struct{ V any }{&Base{1, 2}}),
		row("any nil", struct{ V any }{}),
		row("any typed nil", struct{ V any }{(*int)(nil)}),
		row("any slices", []any{[]int{1}, []string{"a"}, []any{1, nil}, []byte("b"), []byte{}, [2]int{}}),
		row("any maps", []any{map[string]any{"a": 1}, map[string]int{"a": 1}, map[int]any{1: nil}}),
		row("any time", struct{ V any }{day.In(rome)}),
	}
}

// pointerRows are pointers to nothing, to nil and to what others point at.
func pointerRows() []Row {
	var nilPointer *int
	one := 1
	shared := &one
	return []Row{
		row("pointer", &one),
		row("pointer nil", struct{ P *int }{}),
		row("pointer to nil pointer", struct{ P **int }{&nilPointer}),
		row("pointer nil to pointer", struct{ P **int }{}),
		row("pointer to zero", struct{ P *int }{new(int)}),
		row("pointers to empty slice and map", struct {
			S *[]int
			M *map[string]int
		}{&[]int{}, &map[string]int{}}),
		row("pointers shared", []*int{shared, shared}),
	}
}

// structRows are structs with tags, embedded fields and recursion.
func structRows() []Row {
	return []Row{
		row("tag omitempty", Tagged{Kept: 0, Pointer: new(int)}),
		row("tag omitempty, empty slice", Tagged{List: []int{}}),
		row("tag minus", Tagged{Dropped: "kept"}),
		row("tags of one name", Tagged{One: 1, Other: 2}),
		row("fields that differ by case", Cased{"a", "b"}),
		row("embedded struct", Embeds{Base{1, 2}}),
		row("embedded structs in conflict", Conflict{Base{1, 2}, Other{3, 4}}),
		row("embedded field shadowed", Shadow{Base{1, 2}, "k"}),
		row("embedded nil pointer", EmbedsPointer{}),
		row("embedded unexported struct", EmbedsHidden{hidden{1}}),
		row("unexported field that takes no memory", Incomparable{A: 1}),
		row("embedded time", struct {
			time.Time
			Note string
		}{day, "n"}),
		row("tree", Tree{"root", &Tree{Label: "l"}, nil, []Tree{{Label: "m", Left: &Tree{}}}, map[string]*Tree{"n": nil}}),
	}
}

// timeRows are times in all kinds of locations.
func timeRows() []Row {
	rome := rome()
	return []Row{
		row("time UTC", day),
		row("time zero", time.Time{}),
		row("time with monotonic part", time.Now()),
		row("time local", day.Local()),
		row("time in a named location", day.In(rome)),
		row("time in a fixed zone", day.In(time.FixedZone("XYZ", 3*3600+17))),
		row("time in a fixed zone named as a location", day.AddDate(0, 6, 0).In(time.FixedZone("CET", 3600))),
		row("time in year 12345", time.Date(12345, 1, 1, 0, 0, 0, 1, time.UTC)),
		row("time before year 0", time.Date(-5000, 1, 1, 0, 0, 0, 1, time.UTC)),
	}
}

// marshalerRows are values of types that only their own methods can encode.
func marshalerRows() []Row {
	precise, _, _ := big.ParseFloat("1.25e-400", 10, 300, big.ToZero)
	return []Row{
		row("big.Int", new(big.Int).Lsh(big.NewInt(-3), 200)),
		row("big.Int zero", big.Int{}),
		row("big.Rat", big.NewRat(1, 3)),
		row("big.Float", precise),
		row("netip.Addr", []netip.Addr{{}, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("fe80::1%eth0")}),
		row("netip.Prefix and AddrPort", struct {
			P netip.Prefix
			A netip.AddrPort
		}{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParseAddrPort("[::1]:80")}),
		row("url.URL", link()),
		row("regexp.Regexp", regexp.MustCompile("a(b|c)*")),
		row("sql.NullString", sql.NullString{String: "kept though invalid"}),
		row("own text marshaler", Money{-12345}),
		row("own text marshaler in map key", map[Money]int{{1}: 1, {2}: 2}),
	}
}

// refusedRows are values that a codec has to refuse.
func refusedRows() []Row {
	loop := &Tree{Label: "loop"}
	loop.Left = loop
	list := []any{nil}
	list[0] = list
	return []Row{
		refuse("url.URL that String alters", url.URL{Host: "h", Path: "relative"}),
		refuse("regexp.Regexp, leftmost-longest", regexp.MustCompilePOSIX("a+|b")),
		refuse("own marshaler that loses", Forgetful{"n", "s"}),
		refuse("embedded marshaler that loses", Stamped{*link(), "note"}),
		refuse("unexported field", Hidden{1, 2}),
		refuse("unexported field behind pointer", []*Hidden{{1, 2}}),
		refuse("unexported field behind any", struct{ V any }{Hidden{1, 2}}),
		refuse("embedded mutex", &Locked{N: 1}),
		refuse("error", WithErr{errors.New("e")}),
		refuse("error nil", WithErr{}),
		refuse("error behind any", struct{ V any }{errors.New("e")}),
		refuse("func", WithFunc{func() {}}),
		refuse("func nil", WithFunc{}),
		refuse("chan", WithChan{make(chan int)}),
		refuse("map with pointer keys", map[*int]int{new(int): 1}),
		refuse("cycle of pointers", loop),
		refuse("cycle of slices", list),
	}
}
