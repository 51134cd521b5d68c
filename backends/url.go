package backends

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cacheutils/cacheutils"
	"github.com/cacheutils/cacheutils/engine"
	"github.com/cacheutils/cacheutils/internal/errtext"
)

// ParseURL reads settings from a URL: a registered engine's scheme, the
// locations separated by commas, the key prefix as the path, and as the query timeout (in
// seconds, or like 1h30m, or "never"), version, prefix and the engine's options, whose names match whatever their case.
//
//	locmem://
//	locmem://sessions?max_entries=5000
//	memcached://10.0.0.1:11211,10.0.0.2:11211/shop?timeout=1h
//	memcached:///run/memcached.sock?prefix=shop
//	group+memcached://10.0.0.1:11211/shop?stale=1m
//
// Without a host the path is that of a unix socket, or several separated by commas. What is special in a URL is written as an
// escape where it is a part of a name: %40 for an @, %2C for a comma. An engine may read its URLs in another way, except
// for timeout, version, prefix and the options that all backends have. Any other mistake is an error that matches
// cacheutils.ErrConfig and names it, without users and passwords; options are checked by Configure.
func ParseURL(text string) (Settings, error) {
	s, err := parseURL(text)
	if err != nil {
		return Settings{}, fmt.Errorf("%w: URL %q: %w", cacheutils.ErrConfig, withoutSecrets(text), errtext.Bare(err))
	}
	return s, nil
}

// withoutSecrets leaves out what stands before an @, and the query: passwords don't belong in errors. What is
// wrong with a part of the query names that.
func withoutSecrets(text string) string {
	scheme, rest, ok := cutScheme(text)
	if scheme += "://"; !ok {
		scheme, rest = "", text
	}
	return scheme + errtext.WithoutPassword(rest)
}

// cutScheme returns what stands before and after the :// of a URL, if it has a scheme.
func cutScheme(text string) (scheme, rest string, ok bool) {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789_-.+"
	scheme, rest, ok = strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	return scheme, rest, ok && scheme != "" && strings.Trim(scheme, letters) == ""
}

