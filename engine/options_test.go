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
	Few           int
	Short         time.Duration
}

func read(given map[string]any) (asked, error) {
	r := engine.ReadOptions("toy", given)
	a := asked{
		Int:      r.Int("number", 7),
		Positive: r.PositiveInt("positive", 8),
		Duration: r.PositiveDuration("duration", time.Second),
		Bool:     r.Bool("bool", true),
		String:   r.String("string", "s"),
		Few:      r.IntBetween("few", 3, 2, 5),
		Short:    r.DurationBetween("short", time.Minute, 0, time.Hour),
	}
	r.String("password", "")
	return a, r.Err()
}

func TestReadOptions(t *testing.T) {
	defaults := asked{7, 8, time.Second, true, "s", 3, time.Minute}
	with := func(change func(*asked)) asked { a := defaults; change(&a); return a }
	tests := []struct {
		name  string
		given map[string]any
		want  asked
	}{
		{"nothing", nil, defaults},
		{"Go", map[string]any{"number": -1, "duration": time.Minute, "bool": false, "string": ""}, asked{-1, 8, time.Minute, false, "", 3, time.Minute}},
		{"int64", map[string]any{"number": int64(5)}, with(func(a *asked) { a.Int = 5 })},
		{"other integers", map[string]any{"number": int8(-5), "positive": uint16(6), "few": float32(4)},
			with(func(a *asked) { a.Int, a.Positive, a.Few = -5, 6, 4 })},
		{"JSON", map[string]any{"number": 5.0, "duration": "250ms", "positive": 1.0, "short": 0.0}, asked{5, 1, 250 * time.Millisecond, true, "s", 3, 0}},
		{"json.Number", map[string]any{"number": json.Number("5"), "short": json.Number("0")},
			with(func(a *asked) { a.Int, a.Short = 5, 0 })},
		{"URL", map[string]any{"number": "5", "duration": "1.5s", "bool": "False", "positive": "3", "short": "0"},
			asked{5, 3, 1500 * time.Millisecond, false, "s", 3, 0}},
		{"duration as text", map[string]any{"duration": "1m30s"}, with(func(a *asked) { a.Duration = 90 * time.Second })},
		{"the least", map[string]any{"few": 2, "short": time.Millisecond, "duration": "1ms"},
			with(func(a *asked) { a.Few, a.Short, a.Duration = 2, time.Millisecond, time.Millisecond })},
		{"the most", map[string]any{"few": 5, "short": "1h", "duration": time.Duration(math.MaxInt64)},
			with(func(a *asked) { a.Few, a.Short, a.Duration = 5, time.Hour, math.MaxInt64 })},
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
		{"unknown", map[string]any{"nmber": 1}, []string{"toy has no option nmber", "bool, duration, few, number, password, positive, short, string",
			"all backends have compress_above, group_prefix, key_secret, key_secret_env, lease, max_decoded_size, open_groups, operation_timeout, secret, secret_env, stale, store_later"}},
		{"a setting", map[string]any{"KEY_PREFIX": "p"}, []string{"toy has no option KEY_PREFIX, which is a setting of the backend"}},
		{"below the least", map[string]any{"few": 1}, []string{"option few is 1 of type int", "an integer from 2 to 5"}},
		{"above the most", map[string]any{"few": 6}, []string{"an integer from 2 to 5"}},
		{"a duration for an integer", map[string]any{"number": time.Second}, []string{"1s of type time.Duration", "an integer"}},
		{"an integer for a duration", map[string]any{"duration": 250}, []string{"250 of type int", `did you mean "250ms" or "250s"?`}},
		{"a number of JSON", map[string]any{"duration": 0.5}, []string{`did you mean "0.5s"?`}},
		{"a json.Number", map[string]any{"duration": json.Number("2")}, []string{`did you mean "2ms" or "2s"?`}},
		{"a number of a URL", map[string]any{"duration": "1.5"}, []string{`the string "1.5"`, `did you mean "1.5ms" or "1.5s"?`}},
		{"a number that fits in one unit", map[string]any{"short": 5000}, []string{`did you mean "5000ms"?`, "0, or a duration with its unit, from 1ms to 1h,"}},
		{"a number that fits in none", map[string]any{"short": 1e9}, []string{`such as "250ms"`}},
		{"a number as a time.Duration", map[string]any{"short": time.Duration(250)}, []string{"250ns of type time.Duration", `did you mean "250ms" or "250s"?`}},
		{"nanoseconds as text", map[string]any{"duration": "250ns"}, []string{`"250ns"`, "of 1ms at least", `did you mean "250ms" or "250s"?`}},
		{"too long", map[string]any{"short": "2h"}, []string{`"2h"`, "from 1ms to 1h,"}},
		{"negative", map[string]any{"short": -time.Second}, []string{"-1s of type time.Duration", "0, or a duration"}},
		{"a day", map[string]any{"duration": "1d"}, []string{`"1d"`, "with its unit"}},
		{"a password", map[string]any{"Password": 1234567}, []string{"option password is something else", "a string"}},
		{"a map", map[string]any{"number": map[string]any{"password": "1234567"}}, []string{"a value of type map[string]interface {}"}},
		{"text for an integer", map[string]any{"number": "x"}, []string{"option number", `"x"`, "an integer"}},
		{"fraction for an integer", map[string]any{"number": 1.5}, []string{"1.5 of type float64"}},
		{"huge for an integer", map[string]any{"number": 1e300}, []string{"option number"}},
		{"NaN", map[string]any{"number": math.NaN()}, []string{"option number"}},
		{"nil", map[string]any{"number": nil}, []string{"is nil"}},
		{"zero", map[string]any{"positive": 0}, []string{"above 0"}},
		{"duration", map[string]any{"duration": "soon"}, []string{"option duration", "250ms"}},
		{"duration of 0", map[string]any{"duration": 0}, []string{"above 0"}},
		{"duration of 0 as text", map[string]any{"duration": "0s"}, []string{"above 0"}},
		{"endless duration", map[string]any{"duration": math.Inf(1)}, []string{"option duration"}},
		{"duration NaN", map[string]any{"duration": "NaN"}, []string{"option duration"}},
		{"bool", map[string]any{"bool": 1}, []string{"true or false"}},
		{"string", map[string]any{"string": 1}, []string{"1 of type int", "a string"}},
		{"twice", map[string]any{"number": 1, "NUMBER": 2}, []string{"option number is given under two names, NUMBER and number"}},
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
			if strings.Contains(err.Error(), "1234567") {
				t.Errorf("a password in %q", err)
			}
		})
	}
	if err := engine.ReadOptions("toy", map[string]any{"a": 1}).Err(); err == nil || !strings.Contains(err.Error(), "it has none") {
		t.Errorf("an engine without options: %v", err)
	}
}

