package codec

import (
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/test/codectest"
)

// encode and decode are Append and Decode for values in interfaces.
func encode(v any) ([]byte, error) {
	p := reflect.New(reflect.TypeOf(v))
	p.Elem().Set(reflect.ValueOf(v))
	return Of(reflect.TypeOf(v)).Append(nil, p.UnsafePointer())
}

func decode(rt reflect.Type, b []byte) (any, error) {
	p := reflect.New(rt)
	err := Of(rt).Decode(b, p.UnsafePointer())
	return p.Elem().Interface(), err
}

func TestLaw8_FaithfulOrRefused(t *testing.T) {
	for _, row := range codectest.Rows() {
		t.Run(row.Name, func(t *testing.T) {
			b, err := encode(row.Value)
			if !row.Keep {
				if !errors.Is(err, cacheutils.ErrUnsupportedValue) {
					t.Errorf("want ErrUnsupportedValue, got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(reflect.TypeOf(row.Value), b)
			if err != nil {
				t.Fatal(err)
			}
			if d := codectest.Diff(row.Value, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLaw8_DecodedSharesNothingWithItsInput(t *testing.T) {
	type value struct {
		S string
		B []byte
		A [4]byte
		M map[string]any
		X codectest.Money
	}
	want := value{"string", []byte("bytes"), [4]byte{1, 2, 3, 4}, map[string]any{"k": []byte("v")}, codectest.Money{}}
	b, err := encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(reflect.TypeOf(want), b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = 0xee
	}
	if d := codectest.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The diff that the tests rely on distinguishes what they are about.
func TestDiffNotices(t *testing.T) {
	rows := codectest.Rows()
	for i, a := range rows {
		for j, b := range rows {
			if reflect.TypeOf(a.Value) != reflect.TypeOf(b.Value) || strings.HasPrefix(a.Name, "cycle") || strings.HasPrefix(b.Name, "cycle") {
				continue
			}
			if d := codectest.Diff(a.Value, b.Value); (d == "") != (i == j) && a.Keep && b.Keep {
				t.Errorf("%s and %s: %q", a.Name, b.Name, d)
			}
		}
	}
	now := time.Now()
	if codectest.Diff(now, now.Add(1)) == "" || codectest.Diff(now, now.UTC()) == "" && now.Location() != time.UTC {
		t.Error("times that differ are the same to Diff")
	}
}

// Stored entries outlive programs and move between machines: bytes that change here need another
// wireVersion.
func TestWireIsStable(t *testing.T) {
	type value struct {
		I int
		U uint16
		F float32
		S []string
		P **int
		M map[Key]any
		T time.Time
		_ func()
	}
	var p *int
	v := value{-3, 300, 1.5, []string{"a", ""}, &p, map[Key]any{{"k", true}: []any{1, nil, "x", Key{}}}, time.Unix(10, 7).UTC(), nil}
	b, err := encode(v)
	if err != nil {
		t.Fatal(err)
	}
	const want = "05ac020000c03f03016100010002016b011305020200110178ff7da36cb509ed8ca30000140700"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("want %s, got %s", want, got)
	}
	maps := slices.Repeat([]map[int]struct{}{{}}, 100)
	if b, err = encode(maps); err != nil || len(b) != 224 { // 101 and the padding
		t.Errorf("want 224 bytes, got %d, %v", len(b), err)
	}
}

type Key struct {
	Name string
	On   bool
}
