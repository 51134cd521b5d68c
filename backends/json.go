package backends

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// ParseJSON reads the settings of backends by their names from a JSON object with Django's names: see
// [Settings.UnmarshalJSON]. It is json.Unmarshal into a Config, but for errors about the text, which have the line and
// the column. Errors match cacheutils.ErrConfig and name the backend and the setting; options are checked by Configure.
func ParseJSON(text []byte) (Config, error) {
	var c Config
	err := json.Unmarshal(text, &c)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		before := text[:min(max(int(syntax.Offset)-1, 0), len(text))]
		line, column := bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n')
		return nil, fmt.Errorf("%w: JSON, line %d, column %d: %w; %s", cacheutils.ErrConfig, line, column, syntax,
			"texts stand in double quotes, there are true, false and null, no comments, and no comma after the last of a list")
	}
	if err == nil && c == nil {
		err = fmt.Errorf("%w: JSON: backends are an object by their names, not null", cacheutils.ErrConfig)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// A member is a name of a JSON object with its value.
type member struct {
	name  string
	value json.RawMessage
}

// members returns what is in a JSON object, in its order. what says in errors what the object is. A name that is given twice is
// an error, since all but one of its values would be ignored.
func members(what string, data []byte) ([]member, error) {
	if kind := kindOf(data); kind != "an object" {
		return nil, fmt.Errorf("%s, not %s", what, kind)
	}
	var list []member
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		m := member{name.(string), value}
		if slices.ContainsFunc(list, func(other member) bool { return other.name == m.name }) {
			return nil, fmt.Errorf("%s is given twice: leave one out", errtext.Visible(m.name))
		}
		list = append(list, m)
	}
	return list, nil
}

// kindOf says what a JSON value is.
func kindOf(value []byte) string {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return "nothing"
	}
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return string(value)
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

func isNull(value []byte) bool { return kindOf(value) == "null" }

// UnmarshalJSON reads an object with the settings of each backend, under Django's names: see
// Settings. An error names each backend that is wrong, and the setting. [ParseJSON] also has the lines of mistakes in the JSON.
func (c *Config) UnmarshalJSON(data []byte) error {
	if isNull(data) {
		return nil
	}
	list, err := members("backends are an object by their names", data)
	if err != nil {
		return fmt.Errorf("%w: %w", cacheutils.ErrConfig, err)
	}
	*c = make(Config, len(list))
	var errs []error
	for _, m := range list {
		var s Settings
		if err := s.UnmarshalJSON(m.value); err != nil {
			errs = append(errs, inBackend{m.name, err})
		}
		(*c)[m.name] = s
	}
	return errors.Join(errs...)
}

