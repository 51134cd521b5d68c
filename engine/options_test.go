package engine_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// asked are the options of the engine in these tests.
type asked struct {
	Int, Positive int
	Duration      time.Duration
	Bool          bool
	String        string
}

func read(given map[string]any) (asked, error) {
	r := engine.ReadOptions("toy", given)
	a := asked{
		Int:      r.Int("number", 7),
		Positive: r.PositiveInt("positive", 8),
		Duration: r.PositiveDuration("duration", time.Second),
		Bool:     r.Bool("bool", true),
		String:   r.String("string", "s"),
	}
	return a, r.Err()
}

func TestReadOptions(t *testing.T) {
	defaults := asked{7, 8, time.Second, true, "s"}
	with := func(change func(*asked)) asked { a := defaults; change(&a); return a }
	tests := []struct {
		name  string
		given map[string]any
		want  asked
	}{
		{"nothing", nil, defaults},
		{"Go", map[string]any{"number": -1, "duration": time.Minute, "bool": false, "string": ""}, asked{-1, 8, time.Minute, false, ""}},
		{"int64", map[string]any{"number": int64(5)}, with(func(a *asked) { a.Int = 5 })},
		{"JSON", map[string]any{"number": 5.0, "duration": 0.25, "positive": 1.0}, asked{5, 1, 250 * time.Millisecond, true, "s"}},
		{"json.Number", map[string]any{"number": json.Number("5"), "duration": json.Number("0.25")},
			with(func(a *asked) { a.Int, a.Duration = 5, 250*time.Millisecond })},
		{"URL", map[string]any{"number": "5", "duration": "1.5", "bool": "False", "positive": "3"}, asked{5, 3, 1500 * time.Millisecond, false, "s"}},
		{"duration as text", map[string]any{"duration": "1m30s"}, with(func(a *asked) { a.Duration = 90 * time.Second })},
		{"duration as int", map[string]any{"duration": 2}, with(func(a *asked) { a.Duration = 2 * time.Second })},
		{"Django's case", map[string]any{"NUMBER": 5, "Bool": "0"}, with(func(a *asked) { a.Int, a.Bool = 5, false })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := read(test.given)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// An error names the option, what it has to be, and the options there are.
func TestWrong(t *testing.T) {
	tests := []struct {
		name  string
		given map[string]any
		texts []string
	}{
		{"unknown", map[string]any{"nmber": 1}, []string{"toy has no option nmber", "bool, duration, number, positive, string"}},
		{"text for an integer", map[string]any{"number": "x"}, []string{"option number", `"x"`, "an integer"}},
		{"fraction for an integer", map[string]any{"number": 1.5}, []string{"1.5 of type float64"}},
		{"huge for an integer", map[string]any{"number": 1e300}, []string{"option number"}},
		{"NaN", map[string]any{"number": math.NaN()}, []string{"option number"}},
		{"nil", map[string]any{"number": nil}, []string{"is nil"}},
		{"zero", map[string]any{"positive": 0}, []string{"above 0"}},
		{"duration", map[string]any{"duration": "soon"}, []string{"option duration", "250ms"}},
		{"duration of 0", map[string]any{"duration": 0}, []string{"above 0"}},
		{"endless duration", map[string]any{"duration": math.Inf(1)}, []string{"option duration"}},
		{"duration NaN", map[string]any{"duration": "NaN"}, []string{"option duration"}},
		{"bool", map[string]any{"bool": 1}, []string{"true or false"}},
		{"string", map[string]any{"string": 1}, []string{"1 of type int", "a string"}},
		{"twice", map[string]any{"number": 1, "NUMBER": 2}, []string{"NUMBER and number"}},
		{"several", map[string]any{"number": "x", "nope": 1}, []string{"option number", "no option nope"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := read(test.given)
			if !errors.Is(err, cacheutils.ErrConfig) {
				t.Fatalf("got %v, want ErrConfig", err)
			}
			for _, text := range test.texts {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("no %q in %q", text, err)
				}
			}
		})
	}
	if err := engine.ReadOptions("toy", map[string]any{"a": 1}).Err(); err == nil || !strings.Contains(err.Error(), "it has none") {
		t.Errorf("an engine without options: %v", err)
	}
}
