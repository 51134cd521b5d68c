package cachekey

import (
	"net/netip"
	"reflect"
	"strconv"
	"testing"
	"time"
	"unsafe"
)

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name string
		args []any
	}{
		{"int64_string", []any{int64(123456), "some text"}},
		{"int64", []any{int64(123456)}},
		{"string", []any{"some text"}},
		{"string_unicode", []any{"città èß 😀"}},
		{"float64", []any{1234.5678}},
		{"bool", []any{true}},
		{"bytes", []any{[]byte("some bytes")}},
		{"struct", []any{city{1, "it"}}},
		{"struct_pointer", []any{&city{1, "it"}}},
		{"time", []any{time.Unix(1e9, 5).UTC()}},
		{"netip", []any{netip.MustParseAddr("1.2.3.4")}},
		{"ints_10", []any{[]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}},
		{"map_5", []any{map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}}},
		{"any_list", []any{[]any{1, "a", 2.5, nil}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			encoders := make([]*Encoder, len(c.args))
			values := make([]reflect.Value, len(c.args))
			for i, x := range c.args {
				values[i] = reflect.ValueOf(x)
				encoders[i], _ = EncoderOf(values[i].Type(), nil)
			}
			dst := make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				dst = dst[:0]
				for i, e := range encoders {
					dst, _ = e.Append(dst, values[i])
				}
			}
		})
	}
}

func BenchmarkAppendPointer(b *testing.B) {
	b.Run("struct", func(b *testing.B) {
		e, _ := EncoderOf(reflect.TypeFor[city](), nil)
		p := reflect.ValueOf(&city{1, "it"}).UnsafePointer()
		dst := make([]byte, 0, 256)
		b.ReportAllocs()
		for b.Loop() {
			dst, _ = e.AppendPointer(dst[:0], p)
		}
	})
}

type offer struct {
	ID     int64
	City   string
	Lang   string
	Stars  int
	Active bool
}

// What the arguments of a key cost, compared with appends that somebody writes for just these types.
func BenchmarkKey(b *testing.B) {
	id, text := int64(123456), "some text"
	value := offer{1234, "Roma", "it", 4, true}
	ids, _ := EncoderOf(reflect.TypeFor[int64](), nil)
	texts, _ := EncoderOf(reflect.TypeFor[string](), nil)
	offers, _ := EncoderOf(reflect.TypeFor[offer](), nil)
	for _, c := range []struct {
		name  string
		write func(dst []byte) []byte
	}{
		{"int64_string/handwritten", func(dst []byte) []byte {
			dst = strconv.AppendInt(dst, id, 10)
			return strconv.AppendQuote(dst, text)
		}},
		{"int64_string/encoders", func(dst []byte) []byte {
			dst, _ = ids.AppendPointer(dst, unsafe.Pointer(&id))
			dst, _ = texts.AppendPointer(dst, unsafe.Pointer(&text))
			return dst
		}},
		{"struct_5/handwritten", func(dst []byte) []byte {
			dst = strconv.AppendInt(append(dst, "offer{ID="...), value.ID, 10)
			dst = append(append(dst, ",City="...), value.City...)
			dst = append(append(dst, ",Lang="...), value.Lang...)
			dst = strconv.AppendInt(append(dst, ",Stars="...), int64(value.Stars), 10)
			return append(strconv.AppendBool(append(dst, ",Active="...), value.Active), '}')
		}},
		{"struct_5/encoder", func(dst []byte) []byte {
			dst, _ = offers.AppendPointer(dst, unsafe.Pointer(&value))
			return dst
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			dst := make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				dst = c.write(dst[:0])
			}
		})
	}
}

func BenchmarkArgs(b *testing.B) {
	b.Run("int_string", func(b *testing.B) {
		args := []any{1, "it"}
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Args(args, nil)
		}
	})
}

func BenchmarkSanitize(b *testing.B) {
	key := Build("example.com/app/geo.LoadCity:42", "(1,'it')")
	long := key + string(make([]byte, 300))
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Sanitize(key, 250)
		}
	})
	b.Run("shortened", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Sanitize(long, 250)
		}
	})
}

func BenchmarkFuncName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = FuncName(Sanitize)
	}
}
