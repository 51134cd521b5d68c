package entry

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/codec"
	"github.com/cacheutils/cacheutils/internal/test/budget"
)

// bytesOnly is the sealer of a store whose engine holds no live values.
var bytesOnly = Sealer{CompressAbove: 1024}

// openItem returns a pointer to the value of the type in item.
func openItem(t reflect.Type, item engine.Item) (any, error) {
	var e Entry
	err := e.Parse(item)
	if err != nil {
		return nil, err
	}
	return e.Value(codec.Of(t), false)
}

func reopen(t *testing.T, value any) any {
	t.Helper()
	typ, p := Box(value)
	sealed, err := bytesOnly.SealPlain(Check{}, false, typ, p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openItem(reflect.TypeFor[any](), sealed.Item())
	if err != nil {
		t.Fatal(err)
	}
	return *got.(*any)
}

// What is read into an any has the type that it was stored with.
func TestLaw8_TypesThroughAny(t *testing.T) {
	type id int64
	type pair struct{ A, B any }
	for _, value := range []any{
		nil, true, 1, int8(-8), int16(16), int32(32), int64(math.MinInt64), uint(1), uint8(8), uint16(16), uint32(32), uint64(math.MaxUint64),
		id(5), time.Hour, 1.5, float32(1.5), "text", []byte("bytes"), []any{1, int8(2), nil}, pair{int8(1), []string(nil)}, &pair{nil, id(1)},
	} {
		if diff := cmp.Diff(value, reopen(t, value)); diff != "" {
			t.Errorf("%T (-want +got):\n%s", value, diff)
		}
	}
}

// A reader who has named the types that may be behind an interface gets no other, whatever there is: a number, a text, a frame,
// or a value in this process's memory.
func TestValue_TypesThatWereNamed(t *testing.T) {
	type town struct{ Name string }
	reader := codec.Of(reflect.TypeFor[any]()).Only(codec.Types{reflect.TypeFor[town](): true})
	for _, value := range []any{town{"Rome"}, nil, 1, int8(1), "text", true, []town{{"Rome"}}, &town{"Rome"}} {
		typ, p := Box(value)
		_, named := value.(town)
		for how, sealer := range map[string]Sealer{"bytes": bytesOnly, "live": {Live: true}} {
			e, err := sealer.SealPlain(Check{}, false, typ, p)
			if err != nil {
				t.Fatal(err)
			}
			var found Entry
			if err := found.Parse(e.Item()); err != nil {
				t.Fatal(err)
			}
			got, err := found.Value(reader, false)
			switch may := named || value == nil; {
			case may && (err != nil || *got.(*any) != value), !may && !errors.Is(err, cacheutils.ErrUndecodable):
				t.Errorf("%#v, %s: got %v, %v", value, how, got, err)
			}
		}
	}
	text := Entry{flags: FlagsText, body: []byte("text")}
	if got, err := text.Value(reader, false); !errors.Is(err, cacheutils.ErrUndecodable) {
		t.Errorf("a text of Django's: got %v, %v", got, err)
	}
}

// Whatever its pattern, a value comes back from compression, and a reader allocates in
// proportion to what is stored.
func TestCompression(t *testing.T) {
	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for name, payload := range map[string][]byte{
		"zeros":     make([]byte, 8<<20),
		"words":     []byte(strings.Repeat("all work and no play ", 1000)),
		"noise":     noise,
		"a little":  {1, 2, 3},
		"nothing":   {},
		"mixed":     append(make([]byte, 1<<20), noise...),
		"too large": make([]byte, maxPayload+1),
	} {
		small := compress(payload)
		if name == "too large" {
			if len(small) != len(payload) {
				t.Errorf("%s: %d bytes became %d", name, len(payload), len(small))
			}
			continue
		}
		got, err := uncompress(small, &codec.Limits{})
		if err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%s: %d bytes, compressed to %d, came back as %d, %v", name, len(payload), len(small), len(got), err)
		}
	}
	block := s2.Encode(nil, make([]byte, maxPayload+1)) // as somebody else may write it
	large := append(binary.AppendUvarint(nil, uint64(len(block))), block...)
	if got, err := uncompress(append(large, make([]byte, maxPayload/maxRatio+1)...), &codec.Limits{}); err == nil {
		t.Errorf("it grew to %d bytes", len(got))
	}
	if n := len(compress(make([]byte, 8<<20))); n > 8<<20/maxRatio {
		t.Errorf("8 MiB of zeros take %d bytes", n)
	}
}

