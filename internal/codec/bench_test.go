package codec

import (
	"fmt"
	"reflect"
	"testing"
	"time"
	"unsafe"
)

type benchCity struct {
	ID       int64
	Name     string
	Lat, Lon float64
	Capital  bool
	Founded  time.Time
}

type benchOffer struct {
	City   benchCity
	Prices []float64
	Tags   []string
	Extra  map[string]any
}

func newCity(i int) benchCity {
	return benchCity{int64(i), fmt.Sprintf("City %d", i), 41.9 + float64(i), 12.5, i%2 == 0, time.Unix(1e9, 5).UTC()}
}

func newOffer() benchOffer {
	o := benchOffer{City: newCity(1), Prices: make([]float64, 80)}
	for i := range 20 {
		o.Prices[i] = float64(i) * 1.25
		o.Tags = append(o.Tags, fmt.Sprintf("tag number %d", i))
	}
	o.Extra = map[string]any{"stars": 4, "breakfast": true, "note": "by the sea"}
	return o
}

func benchmarkCodec[T any](b *testing.B, name string, v T) {
	typ := Of(reflect.TypeFor[T]())
	data, err := typ.Append(nil, unsafe.Pointer(&v))
	if err != nil {
		b.Fatal(err)
	}
	b.Run(name+"/append", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		buf := make([]byte, 0, 2*len(data))
		for b.Loop() {
			if _, err := typ.Append(buf, unsafe.Pointer(&v)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"/decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			var got T
			if err := typ.Decode(data, unsafe.Pointer(&got)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"/size", func(b *testing.B) {
		for b.Loop() {
			typ.Size(unsafe.Pointer(&v))
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	benchmarkCodec(b, "small struct", newCity(1))
	benchmarkCodec(b, "1 KiB struct", newOffer())
	cities := make([]benchCity, 100)
	for i := range cities {
		cities[i] = newCity(i)
	}
	benchmarkCodec(b, "100 structs", cities)
	benchmarkCodec(b, "any", map[string]any{"id": 1, "tags": []any{"a", "b"}, "price": 1.5, "on": true, "nested": map[string]any{"x": nil}})
}
