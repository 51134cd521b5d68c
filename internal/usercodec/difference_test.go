package usercodec

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Name string
	note *int
}

type outer struct {
	inner
	Plain  inner
	List   []inner
	ByKey  map[string]*inner
	Any    any
	At     time.Time
	F      float64
	hidden []string
}

// amount has an Equal that says less than its fields.
type amount struct{ digits, scale int }

func (a amount) Equal(b amount) bool { return a.digits*b.scale == b.digits*a.scale }

type ring struct {
	Next *ring
	N    int
}

// A list of more links than a stack has room for is neither compared to its end nor the end of the program.
func TestDifference_Deep(t *testing.T) {
	list := func() (first *ring) {
		for n := range 200_000 {
			first = &ring{first, n}
		}
		return first
	}
	path, differ := Difference(reflect.ValueOf(list()), reflect.ValueOf(list()))
	if want := "*usercodec.ring" + strings.Repeat(".Next", mostSteps) + "..."; !differ || path != want {
		t.Errorf("got %q, %t, want %q", path, differ, want)
	}
}

// What comes first differs from what comes second at a path, or not at all.
func TestDifference(t *testing.T) {
	one, two, now := 1, 2, time.Now()
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, rome)
	loop := func(n int) *ring {
		r := &ring{N: n}
		r.Next = &ring{r, n}
		return r
	}
	for _, test := range []struct {
		name     string
		a, b     any
		path     string // empty: there is none
		exported bool   // whether that of exported fields is another: none
	}{
		{"zero", outer{}, outer{}, "", false},
		{"field", outer{Plain: inner{Name: "a"}}, outer{Plain: inner{Name: "b"}}, "usercodec.outer.Plain.Name", false},
		{"promoted field", outer{inner: inner{Name: "a"}}, outer{inner: inner{Name: "b"}}, "usercodec.outer.inner.Name", false},
		{"unexported field", outer{hidden: []string{"a"}}, outer{}, "usercodec.outer.hidden", true},
		{"unexported field of a field", outer{Plain: inner{note: &one}}, outer{Plain: inner{note: &two}}, "usercodec.outer.Plain.note", true},
		{"unexported fields alone", amount{1, 1}, amount{2, 1}, "usercodec.amount.digits", false},
		{"element", outer{List: []inner{{}, {Name: "a"}}}, outer{List: []inner{{}, {Name: "b"}}}, "usercodec.outer.List[1].Name", false},
		{"nil and empty", outer{List: []inner{}}, outer{}, "usercodec.outer.List", false},
		{"entry", outer{ByKey: map[string]*inner{"k": {Name: "a"}}}, outer{ByKey: map[string]*inner{"k": {}}}, "usercodec.outer.ByKey[].Name", false},
		{"nil entry", outer{ByKey: map[string]*inner{"k": nil}}, outer{ByKey: map[string]*inner{"k": {}}}, "usercodec.outer.ByKey[]", false},
		{"other key", map[string]int{"a": 1}, map[string]int{"b": 1}, "map[string]int", false},
		{"type behind any", outer{Any: 1}, outer{Any: 1.0}, "usercodec.outer.Any", false},
		{"value behind any", outer{Any: []int{1}}, outer{Any: []int{2}}, "usercodec.outer.Any[0]", false},
		{"NaN", outer{F: math.NaN()}, outer{F: -math.NaN()}, "", false},
		{"sign of zero", outer{F: 0}, outer{F: math.Copysign(0, -1)}, "usercodec.outer.F", false},
		{"monotonic part", now, now.Round(0), "", false},
		{"location of one offset", outer{At: at}, outer{At: at.In(time.FixedZone("CEST", 7200))}, "", false},
		{"offset", outer{At: at}, outer{At: at.UTC()}, "usercodec.outer.At", false},
		{"Equal", amount{1, 2}, amount{2, 4}, "", false},
		{"rings", loop(1), loop(1), "", false},
		{"rings that differ", loop(1), loop(2), "*usercodec.ring.Next.N", false},
		{"functions", struct{ F func() }{func() {}}, struct{ F func() }{func() {}}, "struct { F func() }.F", false},
		{"no functions", struct{ F func() }{}, struct{ F func() }{}, "", false},
		{"arrays", [2]int{1, 2}, [2]int{1, 3}, "[2]int[1]", false},
	} {
		a, b := reflect.ValueOf(test.a), reflect.ValueOf(test.b)
		path, differ := Difference(a, b)
		if !differ {
			path = ""
		}
		if path != test.path {
			t.Errorf("%s: got %q, want %q", test.name, path, test.path)
		}
		if got, want := EqualExported(a, b), test.path == "" || test.exported; got != want {
			t.Errorf("%s: EqualExported: got %t, want %t", test.name, got, want)
		}
	}
}