func FuzzUncompress(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 0})
	f.Add(compress([]byte(strings.Repeat("x", 5000))))
	f.Add(compress(make([]byte, 1<<20))[:20]) // claims a MiB
	f.Add([]byte{5, 0xff, 0xff, 0xff, 0x7f, 0})
	f.Fuzz(func(t *testing.T, small []byte) {
		var got []byte
		var err error
		budget.Within(t, func() { got, err = uncompress(small, &codec.Limits{Memory: fuzzDecoded}) })
		if err == nil && (len(got)/maxRatio > len(small) || len(got) > fuzzDecoded) {
			t.Errorf("%d bytes grew to %d", len(small), len(got))
		}
	})
}

// No entry, whoever wrote it, makes a reader panic or allocate out of proportion, and what it
// can't read is undecodable.
func FuzzOpen(f *testing.F) {
	type city struct {
		Name string
		Tags []string
		More map[string]any
	}
	types := []reflect.Type{
		reflect.TypeFor[city](), reflect.TypeFor[any](), reflect.TypeFor[int8](), reflect.TypeFor[string](), reflect.TypeFor[[]*time.Time](),
	}
	for _, value := range []any{city{"Rome", []string{"a"}, map[string]any{"b": int8(1)}}, 5, "x", strings.Repeat("x", 5000), []*time.Time{nil}} {
		typ, p := Box(value)
		for _, check := range []Check{{}, CheckOf(strings.Repeat("k", 300))} {
			e, err := bytesOnly.SealPlain(check, false, typ, p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(e.Item().Value, e.flags)
			e.Groups = []Generation{{"cities", "an id"}, {"", ""}}
			e.Stamp(time.Now(), time.Hour, time.Minute)
			e.Holder, e.HeldUntil, e.Failures, e.RetryAt = Token{1}, 2, 3, 4
			f.Add(e.Item().Value, e.flags)
			other, lease := e, bytesOnly.Tombstone(check, typ)
			other.fingerprint++
			lease.fingerprint += 2
			lease.Hold(NewToken("", ""), time.Now().Add(time.Hour))
			e.others = []Entry{other, lease}
			f.Add(e.Item().Value, e.flags)
		}
	}
	f.Add(append([]byte{frameMagic, frameFormat, 0, bitCompressed, 0, 0, 0, 0, 0, 0, 0, 0}, compress(make([]byte, 1<<20))...), uint32(flagsFrame))
	now := time.Now()
	f.Fuzz(func(t *testing.T, value []byte, flags uint32) {
		budget.Within(t, func() {
			for _, typ := range types {
				e := Entry{MaxDecoded: fuzzDecoded}
				if e.Parse(engine.Item{Value: value, Flags: flags}) != nil {
					continue
				}
				if e.Pick(codec.Of(typ), now) {
					_, _ = e.Value(codec.Of(typ), false)
				}
				_, _ = e.Increase(bytesOnly, 1)
			}
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, typ := range types {
			_, err := openItem(typ, engine.Item{Value: value, Flags: flags})
			if err != nil && !errors.Is(err, cacheutils.ErrUndecodable) {
				t.Errorf("%s: got %v, want ErrUndecodable", typ, err)
			}
			var e, again, beside Entry
			if e.Parse(engine.Item{Value: value, Flags: flags}) != nil {
				continue
			}
			if e.Pick(codec.Of(typ), now) {
				_, _ = e.Value(codec.Of(typ), false)
			}
			if e.flags != flagsFrame {
				continue
			}
			beside = bytesOnly.Tombstone(Check{}, codec.Of(typ))
			beside.Hold(Token{1}, now)
			beside.KeepOthers(&e)
			if err := again.Parse(beside.Item()); err != nil || len(again.others) != len(beside.others) {
				t.Errorf("beside %d other sections: read back %d, %v", len(beside.others), len(again.others), err)
			}
			for i := range again.others {
				if !bytes.Equal(again.others[i].appendSection(nil), beside.others[i].appendSection(nil)) {
					t.Errorf("section %d has changed", i)
				}
			}
		}
		runtime.ReadMemStats(&after)
		const perOpen = 64 << 10 // types are compiled when they are first met
		most := uint64(len(types)) * (perOpen + maxRatio*32*uint64(len(value)))
		if got := after.TotalAlloc - before.TotalAlloc; got > most {
			t.Errorf("%d bytes made the reader allocate %d", len(value), got)
		}
	})
}

// fuzzDecoded is the option max_decoded_size for an input, which is opened as several types: what the allocator rounds up
// fits into the budget, too.
const fuzzDecoded = 8 << 20

// The error of a value that can't be encoded says its type.
func TestEncode_NamesTheType(t *testing.T) {
	var value any = make(chan int)
	_, err := Encode(nil, codec.Of(reflect.TypeFor[any]()), &value)
	if err == nil || !strings.HasPrefix(err.Error(), "encode a value of type interface {}: ") {
		t.Errorf("got %v", err)
	}
}
