package bench

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os/exec"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/test/codectest"
	"github.com/cacheutils/cacheutils/internal/test/workers"
)

// Which codec keeps law 8: a value is decoded to exactly what it was, or refused? Run it with
//
//	go test -run TestLaw8 -v
//
// Every codec has the options that keep the most. A row that a codec alters, with no error from encoding or
// decoding, is one where a cache would return another value than the function.

type coder struct {
	name   string
	encode func(v any) ([]byte, error)
	decode func(b []byte, to any) error // to is a pointer to a zero value
}

func coders(t testing.TB) []coder {
	encoding := cbor.EncOptions{
		NaNConvert:      cbor.NaNConvertNone,
		InfConvert:      cbor.InfConvertNone,
		BigIntConvert:   cbor.BigIntConvertNone,
		Time:            cbor.TimeRFC3339Nano,
		TimeTag:         cbor.EncTagRequired,
		NilContainers:   cbor.NilContainerAsNull,
		OmitEmpty:       cbor.OmitEmptyCBORValue,
		ByteArray:       cbor.ByteArrayToByteSlice,
		BinaryMarshaler: cbor.BinaryMarshalerByteString,
		TextMarshaler:   cbor.TextMarshalerTextString,
	}
	decoding := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		TimeTag:           cbor.DecTagOptional,
		MaxNestedLevels:   65535,
		IntDec:            cbor.IntDecConvertNone,
		MapKeyByteString:  cbor.MapKeyByteStringAllowed,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8DecodeInvalid,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		BigIntDec:         cbor.BigIntDecodePointer,
		DefaultMapType:    reflect.TypeFor[map[string]any](),
		BinaryUnmarshaler: cbor.BinaryUnmarshalerByteString,
		TextUnmarshaler:   cbor.TextUnmarshalerTextString,
	}
	cborEnc, err := encoding.EncMode()
	if err != nil {
		t.Fatal(err)
	}
	cborDec, err := decoding.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	return []coder{
		{"ours", func(v any) ([]byte, error) {
			p := reflect.New(reflect.TypeOf(v))
			p.Elem().Set(reflect.ValueOf(v))
			return codec.Of(p.Type().Elem()).Append(nil, p.UnsafePointer())
		}, func(b []byte, to any) error {
			p := reflect.ValueOf(to)
			return codec.Of(p.Type().Elem()).Decode(b, p.UnsafePointer())
		}},
		{"cbor", cborEnc.Marshal, cborDec.Unmarshal},
		{"msgpack", func(v any) ([]byte, error) {
			var b bytes.Buffer
			e := msgpack.NewEncoder(&b)
			e.UseCompactInts(false)
			e.UseCompactFloats(false)
			err := e.Encode(v)
			return b.Bytes(), err
		}, func(b []byte, to any) error {
			d := msgpack.NewDecoder(bytes.NewReader(b))
			d.UseLooseInterfaceDecoding(false)
			d.DisallowUnknownFields(true)
			return d.Decode(to)
		}},
		{"gob", func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		}, func(b []byte, to any) error {
			return gob.NewDecoder(bytes.NewReader(b)).Decode(to)
		}},
		{"json", json.Marshal, func(b []byte, to any) error {
			d := json.NewDecoder(bytes.NewReader(b))
			d.DisallowUnknownFields()
			return d.Decode(to)
		}},
	}
}

// registerForGob tells gob what the table has behind interfaces.
func registerForGob() {
	for _, v := range []any{
		codectest.Celsius(0), codectest.Name(""), codectest.IDs{}, codectest.ID{}, codectest.Base{},
		time.Duration(0), time.Time{}, []any{}, [2]int{}, map[string]any{}, map[string]int{}, map[int]any{},
		codectest.Hidden{}, big.Int{}, (*int)(nil),
	} {
		func() {
			defer func() { _ = recover() }() // refusals count when they are met
			gob.Register(v)
		}()
	}
}

// try returns what becomes of a value.
func (c coder) try(v any) (outcome string) {
	defer func() {
		if r := recover(); r != nil {
			outcome = "panics"
		}
	}()
	b, err := c.encode(v)
	if err != nil {
		return "refused"
	}
	to := reflect.New(reflect.TypeOf(v))
	if err := c.decode(b, to.Interface()); err != nil {
		return "refused when read"
	}
	if codectest.Diff(v, to.Elem().Interface()) != "" {
		return "ALTERED"
	}
	return "kept"
}

// A trial is what tryApart has another process do.
type trial struct {
	Coder string
	Row   int
}

// tryApart is try in a process of its own, because a stack overflow ends the process.
func (c coder) tryApart(t *testing.T, row int) string {
	w := workers.Start(t, "^TestLaw8_Apart$", trial{c.name, row})
	outcome, err := workers.Receive[string](w)
	if exit := new(exec.ExitError); err != nil && errors.As(w.Wait(), &exit) {
		return "CRASHES"
	}
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func TestLaw8_Apart(t *testing.T) {
	var job trial
	if !workers.Job(&job) {
		t.Skip("run by TestLaw8_Codecs")
	}
	debug.SetMaxStack(64 << 20)
	registerForGob()
	for _, c := range coders(t) {
		if c.name == job.Coder {
			workers.Reply(c.try(codectest.Rows()[job.Row].Value))
		}
	}
}

func TestLaw8_Codecs(t *testing.T) {
	registerForGob()
	all := coders(t)
	var table strings.Builder
	table.WriteString("| value |")
	for _, c := range all {
		table.WriteString(" " + c.name + " |")
	}
	table.WriteString("\n|" + strings.Repeat("---|", len(all)+1) + "\n")
	if all[0].name != "ours" {
		t.Fatalf("the first is %s, want ours", all[0].name)
	}
	broken := make([]int, len(all))
	kept := make([]int, len(all))
	rows := codectest.Rows()
	for i, row := range rows {
		table.WriteString("| " + row.Name + " |")
		for j, c := range all {
			var outcome string
			if strings.HasPrefix(row.Name, "cycle") {
				outcome = c.tryApart(t, i)
			} else {
				outcome = c.try(row.Value)
			}
			switch outcome {
			case "kept":
				kept[j]++
			case "ALTERED", "CRASHES":
				broken[j]++
			}
			table.WriteString(" " + outcome + " |")
			if j == 0 && (outcome == "kept") != row.Keep {
				t.Errorf("%s: %s", row.Name, outcome)
			}
		}
		table.WriteString("\n")
	}
	table.WriteString(fmt.Sprintf("| **kept, of %d** |", len(rows)))
	for _, n := range kept {
		fmt.Fprintf(&table, " %d |", n)
	}
	table.WriteString("\n| **altered or crashed** |")
	for _, n := range broken {
		fmt.Fprintf(&table, " %d |", n)
	}
	t.Log("\n" + table.String())
	if broken[0] > 0 {
		t.Errorf("ours breaks law 8 in %d rows", broken[0])
	}
	for j, c := range all[1:] {
		if broken[j+1] == 0 {
			t.Errorf("%s keeps law 8 as well: it should be used instead of a codec of our own", c.name)
		}
	}
}