// A Secret comes from the option or from the environment, and is in no error.
func TestOptionReader_Secret(t *testing.T) {
	t.Setenv("ENGINE_PASSWORD", "s3cret")
	t.Setenv("ENGINE_EMPTY", "")
	for _, test := range []struct {
		name  string
		given map[string]any
		want  string
		wrong string // what an error has to say; empty: there is none
	}{
		{"nothing", nil, "", ""},
		{"an option", map[string]any{"Password": "s3cret"}, "s3cret", ""},
		{"an empty option", map[string]any{"password": ""}, "", ""},
		{"a variable", map[string]any{"PASSWORD_ENV": "ENGINE_PASSWORD"}, "s3cret", ""},
		{"both", map[string]any{"password": "s3cret", "password_env": "ENGINE_PASSWORD"}, "", "leave one out"},
		{"a variable without a text", map[string]any{"password_env": "ENGINE_EMPTY"}, "", "password_env"},
		{"a variable that is not set", map[string]any{"password_env": "s3cret"}, "", "password_env"},
		{"no variable", map[string]any{"password_env": ""}, "", "password_env"},
		{"no text", map[string]any{"password": []string{"s3cret"}}, "", "a string"},
	} {
		r := engine.ReadOptions("toy", test.given)
		got := r.Secret("password")
		err := r.Err()
		if got != test.want || (err != nil) != (test.wrong != "") {
			t.Errorf("%s: got %q, %v", test.name, got, err)
		}
		if err != nil && (!errors.Is(err, cacheutils.ErrConfig) || !strings.Contains(err.Error(), test.wrong) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: got %v, want ErrConfig with %q", test.name, err, test.wrong)
		}
	}
}
