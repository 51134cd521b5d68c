package backends

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/internal/errtext"
	"github.com/cacheutils/cacheutils/logging"
)

// UnmarshalJSON reads an object with the settings of each backend, under Django's names: see
// Settings. An error names the backend and the setting.
func (c *Config) UnmarshalJSON(data []byte) error {
	var byName map[string]json.RawMessage
	if err := json.Unmarshal(data, &byName); err != nil {
		return fmt.Errorf("%w: backends are an object by their names: %w", cacheutils.ErrConfig, err)
	}
	*c = make(Config, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		var s Settings
		if err := json.Unmarshal(byName[name], &s); err != nil {
			return errtext.Wrap(err, "backend %q", name)
		}
		(*c)[name] = s
	}
	return nil
}

// UnmarshalJSON reads settings under Django's names: BACKEND, LOCATION (a list, or one string split at ';' or
// ','), TIMEOUT (seconds, as a number or text, or "1h30m"; null never expires), KEY_PREFIX, VERSION (a number
// or text) and OPTIONS. BACKEND may be one of Django's class paths; OPTIONS are then Django's, or the engine's
// own, and those of Django's that mean nothing here are left out and logged. A TIMEOUT in another form counts
// as not given, as in Django, and is logged. Any other wrong value and any other name are an error that names
// it.
func (s *Settings) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return fmt.Errorf("%w: a backend's settings are an object: %w", cacheutils.ErrConfig, err)
	}
	*s = Settings{}
	for name, value := range fields {
		if err := s.unmarshalField(name, value); err != nil {
			return fmt.Errorf("%w: %s: %w", cacheutils.ErrConfig, name, err)
		}
	}
	*s = s.translated()
	return nil
}

func (s *Settings) unmarshalField(name string, value json.RawMessage) error {
	switch name {
	case "BACKEND":
		return json.Unmarshal(value, &s.Backend)
	case "LOCATION":
		return s.unmarshalLocation(value)
	case "TIMEOUT":
		s.unmarshalTimeout(value)
		return nil
	case "KEY_PREFIX":
		return json.Unmarshal(value, &s.KeyPrefix)
	case "VERSION":
		text := string(value)
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			s.Version = text
			return nil
		}
		return json.Unmarshal(value, &s.Version)
	case "OPTIONS":
		return json.Unmarshal(value, &s.Options)
	case "KEY_FUNCTION":
		return fmt.Errorf("a function can't be named in JSON: set Settings.KeyFunction")
	default:
		return fmt.Errorf("no such setting: there are BACKEND, LOCATION, TIMEOUT, KEY_PREFIX, VERSION, OPTIONS")
	}
}

func (s *Settings) unmarshalLocation(value json.RawMessage) error {
	if value[0] == '[' {
		return json.Unmarshal(value, &s.Location)
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return fmt.Errorf("use a list of texts or one text: %w", err)
	}
	s.Location = splitLocation(text)
	return nil
}

// splitLocation splits a list of locations at ';' and ','.
func splitLocation(text string) []string {
	var list []string
	for _, l := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == ',' }) {
		if l = strings.TrimSpace(l); l != "" {
			list = append(list, l)
		}
	}
	return list
}

func (s *Settings) unmarshalTimeout(value json.RawMessage) {
	if bytes.Equal(value, []byte("null")) {
		s.Timeout = cacheutils.Forever
		return
	}
	text := string(value)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = strings.TrimSpace(unquoted)
	}
	if d, ok := parseTimeout(text); ok {
		s.Timeout = d
		return
	}
	logging.Log(logging.LevelWarn, logging.Event{
		Action: logging.ActionNotice,
		Text:   fmt.Sprintf("cacheutils: TIMEOUT %s is not a number of seconds: the default of 300 is used", value),
	})
}

// parseTimeout reads a number of seconds, or a Go duration such as 1h30m, as Settings have
// it: 0 becomes negative, since entries that live no time are not stored. Seconds that a
// Duration can't hold are Forever.
func parseTimeout(text string) (d time.Duration, ok bool) {
	d, ok = parseDuration(text)
	if ok && d == 0 {
		d = -1
	}
	return d, ok
}

func parseDuration(text string) (d time.Duration, ok bool) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(seconds) {
		if seconds >= float64(math.MaxInt64)/float64(time.Second) {
			return cacheutils.Forever, true
		}
		return time.Duration(seconds * float64(time.Second)), true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}
