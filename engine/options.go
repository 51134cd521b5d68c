package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// An OptionReader reads the options of an engine, values by name that come from Go code, from JSON or from
// the query of a URL, and remembers what was wrong with them:
//
//	r := engine.ReadOptions("shelf", s.Options)
//	entries := r.PositiveInt("max_entries", 100_000)
//	if err := r.Err(); err != nil {
//		return nil, err
//	}
//
// Names match whatever their case, so that Django's MAX_ENTRIES is max_entries. An option that is wrong has its
// default, and Err says what is wrong. An OptionReader is used by one goroutine.
type OptionReader struct {
	engine string
	given  map[string]any
	known  []string // the options there are, as they were read
	faults []error
}

// ReadOptions returns a reader of the options that the engine of that name was given, which may be nil. Errors name
// the engine.
func ReadOptions(engine string, given map[string]any) *OptionReader {
	return &OptionReader{engine: engine, given: given}
}

// Given reports whether the option was given. That counts as reading it.
func (r *OptionReader) Given(name string) bool {
	_, ok := r.lookup(name)
	return ok
}

// Value returns the option as it was given, and whether it was.
func (r *OptionReader) Value(name string) (value any, ok bool) { return r.lookup(name) }

// String returns the option, or def when it isn't given.
func (r *OptionReader) String(name, def string) string {
	value, ok := r.lookup(name)
	if !ok {
		return def
	}
	s, ok := value.(string)
	if !ok {
		r.reject(name, value, "a string")
		return def
	}
	return s
}

// Secret is String for a password and the like, which need not be in the settings: instead of the option name,
// name_env may be given, which is the name of an environment variable that has it. It is an error if both are given, or the
// variable is not set or empty. Without either it returns "". No error has the text in it.
func (r *OptionReader) Secret(name string) string {
	variable := r.String(name+"_env", "")
	switch fromEnv := r.Given(name + "_env"); {
	case !fromEnv:
		return r.String(name, "")
	case r.Given(name):
		r.faults = append(r.faults, fmt.Errorf("%w: %s is given, and %s_env too: leave one out", cacheutils.ErrConfig, r.named(name), name))
		return ""
	}
	text := os.Getenv(variable)
	if text == "" { // not its name, which may be the secret by mistake
		r.faults = append(r.faults, fmt.Errorf("%w: %s_env is not the name of an environment variable that is set", cacheutils.ErrConfig, r.named(name)))
	}
	return text
}

// Bool returns the option, or def when it isn't given. Besides a bool it may be one of the
// strings "true", "false", "1" and "0", in any case.
func (r *OptionReader) Bool(name string, def bool) bool {
	value, ok := r.lookup(name)
	if !ok {
		return def
	}
	switch v := value.(type) {
	case bool:
		return v
	case string:
		switch strings.ToLower(v) {
		case "true", "1":
			return true
		case "false", "0":
			return false
		}
	}
	r.reject(name, value, "true or false")
	return def
}

// Int returns the option, or def when it isn't given. Besides Go's integers it may be a float
// without a fraction, as JSON's numbers are, or a string with a decimal integer.
func (r *OptionReader) Int(name string, def int) int {
	return r.IntBetween(name, def, math.MinInt, math.MaxInt)
}

// PositiveInt is Int for options that have to be at least 1.
func (r *OptionReader) PositiveInt(name string, def int) int {
	return r.IntBetween(name, def, 1, math.MaxInt)
}

// NonNegativeInt is Int for options that have to be at least 0.
func (r *OptionReader) NonNegativeInt(name string, def int) int {
	return r.IntBetween(name, def, 0, math.MaxInt)
}

// IntBetween is Int for options that have to be from least to most, both included. def may be outside.
func (r *OptionReader) IntBetween(name string, def, least, most int) int {
	value, ok := r.lookup(name)
	if !ok {
		return def
	}
	n, ok := asInt(value)
	if !ok || n < least || n > most {
		r.reject(name, value, integers(least, most))
		return def
	}
	return n
}

// integers says which integers are from least to most.
func integers(least, most int) string {
	switch {
	case most < math.MaxInt:
		return fmt.Sprintf("an integer from %d to %d", least, most)
	case least == 1:
		return "an integer above 0"
	case least > math.MinInt:
		return fmt.Sprintf("an integer from %d", least)
	default:
		return "an integer"
	}
}

