package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/logging"
)

// djangoBackends are Django's own names of backends, so that a CACHES setting can be used as
// it is.
var djangoBackends = map[string]string{
	"django.core.cache.backends.dummy.DummyCache":          "dummy",
	"django.core.cache.backends.locmem.LocMemCache":        "locmem",
	"django.core.cache.backends.memcached.MemcachedCache":  "memcached",
	"django.core.cache.backends.memcached.PyLibMCCache":    "memcached",
	"django.core.cache.backends.memcached.PyMemcacheCache": "memcached",
	"cache_utils.group_backend.CacheClass":                 "group",
	"django_cache_utils.group_backend.CacheClass":          "group",
}

// UnmarshalJSON reads settings under Django's names: BACKEND, LOCATION (a list, or one
// string split at ';' or ','), TIMEOUT (seconds, as a number or text, or "1h30m"; null never
// expires), KEY_PREFIX, VERSION (a number or text) and OPTIONS. BACKEND may be one of
// Django's class paths. A TIMEOUT that is none of these counts as not given, as in Django,
// and is logged. Any other wrong value and any other name are an error that names it.
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
	return nil
}

func (s *Settings) unmarshalField(name string, value json.RawMessage) error {
	switch name {
	case "BACKEND":
		if err := json.Unmarshal(value, &s.Backend); err != nil {
			return err
		}
		if b, ok := djangoBackends[s.Backend]; ok {
			s.Backend = b
		}
		return nil
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
	s.Location = SplitLocation(text)
	return nil
}

// SplitLocation splits a list of locations at ';' and ','.
func SplitLocation(text string) []string {
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
	if d, ok := ParseTimeout(text); ok {
		s.Timeout = d
		return
	}
	logging.Log(logging.LevelWarn, logging.Event{
		Action: logging.Notice,
		Text:   fmt.Sprintf("cacheutils: TIMEOUT %s is no number of seconds: the default of 300 is used", value),
	})
}

// ParseTimeout reads a number of seconds, or a Go duration such as 1h30m, as Settings have
// it: 0 becomes negative, since entries that live no time are not stored. Seconds that a
// Duration can't hold are Forever.
func ParseTimeout(text string) (d time.Duration, ok bool) {
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