// UnmarshalJSON reads settings under Django's names: BACKEND, LOCATION (a list, or one string split at ';' or
// ','), TIMEOUT (seconds, as a number or text, or "1h30m"; null or "never" never expires), KEY_PREFIX, VERSION (a number
// or text) and OPTIONS. BACKEND may be one of Django's class paths; OPTIONS are then Django's, or the engine's
// own, and those of Django's that mean nothing here are left out and logged. null stands for the default, but for
// TIMEOUT. KEY_FUNCTION may be Django's default. Any other wrong value and any other name are an error that names
// it.
func (s *Settings) UnmarshalJSON(data []byte) error {
	if isNull(data) {
		return nil
	}
	list, err := members("a backend's settings are an object (a URL is read by backends.ParseURL)", data)
	if err != nil {
		return fmt.Errorf("%w: %w", cacheutils.ErrConfig, err)
	}
	*s = Settings{}
	var errs []error
	for _, m := range list {
		if err := s.unmarshalField(m.name, m.value); err != nil {
			errs = append(errs, fmt.Errorf("%w: %s: %w", cacheutils.ErrConfig, errtext.Visible(m.name), err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	*s = s.translated()
	return nil
}

// djangoKeyFunction is Django's KEY_FUNCTION where none is given: prefix:version:key, as here.
const djangoKeyFunction = "django.core.cache.backends.base.default_key_func"

var fieldNames = []string{"BACKEND", "LOCATION", "TIMEOUT", "KEY_PREFIX", "VERSION", "OPTIONS"}

func (s *Settings) unmarshalField(name string, value json.RawMessage) (err error) {
	switch name {
	case "BACKEND":
		s.Backend, err = textOf(value)
	case "LOCATION":
		s.Location, err = locationsOf(value)
	case "TIMEOUT":
		s.Timeout, err = timeoutOf(value)
	case "KEY_PREFIX":
		s.KeyPrefix, err = textOf(value)
	case "VERSION":
		if _, err := strconv.ParseInt(string(value), 10, 64); err == nil {
			s.Version = string(value)
			return nil
		}
		if s.Version, err = textOf(value); err != nil {
			err = fmt.Errorf("it is %s: write an integer or a text", shownVersion(value))
		}
	case "OPTIONS":
		s.Options, err = optionsOf(value)
	case "KEY_FUNCTION":
		if path, err := textOf(value); err == nil && (path == "" || path == djangoKeyFunction) {
			return nil
		}
		return fmt.Errorf("a function can't be named in JSON: set Settings.KeyFunction")
	default:
		for _, there := range fieldNames {
			if strings.EqualFold(name, there) {
				return fmt.Errorf("no such setting: write %s", there)
			}
		}
		return fmt.Errorf("no such setting: there are %s; what is the engine's own stands in OPTIONS", strings.Join(fieldNames, ", "))
	}
	return err
}

// shownVersion says what stands in the place of a version: a number that is not an integer, or something of another kind.
func shownVersion(value json.RawMessage) string {
	if kind := kindOf(value); kind != "a number" {
		return kind
	}
	return string(value)
}

func textOf(value json.RawMessage) (text string, err error) {
	if kind := kindOf(value); kind != "a text" && kind != "null" {
		return "", fmt.Errorf("it is %s: write a text in double quotes", kind)
	}
	err = json.Unmarshal(value, &text)
	return text, err
}

func locationsOf(value json.RawMessage) (list []string, err error) {
	switch kindOf(value) {
	case "null":
		return nil, nil
	case "a text":
		text, err := textOf(value)
		if err != nil {
			return nil, err
		}
		return splitLocation(text)
	case "a list":
		var values []json.RawMessage
		if err := json.Unmarshal(value, &values); err != nil {
			return nil, err
		}
		for i, v := range values {
			text, err := textOf(v)
			if err != nil {
				return nil, fmt.Errorf("number %d in the list: %w", i+1, err)
			}
			if strings.TrimSpace(text) == "" {
				return nil, emptyLocation(i)
			}
			list = append(list, text)
		}
		return list, nil
	default:
		return nil, fmt.Errorf("it is %s: write a list of texts, or one text", kindOf(value))
	}
}

// splitLocation splits a list of locations at ';' and ','.
func splitLocation(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	list := strings.Split(strings.ReplaceAll(text, ";", ","), ",")
	for i := range list {
		if list[i] = strings.TrimSpace(list[i]); list[i] == "" {
			return nil, emptyLocation(i)
		}
	}
	return list, nil
}

func emptyLocation(i int) error {
	return fmt.Errorf("location %d in the list is empty: write it, or leave out its comma (or semicolon)", i+1)
}

func optionsOf(value json.RawMessage) (options map[string]any, err error) {
	if isNull(value) {
		return nil, nil
	}
	list, err := members("options are an object by their names", value)
	if err != nil {
		return nil, err
	}
	options = make(map[string]any, len(list))
	for _, m := range list {
		var v any
		if err := json.Unmarshal(m.value, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", errtext.Visible(m.name), err)
		}
		options[m.name] = v
	}
	return options, nil
}

func timeoutOf(value json.RawMessage) (time.Duration, error) {
	switch kindOf(value) {
	case "null":
		return cacheutils.Forever, nil
	case "a number":
		return parseTimeout(string(value))
	case "a text":
		text, err := textOf(value)
		if err != nil {
			return 0, err
		}
		return parseTimeout(strings.TrimSpace(text))
	default:
		return 0, fmt.Errorf("it is %s: %s", kindOf(value), timeoutForms)
	}
}

const timeoutForms = `use seconds, a duration like 1h30m, or never`

// parseTimeout reads a number of seconds, a Go duration such as 1h30m, or "never", as Settings have
// it: 0 becomes negative, since entries that live no time are not stored. Seconds that a
// Duration can't hold are Forever.
func parseTimeout(text string) (time.Duration, error) {
	if text == "never" {
		return cacheutils.Forever, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, isNumber := parseSeconds(text); isNumber {
		if ns := seconds * float64(time.Second); ns >= math.MaxInt64 {
			return cacheutils.Forever, nil
		} else if d, err = time.Duration(max(ns, math.MinInt64/2)), nil; d == 0 && seconds > 0 {
			d = 1
		}
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("it is %q: %s", errtext.WithoutUser(text), timeoutForms)
	case d == 0:
		return -1, nil
	case d > 0 && d < time.Millisecond:
		return 0, fmt.Errorf("it is %q, less than 1ms: %s", text, timeoutForms)
	default:
		return d, nil
	}
}

// parseSeconds reads a decimal number.
func parseSeconds(text string) (float64, bool) {
	if strings.Trim(text, "0123456789.+-eE") != "" { // also no NaN, Inf and hexadecimal
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}
