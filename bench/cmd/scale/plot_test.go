package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

var sample = plot{
	name: "sample", title: "A & B", about: "What is measured.", x: "entries", y: "time", unit: nanoseconds,
	ticks: []string{"1", "10", "100"},
	lines: []line{{"one", []float64{100, 200, 1500}}, {"two", []float64{110, 210, math.NaN()}}, {"three", []float64{110, 210, 1490}}},
}

func TestSVG(t *testing.T) {
	text := sample.svg()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(text, "NaN") || strings.Count(text, "<polyline") != 3 {
		t.Error(text)
	}
}

// The names of lines that end together stand apart.
func TestLabels(t *testing.T) {
	places := sample.labels(func(v float64) float64 { return height - bottom - math.Log10(v) })
	if len(places) != 3 {
		t.Errorf("%d labels, want 3", len(places))
	}
	for i := range places {
		for j := range i {
			if math.Abs(places[i]-places[j]) < 16 || places[i] > height-bottom {
				t.Errorf("%v", places)
			}
		}
	}
}

func TestMarkdown(t *testing.T) {
	want := `### A & B

![A & B](img/sample.svg)

What is measured. From the left to the right it is, for one from 100 ns to 1.5 µs (× 15); for two from 110 ns to 210 ns (× 1.91); for three from 110 ns to 1.49 µs (× 13.5).

| entries | 1 | 10 | 100 |
|---|---:|---:|---:|
| one | 100 ns | 200 ns | 1.5 µs |
| two | 110 ns | 210 ns | |
| three | 110 ns | 210 ns | 1.49 µs |
`
	if got := sample.markdown("img"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestUnits(t *testing.T) {
	for got, want := range map[string]string{
		nanoseconds(0.5):     "0.5 ns",
		nanoseconds(12.34):   "12.3 ns",
		nanoseconds(999.9):   "1 µs",
		nanoseconds(1e6):     "1 ms",
		byteCount(1_500_000): "1.5 MB",
		count(1_000_000):     "1,000,000",
		sizeName(256 << 10):  "256 KiB",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
