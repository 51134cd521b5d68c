package errtext_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/cacheutils/cacheutils/internal/errtext"
)

func TestGiven(t *testing.T) {
	for want, v := range map[string]any{
		"nil":                       nil,
		"a value of type int":       1,
		"a value of type []int":     []int{},
		"a nil []int":               []int(nil),
		"a nil func(int) string":    (func(int) string)(nil),
		"a nil *int":                (*int)(nil),
		"a value of type time.Time": time.Time{},
	} {
		if got := errtext.Given(reflect.ValueOf(v)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMissingUnit(t *testing.T) {
	for _, d := range []time.Duration{-1, 0, time.Millisecond, time.Hour} {
		if wrong := errtext.MissingUnit("Timeout", d); wrong != "" {
			t.Errorf("%v: %s", d, wrong)
		}
	}
	const want = "Timeout(300ns) is less than a millisecond, since a number without a unit counts nanoseconds: did you mean Timeout(300*time.Second)?"
	if got := errtext.MissingUnit("Timeout", 300); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
