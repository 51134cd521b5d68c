package engine

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
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
	return r.integer(name, def, math.MinInt, "an integer")
}

// PositiveInt is Int for options that have to be at least 1.
func (r *OptionReader) PositiveInt(name string, def int) int {
	return r.integer(name, def, 1, "an integer above 0")
}

// NonNegativeInt is Int for options that have to be at least 0.
func (r *OptionReader) NonNegativeInt(name string, def int) int {
	return r.integer(name, def, 0, "an integer from 0")
}

func (r *OptionReader) integer(name string, def, least int, wanted string) int {
	value, ok := r.lookup(name)
	if !ok {
		return def
	}
	n, ok := asInt(value)
	if !ok || n < least {
		r.reject(name, value, wanted)
		return def
	}
	return n
}

// PositiveDuration returns the option, or def when it isn't given. It has to be above 0: a
// time.Duration, a number of seconds, or a string with either of them, "1.5" or "1500ms".
func (r *OptionReader) PositiveDuration(name string, def time.Duration) time.Duration {
	value, ok := r.lookup(name)
	if !ok {
		return def
	}
	d, ok := asDuration(value)
	if !ok || d <= 0 {
		r.reject(name, value, `a duration above 0: a time.Duration, seconds as a number, or text such as "250ms"`)
		return def
	}
	return d
}

// NonNegativeDuration is PositiveDuration for options that may be 0 as well.
func (r *OptionReader) NonNegativeDuration(name string, def time.Duration) time.Duration {
	value, ok := r.lookup(name)
	if !ok {
		return def
	}
	d, ok := asDuration(value)
	if !ok || d < 0 {
		r.reject(name, value, `a duration: a time.Duration, seconds as a number, or text such as "250ms"`)
		return def
	}
	return d
}

// Err returns nil if every option given was read and had the right type. Otherwise the
// error matches cacheutils.ErrConfig and says everything that is wrong, with the names of
// the options there are.
func (r *OptionReader) Err() error {
	faults := slices.Clone(r.faults)
	for _, name := range slices.Sorted(maps.Keys(r.given)) {
		if !slices.ContainsFunc(r.known, func(known string) bool { return strings.EqualFold(known, name) }) {
			faults = append(faults, fmt.Errorf("%w: %s has no option %s", cacheutils.ErrConfig, r.engine, name))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	there := "it has none"
	if len(r.known) > 0 {
		slices.Sort(r.known)
		there = "its options are " + strings.Join(slices.Compact(r.known), ", ")
	}
	return fmt.Errorf("%w; %s", errors.Join(faults...), there)
}

// lookup finds the option under any spelling. Two spellings of one option are an error.
func (r *OptionReader) lookup(name string) (any, bool) {
	if !slices.Contains(r.known, name) {
		r.known = append(r.known, name)
	}
	var value any
	var found []string
	for _, spelling := range slices.Sorted(maps.Keys(r.given)) {
		if strings.EqualFold(spelling, name) {
			value = r.given[spelling]
			found = append(found, spelling)
		}
	}
	if len(found) > 1 {
		r.faults = append(r.faults, fmt.Errorf("%w: %s has one option under two names, %s",
			cacheutils.ErrConfig, r.engine, strings.Join(found, " and ")))
		return nil, false
	}
	return value, len(found) == 1
}

func (r *OptionReader) reject(name string, value any, wanted string) {
	r.faults = append(r.faults, fmt.Errorf("%w: %s option %s is %s; it has to be %s",
		cacheutils.ErrConfig, r.engine, name, describe(value), wanted))
}

func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "nil"
	case string:
		return fmt.Sprintf("the string %q", v)
	default:
		return fmt.Sprintf("%v of type %T", v, v)
	}
}

func asInt(value any) (int, bool) {
	switch v := value.(type) {
	case int:
		return v, true
	case int64:
		return int(v), int64(int(v)) == v
	case int32:
		return int(v), true
	case uint:
		return int(v), v <= math.MaxInt
	case uint32:
		return int(v), uint64(v) <= math.MaxInt
	case uint64:
		return int(v), v <= math.MaxInt
	case float64:
		// 1<<53: above it a float64 no longer stands for one integer.
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 || math.Abs(v) > math.MaxInt {
			return 0, false
		}
		return int(v), true
	case interface{ Int64() (int64, error) }: // json.Number
		n, err := v.Int64()
		return int(n), err == nil && int64(int(n)) == n
	case string:
		n, err := strconv.Atoi(v)
		return n, err == nil
	}
	return 0, false
}

func asDuration(value any) (time.Duration, bool) {
	switch v := value.(type) {
	case time.Duration:
		return v, true
	case float64:
		return seconds(v)
	case interface{ Float64() (float64, error) }: // json.Number
		f, err := v.Float64()
		if err != nil {
			return 0, false
		}
		return seconds(f)
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return seconds(f)
		}
		d, err := time.ParseDuration(v)
		return d, err == nil
	}
	n, ok := asInt(value)
	if !ok {
		return 0, false
	}
	return seconds(float64(n))
}

// seconds rejects what no time.Duration can hold, NaN included.
func seconds(f float64) (time.Duration, bool) {
	ns := math.Round(f * float64(time.Second))
	if !(math.Abs(ns) < math.MaxInt64) {
		return 0, false
	}
	return time.Duration(ns), true
}