// leastDuration is the shortest time that an option may say besides 0: what is shorter was meant as another unit.
const leastDuration = time.Millisecond

// PositiveDuration returns the option, or def when it isn't given. It is a time.Duration, or a string with a unit
// such as "1500ms" or "1h30m", of 1ms at least. A number without a unit is an error that says what was probably
// meant: options are not in one unit, and Django's seconds are another program's milliseconds.
func (r *OptionReader) PositiveDuration(name string, def time.Duration) time.Duration {
	return r.DurationBetween(name, def, leastDuration, math.MaxInt64)
}

// NonNegativeDuration is PositiveDuration for options that may be 0 as well, which needs no unit.
func (r *OptionReader) NonNegativeDuration(name string, def time.Duration) time.Duration {
	return r.DurationBetween(name, def, 0, math.MaxInt64)
}

// DurationBetween is PositiveDuration for options that have to be from least to most, both included. With a least of 0
// the option may be 0, and otherwise not below 1ms. def may be outside.
func (r *OptionReader) DurationBetween(name string, def, least, most time.Duration) time.Duration {
	value, ok := r.lookup(name)
	if !ok {
		return def
	}
	fits := func(d time.Duration) bool {
		return d == 0 && least == 0 || d >= max(least, leastDuration) && d <= most
	}
	wanted := durations(least, most)
	switch d, isNumber := asNumber(value); {
	case isNumber && d == 0 && least == 0:
		return 0
	case isNumber:
		wanted += probably(d, fits)
	default:
		d, ok := asDuration(value)
		if ok && fits(d) {
			return d
		}
		if ok && d > 0 && d < leastDuration { // time.Duration(250), or 250 * time.Nanosecond
			wanted += probably(float64(d), fits)
		}
	}
	r.reject(name, value, wanted)
	return def
}

// durations says which durations are from least to most.
func durations(least, most time.Duration) string {
	bounds := "from " + shown(max(least, leastDuration)) + " to " + shown(most)
	if most == math.MaxInt64 {
		bounds = "above 0, of " + shown(max(least, leastDuration)) + " at least"
	}
	text := "a duration with its unit, " + bounds + `, such as "250ms"`
	if least == 0 {
		text = "0, or " + text
	}
	return text
}

// probably says what a number was probably meant to be, as far as that fits.
func probably(n float64, fits func(time.Duration) bool) string {
	var meant []string
	for _, unit := range []time.Duration{time.Millisecond, time.Second} {
		if d, ok := times(n, unit); ok && fits(d) {
			meant = append(meant, strconv.Quote(strconv.FormatFloat(n, 'f', -1, 64)+strings.TrimPrefix(unit.String(), "1")))
		}
	}
	if len(meant) == 0 {
		return ""
	}
	return ": did you mean " + strings.Join(meant, " or ") + "?"
}

