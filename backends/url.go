package backends

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
)

// ParseURL reads settings from a URL: a registered engine's scheme, the
// locations separated by commas, the key prefix as the path, and as the query timeout (in
// seconds, or like 1h30m, or "never"), version, prefix and the engine's options.
//
//	locmem://
//	locmem://sessions?max_entries=5000
//	memcached://10.0.0.1:11211,10.0.0.2:11211/shop?timeout=1h
//	memcached:///run/memcached.sock?prefix=shop
//	group+memcached://10.0.0.1:11211/shop?stale=1m
//
// Without a host the path is that of a unix socket. An engine may read its URLs in another way, except for
// timeout, version, prefix and the options that all backends have. Any other mistake is an error that matches
// cacheutils.ErrConfig and names it; options are checked by Configure.
func ParseURL(text string) (Settings, error) {
	s, err := parseURL(text)
	if err != nil {
		return Settings{}, fmt.Errorf("%w: URL %q: %w", cacheutils.ErrConfig, withoutSecrets(text), err)
	}
	return s, nil
}

// withoutSecrets leaves out what stands before an @, and the query: passwords don't belong in errors. What is
// wrong with a part of the query names that.
func withoutSecrets(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if scheme += "://"; !ok {
		scheme, rest = "", text
	}
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = "..." + rest[i:]
	}
	if before, query, ok := strings.Cut(rest, "?"); ok && query != "" {
		rest = before + "?..."
	}
	return scheme + rest
}

func parseURL(text string) (s Settings, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme == "" {
		return s, fmt.Errorf("it has no scheme: use something like locmem:// or memcached://127.0.0.1:11211")
	}
	s.Backend = scheme
	if d, plain, ok := driverFor(scheme); ok {
		s.Backend = strings.TrimSuffix(scheme, plain) + d.Name()
		if scheme == groupBackend {
			s.Backend = scheme
		}
		if d.ParseURL != nil {
			return s, s.parseByDriver(d, plain+"://"+rest)
		}
	}
	return s, s.parseRest(rest)
}

// driverFor returns the driver for the scheme and that scheme without group+.
func driverFor(scheme string) (d engine.Driver, plain string, ok bool) {
	plain, _ = splitGroup(scheme)
	for _, d := range engine.Drivers() {
		if slices.Contains(d.Schemes, plain) {
			return d, plain, true
		}
	}
	return engine.Driver{}, plain, false
}

// parseByDriver reads from the query what all backends have, and has the driver read what is left of the URL.
func (s *Settings) parseByDriver(d engine.Driver, text string) error {
	rest, query, _ := strings.Cut(text, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	own := maps.Clone(values)
	for name := range values {
		switch {
		case name == "timeout", name == "version", name == "prefix", isCommonOption(name):
			delete(own, name)
		default:
			delete(values, name)
		}
	}
	if err := s.setFromQuery(values); err != nil {
		return err
	}
	if len(own) > 0 {
		rest += "?" + own.Encode()
	}
	e, err := d.ParseURL(rest)
	if err != nil {
		return err
	}
	s.Location = e.Location
	for name, value := range e.Options {
		s.setOption(name, value)
	}
	return nil
}

// parseRest reads what stands behind the scheme, as memcached's URLs have it.
func (s *Settings) parseRest(rest string) error {
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, hasPath := strings.Cut(rest, "/")
	hosts, err := url.PathUnescape(hosts)
	if err != nil {
		return err
	}
	if path, err = url.PathUnescape(path); err != nil {
		return err
	}
	if strings.Contains(hosts, "@") {
		return fmt.Errorf("users and passwords are not supported")
	}
	s.Location = splitLocation(hosts)
	switch {
	case len(s.Location) > 0:
		s.KeyPrefix = path
	case hasPath && path != "":
		s.Location = []string{"/" + path}
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	return s.setFromQuery(values)
}

func (s *Settings) setFromQuery(values url.Values) error {
	for name, list := range values {
		if len(list) > 1 {
			return fmt.Errorf("%s is given %d times", name, len(list))
		}
		if err := s.set(name, list[0]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) set(name, value string) error {
	switch name {
	case "timeout":
		if value == "never" {
			s.Timeout = cacheutils.Forever
			return nil
		}
		d, ok := parseTimeout(value)
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
		s.setOption(name, value)
	}
	return nil
}

func (s *Settings) setOption(name string, value any) {
	if s.Options == nil {
		s.Options = make(map[string]any)
	}
	s.Options[name] = value
}