func parseURL(text string) (s Settings, err error) {
	scheme, rest, ok := cutScheme(text)
	switch {
	case !ok && strings.HasPrefix(text, " "):
		return s, fmt.Errorf("it begins with a space: take it out")
	case !ok:
		return s, fmt.Errorf("it has no scheme: use something like locmem:// or memcached://127.0.0.1:11211")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return s, fmt.Errorf("it has a space, a line break or another control character: take it out, or write %%20 for a space")
	case strings.Contains(rest, "#"):
		return s, fmt.Errorf("it has a #, after which nothing is read: write %%23 if it is a part of a name")
	}
	s.Backend = scheme
	d, plain, ok := driverFor(scheme)
	switch {
	case !ok && adviceFor(scheme) != "":
		return s, unknownEngine(scheme)
	case ok && scheme != groupBackend:
		s.Backend = strings.TrimSuffix(scheme, plain) + d.Name()
	}
	if d.ParseURL != nil {
		return s, s.parseByDriver(d, plain+"://"+rest)
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

// urlSettings are the names in the query of a URL that are not those of options.
var urlSettings = []string{"timeout", "version", "prefix"}

// secretOptions are those that a URL can't have.
var secretOptions = []string{"key_secret", "password", "secret"}

// parseByDriver reads from the query what all backends have, and has the driver read what is left of the URL.
func (s *Settings) parseByDriver(d engine.Driver, text string) error {
	rest, query, _ := strings.Cut(text, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	own := maps.Clone(values)
	for name := range values {
		if strings.Contains(name, "@") {
			return fmt.Errorf("the name of an option has an @: write what is special in a password as an escape, such as %%3F for a ?")
		}
		if slices.Contains(urlSettings, strings.ToLower(name)) || isCommonOption(name) {
			delete(own, name)
		} else {
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
		if shows(err.Error(), rest) {
			return fmt.Errorf("%s can't read it; the reason shows a part of the user or the password, and is left out: write what is special in those as an escape, such as %%40 for an @", d.Name())
		}
		return err
	}
	s.Location = e.Location
	for name, value := range e.Options {
		s.setOption(name, value)
	}
	return nil
}

// shows reports whether text may have a part of a user's name or a password in it that the URL has.
func shows(text, address string) bool {
	_, address, _ = strings.Cut(address, "://")
	_, query, _ := strings.Cut(address, "?")
	var secrets []string
	if shown := errtext.WithoutUser(address); shown != address {
		secret := strings.TrimSuffix(address, strings.TrimPrefix(shown, "..."))
		secrets = strings.FieldsFunc(secret, func(r rune) bool { return strings.ContainsRune(":/@?#&=", r) })
	}
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		if _, value, _ := strings.Cut(pair, "="); value != "" {
			secrets = append(secrets, value)
		}
	}
	return slices.ContainsFunc(secrets, func(secret string) bool {
		plain, err := url.QueryUnescape(secret)
		return contains(text, secret) || err == nil && contains(text, plain)
	})
}

// contains reports whether text has secret in it, as it is or quoted.
func contains(text, secret string) bool {
	quoted := strconv.Quote(secret)
	return secret != "" && (strings.Contains(text, secret) || strings.Contains(text, quoted[1:len(quoted)-1]))
}

// parseRest reads what stands behind the scheme, as memcached's URLs have it.
func (s *Settings) parseRest(rest string) error {
	if strings.Contains(rest, "@") {
		return fmt.Errorf("a user and a password before the @ are not read: write ?username=...&password_env=... with the name of an environment variable, or %%40 for an @ in a name")
	}
	rest, query, _ := strings.Cut(rest, "?")
	if i := strings.IndexAny(rest, "&="); i >= 0 {
		return fmt.Errorf("it has %q before any ?, which is where options begin: write ?name=value, or %%%X if it is a part of a name", rest[i:i+1], rest[i])
	}
	hosts, path, hasPath := strings.Cut(rest, "/")
	if err := s.parsePlaces(hosts, path, hasPath); err != nil {
		return err
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	return s.setFromQuery(values)
}

// parsePlaces reads the locations and the prefix.
func (s *Settings) parsePlaces(hosts, path string, hasPath bool) error {
	places, err := splitLocation(hosts)
	if err != nil {
		return err
	}
	switch {
	case len(places) > 0 && strings.HasSuffix(path, "/"):
		return fmt.Errorf("the key prefix %q ends with a slash: leave that out, or write %%2F", path)
	case len(places) > 0:
		if s.KeyPrefix, err = url.PathUnescape(path); err != nil {
			return err
		}
	case hasPath && path != "":
		if places, err = splitLocation("/" + path); err != nil {
			return err
		}
	}
	for i, place := range places {
		if places[i], err = url.PathUnescape(place); err != nil {
			return err
		}
		if hosts == "" && !strings.HasPrefix(place, "/") {
			return fmt.Errorf("location %d, %q, is not a path, as the one before: write unix:%%2Fpath for a unix socket among hosts", i+1, place)
		}
		if strings.Contains(places[i], "@") {
			return fmt.Errorf("a user and a password before the %%40 are not read: write ?username=...&password_env=... with the name of an environment variable")
		}
	}
	s.Location = places
	return nil
}

func (s *Settings) setFromQuery(values url.Values) error {
	given := map[string]string{} // the settings, by name
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(values[name]) > 1 {
			return fmt.Errorf("%s is given %d times: leave the others out", errtext.Visible(name), len(values[name]))
		}
		lower := strings.ToLower(name)
		if slices.Contains(urlSettings, lower) {
			if other, twice := given[lower]; twice {
				return fmt.Errorf("%s is given as %s, too: leave one out", name, other)
			}
			given[lower], name, values[lower] = name, lower, values[name]
		}
		if err := s.set(name, values[name][0]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) set(name, value string) (err error) {
	switch name {
	case "timeout":
		if s.Timeout, err = parseTimeout(value); err != nil {
			return fmt.Errorf("timeout=%s: %s", errtext.WithoutUser(value), timeoutForms)
		}
	case "version":
		s.Version = value
	case "prefix":
		if s.KeyPrefix != "" {
			return fmt.Errorf("the prefix is given twice, as the path and as prefix=...: leave one out")
		}
		s.KeyPrefix = value
	case "":
		return fmt.Errorf("a value without a name stands in the query: write ?name=value")
	default:
		if strings.EqualFold(name, "key_prefix") {
			return fmt.Errorf("%s is named prefix in a URL, where it may be the path as well", name)
		}
		if err := checkNotSecret(name); err != nil {
			return err
		}
		s.setOption(name, value)
	}
	return nil
}

// checkNotSecret returns an error if the option of that name doesn't belong in a URL, which programs log and list.
func checkNotSecret(name string) error {
	if lower := strings.ToLower(name); slices.Contains(secretOptions, lower) {
		return fmt.Errorf("%s doesn't belong in a URL, which others may read: name an environment variable by %s_env, or set it in Settings.Options", lower, lower)
	}
	return nil
}

func (s *Settings) setOption(name string, value any) {
	if s.Options == nil {
		s.Options = make(map[string]any)
	}
	s.Options[name] = value
}
