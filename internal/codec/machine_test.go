package codec_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/cacheutils/cacheutils/internal/codec"
)

// everywhere has what differs between machines of 32 and of 64 bits, and what looks as if it might.
type everywhere struct {
	Int     int
	Uint    uint
	Uintptr uintptr
	Int64   int64
	Float   float64
	Text    string
	Bytes   []byte
	Ints    []int
	Map     map[string]int
	Any     any
	Time    time.Time
	Took    time.Duration
	Big     *big.Int
	Addr    netip.Addr
	Array   [3]int
	Next    *everywhere
}

// Values and types have the same bytes and fingerprints on all machines: what a process on one stores is read on
// another.
func TestSameOnAllMachines(t *testing.T) {
	codec.Expect(reflect.TypeFor[int]())
	v := everywhere{
		math.MaxInt32, math.MaxUint32, 7, math.MinInt64, math.Pi, "città", []byte{0, 255}, []int{-1, math.MinInt32},
		map[string]int{"a": 1}, -5, time.Unix(1_700_000_000, 5).UTC(), time.Hour, new(big.Int).Lsh(big.NewInt(3), 100),
		netip.MustParseAddr("fd00::1"), [3]int{1, 2, 3}, &everywhere{Addr: netip.IPv4Unspecified()},
	}
	typ := codec.Of(reflect.TypeFor[everywhere]())
	if got, want := fmt.Sprintf("%016x", typ.Fingerprint()), "bacc594aea46e123"; got != want {
		t.Errorf("fingerprint: got %s, want %s", got, want)
	}
	data, err := typ.Append(nil, unsafe.Pointer(&v))
	if err != nil {
		t.Fatal(err)
	}
	const want = "feffffff0fffffffff0f07ffffffffffffffffff01182d4454fb2109400663697474c3a00300ff0301ffffffff0f020161020209" +
		"80c49fd50c05008080c58bc6d101010e023000000000000000000000000010fd000000000000000000000000000001020406" +
		"010000000000000000000000000000000000ffdb8ff9ce0300000000040000000000000000"
	if got := hex.EncodeToString(data); got != want {
		t.Errorf("data: got %s, want %s", got, want)
	}
	var back everywhere
	if err := typ.Decode(data, unsafe.Pointer(&back)); err != nil || !reflect.DeepEqual(back.Ints, v.Ints) || back.Any != v.Any || back.Big.Cmp(v.Big) != 0 {
		t.Errorf("got %+v, %v", back, err)
	}
}

// A number that an int has on one machine, and none on another, is an error there, and no other number.
func TestIntsOfLargerMachines(t *testing.T) {
	for _, n := range []int64{math.MaxInt32, math.MaxInt32 + 1, math.MinInt32, math.MinInt32 - 1, math.MaxInt64, math.MinInt64, 1 << 32} {
		data, err := codec.Of(reflect.TypeFor[int64]()).Append(nil, unsafe.Pointer(&n))
		if err != nil {
			t.Fatal(err)
		}
		var v int
		err = codec.Of(reflect.TypeFor[int]()).Decode(data, unsafe.Pointer(&v))
		if fits := math.MinInt <= n && n <= math.MaxInt; fits && (err != nil || int64(v) != n) || !fits && err == nil {
			t.Errorf("int of %d: got %d, %v", n, v, err)
		}
	}
	for _, n := range []uint64{math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
		data, err := codec.Of(reflect.TypeFor[uint64]()).Append(nil, unsafe.Pointer(&n))
		if err != nil {
			t.Fatal(err)
		}
		var v uint
		var p uintptr
		fits := n <= math.MaxUint
		if err := codec.Of(reflect.TypeFor[uint]()).Decode(data, unsafe.Pointer(&v)); fits && (err != nil || uint64(v) != n) || !fits && err == nil {
			t.Errorf("uint of %d: got %d, %v", n, v, err)
		}
		if err := codec.Of(reflect.TypeFor[uintptr]()).Decode(data, unsafe.Pointer(&p)); fits && (err != nil || uint64(p) != n) || !fits && err == nil {
			t.Errorf("uintptr of %d: got %d, %v", n, p, err)
		}
	}
}
