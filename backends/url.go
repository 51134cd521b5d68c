package backends

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// ParseURL reads settings from a URL: a registered engine's name as the scheme, the
// locations separated by commas, the key prefix as the path, and as the query timeout (in
// seconds, or like 1h30m, or "never"), version, prefix and the engine's options.
//
//	locmem://
//	locmem://sessions?max_entries=5000
//	memcached://10.0.0.1:11211,10.0.0.2:11211/shop?timeout=1h
//	memcached:///run/memcached.sock?prefix=shop
//	group+memcached://10.0.0.1:11211/shop?stale=1m
//
// Without a host the path is that of a unix socket. Anything else that is wrong is an error
// that matches cacheutils.ErrConfig and names it; options are checked by Configure.
func ParseURL(text string) (Settings, error) {
	s, err := parseURL(text)
	if err != nil {
		return Settings{}, fmt.Errorf("backends: %w: URL %q: %w", cacheutils.ErrConfig, withoutUser(text), err)
	}
	return s, nil
}

// withoutUser leaves out what stands before an @: passwords don't belong in errors.
func withoutUser(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		return scheme + "://..." + rest[i:]
	}
	return text
}

func parseURL(text string) (s Settings, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme == "" {
		return s, fmt.Errorf("it has no scheme: use something like locmem:// or memcached://127.0.0.1:11211")
	}
	s.Backend = scheme
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, hasPath := strings.Cut(rest, "/")
	if hosts, err = url.PathUnescape(hosts); err != nil {
		return s, err
	}
	if path, err = url.PathUnescape(path); err != nil {
		return s, err
	}
	if strings.Contains(hosts, "@") {
		return s, fmt.Errorf("users and passwords are not supported")
	}
	s.Location = engine.SplitLocation(hosts)
	switch {
	case len(s.Location) > 0:
		s.KeyPrefix = path
	case hasPath && path != "":
		s.Location = []string{"/" + path}
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return s, err
	}
	for name, list := range values {
		if len(list) > 1 {
			return s, fmt.Errorf("%s is given %d times", name, len(list))
		}
		if err := setFromQuery(&s, name, list[0]); err != nil {
			return s, err
		}
	}
	return s, nil
}

func setFromQuery(s *Settings, name, value string) error {
	switch name {
	case "timeout":
		if value == "never" {
			s.Timeout = cacheutils.Forever
			return nil
		}
		d, ok := engine.ParseTimeout(value)
		if !ok {
			return fmt.Errorf("timeout=%s: use seconds, a duration like 1h30m, or never", value)
		}
		s.Timeout = d
	case "version":
		s.Version = value
	case "prefix":
		if s.KeyPrefix != "" {
			return fmt.Errorf("the prefix is given twice, as the path and as prefix=%s", value)
		}
		s.KeyPrefix = value
	default:
		if s.Options == nil {
			s.Options = make(map[string]any)
		}
		s.Options[name] = value
	}
	return nil
}