// shown is d without the units of which there are none.
func shown(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Seconds returns the duration of a number of seconds, as Django and its clients have it: for [Driver.Django]. ok
// is false if value is not a number, or one that no time.Duration can hold.
func Seconds(value any) (d time.Duration, ok bool) {
	n, ok := asNumber(value)
	if !ok {
		return 0, false
	}
	return times(n, time.Second)
}

// CommonOptions returns the names of the options that all backends have, sorted. Package backends reads them, and engines don't get
// them.
func CommonOptions() []string {
	return []string{"compress_above", "group_prefix", "key_secret", "key_secret_env", "lease", "max_decoded_size", "open_groups", "operation_timeout", "secret", "secret_env", "stale", "store_later"}
}

// settings are the names of what stands beside the options of a backend, where it is often mistaken for one of them.
var settings = []string{"backend", "key_function", "key_prefix", "location", "prefix", "timeout", "version"}

// isOneOf reports whether name is one of names, whatever its case.
func isOneOf(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// Err returns nil if every option given was read and had the right type. Otherwise the
// error matches cacheutils.ErrConfig and says everything that is wrong. If an option is unknown it has the names of
// the options there are.
func (r *OptionReader) Err() error {
	faults := slices.Clone(r.faults)
	unknown := false
	for _, name := range slices.Sorted(maps.Keys(r.given)) {
		if isOneOf(r.known, name) {
			continue
		}
		unknown = true
		fault := fmt.Errorf("%w: %s has no option %s", cacheutils.ErrConfig, r.engine, errtext.Visible(name))
		if isOneOf(settings, name) {
			fault = fmt.Errorf("%w, which is a setting of the backend beside its options", fault)
		}
		faults = append(faults, fault)
	}
	if !unknown {
		return errors.Join(faults...)
	}
	there := "it has none"
	if len(r.known) > 0 {
		slices.Sort(r.known)
		there = "its options are " + strings.Join(slices.Compact(r.known), ", ")
	}
	return fmt.Errorf("%w; all backends have %s; %s", errors.Join(faults...), strings.Join(CommonOptions(), ", "), there)
}

// lookup finds the option under any spelling. Two spellings of one option are an error.
func (r *OptionReader) lookup(name string) (any, bool) {
	if !slices.Contains(r.known, name) {
		r.known = append(r.known, name)
	}
	var value any
	var found []string
	for spelling, given := range r.given {
		if strings.EqualFold(spelling, name) {
			value = given
			found = append(found, spelling)
		}
	}
	if len(found) > 1 {
		slices.Sort(found)
		r.faults = append(r.faults, fmt.Errorf("%w: %s is given under two names, %s: leave one out",
			cacheutils.ErrConfig, r.named(name), strings.Join(found, " and ")))
		return nil, false
	}
	return value, len(found) == 1
}

func (r *OptionReader) reject(name string, value any, wanted string) {
	what := describe(value)
	if errtext.IsSecret(name) {
		what = "something else" // a password doesn't belong in errors
	}
	r.faults = append(r.faults, fmt.Errorf("%w: %s is %s; it has to be %s",
		cacheutils.ErrConfig, r.named(name), what, wanted))
}

// named says which option is meant.
func (r *OptionReader) named(option string) string {
	return strings.TrimSpace(r.engine + " option " + option)
}

func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "nil"
	case string:
		return fmt.Sprintf("the string %q", v)
	case time.Duration, json.Number:
		return fmt.Sprintf("%v of type %T", v, v)
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array, reflect.Struct, reflect.Pointer, reflect.Func, reflect.Chan:
		return fmt.Sprintf("a value of type %T", value) // which may have a password inside
	default:
		return fmt.Sprintf("%v of type %T", value, value)
	}
}

// asInt returns value as an int, if it is an integer that one holds.
func asInt(value any) (int, bool) {
	switch v := value.(type) {
	case time.Duration:
		return 0, false // a number of nothing
	case interface{ Int64() (int64, error) }: // json.Number
		n, err := v.Int64()
		return int(n), err == nil && int64(int(n)) == n
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return int(v.Int()), int64(int(v.Int())) == v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return int(v.Uint()), v.Uint() <= math.MaxInt
	case reflect.Float32, reflect.Float64:
		// 1<<53: above it a float64 no longer stands for one integer.
		f := v.Float()
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 || math.Abs(f) > math.MaxInt {
			return 0, false
		}
		return int(f), true
	case reflect.String:
		n, err := strconv.Atoi(v.String())
		return n, err == nil
	}
	return 0, false
}

// asNumber returns value as a number, if it is one, or text that is one, without a unit.
func asNumber(value any) (float64, bool) {
	switch v := value.(type) {
	case time.Duration:
		return 0, false
	case interface{ Float64() (float64, error) }: // json.Number
		f, err := v.Float64()
		return f, err == nil
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Float32, reflect.Float64:
		return v.Float(), true
	case reflect.String:
		f, err := strconv.ParseFloat(v.String(), 64)
		return f, err == nil
	}
	n, ok := asInt(value)
	return float64(n), ok
}

// asDuration returns value as a duration, if it is one, or text that is one, with a unit.
func asDuration(value any) (time.Duration, bool) {
	switch v := value.(type) {
	case time.Duration:
		return v, true
	case string:
		d, err := time.ParseDuration(v)
		return d, err == nil
	}
	return 0, false
}

// times returns n times unit. ok is false for what no time.Duration can hold, NaN included.
func times(n float64, unit time.Duration) (d time.Duration, ok bool) {
	ns := math.Round(n * float64(unit))
	if !(math.Abs(ns) < math.MaxInt64) {
		return 0, false
	}
	return time.Duration(ns), true
}
